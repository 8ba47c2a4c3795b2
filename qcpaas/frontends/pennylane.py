"""PennyLane: tapes and QNodes as JSON, results as the QNode would return them.

A QNode that takes arguments is given with them: ``functools.partial(qnode, 0.3)``. PennyLane
decomposes what is not in `KEPT`. Expectation values and variances become the job's observables.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qcpaas.errors import CircuitError
from qcpaas.frontends.frameworks import framework
from qcpaas.frontends.paulis import label, observable, squared
from qcpaas.frontends.tape_operations import Writer
from qcpaas.schemas import CircuitPayload, Observable

if TYPE_CHECKING:
    from qcpaas.frontends.outcomes import Outcomes

Json = Any

MEASURED = "wires"  # the register of the final measurements
MAX_MATRIX_WIRES = 6
_VALUES = {"ExpectationMP": "expval", "VarianceMP": "var"}
_COUNTED = {"SampleMP": "sample", "CountsMP": "counts", "ProbabilityMP": "probs"}


def write(circuit: Any, *, symbolic: bool = False, observed: bool = False) -> CircuitPayload:
    """A tape, a QNode, or a ``functools.partial`` of a QNode.

    Args:
        symbolic: The trainable parameters of its operations are the parameters ``p[0]``,
            ``p[1]``, ...; otherwise all are numbers.
        observed: Its own measurements are left out.

    Raises:
        CircuitError: It holds what no circuit has here.
    """
    tape, wires, name = _tape(circuit)
    writer = Writer({wire: place for place, wire in enumerate(wires)}, tape, symbolic=symbolic)
    operations = writer.operations(tape.operations)
    measurements: list[Json] = []
    rotations = _Rotations()
    for process in () if observed else tape.measurements:
        measurement, turned = _measurement(process, writer, len(wires))
        measurements.append(measurement)
        rotations.add(measurement, turned)
    _check_mixed(measurements)
    content = {
        "version": 1,
        "wires": [wire if isinstance(wire, int | str) else str(wire) for wire in wires],
        "operations": operations,
        "rotations": rotations.operations,
        "measurements": measurements,
    }
    return CircuitPayload(format="pennylane", text=json.dumps(content), name=name)


def asks_for_values(content: Mapping[str, Json]) -> bool:
    """Whether a tape measures observables rather than bits."""
    return any(each["kind"] in _VALUES.values() for each in content["measurements"])


def asked_observables(text: str) -> tuple[Observable, ...]:
    """The observables of a tape's JSON; for a variance the observable and its square."""
    found: list[Observable] = []
    for each in json.loads(text)["measurements"]:
        if each["kind"] in _VALUES.values():
            found.append(observable(each["terms"]))
        if each["kind"] == "var":
            found.append(observable(squared(each["terms"])))
    return tuple(found)


def values_of(text: str, row: Sequence[float]) -> Any:
    """As the QNode returns it: one value, or a tuple of them."""
    left = iter(row)
    found = []
    for each in json.loads(text)["measurements"]:
        mean = next(left)
        found.append(mean if each["kind"] == "expval" else next(left) - mean**2)
    return found[0] if len(found) == 1 else tuple(found)


def result(payload: CircuitPayload, outcomes: Outcomes, values: tuple[float, ...]) -> Any:
    """As the QNode returns it: what its one measurement gives, or a tuple of several."""
    content = json.loads(payload.text)
    place = {wire: clbit for clbit, wire in enumerate(_measured(content))}
    found = [
        _processed(each, content["wires"], place, outcomes) for each in content["measurements"]
    ]
    return found[0] if len(found) == 1 else tuple(found)


def _processed(
    measurement: Mapping[str, Json],
    names: Sequence[Json],
    place: Mapping[int, int],
    outcomes: Outcomes,
) -> Any:
    import numpy as np

    clbits = [place[wire] + _offset(outcomes) for wire in measurement["wires"]]
    if measurement["kind"] == "probs":
        return outcomes.probabilities(clbits)
    qml = framework("pennylane", "pennylane")
    wires = qml.wires.Wires([names[wire] for wire in measurement["wires"]])
    kinds = {"sample": qml.measurements.SampleMP, "counts": qml.measurements.CountsMP}
    more = {"all_outcomes": True} if measurement.get("all_outcomes") else {}
    eigenvalues = measurement["eigenvalues"]
    process = kinds[measurement["kind"]](
        wires=wires, eigvals=None if eigenvalues is None else np.array(eigenvalues), **more
    )
    return process.process_samples(outcomes.rows()[:, clbits].astype(np.int64), wires)


def _offset(outcomes: Outcomes) -> int:
    """Clbits of mid-circuit measurements, which come before the final ones."""
    low = 0
    for name, size in outcomes.registers:
        if name == MEASURED:
            break
        low += size
    return low


