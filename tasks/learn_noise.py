"""Learning the noise of gate layers: what the store does not know yet, in one submission."""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from pipeline.noise.learning import learn, learning_experiments
from qcpaas.errors import NotReady
from qcpaas.execution import Binding, Experiment, Outcome
from qcpaas.noise import GateLayer, LayerNoise, NoiseLearning, NoiseReport
from store.calibrations import Calibrations
from store.database import Store
from store.exclusive import holding
from store.leases import LeaseRecord
from store.noise import LearntNoises, elements_id
from store.snapshot import Snapshot
from tasks.calibration_reports import device_name
from tasks.device import Device

PATIENCE_S = 600.0  # for another job that learns on the same device

Run = Callable[[Sequence[Experiment]], Sequence[Outcome]]

log = logging.getLogger(__name__)


def known_noise(
    layers: Sequence[GateLayer], snapshot: Snapshot, store: Store
) -> tuple[LayerNoise | None, ...]:
    """What is known of each layer under a calibration, however old and by whichever method."""
    return LearntNoises(store).find(snapshot, layers)


def noise_report(store: Store, device: str) -> NoiseReport:
    """What is known of a device's layers, the newest first; raises `UnknownDevice`."""
    name = device_name(store, device)
    learnt = tuple(LearntNoises(store).of(name))
    newest = Calibrations(store).latest(name)
    valid = tuple(
        newest is not None and noise.elements_id == elements_id(newest, noise.layer)
        for noise in learnt
    )
    return NoiseReport(device=name, learnt=learnt, valid=valid)


def learn_missing(  # noqa: PLR0917
    layers: Sequence[GateLayer],
    device: Device,
    snapshot: Snapshot,
    settings: NoiseLearning,
    run: Run,
    store: Store,
    job_id: str,
    *,
    patience_s: float = PATIENCE_S,
) -> tuple[LayerNoise, ...]:
    """Learn the layers that are not known under a calibration, or were learnt too long ago.

    Of several jobs that need it one learns, and the others wait; one that has waited for long
    learns by itself, which costs shots and harms nothing.

    Args:
        run: Executes all experiments in one submission.

    Returns:
        What was learnt now, and is in the store.

    Raises:
        MitigationError: A layer's noise cannot be learnt; says why.
    """
    basis_gates = device.capabilities.basis_gates
    lesson = _Lesson(snapshot, settings, basis_gates, LearntNoises(store), job_id)
    wanted = lesson.missing(tuple(dict.fromkeys(layers)))
    if not wanted:
        return ()

    def waiting(holder: LeaseRecord) -> None:
        log.info("another job learns noise on %s; waiting for it", device.name)

    try:
        with holding(store, f"noise/{device.name}", patience_s=patience_s, waiting=waiting):
            # Asked again: whoever was waited for may have learnt it.
            return lesson.learn(lesson.missing(wanted), run)
    except NotReady as busy:
        log.warning("%s This job learns by itself.", busy)
    return lesson.learn(lesson.missing(wanted), run)


@dataclass(frozen=True, eq=False)
class _Lesson:
    snapshot: Snapshot
    settings: NoiseLearning
    basis_gates: tuple[str, ...]
    noises: LearntNoises
    job_id: str

    def missing(self, layers: Sequence[GateLayer]) -> tuple[GateLayer, ...]:
        """Those that are not known, or were learnt too long ago."""
        known = self.noises.find(self.snapshot, layers, self.settings.method)
        oldest = datetime.now(UTC) - timedelta(seconds=self.settings.max_age_s)
        return tuple(
            layer
            for layer, noise in zip(layers, known, strict=True)
            if noise is None or noise.measured_at is None or noise.measured_at < oldest
        )

    def learn(self, layers: Sequence[GateLayer], run: Run) -> tuple[LayerNoise, ...]:
        """Run what tells the noise of layers, and keep it."""
        if not layers:
            return ()
        experiments, context = learning_experiments(
            layers,
            self.settings,
            place=self._binding,
            couplings=_couplings(self.snapshot),
            seed=zlib.crc32(self.job_id.encode()),  # the same circuits when a job is resumed
        )
        outcomes = run(experiments)
        now = datetime.now(UTC)
        learnt = tuple(self._dated(noise, now) for noise in learn(context, outcomes))
        self.noises.keep(learnt)
        return learnt

    def _dated(self, noise: LayerNoise, now: datetime) -> LayerNoise:
        where = {
            "device": self.snapshot.device,
            "elements_id": elements_id(self.snapshot, noise.layer),
            "measured_at": now,
            "job_id": self.job_id,
        }
        return noise.model_copy(update=where)

    def _binding(self, layer: GateLayer) -> Binding:
        """In place, on the layer's own qubits."""
        unknown = (math.nan, math.nan)
        errors = [self.snapshot.readout_error(qubit) or unknown for qubit in layer.qubits]
        return Binding(
            physical_qubits=layer.qubits,
            snapshot_id=self.snapshot.content_id,
            readout_errors=np.array(errors, dtype=np.float64),
            basis_gates=self.basis_gates,
            reason="learns the noise of a layer",
        )


def _couplings(snapshot: Snapshot) -> list[tuple[int, int]]:
    """Pairs of qubits that a gate joins."""
    pairs = {
        (min(place), max(place))
        for places in snapshot.gates.values()
        for place in places
        if len(place) == 2
    }
    return sorted(pairs)
