"""Braket's simulators and emulators, in this process.

Each point is simulated exactly, by the SDK's own simulator, and its outcomes are drawn here: the
simulator's own draws cannot be seeded. An emulator checks a circuit as its device would and puts
in the noise that the device's properties tell of, readout errors among it.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.backend import check_points
from adapters.braket.calibration import read_calibration
from adapters.braket.circuits import Dialect, Program, write_program
from adapters.braket.properties import OPENQASM, Facts, read_properties
from adapters.contract import (
    Capabilities,
    DeviceResult,
    Submission,
    Unsupported,
)
from adapters.distributions import over_clbits
from adapters.local_device import LocalDevice
from qcpaas.errors import DeviceUnavailable, ExecutionFailed, SubmissionRefused
from qcpaas.execution import Counts, Distribution, Experiment
from store.snapshot import Snapshot

WIDEST = {"braket_sv": 25, "braket_dm": 12}  # what fits into 1 GB
EMULATOR = "braket_dm"
_NUMBER = re.compile(r"\d+")
_MEASURE = re.compile(r"^\s*b\[\d+\]\s*=\s*measure\s+[^;]*;\s*$", re.MULTILINE)

Prepare = Callable[[str, dict[str, float]], tuple[str, dict[str, float]]]


class LocalBraketAdapter(LocalDevice):
    """The SDK's simulator, or an emulator of a device.

    Args:
        backend: ``braket_sv`` (state vector) or ``braket_dm`` (density matrix).
        facts: Of the device that is emulated; ``None`` for a simulator.
        properties: The text that ``facts`` were read from.
    """

    def __init__(
        self, name: str, backend: str, facts: Facts | None = None, properties: str = ""
    ) -> None:
        self.name = name
        self._backend = backend
        self._facts = facts
        self._properties = properties
        self._simulator: Any = None
        self._emulator: Any = None

    def capabilities(self) -> Capabilities:
        facts = self._facts
        return Capabilities(
            num_qubits=WIDEST[self._backend] if facts is None else facts.num_qubits,
            basis_gates=() if facts is None else (*facts.gates, "measure"),
            simulator=True,
            exact=True,
            keeps_jobs=False,
            token_lag_s=0.0,
            control_flow=frozenset(),
            mid_circuit_measurement=False,
        )

    def calibration(self, at: datetime | None = None) -> Snapshot | Unsupported:
        if self._facts is None:
            return Unsupported("calibration", f"{self.name} is without noise")
        snapshot = read_calibration(self._facts, self.name, datetime.now(UTC))
        if at is not None and at.timestamp() < max(snapshot.measured_at_s.tolist(), default=0.0):
            return Unsupported("calibration", f"{self.name} has one calibration, and no history")
        return snapshot

    def perform(self, submission: Submission) -> DeviceResult:
        programs = []
        for place, experiment in enumerate(submission.experiments):
            check_points(experiment)
            programs.append(write_program(experiment, place, self._dialect(experiment)))
        rng = np.random.default_rng(submission.seed)
        began = time.perf_counter()
        try:
            counts = tuple(
                self._run(experiment, program, rng)
                for experiment, program in zip(submission.experiments, programs, strict=True)
            )
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
            raise ExecutionFailed(f"{self.name}: {type(error).__name__}: {error}") from error
        return DeviceResult(counts, time.perf_counter() - began)

    def _dialect(self, experiment: Experiment) -> Dialect:
        if self._facts is not None:
            return Dialect.of(self.name, self._facts)
        widest = WIDEST[self._backend]
        if experiment.circuit.num_qubits > widest:
            raise SubmissionRefused(
                f"circuit {experiment.circuit.name} has {experiment.circuit.num_qubits} qubits; "
                f"{self.name} takes {widest}."
            )
        return Dialect(self.name, any_gate=True)

    def _run(self, experiment: Experiment, program: Program, rng: np.random.Generator) -> Counts:
        registers = tuple((register.name, register.size) for register in experiment.circuit.cregs)
        points = []
        for point in range(experiment.points):
            inputs = {name: values[point] for name, values in program.inputs.items()}
            weights = self._probabilities(program, inputs)
            shots = experiment.shots
            if shots is not None:
                weights = rng.multinomial(shots, weights / weights.sum()).astype(float)
            points.append(_distribution(weights, program, experiment, shots))
        return Counts(tuple(points), registers)

    def _probabilities(self, program: Program, inputs: dict[str, float]) -> NDArray[np.float64]:
        """Of every outcome, shape ``(2**measured,)``, the lowest measured clbit lowest."""
        from braket.ir.openqasm import Program as OpenQasm

        qubits = list(program.measured.values())
        if not qubits:
            return np.ones(1)
        source = program.gates
        if self._facts is not None:
            source, inputs = self._noisy(program, inputs), {}
        wanted = qubits[::-1]
        # In ascending order: the simulator gives three qubits of another order by the inverse of
        # the permutation that was asked.
        asked = sorted(wanted, key=lambda name: int(_NUMBER.findall(name)[-1]))
        text = f"{source}\n#pragma braket result probability {', '.join(asked)}\n"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of circuits without noise
            task = self._simulate(OpenQasm(source=text, inputs=inputs))
        given = np.asarray(task.values[0], dtype=np.float64).reshape((2,) * len(asked))
        values = given.transpose([asked.index(name) for name in wanted]).reshape(-1)
        return np.where(values > 1e-15, values, 0.0)

    def _simulate(self, program: Any) -> Any:
        if self._simulator is None:
            from braket.devices import LocalSimulator

            self._simulator = LocalSimulator(self._backend)
        return self._simulator.run(program, shots=0).result()

    def _noisy(self, program: Program, inputs: dict[str, float]) -> str:
        """The program as the emulator runs it, without its measurements."""
        from braket.circuits import Circuit
        from braket.circuits.serialization import IRType

        if self._emulator is None:
            from braket.emulation.local_emulator import LocalEmulator

            self._emulator = LocalEmulator.from_json(self._properties, backend=self._backend)
        circuit = Circuit.from_ir(program.source, inputs=inputs)
        noisy = self._emulator.transform(circuit)
        return _MEASURE.sub("", str(noisy.to_ir(IRType.OPENQASM).source))


def _distribution(
    weights: NDArray[np.float64], program: Program, experiment: Experiment, shots: int | None
) -> Distribution:
    clbits = list(program.measured)
    num_bits = experiment.circuit.num_clbits
    within = [clbit for clbit in clbits if clbit < num_bits]
    if within != clbits:  # the others were measured because the device wants all read
        weights = weights.reshape(-1, 1 << len(within)).sum(axis=0)
    return over_clbits(weights, within, num_bits, shots)


def emulate(name: str, file: str) -> LocalBraketAdapter:
    """An emulator of the device whose ``deviceCapabilities`` a file holds.

    Raises:
        DeviceUnavailable: It cannot be read.
        MalformedReply: It is not such a file.
        SubmissionRefused: Its gates have no names here.
    """
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeviceUnavailable(
            f"the properties {file} of {name} cannot be read: {error}. Write them with "
            "AwsDevice(ARN).properties.json()."
        ) from error
    properties = read_properties(text, file)
    header = re.search(r"braket\.device_schema\.(\w+)\.", text)
    facts = Facts(Path(file).stem, header[1] if header else "", True, properties)
    if OPENQASM not in properties.action or properties.paradigm is None or not facts.verbatim:
        raise SubmissionRefused(
            f"{file} describes no device whose native gates have names in Qiskit; "
            "an emulator runs nothing else."
        )
    return LocalBraketAdapter(name, EMULATOR, facts, text)
