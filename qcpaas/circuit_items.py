"""Circuits, observables and parameter values, as users hold them, to the items of a job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from qcpaas.errors import InputError
from qcpaas.frontends import asked_observables, qir, unknown_circuit, written
from qcpaas.schemas import CircuitItem, CircuitPayload, Observable, OptionSpec

if TYPE_CHECKING:
    from qiskit.quantum_info import SparsePauliOp

    # A circuit of Qiskit, Cirq, PennyLane, pyQuil or Braket, or QIR bitcode; a path, a payload.
    CircuitLike: TypeAlias = Any
    ObservableLike: TypeAlias = SparsePauliOp | Observable | str
    OptionLike: TypeAlias = str | OptionSpec


def circuit_items(
    circuits: CircuitLike | Sequence[CircuitLike],
    observables: ObservableLike | Sequence[Any] | None = None,
    parameter_values: Any = None,
    circuit_options: Sequence[Sequence[OptionLike] | None] | None = None,
    circuit_shots: Sequence[int | None] | None = None,
) -> tuple[CircuitItem, ...]:
    """One item a circuit.

    Args:
        circuits: One or several, of any framework (`qcpaas.frontends`); a `CircuitItem` stands as
            it is, a path is read, and a text that is QIR is taken as such.
        observables: One, or a list for all circuits, or a list of lists, one a circuit. ``None``,
            for all or for one in a list of lists, asks for counts, or for what a PennyLane tape
            or a Braket circuit itself measures.
        parameter_values: For one circuit shape ``(points, parameters)`` or ``(parameters,)``; for
            several a list of such arrays, or ``None`` for a circuit without parameters.
        circuit_options: For each circuit its own options, or ``None`` for the job's.
        circuit_shots: For each circuit its own shots, or ``None`` for the job's.

    Raises:
        InputError: There is no circuit, or a list has another length than the circuits.
    """
    several = isinstance(circuits, list | tuple)
    listed: list[Any] = list(circuits) if isinstance(circuits, list | tuple) else [circuits]
    if not listed:
        raise InputError("there is no circuit to run. Give at least one.")
    count = len(listed)
    values = _each("parameter_values", parameter_values if several else [parameter_values], count)
    options = _each("circuit_options", circuit_options, count)
    shots = _each("circuit_shots", circuit_shots, count)
    wanted = _observables(observables, count)
    return tuple(
        circuit
        if isinstance(circuit, CircuitItem)
        else _item(
            circuit,
            wanted[index],
            parameter_values=_rows(values[index]),
            shots=shots[index],
            options=None
            if options[index] is None
            else tuple(OptionSpec.parse(option) for option in options[index]),
        )
        for index, circuit in enumerate(listed)
    )


def _item(circuit: Any, observables: tuple[Observable, ...] | None, **given: Any) -> CircuitItem:
    symbolic = given["parameter_values"] is not None
    payload = _payload(circuit, symbolic=symbolic, observed=observables is not None)
    asked = observables if observables is not None else asked_observables(payload)
    return CircuitItem(circuit=payload, observables=asked, **given)


def _each(name: str, values: Sequence[Any] | None, count: int) -> list[Any]:
    if values is None:
        return [None] * count
    if len(values) != count:
        raise InputError(f"{name} has {len(values)} entries for {count} circuits. Give one each.")
    return list(values)


def _payload(circuit: Any, *, symbolic: bool, observed: bool) -> CircuitPayload:
    if isinstance(circuit, CircuitPayload):
        return circuit
    if isinstance(circuit, str) and qir.looks_like(circuit):
        return qir.write_text(circuit)
    if isinstance(circuit, str | Path):
        from qcpaas.circuits import load_circuit

        return load_circuit(circuit)
    payload = written(circuit, symbolic=symbolic, observed=observed)
    if payload is not None:
        return payload
    if not hasattr(circuit, "count_ops"):
        raise InputError(unknown_circuit(circuit))
    from qcpaas.circuits import to_payload

    return to_payload(circuit)


def _observables(observables: Any, count: int) -> list[tuple[Observable, ...] | None]:
    if observables is None:
        return [None] * count
    if not isinstance(observables, list | tuple):
        return [(_observable(observables),)] * count
    if any(isinstance(entry, list | tuple) for entry in observables):
        return [
            tuple(_observable(one) for one in entry)
            if isinstance(entry, list | tuple)
            else (None if entry is None else (_observable(entry),))
            for entry in _each("observables", observables, count)
        ]
    return [tuple(_observable(one) for one in observables)] * count


def _observable(observable: Any) -> Observable:
    from qcpaas.observables import from_operator, parse_observable

    if isinstance(observable, Observable):
        return observable
    if isinstance(observable, str):
        return parse_observable(observable)
    if not hasattr(observable, "num_qubits"):
        raise InputError(
            f"an observable is a {type(observable).__name__}; give a SparsePauliOp or a text such "
            "as '0.5*ZZ + XI'."
        )
    return from_operator(observable)


def _rows(values: Any) -> tuple[tuple[float, ...], ...] | None:
    if values is None:
        return None
    import numpy as np

    array = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if array.ndim != 2:
        raise InputError(
            f"parameter values have shape {array.shape}; give (points, parameters) a circuit."
        )
    return tuple(tuple(map(float, row)) for row in array)
