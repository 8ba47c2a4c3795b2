"""Qiskit's PUBs as experiments: what is asked, point by point, and the answer's array shape.

An `Experiment` wants all of its observables at all of its points, an outer product. A PUB
broadcasts observables against parameter values by NumPy's rules, which is more general.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import SparseObservable, SparsePauliOp

from qcpaas.errors import CircuitError, InputError, ObservableError
from qcpaas.frontends import read_payload, written

Shape = tuple[int, ...]
Points = NDArray[np.float64]
_FIRST = np.zeros(1, dtype=np.intp)


@dataclass(frozen=True, eq=False)
class Observables:
    """An array of observables: the distinct ones, and which stands where.

    ``index`` has the array's shape and counts into ``operators``.
    """

    operators: tuple[SparsePauliOp, ...]
    index: NDArray[np.intp]
    num_qubits: int


@dataclass(frozen=True, eq=False)
class Request:
    """A PUB, read and checked.

    Attributes:
        points: Parameter values in ``circuit.parameters`` order, shape ``(points, parameters)``.
        points_shape: Shape of the PUB's array of points.
        asked: The precision or shots that the PUB itself names.
    """

    circuit: QuantumCircuit
    points: Points
    points_shape: Shape
    observables: Observables | None = None
    asked: Any = None


@dataclass(frozen=True, eq=False)
class Block:
    """An outer product within a PUB: points, observables, and where their values go.

    The value of ``points[rows[k]]`` and ``observables[columns[k]]`` stands at ``places[k]`` of
    the flat answer.
    """

    points: NDArray[np.intp]
    observables: tuple[int, ...]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    places: NDArray[np.intp]


class ObservablesCache:
    """Observables of recent PUBs by content, since a loop sends the same ones at every step."""

    def __init__(self, size: int = 64) -> None:
        self._size = size
        self._known: OrderedDict[Hashable, Observables] = OrderedDict()

    def read(self, given: Any) -> Observables:
        """An observables array in any form that Qiskit takes.

        Raises:
            ObservableError: It is not one, its widths differ, or it is not Hermitian.
        """
        key = _content(given)
        known = None if key is None else self._known.get(key)
        if known is None:
            known = _observables(given)
            if key is not None:
                self._known[key] = known
                if len(self._known) > self._size:
                    self._known.popitem(last=False)
        return known


def read_estimator_pub(pub: Any, cache: ObservablesCache) -> Request:
    """Read ``(circuit, observables[, parameter_values[, precision]])`` or an `EstimatorPub`.

    Raises:
        InputError: It has another form.
        CircuitError: The parameter values do not fit the circuit.
        ObservableError: The observables do not fit the circuit, or the parameter values.
    """
    if isinstance(pub, EstimatorPub):
        pub = (pub.circuit, pub.observables, pub.parameter_values, pub.precision)
    circuit, given, values, precision = _parts(pub, "observables", 2, 4)
    observables = cache.read(given)
    if observables.num_qubits != circuit.num_qubits and observables.operators:
        raise ObservableError(
            f"the observable acts on {observables.num_qubits} qubits; circuit {circuit.name} has "
            f"{circuit.num_qubits}. Give one Pauli letter a qubit, I where nothing is measured."
        )
    points, shape = _points(circuit, values)
    return Request(circuit, points, shape, observables, precision)


def read_sampler_pub(pub: Any) -> Request:
    """Read a circuit, ``(circuit[, parameter_values[, shots]])`` or a `SamplerPub`.

    Raises:
        InputError: It has another form.
        CircuitError: The parameter values do not fit the circuit.
    """
    if isinstance(pub, SamplerPub):
        pub = (pub.circuit, pub.parameter_values, pub.shots)
    if isinstance(pub, QuantumCircuit) or not isinstance(pub, Sequence):
        pub = (pub,)
    circuit, values, shots, _ = _parts(pub, "parameter_values", 1, 3)
    points, shape = _points(circuit, values)
    return Request(circuit, points, shape, None, shots)


def broadcast(request: Request) -> tuple[Shape, NDArray[np.intp], NDArray[np.intp]]:
    """The answer's shape, and for each of its places, flat, the point and the observable.

    Raises:
        ObservableError: The two shapes do not broadcast.
    """
    assert request.observables is not None
    index = request.observables.index
    try:
        shape = np.broadcast_shapes(request.points_shape, index.shape)
    except ValueError:
        raise ObservableError(
            f"observables of shape {index.shape} and parameter values of shape "
            f"{request.points_shape} do not broadcast. Counted from the last, their axes must be "
            "equal or 1: reshape one, such as observables of shape (n, 1) for all at every point."
        ) from None
    numbered = np.arange(len(request.points)).reshape(request.points_shape)
    return (
        shape,
        np.broadcast_to(numbered, shape).ravel(),
        np.broadcast_to(index, shape).ravel(),
    )


def blocks(points: NDArray[np.intp], observables: NDArray[np.intp]) -> Iterator[Block]:
    """Split pairs of point and observable into the fewest outer products.

    Points that want the same set of observables share a block, so that nothing is run that was
    not asked for.
    """
    if len(points) == 1:
        yield Block(points, (int(observables[0]),), _FIRST, _FIRST, _FIRST)
        return
    wanted: dict[int, set[int]] = {}
    for point, observable in zip(points.tolist(), observables.tolist(), strict=True):
        wanted.setdefault(point, set()).add(observable)
    groups: dict[tuple[int, ...], list[int]] = {}
    for point, chosen in wanted.items():
        groups.setdefault(tuple(sorted(chosen)), []).append(point)
    group_of = np.zeros(len(wanted), dtype=np.intp)
    row_of = np.zeros(len(wanted), dtype=np.intp)
    for number, members in enumerate(groups.values()):
        group_of[members] = number
        row_of[members] = range(len(members))
    group_at = group_of[points]
    order = np.argsort(group_at, kind="stable")
    bounds = np.searchsorted(group_at[order], range(len(groups) + 1))
    for number, (observed, members) in enumerate(groups.items()):
        places = order[bounds[number] : bounds[number + 1]]
        yield Block(
            points=np.array(members, dtype=np.intp),
            observables=observed,
            rows=row_of[points[places]],
            columns=np.searchsorted(observed, observables[places]),
            places=places,
        )


def _parts(pub: Any, second: str, least: int, most: int) -> tuple[QuantumCircuit, Any, Any, Any]:
    if not isinstance(pub, Sequence) or isinstance(pub, str):
        raise InputError(
            f"a PUB is a tuple (circuit, {second}, ...), and this one is a "
            f"{type(pub).__name__}. Write run([(circuit, ...)]), with the list around it."
        )
    if not least <= len(pub) <= most:
        raise InputError(f"a PUB here has {least} to {most} parts, and this one has {len(pub)}")
    circuit = _circuit(pub[0], observed=second == "observables")
    padded = (*pub, None, None, None)
    return circuit, padded[1], padded[2], padded[3]


def _circuit(given: Any, *, observed: bool) -> QuantumCircuit:
    """A circuit of any framework; a loop reads its own once, with `read_circuit`."""
    if isinstance(given, QuantumCircuit):
        return given
    payload = written(given, observed=observed)
    if payload is None:
        raise CircuitError(f"a PUB starts with a circuit, and this one with {given!r:.60}")
    return read_payload(payload)


def _points(circuit: QuantumCircuit, values: Any) -> tuple[Points, Shape]:
    """Parameter values as rows in ``circuit.parameters`` order, and the shape they came in."""
    needed = circuit.num_parameters
    if values is None or needed == 0:
        if values is None and needed == 0:
            return np.empty((1, 0)), ()
    elif not isinstance(values, BindingsArray | Mapping) and needed > 1:
        array = _numbers(values, circuit)
        if array.ndim and array.shape[-1] == needed:
            return array.reshape(-1, needed), array.shape[:-1]
    return _bindings(circuit, values)


def _bindings(circuit: QuantumCircuit, values: Any) -> tuple[Points, Shape]:
    """The general case, by Qiskit's own rules."""
    names = tuple(circuit.parameters)
    try:
        if not isinstance(values, BindingsArray):
            data = values if isinstance(values, Mapping) or values is None else {names: values}
            values = BindingsArray.coerce(data)
        if values.num_parameters == len(names):
            array = np.asarray(values.as_array(names), dtype=np.float64)
            return array.reshape(int(np.prod(values.shape, dtype=int)), len(names)), values.shape
        given = values.num_parameters
    except (ValueError, TypeError) as error:
        raise CircuitError(
            f"the parameter values do not fit circuit {circuit.name}, which has "
            f"{_listed(circuit)}: {error}"
        ) from error
    raise CircuitError(
        f"circuit {circuit.name} has {_listed(circuit)}; {given or 'no'} values are given a point. "
        "Give one value a parameter on the last axis."
    )


