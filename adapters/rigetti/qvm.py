"""Rigetti's QVM as a device: it simulates while it is asked, and keeps nothing."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from adapters.contract import (
    Availability,
    Capabilities,
    DeviceResult,
    Submission,
    Unsupported,
)
from adapters.local_device import LocalDevice
from adapters.rigetti.circuits import Dialect, QuilProgram, quil_program
from adapters.rigetti.qvm_server import QVMServer
from adapters.rigetti.results import distribution
from qcpaas.errors import (
    CredentialsRefused,
    DeviceUnavailable,
    MalformedReply,
    SubmissionRefused,
)
from qcpaas.execution import Counts, Experiment

MAX_SHOTS = 65_535  # Rigetti's client sends 16 bits
_SEEDS = 2**31 - 1
_DIALECT = Dialect("a QVM")


class QVMAdapter(LocalDevice):
    """A QVM of so many qubits, each coupled with each.

    Args:
        noisy: Whether the server was given noise.
    """

    def __init__(self, name: str, num_qubits: int, server: QVMServer, *, noisy: bool) -> None:
        self.name = name
        self._num_qubits = num_qubits
        self._server = server
        self._noisy = noisy

    def capabilities(self) -> Capabilities:
        return Capabilities(
            num_qubits=self._num_qubits,
            max_shots=MAX_SHOTS,
            simulator=True,
            keeps_jobs=False,
            token_lag_s=0.0,
        )

    def calibration(self, at: datetime | None = None) -> Unsupported:
        del at
        kind = "noise is what its settings say" if self._noisy else "gates are ideal"
        return Unsupported("calibration", f"{self.name} is a simulator whose {kind}")

    def availability(self) -> Availability:
        try:
            return Availability(online=True, message=f"QVM {self._server.version()}")
        except (DeviceUnavailable, MalformedReply, CredentialsRefused) as error:
            return Availability(online=False, message=str(error))

    def perform(self, submission: Submission) -> DeviceResult:
        """Simulates; what it answers is kept in this process.

        Raises:
            SubmissionRefused: An instruction that Quil does not have.
            DeviceUnavailable: No QVM is there, said within two seconds.
            AcceptanceUnknown: It stopped answering; it keeps nothing of what was sent.
        """
        programs = [self._program(experiment) for experiment in submission.experiments]
        self._server.check()
        return self._run(submission, programs)

    def _program(self, experiment: Experiment) -> QuilProgram:
        circuit, binding = experiment.circuit, experiment.binding
        qubits = range(circuit.num_qubits) if binding is None else binding.physical_qubits
        program = quil_program(circuit, tuple(qubits), _DIALECT)
        if not program.measured:
            raise SubmissionRefused(
                f"circuit {circuit.name} has no measurement. Add measure_all()."
            )
        return program

    def _run(self, submission: Submission, programs: list[QuilProgram]) -> DeviceResult:
        rng = np.random.default_rng(submission.seed)
        counts = []
        for experiment, program in zip(submission.experiments, programs, strict=True):
            shots = experiment.shots or 0
            points = tuple(
                distribution(
                    self._server.run(
                        program, program.memory_map(point), shots, int(rng.integers(_SEEDS))
                    )
                )
                for point in experiment.parameter_values
            )
            counts.append(Counts(points, program.registers))
        return DeviceResult(tuple(counts), qpu_s=0.0)
