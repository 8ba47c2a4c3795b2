"""Quil by its specification: a state vector, memory, and a branch for each measured outcome.

Written from the language's definition (gates as matrices, memory, jumps), parsed by Rigetti's own
``quil`` package, and sharing nothing with what writes Quil in the adapter.
"""

from dataclasses import dataclass

import numpy as np
from quil.program import Program

I2 = np.eye(2)
X = np.array([[0, 1], [1, 0]], dtype=complex)
Y = np.array([[0, -1j], [1j, 0]])
Z = np.diag([1, -1]).astype(complex)
MAX_STEPS = 100_000
MAX_BRANCHES = 20_000


class QuilError(Exception):
    """What a QVM answers to a program that it does not run."""


def rotation(pauli):
    return lambda angle: np.cos(angle / 2) * I2 - 1j * np.sin(angle / 2) * pauli


def swaps(corner):
    return np.array([[1, 0, 0, 0], [0, 0, corner, 0], [0, corner, 0, 0], [0, 0, 0, 1]])


def xy(angle):
    c, s = np.cos(angle / 2), 1j * np.sin(angle / 2)
    return np.array([[1, 0, 0, 0], [0, c, s, 0], [0, s, c, 0], [0, 0, 0, 1]])


def phase(angle):
    return np.diag([1, np.exp(1j * angle)])


def controlled(matrix):
    half = len(matrix)
    return np.block(
        [[np.eye(half), np.zeros((half, half))], [np.zeros((half, half)), matrix]]
    ).astype(complex)


# The first qubit of an instruction is the most significant bit of its matrix.
GATES = {
    "I": lambda: I2,
    "X": lambda: X,
    "Y": lambda: Y,
    "Z": lambda: Z,
    "H": lambda: (X + Z) / np.sqrt(2),
    "S": lambda: phase(np.pi / 2),
    "T": lambda: phase(np.pi / 4),
    "PHASE": phase,
    "RX": rotation(X),
    "RY": rotation(Y),
    "RZ": rotation(Z),
    "CZ": lambda: controlled(Z),
    "CNOT": lambda: controlled(X),
    "CCNOT": lambda: controlled(controlled(X)),
    "CPHASE": lambda angle: controlled(phase(angle)),
    "SWAP": lambda: swaps(1),
    "CSWAP": lambda: controlled(swaps(1)),
    "ISWAP": lambda: swaps(1j),
    "XY": xy,
}


@dataclass
class Branch:
    """One course of events: where it stands, how many shots take it, and how it is then."""

    at: int
    shots: int
    state: np.ndarray
    memory: dict


