"""Measure what is stale or out of spec on one device, and what depends on it."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.logging import get_run_logger
from prefect.states import Failed

from calibration.characterisation.bench import Bench
from calibration.characterisation.nodes import default_graph, nodes_of
from calibration.diagnosis import Upkeep
from calibration.graph import Calibrated, Found, Key, Laboratory, Node, NodeFailed, Target
from flows.calibration_events import QUARANTINED, resource_id
from flows.calibration_pages import publish_calibration
from flows.drift_events import look_for_drift
from flows.protocol_pages import publish
from qcpaas.errors import CalibrationError
from qcpaas.settings import Settings
from store.characterisation import NodeRecord
from store.database import Store, open_store
from store.exclusive import holding
from tasks.calibrate import shared_pull
from tasks.laboratory import BenchLaboratory, GraphMemory, quarantine, release
from tasks.platforms import emulated_platform, find_platform
from tasks.registered import open_registered

KEPT_RUNS = 5  # folders with the raw data of earlier runs


@flow(name="characterise", flow_run_name="characterise {device}")
def characterise(
    device: str,
    qubits: list[int] | None = None,
    emulated: bool = False,
    nodes: list[str] | None = None,
    doubted: list[str] | None = None,
) -> None:
    """Bring the calibration graph of a device into a good state; one run a device at a time.

    What holds is left alone, so that a run after a crash goes on where the first one was. A qubit
    that cannot be calibrated is taken out of use, and the others finish.

    Args:
        qubits: All that its platform controls when not given.
        emulated: On an emulation of the device, made from the calibration that it reports.
        nodes: Only these of the graph, and what they need.
        doubted: Quantities that have drifted: what establishes them is checked, however fresh.

    Raises:
        CalibrationError: The device has no platform, or none of its qubits could be calibrated.
    """
    settings = Settings()
    log = get_run_logger()
    with (
        open_store(settings.resolved_store_url) as store,
        holding(
            store,
            f"characterise/{device}",
            waiting=lambda other: log.info(
                "another run characterises %s: %s", device, other.holder
            ),
        ),
    ):
        adapter = open_registered(device, store)
        shared_pull(adapter, store, datetime.now(UTC))
        platform = (
            emulated_platform(adapter, settings.data_dir / "emulated", qubits)
            if emulated
            else find_platform(adapter.name, settings.resolved_platforms_dir)
        )
        folder = settings.data_dir / "characterisation" / adapter.name
        with Bench(platform.name, platform.folder.parent, new_folder(folder)) as bench:
            laboratory = ShownLaboratory(BenchLaboratory(adapter.name, store, bench, publish))
            keeping = Keeping(adapter.name, store, laboratory, nodes_of(doubted or ()))
            for key in keeping.graph.keys(platform.targets(qubits), nodes):
                keeping.maintain(key)
        if keeping.put_back():
            shared_pull(adapter, store, datetime.now(UTC))  # what its vendor says counts again
        look_for_drift(store, adapter.name)
        publish_calibration(store, adapter.name)
    create_table_artifact(
        table=keeping.rows(),
        key=f"characterisation-{adapter.name.lower()}",
        description=f"Calibration graph of {adapter.name}",
    )
    keeping.raise_where_nothing_holds()


class Keeping:
    """One run over a device's graph: what was done, and which qubits came out of it usable."""

    def __init__(
        self, device: str, store: Store, laboratory: Laboratory, doubted: Collection[str]
    ) -> None:
        self.graph = default_graph()
        self._device, self._store = device, store
        self._memory = GraphMemory(device, store)
        self._upkeep = Upkeep(
            self.graph, laboratory, self._memory, device, lambda: datetime.now(UTC), doubted
        )
        self._outcomes: dict[Key, str] = {}
        self._failed: dict[Key, NodeFailed] = {}

    def maintain(self, key: Key) -> None:
        """One node; its failure is its own, and of all that needs it."""
        before = self._memory.get(*key)
        try:
            self._upkeep.maintain(key)
        except NodeFailed as failure:
            self._failed[key] = failure
            self._outcomes[key] = f"failed: {failure.reason}"
            if failure.node == key[0] and self.graph.nodes[key[0]].essential:
                self._quarantine(failure)
        else:
            self._outcomes[key] = _what_happened(before, self._memory.get(*key))

    def put_back(self) -> list[int]:
        """Put qubits back into use whose essential nodes all hold; answers which."""
        essential = [name for name, node in self.graph.nodes.items() if node.essential]
        qubits = sorted({target[0] for _, target in self._outcomes if len(target) == 1})
        held = [q for q in qubits if all(self._upkeep.holds((name, (q,))) for name in essential)]
        return [qubit for qubit in held if release(self._device, self._store, qubit)]

    def rows(self) -> list[dict[str, str]]:
        return [
            {
                "node": name,
                "target": shown(target),
                "outcome": outcome,
                "calibrated at": _moment(self._memory.get(name, target)),
            }
            for (name, target), outcome in self._outcomes.items()
        ]

    def raise_where_nothing_holds(self) -> None:
        """Raises `CalibrationError` where every node that was asked for failed."""
        if self._failed and len(self._failed) == len(self._outcomes):
            first = next(iter(self._failed.values()))
            raise CalibrationError(f"nothing of {self._device} could be calibrated: {first}")

    def _quarantine(self, failure: NodeFailed) -> None:
        (qubit,) = failure.target
        if quarantine(self._device, self._store, qubit, f"{failure.node}: {failure.reason}"):
            get_run_logger().error("qubit %d is out of use: %s", qubit, failure)
            emit_event(
                QUARANTINED,
                resource={"prefect.resource.id": resource_id(self._device)},
                payload={
                    "device": self._device,
                    "qubit": qubit,
                    "reason": failure.reason,
                    "message": f"qubit {qubit} of {self._device} is out of use: {failure}",
                },
            )


