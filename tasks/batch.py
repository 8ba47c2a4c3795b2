"""A circuit job's experiments, checked before anything is spent on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from adapters.backend import check_shots, check_width
from calibration.dynamic import refuse_unsupported
from pipeline.stack import build_stack
from qcpaas.circuits import check_runnable, circuit_key, from_payload, to_operator
from qcpaas.errors import InputError, ObservableError
from qcpaas.execution import ExecutionBackend, Experiment
from qcpaas.schemas import CircuitItem, CircuitJob, OptionSpec
from tasks.calls import Request, options_text
from tasks.device import Device


@dataclass(frozen=True, eq=False)
class Batch:
    """Experiments as the user gave them, and the options of each."""

    experiments: tuple[Experiment, ...]
    options: tuple[tuple[OptionSpec, ...], ...]

    def request(self, device: str = "") -> Request:
        """All of it as one call, for the ledger.

        Args:
            device: Where it runs, if that is not the job's own device.
        """
        keys = [circuit_key(experiment.circuit) for experiment in self.experiments]
        options = " | ".join(options_text(each) for each in self.options)
        return Request(self.experiments, keys, f"{options} on {device}" if device else options)

    def checked(self, device: Device) -> Batch:
        """The same as it can run on a device.

        Raises:
            InputError: Why it cannot.
        """
        experiments = tuple(check_experiment(each, device) for each in self.experiments)
        return replace(self, experiments=experiments)

    def elsewhere(self, device: Device) -> Batch:
        """The same on another device: an ideal simulator leaves options nothing to correct."""
        if device.capabilities.compiles:
            return self
        return replace(self, options=((),) * len(self.options))

    def stacks(self, device: ExecutionBackend) -> list[ExecutionBackend]:
        """The stack of each experiment; experiments with the same options share one."""
        built: dict[str, ExecutionBackend] = {}
        stacks = []
        for experiment, options in zip(self.experiments, self.options, strict=True):
            key = repr((options, experiment.level))
            if key not in built:
                built[key] = build_stack(options, device, experiment.level)
            stacks.append(built[key])
        return stacks


def read_batch(job: CircuitJob) -> Batch:
    """The experiments of a circuit job, right in themselves.

    Raises:
        InputError: What is wrong with the circuits, observables, parameters or shots.
    """
    experiments = tuple(check_asked(_experiment(item, job)) for item in job.items)
    options = tuple(
        job.execution.options if item.options is None else item.options for item in job.items
    )
    return Batch(experiments, options)


def check_experiment(experiment: Experiment, device: Device) -> Experiment:
    """The experiment as it can run: without final measurements where observables are asked.

    Raises:
        InputError: Why this device cannot run it.
    """
    circuit = experiment.circuit
    check_width(circuit, device.name, device.capabilities)
    check_shots(experiment, device.name, device.capabilities)
    refuse_unsupported(circuit, device.name, device.capabilities)
    return check_asked(experiment)


def check_asked(experiment: Experiment) -> Experiment:
    """`check_experiment`, whatever the device.

    Raises:
        InputError: Circuit, parameters and observables do not fit together.
    """
    circuit = experiment.circuit
    runnable = check_runnable(
        circuit,
        counts=experiment.observables is None,
        parameter_shape=experiment.parameter_values.shape,
    )
    if experiment.observables is not None and not experiment.observables:
        raise ObservableError(
            f"circuit {circuit.name} is given an empty list of observables. Name one, or leave "
            f"the list out to count outcomes."
        )
    for observable in experiment.observables or ():
        if observable.num_qubits != circuit.num_qubits:
            raise ObservableError(
                f"an observable acts on {observable.num_qubits} qubits; circuit {circuit.name} "
                f"has {circuit.num_qubits}."
            )
    return replace(experiment, circuit=runnable)


def _experiment(item: CircuitItem, job: CircuitJob) -> Experiment:
    circuit = from_payload(item.circuit)
    shots = item.shots if item.shots is not None else job.execution.shots
    observables = item.observables
    return Experiment(
        circuit=circuit,
        parameter_values=_parameter_values(item, circuit),
        observables=None
        if observables is None
        else tuple(to_operator(observable, circuit.num_qubits) for observable in observables),
        shots=None if job.execution.exact else shots,
    )


def _parameter_values(item: CircuitItem, circuit: QuantumCircuit) -> NDArray[np.float64]:
    rows: Sequence[Sequence[float]] = item.parameter_values or ((),)
    try:
        return np.array(rows, dtype=np.float64).reshape(len(rows), -1)
    except ValueError as error:
        raise InputError(
            f"circuit {circuit.name}: parameter_values must be rows of equal length."
        ) from error