class Simulation:
    """A parsed program.

    Args:
        memory: Values of memory regions that the program does not set itself.
        seed: Of the outcomes; ``None`` draws them anew.
        pulse_level: Passes over ``FENCE`` and ``DELAY``, which say nothing of a state.
    """

    def __init__(self, text, memory=None, seed=None, *, pulse_level=False):
        self.pulse_level = pulse_level
        try:
            self.instructions = Program.parse(text).to_instructions()
        except Exception as error:
            raise QuilError(f"cannot parse: {error}") from error
        self.rng = np.random.default_rng(seed)
        self.memory = {}
        for instruction in self.instructions:
            if instruction.is_declaration():
                declared = instruction.to_declaration()
                kind = declared.size.data_type.to_quil_or_debug()
                zero = 0.0 if kind == "REAL" else 0
                self.memory[declared.name] = [zero] * declared.size.length
        for name, values in (memory or {}).items():
            if len(self.memory.get(name, ())) != len(values):
                raise QuilError(f"memory {name} has another length than {len(values)}")
            self.memory[name] = list(values)
        self.labels = {
            instruction.to_label().target.to_quil_or_debug(): index
            for index, instruction in enumerate(self.instructions)
            if instruction.is_label()
        }
        self.qubits = sorted({qubit for each in self.instructions for qubit in qubits_of(each)})

    def run(self, shots):
        """Memory at the end of each shot: regions of shape ``(shots, length)``, in no order."""
        ended = {name: [] for name in self.memory}
        waiting = [Branch(0, shots, self.ground(), self.memory)]
        steps = 0
        while waiting:
            branch = waiting.pop()
            while branch.at < len(self.instructions) and branch.shots:
                steps += 1
                if steps > MAX_STEPS or len(waiting) > MAX_BRANCHES:
                    raise QuilError("the program does not come to an end")
                waiting += self.step(branch)
            for name, values in branch.memory.items():
                ended[name] += [list(values)] * branch.shots
        order = self.rng.permutation(shots)
        return {name: np.array(rows)[order].tolist() for name, rows in ended.items()}

    def unitary(self):
        """Of a program of gates alone; the lowest qubit is the lowest bit of an index."""
        size = 2 ** len(self.qubits)
        columns = []
        for column in np.eye(size, dtype=complex):
            branch = Branch(0, 1, column.reshape([2] * len(self.qubits)), self.memory)
            while branch.at < len(self.instructions):
                self.step(branch)
            columns.append(branch.state.reshape(-1))
        return np.array(columns).T

    def ground(self):
        state = np.zeros([2] * len(self.qubits), dtype=complex)
        state[(0,) * len(self.qubits)] = 1
        return state

    def step(self, branch):
        """Take a branch one instruction further; answers the branches that leave it there."""
        instruction = self.instructions[branch.at]
        branch.at += 1
        if instruction.is_gate():
            gate = instruction.to_gate()
            branch.state = self.applied(branch.state, self.matrix(gate, branch), gate.qubits)
        elif instruction.is_measurement():
            measurement = instruction.to_measurement()
            where = reference(measurement.target)
            return self.measured(branch, int(measurement.qubit.to_quil()), where)
        elif instruction.is_reset():
            qubit = instruction.to_reset().qubit
            chosen = self.qubits if qubit is None else [int(qubit.to_quil())]
            return [side for each in chosen for side in self.reset(branch, each)]
        elif instruction.is_jump() or instruction.is_jump_when() or instruction.is_jump_unless():
            self.jump(instruction, branch)
        elif instruction.is_halt():
            branch.at = len(self.instructions)
        elif self.pulse_level and (instruction.is_fence() or instruction.is_delay()):
            pass
        elif instruction.is_quil_t():
            raise QuilError(f"Quil-T is not simulated: {instruction.to_quil()}")
        elif not (
            instruction.is_declaration() or instruction.is_label() or instruction.is_pragma()
        ):
            branch.memory = {name: list(values) for name, values in branch.memory.items()}
            compute(instruction.to_quil(), branch.memory)
        return []

    def matrix(self, gate, branch):
        angles = [each.evaluate({}, branch.memory).real for each in gate.parameters]
        if gate.name not in GATES or gate.modifiers:
            raise QuilError(f"no such gate: {gate.to_quil()}")
        return GATES[gate.name](*angles)

    def axis(self, qubit):
        return len(self.qubits) - 1 - self.qubits.index(qubit)

    def applied(self, state, matrix, qubits):
        axes = [self.axis(int(qubit.to_quil())) for qubit in qubits]
        tensor = np.asarray(matrix).reshape([2] * (2 * len(axes)))
        moved = np.tensordot(tensor, state, (range(len(axes), 2 * len(axes)), axes))
        return np.moveaxis(moved, range(len(axes)), axes)

    def split(self, branch, qubit):
        """The two outcomes of a qubit, each with its share of the shots; drawn at random."""
        front = np.moveaxis(branch.state, self.axis(qubit), 0)
        weights = [float(np.sum(np.abs(half) ** 2)) for half in front]
        ones = self.rng.binomial(branch.shots, min(1.0, weights[1] / sum(weights)))
        sides = []
        for outcome, shots in ((0, branch.shots - ones), (1, ones)):
            kept = np.zeros_like(front)
            if shots:
                kept[outcome] = front[outcome] / np.sqrt(weights[outcome])
            state = np.moveaxis(kept, 0, self.axis(qubit))
            sides.append(Branch(branch.at, int(shots), state, branch.memory))
        return sides

    def measured(self, branch, qubit, where):
        zero, one = self.split(branch, qubit)
        for outcome, side in ((0, zero), (1, one)):
            side.memory = {name: list(values) for name, values in branch.memory.items()}
            if where is not None:
                side.memory[where[0]][where[1]] = outcome
        branch.shots, branch.state, branch.memory = zero.shots, zero.state, zero.memory
        return [one] if one.shots else []

    def reset(self, branch, qubit):
        zero, one = self.split(branch, qubit)
        flip = np.flip(one.state, self.axis(qubit))
        branch.shots, branch.state = zero.shots, zero.state
        return [Branch(one.at, one.shots, flip, one.memory)] if one.shots else []

    def jump(self, instruction, branch):
        words = instruction.to_quil().split()
        if words[0] != "JUMP":
            region, index = reference(words[2])
            if bool(branch.memory[region][index]) is not (words[0] == "JUMP-WHEN"):
                return
        branch.at = self.labels[words[1]]


def reference(text):
    """``ro[2]`` as ("ro", 2)."""
    if text is None:
        return None
    name, _, index = str(text if isinstance(text, str) else text.to_quil()).partition("[")
    return name, int(index.rstrip("]") or 0)


def compute(line, memory):
    """Classical instructions, on memory."""
    name, target, *rest = line.split()
    region, index = reference(target)
    old = memory[region][index]
    other = operand(rest[0], memory) if rest else None
    results = {
        "MOVE": lambda: other,
        "NOT": lambda: 1 - old,
        "AND": lambda: old & other,
        "IOR": lambda: old | other,
        "XOR": lambda: old ^ other,
        "ADD": lambda: old + other,
        "MUL": lambda: old * other,
    }
    if name not in results:
        raise QuilError(f"not simulated: {line}")
    memory[region][index] = results[name]()


def operand(text, memory):
    if text[0].isalpha():
        region, index = reference(text)
        return memory[region][index]
    return float(text) if any(sign in text for sign in ".eE") else int(text)


def qubits_of(instruction):
    if instruction.is_gate():
        return [int(qubit.to_quil()) for qubit in instruction.to_gate().qubits]
    if instruction.is_measurement():
        return [int(instruction.to_measurement().qubit.to_quil())]
    if instruction.is_reset() and instruction.to_reset().qubit is not None:
        return [int(instruction.to_reset().qubit.to_quil())]
    return []
