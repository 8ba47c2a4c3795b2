"""Operations of a PennyLane tape as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qcpaas.errors import CircuitError

Json = Any

# What the platform reads as it is; PennyLane decomposes the rest.
KEPT = frozenset(
    {
        "Adjoint(S)",
        "Adjoint(SX)",
        "Adjoint(T)",
        "Barrier",
        "CCZ",
        "CH",
        "CNOT",
        "CRX",
        "CRY",
        "CRZ",
        "CSWAP",
        "CY",
        "CZ",
        "ControlledPhaseShift",
        "ECR",
        "GlobalPhase",
        "Hadamard",
        "ISWAP",
        "Identity",
        "IsingXX",
        "IsingXY",
        "IsingYY",
        "IsingZZ",
        "PSWAP",
        "PauliX",
        "PauliY",
        "PauliZ",
        "PhaseShift",
        "RX",
        "RY",
        "RZ",
        "Rot",
        "S",
        "SISWAP",
        "SWAP",
        "SX",
        "Snapshot",
        "T",
        "Toffoli",
        "U1",
        "U2",
        "U3",
    }
)
MAX_DEPTH = 40
MAX_UNITARY_WIRES = 8
_SYMPY = {"Add": "add", "Mul": "mul", "Pow": "pow"} | {
    name: name for name in ("sin", "cos", "tan", "asin", "acos", "atan", "exp", "log")
}


class Writer:
    """Writes operations on numbered wires.

    Args:
        places: Number of each wire.
        symbolic: Trainable parameters of the tape become symbols.
    """

    def __init__(self, places: Mapping[Any, int], tape: Any, *, symbolic: bool) -> None:
        self._places = places
        self._measured: dict[Any, int] = {}
        self._symbols: dict[tuple[int, int], str] = {}
        if symbolic:
            self._symbols = _trainable(tape)
        self._operations = {id(op): index for index, op in enumerate(tape.operations)}

    def place(self, wire: Any) -> int:
        return self._places[wire]

    def operations(self, operations: Sequence[Any], depth: int = 0) -> list[Json]:
        """Raises `CircuitError` for what PennyLane cannot decompose into gates."""
        return [each for operation in operations for each in self._one(operation, depth)]

    def _one(self, operation: Any, depth: int) -> list[Json]:
        name = operation.name
        wires = [self._places[wire] for wire in operation.wires]
        if type(operation).__name__ in {"MidMeasure", "MidMeasureMP"}:
            return [self._mid_measure(operation, wires)]
        if type(operation).__name__ == "Conditional":
            return self._conditional(operation, depth)
        if name in KEPT and getattr(operation, "batch_size", None) is None:
            return [{"name": name, "wires": wires, "parameters": self._parameters(operation)}]
        if name == "QubitUnitary":
            return [_unitary(operation.matrix(), wires)]
        return self._decomposed(operation, wires, depth)

    def _parameters(self, operation: Any) -> list[Json]:
        index = self._operations.get(id(operation), -1)
        return [
            {"symbol": self._symbols[index, place]}
            if (index, place) in self._symbols
            else _number(value, operation.name)
            for place, value in enumerate(operation.data)
        ]

    def _decomposed(self, operation: Any, wires: list[int], depth: int) -> list[Json]:
        index = self._operations.get(id(operation), -1)
        if any(index == owner for owner, _ in self._symbols):
            raise CircuitError(
                f"a trainable parameter is in {operation.name}, which is made of other gates. "
                "Decompose the tape before (qml.transforms.decompose), or give no "
                "parameter_values: then its numbers hold."
            )
        if _is_noise(operation):
            raise CircuitError(
                f"{operation.name} is a noise channel. Leave it out: a twin has its device's "
                "noise, or give a noise_model to a simulator."
            )
        if getattr(operation, "batch_size", None) is not None:
            raise CircuitError(
                f"{operation.name} has a batch of values. Give one tape a value, or make them "
                "parameter_values."
            )
        if operation.has_decomposition and depth < MAX_DEPTH:
            return self.operations(operation.decomposition(), depth + 1)
        if operation.has_matrix and len(wires) <= MAX_UNITARY_WIRES:
            return [_unitary(operation.matrix(wire_order=operation.wires), wires)]
        raise CircuitError(
            f"the operation {operation.name} has no decomposition into gates. Decompose it before "
            "(qml.transforms.decompose)."
        )

    def _mid_measure(self, operation: Any, wires: list[int]) -> Json:
        if operation.postselect is not None:
            raise CircuitError(
                "a mid-circuit measurement postselects. Leave postselect out, and choose the "
                "shots by the register mcm0, mcm1, ... of job.result()."
            )
        number = self._measured.setdefault(_identity(operation), len(self._measured))
        return {"name": "MidMeasureMP", "wires": wires, "id": number, "reset": operation.reset}

    def _conditional(self, operation: Any, depth: int) -> list[Json]:
        value = operation.meas_val
        unknown = [m for m in value.measurements if _identity(m) not in self._measured]
        if unknown:
            raise CircuitError("a condition asks for a measurement that has not been made")
        numbers = [self._measured[_identity(m)] for m in value.measurements]
        outcomes = [list(map(int, outcome)) for outcome, holds in value.items() if holds]
        return [
            {
                "name": "Conditional",
                "wires": each["wires"],
                "measurements": numbers,
                "outcomes": outcomes,
                "then": each,
            }
            for each in self.operations([operation.base], depth)
        ]


def _trainable(tape: Any) -> dict[tuple[int, int], str]:
    """Name of each trainable parameter by its operation and its place there."""
    found: dict[tuple[int, int], str] = {}
    for number in tape.trainable_params:
        info = tape.par_info[number]
        if info["op_idx"] < len(tape.operations):
            found[info["op_idx"], info["p_idx"]] = f"p[{len(found)}]"
    return found


def _identity(measurement: Any) -> Any:
    return getattr(measurement, "meas_uid", None) or getattr(measurement, "id", None)


def _unitary(matrix: Any, wires: list[int]) -> Json:
    rows = [[[float(entry.real), float(entry.imag)] for entry in row] for row in matrix + 0j]
    return {"name": "QubitUnitary", "wires": wires, "matrix": rows}


def _is_noise(operation: Any) -> bool:
    return any(kind.__name__ == "Channel" for kind in type(operation).__mro__)


def _number(value: Any, name: str) -> Json:
    if type(value).__module__.partition(".")[0] == "sympy":
        return _expression(value, name)
    try:
        plain = float(value)
    except (TypeError, ValueError):
        raise CircuitError(f"a parameter of {name} is {value!s:.60}; give one number.") from None
    if not math.isfinite(plain):
        raise CircuitError(f"a parameter of {name} is {plain}; angles are finite numbers.")
    return plain


def _expression(value: Any, name: str) -> Json:
    """A sympy expression as a tree of operations."""
    if value.is_Symbol:
        return {"symbol": value.name}
    if value.is_number and value.is_real:
        return float(value)
    kind = value.func.__name__
    if kind not in _SYMPY:
        raise CircuitError(
            f"a parameter of {name} holds {kind}, which no parameter can. Use sums, products, "
            "powers and plain functions of symbols."
        )
    return {_SYMPY[kind]: [_expression(each, name) for each in value.args]}