def _measured(content: Mapping[str, Json]) -> list[int]:
    return sorted({wire for each in content["measurements"] for wire in each["wires"]})


def _tape(circuit: Any) -> tuple[Any, Sequence[Any], str]:
    """The tape, its wires in the order of their bits, and a name."""
    arguments, keywords = (), {}
    if isinstance(circuit, functools.partial):
        circuit, arguments, keywords = circuit.func, circuit.args, circuit.keywords
    if not hasattr(circuit, "device"):
        return circuit, _standard(circuit), "tape"
    try:
        build = sys.modules["pennylane"].workflow.construct_tape(circuit)
        tape = build(*arguments, **keywords)
    except TypeError as error:
        raise CircuitError(
            f"the QNode cannot be called so: {error}. Give it with its arguments: "
            "functools.partial(qnode, 0.3)."
        ) from None
    name = getattr(circuit.func, "__name__", "qnode")
    wires = circuit.device.wires
    missing = [wire for wire in tape.wires if wires and wire not in wires]
    if missing:
        raise CircuitError(f"the QNode uses wire {missing[0]!r}, which its device does not have")
    return tape, list(wires) if wires else _standard(tape), name


def _standard(tape: Any) -> list[Any]:
    """PennyLane's own order: 0 to n-1 by number, other wires as they appear."""
    wires = list(tape.wires)
    numbers = all(isinstance(wire, int) for wire in wires)
    return sorted(wires) if numbers and set(wires) == set(range(len(wires))) else wires


def _measurement(process: Any, writer: Writer, width: int) -> tuple[Json, list[Json]]:
    """A measurement as JSON, and the gates that turn its basis into the computational one."""
    kind = type(process).__name__
    if process.mv is not None:
        raise CircuitError(
            "the tape asks for statistics of a mid-circuit measurement. Measure the wire at the "
            "end, or read its register mcm0, mcm1, ... from job.result()."
        )
    if kind in _VALUES:
        return {"kind": _VALUES[kind], "terms": _terms(process.obs, writer, width), "wires": []}, []
    if kind not in _COUNTED:
        raise CircuitError(
            f"the tape measures {process}, which no device gives. Ask for expval, var, probs, "
            "counts or sample."
        )
    eigenvalues = None if process.obs is None else [float(v) for v in process.eigvals()]
    measurement = {
        "kind": _COUNTED[kind],
        "wires": [writer.place(wire) for wire in process.wires] or list(range(width)),
        "eigenvalues": eigenvalues,
        "all_outcomes": bool(getattr(process, "all_outcomes", False)),
    }
    return measurement, writer.operations(process.diagonalizing_gates())


def _terms(operator: Any, writer: Writer, width: int) -> dict[str, float]:
    sentence = operator.pauli_rep
    if sentence is None:
        sentence = _decomposed(operator)
    terms: dict[str, float] = {}
    for word, factor in sentence.items():
        value = complex(factor)
        if abs(value.imag) > 1e-10 * max(1.0, abs(value)):
            raise CircuitError(f"the observable {operator} has the factor {value}: not Hermitian")
        letters = {writer.place(wire): letter for wire, letter in word.items()}
        key = label(letters, width)
        terms[key] = terms.get(key, 0.0) + value.real
    return terms or {label({}, width): 0.0}


def _decomposed(operator: Any) -> Any:
    """The Pauli sum of an observable that is given by a matrix."""
    if len(operator.wires) > MAX_MATRIX_WIRES or not operator.has_matrix:
        raise CircuitError(
            f"the observable {operator!s:.80} is no Pauli sum, nor a matrix of up to "
            f"{MAX_MATRIX_WIRES} wires. Write it with qml.X, qml.Y and qml.Z."
        )
    qml = sys.modules["pennylane"]
    return qml.pauli_decompose(operator.matrix(), wire_order=operator.wires, pauli=True)


class _Rotations:
    """Gates that turn the measured bases, each wire's once."""

    def __init__(self) -> None:
        self.operations: list[Json] = []
        self._of_wire: dict[int, list[Json]] = {}

    def add(self, measurement: Json, turned: list[Json]) -> None:
        """Take over those of a measurement, unless another one reads its wires otherwise."""
        known = set(self._of_wire)
        for wire in measurement["wires"]:
            own = [each for each in turned if wire in each["wires"]]
            if self._of_wire.setdefault(wire, own) != own:
                raise CircuitError(
                    f"the tape measures wire {wire} in two bases. Give the measurements as two "
                    "tapes (qml.transforms.split_non_commuting)."
                )
        self.operations += [each for each in turned if not known.issuperset(each["wires"])]


def _check_mixed(measurements: Sequence[Json]) -> None:
    kinds = {each["kind"] in _VALUES.values() for each in measurements}
    if len(kinds) > 1:
        raise CircuitError(
            "the tape measures observables and bits at once. Give the expectation values and the "
            "counts as two tapes."
        )
