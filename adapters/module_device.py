"""Devices that somebody has written: a class in a Python file or module.

``path/to/lab.py:Device`` or ``package.module:Device`` names a class without arguments, a
`DeviceAdapter`, best a `HomemadeDevice`: a lab writes its gates, its calibration, and what runs one
circuit.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import ClassVar

from qiskit import QuantumCircuit

from adapters.contract import (
    Capabilities,
    DeviceAdapter,
    DeviceResult,
    Submission,
    Unsupported,
)
from adapters.credentials import NoCredentials
from adapters.dynamic_circuits import check_dynamic
from adapters.local_device import LocalDevice
from adapters.open_hardware.packing import registers_of
from adapters.own_gates import teach
from adapters.prepare import walk
from adapters.vendor import DeviceSettings, Vendor
from qcpaas.calibration import Quantity
from qcpaas.devices import DeviceRegistration
from qcpaas.errors import ExecutionFailed, SubmissionRefused, UnknownDevice
from qcpaas.execution import Counts, Distribution, Experiment
from store.snapshot import Reading, Snapshot

_EVERYWHERE = frozenset({"measure", "delay", "barrier"})


class HomemadeDevice(LocalDevice):
    """A device that runs one bound circuit after another.

    Attributes:
        name: How it calls itself.
        num_qubits: Numbered from 0.
        gate_definitions: OpenQASM 3 ``gate`` statements: what the gates of its own do, in standard
            ones; and how standard gates are made of its own, so that compilers can use them.
        max_shots: For one circuit and point.
        simulator: Whether it is none of hardware.
        control_flow: Which of Qiskit's control-flow instructions it executes.
    """

    name: str = "homemade"
    num_qubits: ClassVar[int]
    gate_definitions: ClassVar[str] = ""
    max_shots: ClassVar[int] = 100_000
    simulator: ClassVar[bool] = False
    control_flow: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def readings(self) -> Iterable[Reading]:
        """The calibration: every gate where it acts, with its error and its duration.

        What is listed here is what the device executes; SI units, each value with its own date.
        """

    @abstractmethod
    def run(
        self, circuit: QuantumCircuit, qubits: tuple[int, ...], shots: int, seed: int
    ) -> Mapping[str, int]:
        """Run one circuit, all of whose values are numbers.

        Args:
            qubits: Device qubit of each of the circuit's.
            seed: For simulators.

        Returns:
            How often each bit string was seen, classical bit 0 rightmost; the shots in all.
        """

    def gate(
        self,
        name: str,
        qubits: tuple[int, ...],
        error: float,
        duration_s: float,
        measured_at: datetime,
    ) -> Iterator[Reading]:
        """What `readings` says of one gate in one place; ``error`` is 1 - average fidelity."""
        yield Reading(Quantity.GATE_ERROR, qubits, error, measured_at, name)
        yield Reading(Quantity.GATE_DURATION_S, qubits, duration_s, measured_at, name)

    # --- the contract -----------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """Makes its own gates known to the compiler of this process."""
        teach(self.gate_definitions, self.name)
        return Capabilities(
            num_qubits=self.num_qubits,
            basis_gates=(*self._snapshot().gates, "measure", "delay"),
            max_shots=self.max_shots,
            simulator=self.simulator,
            keeps_jobs=False,
            token_lag_s=0.0,
            control_flow=self.control_flow,
            mid_circuit_measurement=bool(self.control_flow),
            gate_definitions=self.gate_definitions,
        )

    def calibration(self, at: datetime | None = None) -> Snapshot | Unsupported:
        if at is not None:
            return Unsupported("calibration", f"{self.name} keeps no history")
        return self._snapshot()

    def _snapshot(self) -> Snapshot:
        return Snapshot.of(self.name, self.num_qubits, self.readings(), datetime.now(UTC))

    def perform(self, submission: Submission) -> DeviceResult:
        """Raises `SubmissionRefused` for a gate that it has not."""
        capabilities, snapshot = self.capabilities(), self._snapshot()
        for experiment in submission.experiments:
            check_dynamic(experiment.circuit, self.name, capabilities)
            _check_gates(experiment, self.name, snapshot)
        began = time.monotonic()
        try:
            counts = tuple(
                self._counts(experiment, submission.seed + index)
                for index, experiment in enumerate(submission.experiments)
            )
        except ExecutionFailed:
            raise
        except Exception as error:  # whatever a lab's own code raises
            raise ExecutionFailed(f"{self.name}: {type(error).__name__}: {error}") from error
        return DeviceResult(counts, time.monotonic() - began)

    def _counts(self, experiment: Experiment, seed: int) -> Counts:
        circuit, binding = experiment.circuit, experiment.binding
        qubits = range(circuit.num_qubits) if binding is None else binding.physical_qubits
        points = []
        for index, values in enumerate(experiment.parameter_values):
            bound = circuit.assign_parameters(values) if circuit.num_parameters else circuit
            shots = experiment.shots or 0
            found = self.run(bound, tuple(qubits), shots, seed + 7919 * index)
            _check_outcomes(found, circuit.num_clbits, shots)
            points.append(Distribution.from_dict(found, circuit.num_clbits, shots))
        return Counts(tuple(points), registers_of(circuit))


def is_module(device: str) -> bool:
    """Whether it names a class in a file or a module, and no device of the registry."""
    place, colon, name = device.removeprefix("module:").rpartition(":")
    file_or_module = place.endswith(".py") or (
        "." in place and "/" not in place and all(part.isidentifier() for part in place.split("."))
    )
    return bool(colon) and name.isidentifier() and file_or_module


def open_module(address: str) -> DeviceAdapter:
    """A device of its class, under the name that the class gives it.

    Raises:
        UnknownDevice: There is no such file, module or class, or it cannot be loaded.
    """
    place, _, kind = address.removeprefix("module:").rpartition(":")
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else import_module(place)
    except Exception as error:  # whatever the lab's own code raises
        raise UnknownDevice(
            f"{place} cannot be loaded: {type(error).__name__}: {error}. Correct it, or the path."
        ) from error
    found = getattr(module, kind, None)
    if not (isinstance(found, type) and issubclass(found, DeviceAdapter)):
        raise UnknownDevice(
            f"{place} has no device class {kind}. Derive one from "
            "adapters.module_device.HomemadeDevice."
        )
    try:
        return found()
    except Exception as error:
        raise UnknownDevice(
            f"{kind} of {place} cannot be made: {type(error).__name__}: {error}. It takes no "
            "arguments, and defines every abstract operation."
        ) from error


class ModuleVendor(Vendor):
    """``module``: an address is ``path/to/lab.py:Device`` or ``package.module:Device``."""

    adapter: ClassVar[str] = "module"

    def connect(
        self,
        registration: DeviceRegistration,
        credentials: NoCredentials,
        settings: DeviceSettings,
        known: Snapshot | None = None,
    ) -> DeviceAdapter:
        """In this process, under the registration's name."""
        device = open_module(registration.address)
        device.name = registration.name
        return device