def _numbers(values: Any, circuit: QuantumCircuit) -> Points:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CircuitError(
            f"the parameter values of circuit {circuit.name} are not an array of numbers: {error}"
        ) from error


def _listed(circuit: QuantumCircuit) -> str:
    names = [parameter.name for parameter in circuit.parameters]
    if not names:
        return "no parameters"
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return f"{len(names)} parameter{'s' * (len(names) > 1)} ({shown})"


def _observables(given: Any) -> Observables:
    try:
        array = ObservablesArray.coerce(given)
    except (ValueError, TypeError, QiskitError) as error:
        raise ObservableError(
            f"these are no observables: {getattr(error, 'message', error)}. Give a SparsePauliOp "
            "with real coefficients, a Pauli string, or an array of them."
        ) from error
    sparse = array.sparse_observables_array()
    index = np.empty(sparse.shape, dtype=np.intp)
    numbers: dict[Hashable, int] = {}
    operators: list[SparsePauliOp] = []
    for place, observable in np.ndenumerate(sparse):
        key = _content(observable)
        if key not in numbers:
            numbers[key] = len(operators)
            operators.append(_operator(observable))
        index[place] = numbers[key]
    return Observables(tuple(operators), index, array.num_qubits)


def _operator(observable: SparseObservable) -> SparsePauliOp:
    if observable.num_terms == 0:
        return SparsePauliOp("I" * observable.num_qubits, 0.0)
    return SparsePauliOp.from_sparse_observable(observable)


def _content(given: Any) -> Hashable | None:
    """What an observables array holds, as a dictionary key; ``None`` where that is not cheap."""
    if isinstance(given, str):
        return given
    if isinstance(given, SparsePauliOp):
        arrays = (given.paulis.z, given.paulis.x, given.paulis.phase, given.coeffs)
        return (given.num_qubits, given.coeffs.dtype.char, *[a.tobytes() for a in arrays])
    if isinstance(given, SparseObservable):
        arrays = (given.bit_terms, given.indices, given.boundaries, given.coeffs)
        return (given.num_qubits, *[np.asarray(a).tobytes() for a in arrays])
    if isinstance(given, ObservablesArray):
        return (given.shape, *map(_content, given.sparse_observables_array().ravel()))
    if isinstance(given, list | tuple):
        contents = tuple([_content(item) for item in given])
        return None if None in contents else contents
    return None
