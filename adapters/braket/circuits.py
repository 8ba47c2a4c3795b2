"""Circuits as OpenQASM 3 in Braket's dialect.

A program's classical register holds the circuit's bits in Qiskit's order. A comment notes the
circuit's place in its submission, its bits and its registers, so that whoever has a task's result,
which repeats the program, can read it. Parameter
expressions become ``input`` variables, one for each distinct expression, whose values are computed
here for every point: one program serves them all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qiskit import QuantumCircuit, transpile
from qiskit.circuit import CircuitInstruction, ControlFlowOp, Parameter
from qiskit.exceptions import QiskitError

from adapters.braket.gates import BRAKET, written
from adapters.braket.properties import Facts
from adapters.compiler_stages import compiling
from adapters.parameters import ParameterTable, tabulate
from qcpaas.errors import SubmissionRefused
from qcpaas.execution import Experiment

NOTE = "// qcpaas "
BITS = "b"


@dataclass(frozen=True, eq=False)
class Dialect:
    """How one device wants its programs.

    Attributes:
        device: That errors name.
        labels: The device's numbers of its qubits; ``None`` where it places circuits itself.
        operations: Braket's names of what it takes besides native gates; empty for anything.
        quarter_turns: Whether its ``rx`` takes multiples of pi/2 only.
        measures_all: Whether every qubit has to be measured.
        any_gate: Whether circuits come here without having been compiled for it.
    """

    device: str
    labels: tuple[int, ...] | None = None
    operations: frozenset[str] = frozenset()
    quarter_turns: bool = False
    measures_all: bool = False
    any_gate: bool = False

    @classmethod
    def of(cls, device: str, facts: Facts) -> Dialect:
        return cls(
            device=device,
            labels=facts.labels if facts.verbatim else None,
            operations=facts.operations,
            quarter_turns=facts.quarter_turns and facts.verbatim,
            measures_all=facts.measures_all,
            any_gate=not facts.qpu,
        )


@dataclass(frozen=True, eq=False)
class Program:
    """A circuit's text, and the values of its inputs.

    Attributes:
        gates: The text up to the measurements.
        measured: Qubit as it stands in the text, by clbit.
        inputs: Value of each input at each point; empty for a circuit without parameters.
    """

    gates: str
    measured: Mapping[int, str]
    inputs: Mapping[str, Sequence[float]]

    @property
    def source(self) -> str:
        lines = [f"{BITS}[{clbit}] = measure {qubit};" for clbit, qubit in self.measured.items()]
        return "\n".join([self.gates, *lines, ""])


def write_program(experiment: Experiment, place: int, dialect: Dialect) -> Program:
    """The program of one experiment at all of its points.

    Args:
        place: Of the experiment in its submission.

    Raises:
        SubmissionRefused: It holds what no Braket program of this device can say.
    """
    circuit = experiment.circuit
    _refuse_unsupported(circuit, dialect)
    if dialect.any_gate:
        circuit = _unrolled(circuit, dialect)
    columns = list(experiment.circuit.parameters)
    circuit, table = tabulate(circuit, columns)
    writer = _Writer(circuit, _names(experiment, dialect), dialect)
    body = list(writer.statements())
    measured = writer.measured()
    unread = writer.unread(measured) if dialect.measures_all else []
    head = _head(circuit, len(unread), place, table, dialect)
    measured |= dict(enumerate(unread, circuit.num_clbits))
    text = "\n".join([*head, *_boxed(body, dialect)])
    return Program(text, measured, _inputs(table, experiment))


def _head(
    circuit: QuantumCircuit,
    unread: int,
    place: int,
    table: ParameterTable,
    dialect: Dialect,
) -> Iterator[str]:
    registers = [[register.name, register.size] for register in circuit.cregs]
    yield "OPENQASM 3.0;"
    yield NOTE + json.dumps([place, circuit.num_clbits, registers], separators=(",", ":"))
    yield from (f"input float {parameter.name};" for parameter in table.placeholders)
    yield f"bit[{max(1, circuit.num_clbits + unread)}] {BITS};"
    if dialect.labels is None:
        yield f"qubit[{circuit.num_qubits}] q;"


def _boxed(body: list[str], dialect: Dialect) -> list[str]:
    if dialect.labels is None or not body:
        return body
    return ["#pragma braket verbatim", "box {", *body, "}"]


def _names(experiment: Experiment, dialect: Dialect) -> list[str]:
    """Each circuit qubit as it stands in the text."""
    width = experiment.circuit.num_qubits
    if dialect.labels is None:
        return [f"q[{qubit}]" for qubit in range(width)]
    binding = experiment.binding
    physical = range(width) if binding is None else binding.physical_qubits
    return [f"${dialect.labels[qubit]}" for qubit in physical]


def _inputs(table: ParameterTable, experiment: Experiment) -> dict[str, list[float]]:
    if not table.placeholders:
        return {}
    values = table.binds(experiment.parameter_values)
    return {parameter.name: values[parameter] for parameter in table.placeholders}


def _unrolled(circuit: QuantumCircuit, dialect: Dialect) -> QuantumCircuit:
    """The same circuit in gates that Braket has a name for."""
    known = {
        ours for ours, theirs in BRAKET.items()
        if not dialect.operations or theirs in dialect.operations
    }  # fmt: skip
    if all(item.operation.name in known or not _is_gate(item) for item in circuit.data):
        return circuit
    try:
        with compiling():
            return transpile(circuit, basis_gates=sorted(known), optimization_level=0)
    except QiskitError as error:
        raise SubmissionRefused(
            f"circuit {circuit.name} has gates that {dialect.device} does not take, and that are "
            f"not made of others: {error.message}"
        ) from error


def _refuse_unsupported(circuit: QuantumCircuit, dialect: Dialect) -> None:
    for item in circuit.data:
        name = item.operation.name
        if isinstance(item.operation, ControlFlowOp) or name in {"reset", "delay", "store"}:
            raise SubmissionRefused(
                f"circuit {circuit.name} has a {name}; {dialect.device} runs gates and, after "
                "them, measurements. Take it out, or choose another device."
            )


class _Writer:
    """One circuit's statements."""

    def __init__(self, circuit: QuantumCircuit, names: list[str], dialect: Dialect) -> None:
        self._circuit = circuit
        self._names = names
        self._dialect = dialect

    def statements(self) -> Iterator[str]:
        """Everything but measurements."""
        last = max(
            (place for place, item in enumerate(self._circuit.data) if _is_gate(item)), default=-1
        )
        for item in self._circuit.data[: last + 1]:
            if _is_gate(item):
                yield self._gate(item)
            elif item.operation.name == "barrier" and "barrier" in self._dialect.operations:
                yield f"barrier {', '.join(self._qubits(item))};"

    def measured(self) -> dict[int, str]:
        """Qubit of each clbit that is measured.

        Raises:
            SubmissionRefused: A qubit is used, or measured again, after its measurement.
        """
        found: dict[int, str] = {}
        ended: set[str] = set()
        for item in self._circuit.data:
            if item.operation.name == "barrier":
                continue
            qubits = self._qubits(item)
            if not ended.isdisjoint(qubits):
                raise SubmissionRefused(
                    f"circuit {self._circuit.name} goes on with a qubit that it has measured; "
                    f"{self._dialect.device} measures once, at the end."
                )
            if item.operation.name == "measure":
                ended |= set(qubits)
                found[self._circuit.find_bit(item.clbits[0]).index] = qubits[0]
        return dict(sorted(found.items()))

    def unread(self, measured: Mapping[int, str]) -> list[str]:
        """Qubits that are used and that nobody reads."""
        used = {qubit for item in self._circuit.data for qubit in self._qubits(item)}
        return sorted(used - set(measured.values()))

    def _gate(self, item: CircuitInstruction) -> str:
        name = item.operation.name
        found = written(name, quarter_turns=self._dialect.quarter_turns)
        if found is None:
            raise SubmissionRefused(
                f"circuit {self._circuit.name} has the gate {name}, which Braket has no name for. "
                f"Compile it for {self._dialect.device}."
            )
        theirs, angles = found
        values = [*angles, *item.operation.params]
        given = f"({', '.join(map(_number, values))})" if values else ""
        return f"{theirs}{given} {', '.join(self._qubits(item))};"

    def _qubits(self, item: CircuitInstruction) -> list[str]:
        return [self._names[self._circuit.find_bit(qubit).index] for qubit in item.qubits]


def _is_gate(item: CircuitInstruction) -> bool:
    return item.operation.name not in {"measure", "barrier"}


def _number(value: object) -> str:
    return value.name if isinstance(value, Parameter) else repr(float(value))  # type: ignore[arg-type]
