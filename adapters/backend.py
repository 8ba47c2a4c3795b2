"""A device as the innermost execution backend of a stack of options."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

import numpy as np
from pydantic import JsonValue
from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp

from adapters.angles import check_angles
from adapters.batches import join, split
from adapters.contract import (
    Capabilities,
    DeviceAdapter,
    DeviceSession,
    Submission,
    Unsupported,
)
from qcpaas.circuits import PROGRAM
from qcpaas.errors import CircuitError, OptionError, ShotsError, SubmissionRefused
from qcpaas.execution import (
    Binding,
    CalibrationValues,
    ExecutionBackend,
    Experiment,
    Outcome,
    Plan,
    PlanningServices,
)
from qcpaas.tracing import span


class AdapterServices(PlanningServices):
    """What a device's adapter alone can tell: the calibration that it reports now."""

    def __init__(self, adapter: DeviceAdapter, seed: int) -> None:
        self._adapter = adapter
        self._seed = seed

    @property
    def seed(self) -> int:
        return self._seed

    def calibration(self, binding: Binding | None) -> CalibrationValues | None:
        found = None if binding is None else self._adapter.calibration()
        return None if isinstance(found, Unsupported) else found


class DeviceBackend(ExecutionBackend):
    """Runs experiments on one device as they are; options around it change them.

    Args:
        seed_source: A fresh seed for each submission.
        noise_model: Serialisable Aer noise model in place of the device's own noise, on its
            physical qubits.
    """

    def __init__(
        self,
        adapter: DeviceAdapter,
        seed_source: Callable[[], int],
        noise_model: dict[str, JsonValue] | None = None,
    ) -> None:
        self.adapter = adapter
        self.capabilities = adapter.capabilities()
        self._seed_source = seed_source
        self._noise_model = noise_model
        if noise_model is not None and not self.capabilities.noise_models:
            raise SubmissionRefused(
                f"{adapter.name} takes no noise model. Choose a simulator or a twin."
            )

    @property
    def services(self) -> PlanningServices:
        return AdapterServices(self.adapter, self._seed_source())

    def plan(self, experiments: Sequence[Experiment]) -> Plan:
        columns = tuple(tuple(range(e.parameter_values.shape[1])) for e in experiments)
        return Plan(tuple(experiments), (), columns)

    def execute(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        """Check everything, then run it: as one device job, or in as many as its limits ask for.

        Raises:
            ShotsError: Out of the device's range, or exact probabilities of a real device.
            CircuitError: No measurement, unbound parameters, or too many qubits.
            AdapterError: The device refused a submission, failed, or cannot be reached.
        """
        self.check(experiments)
        pieces = split(experiments, self.capabilities)
        answers = [self._run([piece.of(experiments) for piece in placed]) for placed in pieces]
        return join(pieces, answers)

    def _run(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        submission = self.submission(experiments, self._seed_source())
        with span("device submit", device=self.adapter.name):
            handle = self.adapter.submit(submission, token=secrets.token_hex(16))
        with span("device result", device=self.adapter.name, device_job_id=handle.device_job_id):
            result = self.adapter.result(handle)
        return result.counts or result.values

    def check(self, experiments: Sequence[Experiment]) -> None:
        """Refuse what the device cannot run; errors as in `execute`."""
        check_experiments(experiments, self.adapter.name, self.capabilities)

    def submission(
        self, experiments: Sequence[Experiment], seed: int, session: DeviceSession | None = None
    ) -> Submission:
        """What the device is sent."""
        return Submission(tuple(experiments), seed, self._noise_model, session)

    def combine(self, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        return tuple(outcomes)


def check_experiments(
    experiments: Sequence[Experiment], device: str, capabilities: Capabilities
) -> None:
    """Refuse what the device cannot run, before anything is sent; errors as in `execute` above."""
    for experiment in experiments:
        check_shots(experiment, device, capabilities)
        check_width(experiment.circuit, device, capabilities)
        _check_asked(experiment, device, capabilities)
        check_points(experiment)
        check_angles(experiment, device, capabilities)


def check_shots(experiment: Experiment, device: str, capabilities: Capabilities) -> None:
    """Refuse shots out of the device's range, and exact probabilities of one that samples."""
    shots = experiment.shots
    if shots is None:
        if not capabilities.exact:
            raise ShotsError(
                f"exact probabilities were asked of {device}, which samples. Give shots."
            )
    elif not 1 <= shots <= capabilities.max_shots:
        raise ShotsError(
            f"{shots} shots were asked for circuit {experiment.circuit.name}; {device} takes "
            f"1 to {capabilities.max_shots}."
        )


def check_width(circuit: QuantumCircuit, device: str, capabilities: Capabilities) -> None:
    """Refuse a circuit with more qubits than the device."""
    if circuit.num_qubits > capabilities.num_qubits:
        raise CircuitError(
            f"circuit {circuit.name} needs {circuit.num_qubits} qubits; {device} has "
            f"{capabilities.num_qubits}. Choose a larger device or cut the circuit."
        )


def check_points(experiment: Experiment) -> None:
    """Refuse parameter values that the circuit cannot be run at."""
    circuit, values = experiment.circuit, experiment.parameter_values
    if not experiment.points:
        raise CircuitError(
            f"circuit {circuit.name} is given an empty list of parameter values. Give one row for "
            "each point."
        )
    if values.shape[1:] != (circuit.num_parameters,):
        raise CircuitError(
            f"circuit {circuit.name} has {circuit.num_parameters} parameters; its points have "
            f"shape {values.shape}. Give one column for each parameter."
        )
    if not np.isfinite(values).all():
        raise CircuitError(f"circuit {circuit.name} has parameter values that are not finite.")


def _check_asked(experiment: Experiment, device: str, capabilities: Capabilities) -> None:
    circuit = experiment.circuit
    if experiment.observables is not None:
        if not capabilities.estimates:
            raise OptionError(
                f"{device} has no estimator of its own. Leave DeviceEstimator out: expectation "
                "values then come from counts."
            )
    elif not measures(circuit):
        raise CircuitError(
            f"circuit {circuit.name} has no measurement, and counts are asked. "
            "Add measure_all(), or ask for expectation values."
        )


def measures(circuit: QuantumCircuit) -> bool:
    """Whether a measurement stands anywhere in the circuit, also inside control flow."""
    # From the end, where measurements usually are: this runs at every call of a loop.
    for instruction in reversed(circuit.data):
        if instruction.name in {"measure", PROGRAM}:
            return True
        operation = instruction.operation
        if isinstance(operation, ControlFlowOp) and any(map(measures, operation.blocks)):
            return True
    return False
