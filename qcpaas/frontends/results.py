"""A finished circuit's answer in the terms of the framework that the circuit came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qcpaas.errors import CircuitError
from qcpaas.frontends import braket, cirq, pennylane, qir, quil
from qcpaas.schemas import CircuitItem, CircuitPayload, Observable

_RESULTS: Mapping[str, Callable[..., Any]] = {
    "cirq": cirq.result,
    "pennylane": pennylane.result,
    "quil": quil.result,
    "braket": braket.result,
    "qir": qir.result,
}
_VALUES: Mapping[str, Callable[[str, Any], Any]] = {
    "pennylane": pennylane.values_of,
    "braket": braket.values_of,
}
_OBSERVABLES: Mapping[str, Callable[[str], tuple[Observable, ...]]] = {
    "pennylane": pennylane.asked_observables,
    "braket": braket.asked_observables,
}


def asked_observables(payload: CircuitPayload) -> tuple[Observable, ...] | None:
    """The observables that a circuit itself asks for; ``None`` where it asks for counts.

    Raises:
        CircuitError: They cannot be read.
    """
    if payload.format not in _OBSERVABLES:
        return None
    try:
        return _OBSERVABLES[payload.format](payload.text) or None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CircuitError(
            f"the measurements of the {payload.format} circuit cannot be read: {error!s:.200}"
        ) from None


def native_result(item: CircuitItem, answer: Mapping[str, Any]) -> Any:
    """What the circuit's own framework would have returned.

    Where parameter values were given it is a list, one result a point. Expectation values of
    observables that were given with the job are an array of shape ``(observables,)``; circuits of
    Qiskit and OpenQASM answer with the mapping itself.

    Raises:
        InputError: The framework is not installed here, or exact probabilities have no shots.
    """
    if item.circuit.format not in _RESULTS:
        return dict(answer)
    rows = item.parameter_values
    points = (
        _values(item, answer)
        if item.observables is not None
        else _outcomes(item.circuit, answer, rows or ((),))
    )
    return points if rows is not None else points[0]


def _outcomes(
    payload: CircuitPayload, answer: Mapping[str, Any], rows: tuple[tuple[float, ...], ...]
) -> list[Any]:
    from qcpaas.frontends.outcomes import points_of

    make = _RESULTS[payload.format]
    points = points_of(answer)
    return [make(payload, point, row) for point, row in zip(points, rows, strict=True)]


def _values(item: CircuitItem, answer: Mapping[str, Any]) -> list[Any]:
    import numpy as np

    rows = answer["expectation_values"]
    payload = item.circuit
    if payload.format in _VALUES and item.observables == asked_observables(payload):
        return [_VALUES[payload.format](payload.text, row) for row in rows]
    return [np.array(row) for row in rows]
