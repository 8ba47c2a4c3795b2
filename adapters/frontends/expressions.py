"""Angles that may hold symbols, from any framework's expression trees."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from qiskit.circuit import Parameter, ParameterExpression, ParameterVector

from qcpaas.errors import CircuitError

Angle: TypeAlias = float | ParameterExpression

MAX_ELEMENTS = 100_000
_ELEMENT = re.compile(r"(.+)\[(\d+)\]")
_UNARY: dict[str, tuple[Callable[[float], float], str]] = {
    "sin": (math.sin, "sin"),
    "cos": (math.cos, "cos"),
    "tan": (math.tan, "tan"),
    "asin": (math.asin, "arcsin"),
    "acos": (math.acos, "arccos"),
    "atan": (math.atan, "arctan"),
    "exp": (math.exp, "exp"),
    "log": (math.log, "log"),
    "abs": (abs, "abs"),
}
_BINARY: dict[str, Callable[[Angle, Angle], Angle]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
}


class Symbols:
    """The parameters of one circuit by name; ``theta[3]`` is an element of a vector ``theta``.

    Qiskit orders a circuit's parameters by name, and those of a vector by index.
    """

    def __init__(self) -> None:
        self._single: dict[str, Parameter] = {}
        self._vectors: dict[str, ParameterVector] = {}

    def named(self, name: str) -> Parameter:
        """The parameter of that name, the same one whenever it is asked for.

        Raises:
            CircuitError: The name is empty, or the index beyond any use.
        """
        if not name:
            raise CircuitError("a symbol has no name. Give every symbol one.")
        element = _ELEMENT.fullmatch(name)
        if element is None:
            return self._single.setdefault(name, Parameter(name))
        index = int(element[2])
        if index >= MAX_ELEMENTS:
            raise CircuitError(f"symbol {name} has an index of {MAX_ELEMENTS:,} or more")
        vector = self._vectors.setdefault(element[1], ParameterVector(element[1], 0))
        if len(vector) <= index:
            vector.resize(index + 1)
        return vector[index]


def combined(operation: str, given: Sequence[Angle]) -> Angle:
    """``add``, ``sub``, ``mul``, ``div``, ``pow``, ``neg``, ``sqrt`` or a function of one value.

    Raises:
        CircuitError: There is no such operation, or it has no real value here.
    """
    try:
        return _combined(operation, given)
    except (ArithmeticError, ValueError, TypeError) as error:
        shown = ", ".join(map(str, given))
        raise CircuitError(f"an angle has no real value: {operation}({shown}): {error}.") from None


def _combined(operation: str, given: Sequence[Angle]) -> Angle:
    first, *rest = given
    if operation == "neg":
        return -first
    if operation == "sqrt":
        return first**0.5 if _symbolic(first) else math.sqrt(first)
    if operation in _UNARY:
        numeric, symbolic = _UNARY[operation]
        return getattr(first, symbolic)() if _symbolic(first) else numeric(first)
    if operation not in _BINARY:
        raise ValueError(f"there is no operation {operation!r} in angles here")
    for value in rest:
        first = _BINARY[operation](first, value)
    if isinstance(first, complex):
        raise ValueError("it is complex")
    return first


def number(value: object, what: str) -> float:
    """A finite real number.

    Raises:
        CircuitError: It is another thing.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CircuitError(f"{what} is {value!r:.60}; a number stands there.")
    try:
        plain = float(value)
    except OverflowError:
        plain = math.inf
    if not math.isfinite(plain):
        raise CircuitError(f"{what} is {plain}; angles are finite numbers.")
    return plain


def checked(value: Angle, what: str) -> Angle:
    """The angle; a number that is not finite raises `CircuitError`."""
    if not isinstance(value, ParameterExpression):
        return number(value, what)
    if value.parameters:
        return value
    return number(float(value.numeric()), what)  # all symbols have cancelled


def _symbolic(value: Angle) -> bool:
    return isinstance(value, ParameterExpression)
