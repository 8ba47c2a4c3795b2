"""QIR, as LLVM text or bitcode, read with PyQIR: a gate list of the base profile.

Qubits under their numbers. Results under theirs in the register ``results``. What has branches,
loops or arithmetic of measured values has no gate list: it becomes one instruction, which only a
simulator takes, and its recorded outputs the register ``outputs``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit.library import (
    CCXGate,
    CPhaseGate,
    CRZGate,
    CXGate,
    CYGate,
    CZGate,
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
    SXGate,
    TdgGate,
    TGate,
    XGate,
    YGate,
    ZGate,
)

from adapters.frontends.bodies import Body, one
from adapters.frontends.expressions import number
from adapters.frontends.qir_program import QirProgram
from adapters.frontends.texts import MAX_BITS, MAX_QUBITS, check_size, check_text
from qcpaas.errors import CircuitError
from qcpaas.frontends.qir import OUTPUTS, RESULTS
from qcpaas.schemas import CircuitPayload

if TYPE_CHECKING:
    import pyqir

_QIS = "__quantum__qis__"
_RT = "__quantum__rt__"
_PLAIN = {
    "i": IGate,
    "x": XGate,
    "y": YGate,
    "z": ZGate,
    "h": HGate,
    "s": SGate,
    "s_adj": SdgGate,
    "t": TGate,
    "t_adj": TdgGate,
    "sx": SXGate,
    "cx": CXGate,
    "cnot": CXGate,
    "cy": CYGate,
    "cz": CZGate,
    "swap": SwapGate,
    "ccx": CCXGate,
    "ccnot": CCXGate,
}
_ANGLED = {
    "rx": RXGate,
    "ry": RYGate,
    "rz": RZGate,
    "r1": PhaseGate,
    "p": PhaseGate,
    "crz": CRZGate,
    "cp": CPhaseGate,
    "rxx": RXXGate,
    "ryy": RYYGate,
    "rzz": RZZGate,
}
_BIT_KINDS = {"RESULT", "BOOL"}
_MEASURING = {"mz", "mresetz", "m"}
_SILENT = {"initialize", "qubit_release", "read_result", "message"}


class _NoGateListError(Exception):
    """What stands in the way of a gate list."""


def read(payload: CircuitPayload) -> QuantumCircuit:
    """The circuit of a QIR program.

    Raises:
        CircuitError: Broken text or bitcode, or a gate that is not known here.
    """
    module, text = parsed(payload)
    entry = _entry(module)
    qubits = check_size(_required(entry, "required_num_qubits"), MAX_QUBITS, "qubits", "QIR")
    results = check_size(_required(entry, "required_num_results"), MAX_BITS, "results", "QIR")
    try:
        return _gate_list(entry, qubits, results)
    except _NoGateListError as reason:
        return _wrapped(text, entry, qubits, str(reason))


def parsed(payload: CircuitPayload) -> tuple[pyqir.Module, str]:
    """The module, checked, and its LLVM text.

    Raises:
        CircuitError: It is neither LLVM text nor base64 of bitcode.
    """
    import pyqir

    text = check_text(payload.text, "QIR")
    try:
        bitcode = None if "define" in text else base64.b64decode(text, validate=True)
        module = (
            pyqir.Module.from_ir(pyqir.Context(), text)
            if bitcode is None
            else pyqir.Module.from_bitcode(pyqir.Context(), bitcode)
        )
    except (ValueError, binascii.Error) as error:
        shown = " ".join(str(error).split())[:300]
        raise CircuitError(f"broken QIR: {shown}. Give LLVM text (.ll) or bitcode (.bc).") from None
    problem = module.verify()
    if problem:
        raise CircuitError(f"broken QIR: {' '.join(problem.split())[:300]}")
    return module, str(module)


def _entry(module: pyqir.Module) -> pyqir.Function:
    import pyqir

    found = [function for function in module.functions if pyqir.is_entry_point(function)]
    if len(found) != 1:
        raise CircuitError(
            f"the QIR module has {len(found)} entry points. Give one function the attribute "
            '"entry_point".'
        )
    if found[0].params:
        raise CircuitError(
            f"the entry point {found[0].name} takes {len(found[0].params)} arguments, and QIR has "
            "no symbols. Put the numbers in, or send OpenQASM 3 with input parameters."
        )
    return found[0]


def _required(entry: pyqir.Function, name: str) -> int:
    attributes = entry.attributes.func
    # Older producers write requiredQubits and requiredResults.
    older = {"required_num_qubits": "requiredQubits", "required_num_results": "requiredResults"}
    values = [attributes[key].string_value for key in (name, older[name]) if key in attributes]
    value = values[0] if values else ""
    if not value.isdigit():
        raise CircuitError(
            f"the entry point does not say {name}. Qubits that are allocated at run time have no "
            "numbers: compile for the base profile."
        )
    return int(value[:10])


def _gate_list(entry: pyqir.Function, qubits: int, results: int) -> QuantumCircuit:
    circuit = QuantumCircuit(qubits)
    register = ClassicalRegister(results, RESULTS)
    circuit.add_register(register)
    instructions = list(_straight(entry))
    for instruction in instructions:
        _add(instruction, circuit, register)
    circuit.metadata = {"outputs": _recorded(instructions, by_number=True)}
    return circuit


def _straight(entry: pyqir.Function) -> Iterator[Any]:
    """The instructions of blocks that follow one another without a choice."""
    import pyqir

    blocks = {block.name: block for block in entry.basic_blocks}
    block, seen = entry.basic_blocks[0], set[str]()
    while True:
        if block.name in seen:
            raise _NoGateListError("it has a loop")
        seen.add(block.name)
        terminator = block.terminator
        for instruction in block.instructions:
            if instruction.opcode not in {pyqir.Opcode.BR, pyqir.Opcode.RET}:
                yield instruction
        following = terminator.successors
        if not following:
            return
        if len(following) > 1:
            raise _NoGateListError("it branches")
        block = blocks[following[0].name]


def _add(instruction: Any, circuit: QuantumCircuit, register: ClassicalRegister) -> None:
    import pyqir

    if not isinstance(instruction, pyqir.Call):
        raise _NoGateListError(f"it computes ({str(instruction.opcode).partition('.')[2].lower()})")
    name = instruction.callee.name
    if name.startswith(_RT):
        return _add_runtime_call(name.removeprefix(_RT))
    if not name.startswith(_QIS):
        raise _NoGateListError(f"it calls the function {name}")
    base, _, variant = name.removeprefix(_QIS).rpartition("__")
    if variant == "adj" and base in {"s", "t"}:
        base = f"{base}_adj"
    elif variant not in {"body"} and base:
        raise CircuitError(_unknown(name))
    if base in _MEASURING:
        _add_measurement(instruction, circuit, register, name)
        if base == "mresetz":
            circuit.reset(_numbers(instruction, name)[0])
    elif base == "reset":
        circuit.reset(_at(circuit.qubits, _numbers(instruction, name)[0], name))
    elif base not in _SILENT:
        _add_gate(base, instruction, circuit, name)
    return None


def _add_runtime_call(name: str) -> None:
    if name in _SILENT or name.removesuffix("_record_output") in {"array", "tuple", "result"}:
        return
    raise _NoGateListError(f"it calls {_RT}{name}")


def _add_measurement(
    call: Any, circuit: QuantumCircuit, register: ClassicalRegister, name: str
) -> None:
    numbers = _numbers(call, name)
    if len(numbers) != 2:
        raise _NoGateListError(f"{name} gives its result a number at run time")
    qubit, result = numbers
    circuit.measure(_at(circuit.qubits, qubit, name), _at(list(register), result, name))


def _add_gate(base: str, call: Any, circuit: QuantumCircuit, name: str) -> None:
    import pyqir

    doubles = [arg for arg in call.args if not isinstance(arg.type, pyqir.PointerType)]
    qubits = [_at(circuit.qubits, place, name) for place in _numbers(call, name)]
    body: Body
    if base in _PLAIN and not doubles:
        body = one(_PLAIN[base]())
    elif base in _ANGLED and len(doubles) == 1:
        if not isinstance(doubles[0], pyqir.FloatConstant):
            raise _NoGateListError(f"an angle of {base} is computed")
        body = one(_ANGLED[base](number(doubles[0].value, f"the angle of {base}")))
    else:
        raise CircuitError(_unknown(name))
    body.onto(circuit, qubits)


def _numbers(call: Any, name: str) -> list[int]:
    """The numbers of the qubits and results that a call names."""
    import pyqir

    pointers = [arg for arg in call.args if isinstance(arg.type, pyqir.PointerType)]
    found = [pyqir.ptr_id(arg) for arg in pointers]
    if any(each is None for each in found):
        raise _NoGateListError(f"{name} acts on a qubit that is chosen at run time")
    return [int(each) for each in found if each is not None]


def _at(bits: Any, place: int, name: str) -> Any:
    if place >= len(bits):
        raise CircuitError(
            f"{name} names number {place}; the entry point requires {len(bits)}. Correct its "
            "required_num_qubits and required_num_results."
        )
    return bits[place]


def _unknown(name: str) -> str:
    return (
        f"there is no instruction {name} here. Use those of the base profile (h, x, y, z, s, t, "
        "rx, ry, rz, cx, cz, swap, ccx, mz, reset, ...)."
    )


def _wrapped(text: str, entry: pyqir.Function, qubits: int, reason: str) -> QuantumCircuit:
    """The whole program as one instruction; a bit for each output that it records."""
    instructions = [each for block in entry.basic_blocks for each in block.instructions]
    recorded = _recorded(instructions, by_number=False)
    outputs = sum(kind in _BIT_KINDS for kind, _, _ in recorded)
    if not outputs:
        raise CircuitError(
            f"the QIR program has no gate list, since {reason}, and records no output. Record its "
            "results (result_record_output) for a simulator, or compile it for the base profile."
        )
    circuit = QuantumCircuit(qubits)
    register = ClassicalRegister(check_size(outputs, MAX_BITS, "outputs", "QIR"), OUTPUTS)
    circuit.add_register(register)
    program = QirProgram(qubits, outputs, text, reason)
    circuit.append(program, circuit.qubits, list(register))
    circuit.metadata = {"outputs": recorded}
    return circuit


def _recorded(instructions: Sequence[Any], *, by_number: bool) -> list[tuple[str, str, int]]:
    """Kind, label, and clbit of each recorded output; of a container its length.

    Args:
        by_number: The clbit of a result is its number; otherwise outputs count from 0.
    """
    import pyqir

    found: list[tuple[str, str, int]] = []
    bits = 0
    for call in instructions:
        name = call.callee.name if isinstance(call, pyqir.Call) else ""
        if not (name.startswith(_RT) and name.endswith("_record_output")):
            continue
        kind = name.removeprefix(_RT).removesuffix("_record_output").upper()
        first, label = call.args[0], pyqir.extract_byte_string(call.args[-1]) or b""
        if kind == "RESULT" and by_number:
            place = pyqir.ptr_id(first)
        elif kind in _BIT_KINDS:
            place, bits = bits, bits + 1
        else:
            place = getattr(first, "value", 0)
        found.append((kind, label.rstrip(b"\0").decode("utf-8", "replace"), int(place or 0)))
    return found
