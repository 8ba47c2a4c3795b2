"""Ideal simulators: no calibration, no noise but what a submission brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from adapters.aer import MAX_QUBITS, AerRunner, Method
from adapters.contract import Capabilities, DeviceResult, Submission, Unsupported
from adapters.frontends.qir_program import program_of, run_qir
from adapters.simulated import SimulatedAdapter
from qcpaas.devices import DeviceInfo
from qcpaas.errors import SubmissionRefused, UnknownDevice, nearest
from qcpaas.execution import Counts, Distribution, Experiment
from store.snapshot import Snapshot

_METHODS: dict[str, tuple[Method, str]] = {
    "statevector": ("statevector", "Ideal state-vector simulator"),
    "aer": ("automatic", "Aer, which chooses its method by the circuit"),
}


class IdealRunner(AerRunner):
    """Aer, and the QIR runner for programs that no circuit can hold."""

    def run(self, submission: Submission) -> DeviceResult:
        experiments = submission.experiments
        texts = [program_of(experiment.circuit) for experiment in experiments]
        if not any(texts):
            return super().run(submission)
        seeds = np.random.SeedSequence(submission.seed).generate_state(len(texts)) >> 1
        rest = tuple(e for e, text in zip(experiments, texts, strict=True) if text is None)
        ran = super().run(replace(submission, experiments=rest)) if rest else None
        left = iter(ran.counts if ran is not None else ())
        counts = tuple(
            next(left) if text is None else _interpreted(experiment, text, submission, int(seed))
            for experiment, text, seed in zip(experiments, texts, seeds, strict=True)
        )
        return DeviceResult(counts=counts, qpu_s=0.0)


def _interpreted(experiment: Experiment, text: str, submission: Submission, seed: int) -> Counts:
    circuit = experiment.circuit
    if experiment.shots is None or submission.noise_model is not None:
        raise SubmissionRefused(
            f"circuit {circuit.name} is a QIR program without a gate list, which is run shot by "
            "shot and without noise. Ask for shots and leave the noise model out, or compile it "
            "for the base profile."
        )
    shots, bits = experiment.shots, circuit.num_clbits
    points = tuple(
        Distribution.from_dict(run_qir(text, bits, shots, seed + point), bits, shots)
        for point in range(experiment.points)
    )
    return Counts(points, tuple((register.name, len(register)) for register in circuit.cregs))


class SimulatorAdapter(SimulatedAdapter):
    """All-to-all, and every Qiskit gate as it is."""

    def __init__(self, name: str, method: Method) -> None:
        super().__init__(name, IdealRunner(name, ideal_method=method))
        self._num_qubits = MAX_QUBITS[method]

    def capabilities(self) -> Capabilities:
        return Capabilities(
            num_qubits=self._num_qubits,
            simulator=True,
            exact=True,
            noise_models=True,
            keeps_jobs=False,
            token_lag_s=0.0,
        )

    def calibration(self, at: datetime | None = None) -> Snapshot | Unsupported:
        return Unsupported("calibration", f"{self.name} is an ideal simulator")


class SimulatorProvider:
    """``statevector`` and ``aer``."""

    def devices(self) -> Sequence[DeviceInfo]:
        return [
            DeviceInfo(
                name=name,
                adapter="simulators",
                num_qubits=MAX_QUBITS[method],
                simulator=True,
                description=description,
            )
            for name, (method, description) in _METHODS.items()
        ]

    def open(self, name: str, known: Snapshot | None = None) -> SimulatorAdapter:
        """Raises `UnknownDevice` where there is no such simulator."""
        if name not in _METHODS:
            raise UnknownDevice(f"there is no simulator {name!r}. {nearest(name, _METHODS)}")
        return SimulatorAdapter(name, _METHODS[name][0])
