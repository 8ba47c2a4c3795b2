"""Qiskit's local testing mode: the client's primitives, run in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from adapters.aer import MAX_QUBITS
from adapters.contract import (
    CONTROL_FLOW,
    Capabilities,
    DeviceResult,
    Submission,
    Unsupported,
)
from adapters.fake_backends import NUM_QUBITS, canonical_name, read_snapshot
from adapters.ibm.circuits import estimator_pub, sampler_pub
from adapters.ibm.results import read_result
from adapters.local_device import LocalDevice
from qcpaas.devices import DeviceInfo
from qcpaas.errors import ExecutionFailed, SubmissionRefused, UnknownDevice, nearest
from store.snapshot import Snapshot

PREFIX = "local:"  # of an address
AER = "aer"


class LocalIbmAdapter(LocalDevice):
    """One of Qiskit's fake backends, or Aer without noise; a job runs while it is submitted.

    Args:
        name: Ours.
        make_backend: Makes the vendor's backend, which takes seconds.
        snapshot: Of a fake backend; ``None`` for Aer.
    """

    def __init__(
        self, name: str, make_backend: Callable[[], Any], snapshot: Snapshot | None
    ) -> None:
        self.name = name
        self._make_backend = make_backend
        self._backend: Any = None
        self._snapshot = snapshot
        self._lock = threading.Lock()

    def capabilities(self) -> Capabilities:
        snapshot = self._snapshot
        return Capabilities(
            num_qubits=snapshot.num_qubits if snapshot else MAX_QUBITS["statevector"],
            basis_gates=(*snapshot.gates, "measure", "delay") if snapshot else (),
            simulator=True,
            estimates=True,
            keeps_jobs=False,
            token_lag_s=0.0,
            # Most of the recorded devices had none.
            control_flow=frozenset() if snapshot else CONTROL_FLOW,
        )

    def calibration(self, at: datetime | None = None) -> Snapshot | Unsupported:
        if self._snapshot is None:
            return Unsupported("calibration", f"{self.name} is an ideal simulator")
        if at is not None and at < self._snapshot.taken_at:
            return Unsupported("calibration", f"{self.name} has one snapshot, and no history")
        return self._snapshot

    def perform(self, submission: Submission) -> DeviceResult:
        from qiskit_ibm_runtime import EstimatorV2, SamplerV2

        experiments = submission.experiments
        estimates = all(each.observables is not None for each in experiments)
        make_pub = estimator_pub if estimates else sampler_pub
        pubs = [make_pub(each, self._width(each.circuit.num_qubits)) for each in experiments]
        primitive = EstimatorV2 if estimates else SamplerV2
        options = {"simulator": {"seed_simulator": submission.seed}}
        with self._lock:
            self._backend = self._backend or self._make_backend()
            try:
                result = primitive(self._backend, options).run(pubs).result()
            except ValueError as error:
                raise SubmissionRefused(f"{self.name} cannot run the job: {error}") from error
            except Exception as error:
                raise ExecutionFailed(f"{self.name} gave up: {error!r:.300}") from error
        counts, values = read_result(result, self.name)
        return DeviceResult(counts=counts, values=values, qpu_s=0.0)

    def _width(self, width: int) -> int:
        return self._snapshot.num_qubits if self._snapshot else width


def open_local(name: str, address: str) -> LocalIbmAdapter:
    """Raises `UnknownDevice` where there is no such backend."""
    local = address.removeprefix(PREFIX)
    if local == AER:
        return LocalIbmAdapter(name, _aer, None)
    official = canonical_name(local)
    if official not in NUM_QUBITS:
        known = [AER, *map(_fake_name, NUM_QUBITS)]
        raise UnknownDevice(
            f"the local testing mode has no backend {local!r}. {nearest(local, known)}"
        )
    snapshot = read_snapshot(official).of_device(name)
    return LocalIbmAdapter(name, lambda: _fake(_fake_name(official)), snapshot)


def list_local() -> list[DeviceInfo]:
    """Every one, by the address that opens it."""
    widths = {AER: MAX_QUBITS["statevector"]}
    widths |= {_fake_name(official): width for official, width in sorted(NUM_QUBITS.items())}
    return [
        DeviceInfo(
            name=f"{PREFIX}{name}",
            adapter="ibm",
            num_qubits=width,
            simulator=True,
            address=f"{PREFIX}{name}",
        )
        for name, width in widths.items()
    ]


def _fake_name(official: str) -> str:
    return f"fake_{official.removeprefix('Fake').lower()}"


def _aer() -> Any:
    from qiskit_aer import AerSimulator

    return AerSimulator()


def _fake(name: str) -> Any:
    from qiskit_ibm_runtime import fake_provider

    # The vendor's own provider makes all sixty of them to find one.
    kinds = vars(fake_provider).values()
    return next(kind for kind in kinds if getattr(kind, "backend_name", None) == name)()
