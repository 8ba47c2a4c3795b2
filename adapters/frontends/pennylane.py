"""PennyLane's tapes, as `qcpaas.frontends.pennylane` writes them.

Wire ``k`` of the list ``wires`` is qubit ``k``. Final measurements of all wires that are asked for
go into the register ``wires``, its lowest bit the first such wire; a measurement in mid-circuit has
a register of its own, ``mcm0`` and so on. Observables are not in the circuit: they are the job's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import pi
from typing import Any

from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit.classical import expr
from qiskit.circuit.library import (
    CCXGate,
    CCZGate,
    CHGate,
    CPhaseGate,
    CRXGate,
    CRYGate,
    CRZGate,
    CSwapGate,
    CXGate,
    CYGate,
    CZGate,
    ECRGate,
    HGate,
    IGate,
    PhaseGate,
    RXGate,
    RXXGate,
    RYGate,
    RYYGate,
    RZGate,
    RZZGate,
    SdgGate,
    SGate,
    SwapGate,
    SXdgGate,
    SXGate,
    TdgGate,
    TGate,
    UGate,
    XGate,
    YGate,
    ZGate,
    iSwapGate,
)

from adapters.frontends import gates
from adapters.frontends.bodies import Body, from_matrix, one
from adapters.frontends.expressions import Angle, Symbols, checked, combined, number
from adapters.frontends.texts import MAX_QUBITS, check_size, read_json
from qcpaas.errors import CircuitError
from qcpaas.frontends.pennylane import MEASURED, asks_for_values
from qcpaas.schemas import CircuitPayload

Json = Any

_PLAIN = {
    "Identity": IGate,
    "PauliX": XGate,
    "PauliY": YGate,
    "PauliZ": ZGate,
    "Hadamard": HGate,
    "S": SGate,
    "T": TGate,
    "SX": SXGate,
    "Adjoint(S)": SdgGate,
    "Adjoint(T)": TdgGate,
    "Adjoint(SX)": SXdgGate,
    "CNOT": CXGate,
    "CY": CYGate,
    "CZ": CZGate,
    "CH": CHGate,
    "SWAP": SwapGate,
    "ISWAP": iSwapGate,
    "ECR": ECRGate,
    "Toffoli": CCXGate,
    "CCZ": CCZGate,
    "CSWAP": CSwapGate,
}
_ANGLED: dict[str, tuple[int, Callable[..., Body]]] = {
    "RX": (1, lambda a: one(RXGate(a))),
    "RY": (1, lambda a: one(RYGate(a))),
    "RZ": (1, lambda a: one(RZGate(a))),
    "PhaseShift": (1, lambda a: one(PhaseGate(a))),
    "U1": (1, lambda a: one(PhaseGate(a))),
    "U2": (2, lambda a, b: one(UGate(pi / 2, a, b))),
    "U3": (3, lambda a, b, c: one(UGate(a, b, c))),
    "Rot": (3, gates.euler),
    "CRX": (1, lambda a: one(CRXGate(a))),
    "CRY": (1, lambda a: one(CRYGate(a))),
    "CRZ": (1, lambda a: one(CRZGate(a))),
    "ControlledPhaseShift": (1, lambda a: one(CPhaseGate(a))),
    "IsingXX": (1, lambda a: one(RXXGate(a))),
    "IsingYY": (1, lambda a: one(RYYGate(a))),
    "IsingZZ": (1, lambda a: one(RZZGate(a))),
    "IsingXY": (1, gates.exchange),
    "PSWAP": (1, gates.phase_swap),
    "SISWAP": (0, lambda: gates.exchange(pi / 2)),
}
_IGNORED = {"Barrier", "Snapshot", "GlobalPhase"}


def read(payload: CircuitPayload) -> QuantumCircuit:
    """The circuit of a tape's JSON.

    Raises:
        CircuitError: Broken text, or something in it that no circuit has here.
    """
    content = read_json(payload.text, "PennyLane JSON")
    try:
        return _Reader(content).circuit
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise CircuitError(
            f"broken PennyLane JSON: {type(error).__name__} ({error}). Give the tape or the QNode "
            "itself, which writes it."
        ) from None
    except RecursionError:
        raise CircuitError("the PennyLane JSON is nested too deeply") from None


class _Reader:
    def __init__(self, content: Mapping[str, Json]) -> None:
        if content.get("version") != 1:
            raise CircuitError(
                f"the PennyLane JSON has version {content.get('version')!r}; 1 is read. Write it "
                "with the qcpaas of this platform."
            )
        self._symbols = Symbols()
        wires = check_size(len(content["wires"]), MAX_QUBITS, "wires", "PennyLane")
        self.circuit = QuantumCircuit(wires)
        self._outcomes: dict[int, ClassicalRegister] = {}
        for operation in content["operations"]:
            self._add(operation, self.circuit)
        if not asks_for_values(content):
            self._measure(content["measurements"], content.get("rotations", ()))

    def _measure(self, measurements: Sequence[Json], rotations: Sequence[Json]) -> None:
        for operation in rotations:
            self._add(operation, self.circuit)
        asked = sorted({wire for each in measurements for wire in each["wires"]})
        if asked:
            register = ClassicalRegister(len(asked), MEASURED)
            self.circuit.add_register(register)
            self.circuit.measure(asked, list(register))

    def _add(self, operation: Mapping[str, Json], onto: QuantumCircuit) -> None:
        name, wires = operation["name"], operation["wires"]
        if any(not isinstance(w, int) or not 0 <= w < onto.num_qubits for w in wires):
            raise CircuitError(f"{name} acts on a wire that the tape does not have")
        if name in _IGNORED:
            return
        if name == "MidMeasureMP":
            self._mid_measure(operation, wires[0], onto)
        elif name == "Conditional":
            self._conditional(operation, onto)
        elif name == "QubitUnitary":
            rows = [[complex(*entry) for entry in row] for row in operation["matrix"]]
            from_matrix(rows, "a QubitUnitary").onto(onto, wires)
        else:
            self._body(name, operation.get("parameters", ())).onto(onto, wires)

    def _body(self, name: str, given: Sequence[Json]) -> Body:
        angles = [checked(self._value(each, name), f"a parameter of {name}") for each in given]
        if name in _PLAIN and not angles:
            return one(_PLAIN[name]())
        if name in _ANGLED and len(angles) == _ANGLED[name][0]:
            return _ANGLED[name][1](*angles)
        raise CircuitError(
            f"the operation {name} with {len(angles)} parameters has no equal here. Decompose it "
            "before (qml.transforms.decompose)."
        )

    def _value(self, value: Json, name: str) -> Angle:
        if not isinstance(value, dict):
            return number(value, f"a parameter of {name}")
        if "symbol" in value:
            return self._symbols.named(str(value["symbol"]))
        ((operation, given),) = value.items()
        return combined(operation, [self._value(each, name) for each in given])

    def _mid_measure(self, operation: Json, wire: int, onto: QuantumCircuit) -> None:
        if onto is not self.circuit:
            raise CircuitError("a mid-circuit measurement stands under a condition")
        number_ = int(operation["id"])
        register = ClassicalRegister(1, f"mcm{number_}")
        if number_ in self._outcomes:
            raise CircuitError(f"the mid-circuit measurement {number_} stands there twice")
        onto.add_register(register)
        self._outcomes[number_] = register
        onto.measure(wire, register[0])
        if operation["reset"]:
            onto.reset(wire)

    def _conditional(self, operation: Json, onto: QuantumCircuit) -> None:
        if onto is not self.circuit:
            raise CircuitError("a condition stands under another one")
        block = onto.copy_empty_like()
        self._add(operation["then"], block)
        if not block.data:
            return
        registers = [self._outcomes[each] for each in operation["measurements"]]
        test = _condition(registers, operation["outcomes"])
        if test is None:
            return
        used = [q for q in block.qubits if any(q in step.qubits for step in block.data)]
        inner = QuantumCircuit(used, *registers)
        for step in block.data:
            inner.append(step)
        onto.if_test(test, inner, used, [register[0] for register in registers])


def _condition(registers: Sequence[ClassicalRegister], outcomes: Sequence[Json]) -> Any:
    """True for any of these outcomes of the registers' single bits; ``None`` for no outcome."""
    if len(registers) == 1 and len(outcomes) == 1:
        return (registers[0][0], int(outcomes[0][0]))
    whole = None
    for outcome in outcomes:
        each = None
        for register, bit in zip(registers, outcome, strict=True):
            one_bit = expr.lift(register[0]) if bit else expr.bit_not(register[0])
            each = one_bit if each is None else expr.logic_and(each, one_bit)
        whole = each if whole is None else expr.logic_or(whole, each)
    return whole