class ShownLaboratory:
    """Every check and calibration is a task, for Prefect's pages."""

    def __init__(self, laboratory: BenchLaboratory) -> None:
        self._laboratory = laboratory

    def check(self, node: Node, target: Target) -> Found:
        return check(self._laboratory, node, shown(target), target)

    def calibrate(self, node: Node, target: Target) -> Calibrated:
        state = calibrate(self._laboratory, node, shown(target), target, return_state=True)
        outcome = state.result(raise_on_failure=False)
        if isinstance(outcome, BaseException):
            raise outcome
        assert isinstance(outcome, Calibrated)
        return outcome


@task(name="check", task_run_name="check {node.name} on {where}", cache_policy=NO_CACHE)
def check(laboratory: Laboratory, node: Node, where: str, target: Target) -> Found:
    """A short measurement."""
    found = laboratory.check(node, target)
    get_run_logger().info("%s on %s: %s", node.name, where, found)
    return found


@task(name="calibrate", task_run_name="calibrate {node.name} on {where}", cache_policy=NO_CACHE)
def calibrate(
    laboratory: Laboratory, node: Node, where: str, target: Target
) -> Calibrated | State[Calibrated]:
    """A full measurement; a task that is not believed counts as failed."""
    outcome = laboratory.calibrate(node, target)
    return outcome if outcome.believed else Failed(message=outcome.reason, data=outcome)


def new_folder(parent: Path) -> Path:
    """A folder for this run's raw data; those of the runs before the last few are removed."""
    folder = parent / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True)
    for old in sorted(path for path in parent.iterdir() if path.is_dir())[:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def shown(target: Target) -> str:
    return "-".join(map(str, target))


def _what_happened(before: NodeRecord | None, after: NodeRecord | None) -> str:
    if after is None or after == before:
        return "fresh"
    known = None if before is None else before.calibrated_at
    return "in spec" if after.calibrated_at == known else "calibrated"


def _moment(record: NodeRecord | None) -> str:
    if record is None or record.calibrated_at is None:
        return "never"
    return f"{record.calibrated_at:%Y-%m-%d %H:%M:%S} UTC"