def _from_file(file: Path) -> ModuleType:
    """Loaded once a process, so that a device opened twice is of one class."""
    path = file.resolve(strict=True)
    name = f"qcpaas_device_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _check_gates(experiment: Experiment, name: str, snapshot: Snapshot) -> None:
    circuit, binding = experiment.circuit, experiment.binding
    physical = range(circuit.num_qubits) if binding is None else binding.physical_qubits
    for gate, place in walk(circuit):
        where = tuple(physical[qubit] for qubit in place)
        if gate not in _EVERYWHERE and where not in snapshot.gates.get(gate, ()):
            raise SubmissionRefused(
                f"circuit {circuit.name} has {gate} on {where}; {name} has "
                f"{', '.join(snapshot.gates)} where its calibration lists them. Compile the "
                "circuit for this device."
            )


def _check_outcomes(found: Mapping[str, int], num_bits: int, shots: int) -> None:
    """A slip in a lab's own code must not pass for a measurement."""
    wrong = [key for key in found if len(key) != num_bits or key.strip("01")]
    if wrong:
        raise ExecutionFailed(f"it answered {wrong[0]!r}, which is no string of {num_bits} bits.")
    if sum(found.values()) != shots or min(found.values(), default=0) < 0:
        raise ExecutionFailed(f"it answered {sum(found.values())} outcomes for {shots} shots.")
