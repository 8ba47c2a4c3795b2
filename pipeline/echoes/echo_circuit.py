"""A circuit forwards and backwards from a known bit string, where it must end again.

Bits are set at random before the circuit, since relaxation and readout favour 0: a circuit that
began and ended in all zeros would look better than it is. Coherent errors can cancel between the
two halves; what gates, waiting and readout lose at random is all seen.

Source: Proctor et al., Nature Physics 18, 75 (2022), mirror circuits, without their random middle
layer, which is exact for Clifford circuits only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import CircuitInstruction, Delay, Gate, Instruction
from qiskit.circuit.library import RGate, RXGate, SXGate, XGate

from pipeline.extrapolation.folding import inverse_of
from qcpaas.errors import MitigationError

SUFFIX = ", forwards and back"
_PASSIVE = frozenset({"barrier", "delay", "id"})


@dataclass(frozen=True, eq=False)
class Echo:
    """A circuit forwards and back from a known bit string.

    Attributes:
        circuit: Ends in the bit string that it began with.
        qubits: Circuit qubit behind each clbit.
        expected: The bit read into each clbit where nothing went wrong.
    """

    circuit: QuantumCircuit
    qubits: tuple[int, ...]
    expected: tuple[int, ...]


def echo_of(circuit: QuantumCircuit, basis_gates: Sequence[str], seed: int) -> Echo:
    """Forwards and back, in the device's own gates and with the circuit's own parameters.

    Measured are the qubits that the circuit acts on or reads.

    Args:
        circuit: Compiled; its measurements stand at its end.
        basis_gates: What the device executes; empty where it executes any gate.
        seed: Of the bit string.

    Raises:
        MitigationError: The circuit cannot be run backwards; says at which instruction.
    """
    forwards = list(_unmeasured(circuit))
    flip = _flip(basis_gates)
    used = {qubit for step in forwards if step.name not in _PASSIVE for qubit in step.qubits}
    used |= {step.qubits[0] for step in circuit.data if step.name == "measure"}
    qubits = tuple(index for index, qubit in enumerate(circuit.qubits) if qubit in used)
    bits = np.random.default_rng(seed).integers(2, size=len(qubits)).tolist()
    expected = tuple(bits if flip else [0] * len(qubits))
    register = ClassicalRegister(len(qubits), "echo")
    echo = QuantumCircuit(circuit.qubits, name=circuit.name + SUFFIX)
    for own in (*circuit.qregs, register):
        echo.add_register(own)
    for qubit, bit in zip(qubits, expected, strict=True):
        for gate in flip if bit else ():
            echo.append(gate, [circuit.qubits[qubit]])
    halves = [*forwards, *_backwards(forwards, flip)]
    for place, step in enumerate(halves):
        if place == len(forwards):
            echo.barrier()
        echo._append(step)  # noqa: SLF001 - the public append costs ten times as much
    echo.barrier()
    echo.measure(list(qubits), list(range(len(qubits))))
    return Echo(echo, qubits, expected)


def _unmeasured(circuit: QuantumCircuit) -> Iterator[CircuitInstruction]:
    """The circuit up to its final measurements.

    Raises:
        MitigationError: Something cannot be run backwards.
    """
    read: set[object] = set()
    for step in circuit.data:
        name = step.name
        if name == "measure":
            read.update(step.qubits)
            continue
        if name == "barrier":
            if not read.intersection(step.qubits):
                yield step
            continue
        if read.intersection(step.qubits):
            raise MitigationError("it measures before its end, and no echo can undo that.")
        if not isinstance(step.operation, Gate | Delay):
            raise MitigationError(f"it has {name!r}, which cannot be run backwards.")
        yield step


def _backwards(
    steps: Sequence[CircuitInstruction], flip: Sequence[Instruction]
) -> Iterator[CircuitInstruction]:
    for step in reversed(steps):
        if step.name in _PASSIVE:
            yield step
        elif step.name == "rzz":  # hardware has it for angles from 0 to pi/2 alone
            if not flip:
                raise MitigationError("rzz cannot be inverted without an X gate.")
            before = [CircuitInstruction(gate, step.qubits[:1], ()) for gate in flip]
            yield from (*before, step, *before)
        else:
            try:
                inverse = inverse_of(step.operation)
            except MitigationError:
                raise MitigationError(f"{step.name!r} has no inverse in its own gates.") from None
            yield from (CircuitInstruction(gate, step.qubits, ()) for gate in inverse)


def _flip(basis_gates: Sequence[str]) -> tuple[Instruction, ...]:
    """X, in the device's gates; nothing where it has none."""
    ways: dict[str, tuple[Instruction, ...]] = {
        "x": (XGate(),),
        "sx": (SXGate(), SXGate()),
        "rx": (RXGate(pi),),
        "r": (RGate(pi, 0.0),),
    }
    found = (gates for name, gates in ways.items() if not basis_gates or name in basis_gates)
    return next(found, ())
