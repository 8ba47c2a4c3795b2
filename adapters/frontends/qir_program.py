"""QIR programs that have no gate list: one instruction in a circuit, run by the QIR runner.

A simulator alone can take them: the runner interprets the program shot by shot, with branches and
arithmetic of what was measured.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from qiskit import QuantumCircuit
from qiskit.circuit import Instruction

from qcpaas.circuits import PROGRAM
from qcpaas.errors import CircuitError, SubmissionRefused

_SHOT = re.compile(r"^START$(.*?)^END\t(\d+)$", re.DOTALL | re.MULTILINE)
_OUTPUT = re.compile(r"^OUTPUT\t(\w+)\t(\S+)", re.MULTILINE)
_CONTAINERS = {"ARRAY", "TUPLE"}
_BITS = {"0": "0", "1": "1", "false": "0", "true": "1"}


class QirProgram(Instruction):  # type: ignore[misc]
    """A whole program: LLVM text, and why it has no gate list."""

    def __init__(self, num_qubits: int, num_bits: int, text: str, reason: str) -> None:
        super().__init__(PROGRAM, num_qubits, num_bits, [text, reason])

    def validate_parameter(self, parameter: str) -> str:
        return parameter


def program_of(circuit: QuantumCircuit) -> str | None:
    """The LLVM text of a circuit that is such a program, also after it has travelled as QPY."""
    found = [step for step in circuit.data if step.operation.name == PROGRAM]
    if not found:
        return None
    if len(circuit.data) != 1:
        raise CircuitError(
            f"circuit {circuit.name} joins a QIR program without a gate list to other gates. Run "
            "it by itself."
        )
    return str(found[0].operation.params[0])


def run_qir(text: str, num_bits: int, shots: int, seed: int) -> dict[str, int]:
    """Counts of the outputs that a program records; the first one is the rightmost bit.

    Raises:
        SubmissionRefused: It failed, or records another number of outputs than it declares, or
            numbers.
    """
    import pyqir
    import qirrunner

    module = pyqir.Module.from_ir(pyqir.Context(), text)
    output = qirrunner.OutputHandler()
    try:
        qirrunner.run_bytes(module.bitcode, shots=shots, rng_seed=seed, output_fn=output.handle)
    except (ValueError, RuntimeError, OSError) as error:
        raise SubmissionRefused(f"the QIR program failed: {error!s:.300}") from None
    counts = Counter("".join(reversed(bits)) for bits in _shots(output.get_output()))
    if sum(counts.values()) != shots or any(len(bits) != num_bits for bits in counts):
        raise SubmissionRefused(
            f"the QIR program records {num_bits} outputs where it is written, and another number "
            "when it runs. Record every output once, outside of branches."
        )
    return dict(counts)


def _shots(output: str) -> Iterator[list[str]]:
    for match in _SHOT.finditer(output):
        if match[2] != "0":
            raise SubmissionRefused(f"the QIR program ended with the exit code {match[2]}")
        yield [_bit(kind, value) for kind, value in _OUTPUT.findall(match[1]) if _counts(kind)]


def _counts(kind: str) -> bool:
    return kind not in _CONTAINERS


def _bit(kind: str, value: str) -> str:
    if kind not in {"RESULT", "BOOL"} or value not in _BITS:
        raise SubmissionRefused(
            f"the QIR program records a {kind} ({value}); results and booleans are counted here."
        )
    return _BITS[value]
