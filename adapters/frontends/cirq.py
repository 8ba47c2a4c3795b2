"""Cirq's JSON, as ``cirq.to_json`` writes it, read without importing Cirq.

Qubits in Cirq's own order (``sorted``), symbols as parameters under their names, and one classical
register a measurement key, its lowest bit the key's first qubit. What is not in the tables here is
decomposed by Cirq itself, which is imported for that alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import e, pi
from typing import Any

from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import ParameterExpression
from qiskit.circuit.classical import expr
from qiskit.circuit.library import (
    CCXGate,
    CCZGate,
    CXGate,
    CZGate,
    HGate,
    IGate,
    PhaseGate,
    RXGate,
    RYGate,
    RZGate,
    SwapGate,
    XGate,
    YGate,
    ZGate,
    iSwapGate,
)

from adapters.frontends import gates
from adapters.frontends.bodies import Body, from_matrix, one, steps
from adapters.frontends.cirq_itself import decomposed, flattened
from adapters.frontends.expressions import Angle, Symbols, checked, combined, number
from adapters.frontends.texts import MAX_QUBITS, check_size, read_json
from qcpaas.errors import CircuitError
from qcpaas.schemas import CircuitPayload

Json = Any
Object = Mapping[str, Json]

_OPERATIONS = {"sympy.Add": "add", "sympy.Mul": "mul", "sympy.Pow": "pow"}
# Numerator and denominator.
_NUMBERS: dict[str, Callable[[Object], tuple[Json, Json]]] = {
    "sympy.pi": lambda _: (pi, 1),
    "sympy.E": lambda _: (e, 1),
    "sympy.Integer": lambda value: (value["i"], 1),
    "sympy.Rational": lambda value: (value["p"], value["q"]),
    "sympy.Float": lambda value: (value["approx"], 1),
    "complex": lambda value: (value["real"], 1 if not value["imag"] else "a complex number"),
}
_PLAIN = {
    "XPowGate": XGate,
    "YPowGate": YGate,
    "ZPowGate": ZGate,
    "HPowGate": HGate,
    "CCXPowGate": CCXGate,
    "CCZPowGate": CCZGate,
    "CXPowGate": CXGate,
    "CZPowGate": CZGate,
    "SwapPowGate": SwapGate,
    "ISwapPowGate": iSwapGate,
}
_POWERS: dict[str, Callable[[Angle], Body]] = {
    "XPowGate": lambda t: gates.pauli_power("x", t),
    "YPowGate": lambda t: gates.pauli_power("y", t),
    "ZPowGate": lambda t: gates.pauli_power("z", t),
    "HPowGate": gates.hadamard_power,
    "CXPowGate": gates.controlled_x_power,
    "CZPowGate": gates.controlled_z_power,
    "CCXPowGate": lambda t: gates.controlled_x_power(t, 2),
    "CCZPowGate": lambda t: gates.controlled_z_power(t, 2),
    "SwapPowGate": gates.swap_power,
    "ISwapPowGate": lambda t: gates.exchange(pi * t),
    "XXPowGate": lambda t: gates.pauli_power("xx", t),
    "YYPowGate": lambda t: gates.pauli_power("yy", t),
    "ZZPowGate": lambda t: gates.pauli_power("zz", t),
}
_SAME = {"_PauliX": "XPowGate", "_PauliY": "YPowGate", "_PauliZ": "ZPowGate"}
_ROTATIONS = {"Rx": RXGate, "Ry": RYGate, "Rz": RZGate}
_NESTED = re.compile(r'"cirq_type":\s*"(VAL|REF|CircuitOperation)"')


def read(payload: CircuitPayload) -> QuantumCircuit:
    """The circuit of a Cirq JSON text.

    Raises:
        CircuitError: Broken text, or something in it that has no equal here.
    """
    content = read_json(payload.text, "Cirq JSON")
    if content.get("cirq_type") in {"Circuit", "FrozenCircuit"} and _NESTED.search(payload.text):
        content = json.loads(flattened(content, payload.text))
    if content.get("cirq_type") not in {"Circuit", "FrozenCircuit"}:
        raise CircuitError(
            f"the Cirq JSON holds a {content.get('cirq_type', 'mapping without cirq_type')!r}; "
            "give a Circuit (cirq.to_json(circuit))."
        )
    try:
        return _Reader(content).circuit
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise CircuitError(
            f"broken Cirq JSON: {type(error).__name__} ({error}) where an operation is read. Write "
            "it again with cirq.to_json."
        ) from None
    except RecursionError:
        raise CircuitError("the Cirq JSON is nested too deeply") from None


class _Reader:
    def __init__(self, content: Object) -> None:
        self._symbols = Symbols()
        operations = [each for moment in content["moments"] for each in moment["operations"]]
        qubits = {_key(q): q for each in operations for q in _qubits(each)}
        count = check_size(len(qubits), MAX_QUBITS, "qubits", "Cirq")
        self.circuit = QuantumCircuit(count)
        self._place = {key: place for place, key in enumerate(sorted(qubits))}
        self._last_use = {
            self._place[_key(q)]: index
            for index, each in enumerate(operations)
            for q in _qubits(each)
        }
        for index, each in enumerate(operations):
            self._add(each, index, self.circuit, 0)

    def _add(self, operation: Object, index: int, onto: QuantumCircuit, depth: int) -> None:
        kind = operation["cirq_type"]
        if kind == "TaggedOperation":
            self._add(operation["sub_operation"], index, onto, depth)
        elif kind == "ClassicallyControlledOperation":
            self._add_conditioned(operation, index, onto, depth)
        elif kind == "GateOperation" and operation["gate"]["cirq_type"] in _SPECIAL:
            special = _SPECIAL[operation["gate"]["cirq_type"]]
            special(self, operation["gate"], self._places(operation["qubits"]), index, onto)
        else:
            found = self._body(operation)
            if found is None:
                for part in decomposed(operation, depth):
                    self._add(part, index, onto, depth + 1)
                return
            body, qubits = found
            body.onto(onto, self._places(qubits))

    def _places(self, qubits: Sequence[Object]) -> list[int]:
        return [self._place[_key(qubit)] for qubit in qubits]

    # --- unitary ----------------------------------------------------------------------------

    def _body(self, operation: Object) -> tuple[Body, Sequence[Object]] | None:
        """What an operation does, and on which qubits; ``None`` where Cirq is to say it."""
        match operation["cirq_type"]:
            case "GateOperation":
                body = self._gate(operation["gate"], len(operation["qubits"]))
                return None if body is None else (body, operation["qubits"])
            case "SingleQubitPauliStringGateOperation":
                body = self._gate(operation["pauli"], 1)
                return None if body is None else (body, [operation["qubit"]])
            case "ControlledOperation":
                inner = self._body(operation["sub_operation"])
                values = _control_values(operation["control_values"], len(operation["controls"]))
                if inner is None or values is None:
                    return None
                return inner[0].controlled(values), [*operation["controls"], *inner[1]]
            case "TaggedOperation":
                return self._body(operation["sub_operation"])
        return None

    def _gate(self, gate: Object, count: int) -> Body | None:
        kind = str(_SAME.get(gate["cirq_type"], gate["cirq_type"]))
        if kind in _POWERS:
            return self._power(kind, gate)
        if kind in _ROTATIONS:
            return one(_ROTATIONS[kind](self._angle(gate["rads"], kind)))
        if kind == "IdentityGate":
            return steps(count, *((IGate(), (place,)) for place in range(count)))
        if kind == "MatrixGate":
            return from_matrix(_matrix(gate["matrix"]), "a MatrixGate")
        if kind == "ControlledGate":
            sub = self._gate(gate["sub_gate"], count - int(gate["num_controls"]))
            values = _control_values(gate.get("control_values"), int(gate["num_controls"]))
            return None if sub is None or values is None else sub.controlled(values)
        return self._phased(kind, gate)

    def _power(self, kind: str, gate: Object) -> Body:
        exponent = self._angle(gate.get("exponent", 1.0), kind)
        shift = number(gate.get("global_shift", 0.0), f"global_shift of {kind}")
        if not _symbolic(exponent) and exponent == 1 and shift == 0 and kind in _PLAIN:
            return one(_PLAIN[kind]())
        body = _POWERS[kind](exponent)
        return Body(body.num_qubits, body.steps, body.phase + pi * shift * exponent)

    def _phased(self, kind: str, gate: Object) -> Body | None:
        def angle(name: str) -> Angle:
            return self._angle(gate[name], f"{name} of {kind}")

        if kind == "PhasedXPowGate":
            exponent = angle("exponent")
            shift = number(gate.get("global_shift", 0.0), f"global_shift of {kind}")
            turn = gates.turned_x(pi * exponent, pi * angle("phase_exponent"))
            return Body(1, turn.steps, pi * exponent * (0.5 + shift))
        if kind == "PhasedXZGate":
            axis, x, z = (angle(f"{name}_exponent") for name in ("axis_phase", "x", "z"))
            turn = gates.turned_x(pi * x, pi * axis)
            return steps(1, *turn.steps, (PhaseGate(pi * z), (0,)), phase=pi * x / 2)
        if kind == "FSimGate":
            return gates.fermionic_simulation(angle("theta"), angle("phi"))
        return None

    def _angle(self, value: Json, what: str) -> Angle:
        return checked(self._value(value, what), what)

    def _value(self, value: Json, what: str) -> Angle:
        if not isinstance(value, dict):
            return number(value, what)
        kind = value.get("cirq_type", "")
        if kind == "sympy.Symbol":
            return self._symbols.named(str(value["name"]))
        if kind in _OPERATIONS and value["args"]:
            return combined(_OPERATIONS[kind], [self._value(one, what) for one in value["args"]])
        if kind in _NUMBERS:
            return combined("div", [number(each, what) for each in _NUMBERS[kind](value)])
        raise CircuitError(
            f"{what} holds {kind or value!r:.60}, which no parameter can. Use sums, products and "
            "powers of symbols, or resolve it before (cirq.resolve_parameters)."
        )

    # --- the rest ---------------------------------------------------------------------------

    def _add_conditioned(
        self, operation: Object, index: int, onto: QuantumCircuit, depth: int
    ) -> None:
        block = self.circuit.copy_empty_like()
        self._add(operation["sub_operation"], index, block, depth)
        if any(step.name == "measure" for step in block.data):
            raise CircuitError(
                "a measurement stands under a classical control, so that its key may have no "
                "value. Measure outside of the condition."
            )
        used = [q for q in block.qubits if any(q in step.qubits for step in block.data)]
        steps_inside = list(block.data)
        for condition in reversed(operation["conditions"]):
            inner = QuantumCircuit(used)
            for register in self.circuit.cregs:
                inner.add_register(register)
            for step in steps_inside:
                inner.append(step)
            outer = self.circuit.copy_empty_like()
            outer.if_test(self._condition(condition), inner, used, self.circuit.clbits)
            steps_inside = list(outer.data)
        for step in steps_inside:
            onto.append(step)

    def _condition(self, condition: Object) -> Any:
        if condition["cirq_type"] != "KeyCondition" or condition.get("index", -1) != -1:
            raise CircuitError(
                f"a classical control is a {condition['cirq_type']}; only 'the key is not zero' "
                "(with_classical_controls('key')) can be kept. Write the others with such ones."
            )
        name = _key_name(condition["key"])
        found = [register for register in self.circuit.cregs if register.name == name]
        if not found:
            raise CircuitError(f"a classical control asks for key {name!r} before it is measured")
        if len(found[0]) == 1:
            return (found[0][0], 1)
        return expr.not_equal(found[0], 0)

    def _measure(
        self, gate: Object, places: Sequence[int], index: int, onto: QuantumCircuit
    ) -> None:
        name = _key_name(gate["key"])
        if gate.get("confusion_map"):
            raise CircuitError(
                f"measurement {name!r} has a confusion map, which is noise. Leave it out: the "
                "device has its own readout errors, or give a noise_model."
            )
        if any(register.name == name for register in self.circuit.cregs):
            raise CircuitError(
                f"key {name!r} is measured twice. Give every measurement a key of its own."
            )
        if onto is not self.circuit:
            raise CircuitError(f"measurement {name!r} stands under a classical control")
        register = ClassicalRegister(len(places), name)
        onto.add_register(register)
        inverted = [place for place, turn in zip(places, gate["invert_mask"], strict=False) if turn]
        for place in inverted:
            onto.x(place)
        onto.measure(places, list(register))
        for place in inverted:
            if self._last_use[place] > index:
                onto.x(place)

    def _reset(self, gate: Object, places: Sequence[int], _: int, onto: QuantumCircuit) -> None:
        for place in places:
            onto.reset(place)

    def _wait(self, gate: Object, places: Sequence[int], _: int, onto: QuantumCircuit) -> None:
        picoseconds = self._angle(gate["duration"]["picos"], "a duration")
        for place in places:
            onto.delay(picoseconds * 1e-12, place, unit="s")

    def _turn(self, gate: Object, _: Sequence[int], __: int, onto: QuantumCircuit) -> None:
        """Nothing: a global phase cannot be seen."""


_SPECIAL: dict[str, Callable[..., None]] = {
    "MeasurementGate": _Reader._measure,  # noqa: SLF001
    "ResetChannel": _Reader._reset,  # noqa: SLF001
    "WaitGate": _Reader._wait,  # noqa: SLF001
    "GlobalPhaseGate": _Reader._turn,  # noqa: SLF001
}


def _qubits(operation: Object) -> Iterator[Object]:
    for name in ("qubits", "controls"):
        yield from operation.get(name, ())
    if "qubit" in operation:
        yield operation["qubit"]
    for qubit, _ in operation.get("qubit_pauli_map", ()):
        yield qubit
    for name in ("sub_operation", "pauli_string"):
        if name in operation:
            yield from _qubits(operation[name])


def _key(qubit: Object) -> tuple[Any, ...]:
    """Sorts as Cirq sorts qubits: by type, then by place; numbers in names count as numbers."""
    kind = qubit["cirq_type"]
    if qubit.get("dimension", 2) != 2:
        raise CircuitError(f"a {kind} has {qubit['dimension']} levels; only qubits can be run.")
    match kind:
        case "LineQubit" | "LineQid":
            return (kind, (int(qubit["x"]),))
        case "GridQubit" | "GridQid":
            return (kind, (int(qubit["row"]), int(qubit["col"])))
        case "NamedQubit" | "NamedQid":
            padded = re.sub(r"\d+", lambda m: f"{m[0]:0>8}:{len(m[0])}", str(qubit["name"]))
            return (kind, (padded,))
    raise CircuitError(f"qubits of type {kind} are not known here. Use line, grid or named qubits.")


def _key_name(key: Json) -> str:
    name = key if isinstance(key, str) else ":".join([*key["path"], key["name"]])
    return name or "measurement"


def _control_values(values: Object | None, count: int) -> list[int] | None:
    """One value a control; ``None`` where several are allowed."""
    if values is None:
        return [1] * count
    rows = values["data"] if isinstance(values, dict) else values
    if isinstance(values, dict) and values["cirq_type"] != "ProductOfSums":
        return None
    single = [int(row if isinstance(row, int) else row[0]) for row in rows if _single(row)]
    return single if len(single) == count else None


def _single(row: Json) -> bool:
    return isinstance(row, int) or len(row) == 1


def _matrix(rows: Json) -> list[list[complex]]:
    return [
        [complex(e["real"], e["imag"]) if isinstance(e, dict) else complex(e) for e in row]
        for row in rows
    ]


def _symbolic(value: Angle) -> bool:
    return isinstance(value, ParameterExpression)
