"""A calibration snapshot as Qiskit's `Target`, for compiling, scheduling and scoring."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime

from qiskit.circuit import (
    BreakLoopOp,
    ContinueLoopOp,
    ForLoopOp,
    Gate,
    IfElseOp,
    Instruction,
    SwitchCaseOp,
    WhileLoopOp,
)
from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping
from qiskit.transpiler import InstructionProperties, QubitProperties, Target

from adapters.own_gates import own_gate
from qcpaas.calibration import Quantity
from qcpaas.errors import CalibrationError
from store.layout import NO_GATES
from store.snapshot import Provenance, Reading, Snapshot

CONTROL_FLOW = {
    "for_loop": ForLoopOp,
    "if_else": IfElseOp,
    "switch_case": SwitchCaseOp,
    "while_loop": WhileLoopOp,
}
VIRTUAL = frozenset({"rz", "p", "u1", "id"})  # frame changes, or nothing at all
MAX_PLACES = 100_000  # of one instruction
_LOOPS = frozenset({"for_loop", "while_loop"})
WORST = 1.0 - 1e-9  # an error from here on says that the gate does nothing
_DISPENSABLE = frozenset({"id", "reset"})  # a qubit without them serves most circuits
READOUT = (Quantity.READOUT_P10, Quantity.READOUT_P01, Quantity.READOUT_ERROR)
Place = tuple[int, ...]
Told = tuple[tuple[Quantity, str, Place], float | None]


def build_target(
    snapshot: Snapshot, *, control_flow: Collection[str] = tuple(CONTROL_FLOW)
) -> Target:
    """Every gate of a snapshot with its duration (s) and error, and every qubit's properties.

    A gate or qubit that is not operational is left out, so that nothing is compiled for it. A
    gate without a reported error counts as bad (error 1.0) where the same gate has one elsewhere:
    Qiskit would take it for perfect. A measurement's error is the mean of its two readout errors.

    Args:
        control_flow: Which of ``if_else``, ``for_loop``, ``switch_case`` and ``while_loop`` are
            among the instructions; a snapshot does not say. Loops can be left early.
    """
    target = Target(
        num_qubits=snapshot.num_qubits,
        dt=snapshot.dt_s,
        qubit_properties=[_qubit_properties(snapshot, q) for q in range(snapshot.num_qubits)],
    )
    working: list[Place] = [(q,) for q in range(snapshot.num_qubits) if snapshot.is_operational(q)]
    for name, places in snapshot.gates.items():
        usable = [place for place in places if is_usable(snapshot, name, place)]
        if usable:
            properties = _gate_properties(snapshot, name, usable)
            target.add_instruction(operation_named(name, len(usable[0])), properties, name=name)
    read = {place: None for place in working if is_usable(snapshot, "measure", place)}
    target.add_instruction(_standard()["measure"], _readout_properties(snapshot, read))
    waiting = {place: None for place in working if is_usable(snapshot, "delay", place)}
    target.add_instruction(_standard()["delay"], waiting)
    _add_control_flow(target, control_flow)
    return target


def topology_target(
    snapshot: Snapshot, *, control_flow: Collection[str] = tuple(CONTROL_FLOW)
) -> Target:
    """Every gate of a snapshot where it acts, and nothing of how well it acts there or how fast.

    What is out of order is there too, so that what is compiled for it depends on the snapshot's
    ``topology_id`` alone. Errors are the same everywhere and tell gates apart by kind only: a
    compiler that knows of none counts a frame change like a pulse, and saves the wrong one.

    Args:
        control_flow: As in `build_target`.
    """
    target = Target(num_qubits=snapshot.num_qubits)
    for name, places in snapshot.gates.items():
        add_kind(target, name, places)
    for name in sorted(NO_GATES):
        add_kind(target, name, [(qubit,) for qubit in range(snapshot.num_qubits)])
    _add_control_flow(target, control_flow)
    return target


def add_kind(target: Target, name: str, places: Collection[Place]) -> None:
    """Add an instruction, with an error that says of what kind it is."""
    operation = operation_named(name, len(next(iter(places))))
    error = 0.0 if name in VIRTUAL else 3e-4 if operation.num_qubits == 1 else 1e-2
    properties = InstructionProperties(error=error)
    target.add_instruction(operation, dict.fromkeys(places, properties), name=name)


def snapshot_of_target(target: Target, device: str, measured_at: datetime, source: str) -> Snapshot:
    """What a target says of a device, so that `build_target` makes the same target of it.

    A measurement's error is the mean readout error, since a target does not tell the two apart.
    A gate without error and duration is reported as operational, a qubit without any instruction
    as not. An instruction that a target has everywhere is had by every qubit or pair; control flow
    is no part of a calibration.

    Args:
        measured_at: Date of every value: a target has none.
        source: Where the target comes from.

    Raises:
        CalibrationError: The target does not say how many qubits it has, or a value of it makes
            no sense.
    """
    if not target.num_qubits:
        raise CalibrationError(
            f"the target of {device} has no number of qubits, so that nothing can be told of any."
        )
    found = [*_told_of_qubits(target), *_told_of_instructions(target)]
    origin = Provenance(source, "target")
    readings = [
        Reading(quantity, qubits, float(value), measured_at, gate, provenance=origin)
        for (quantity, gate, qubits), value in found
        if value is not None and math.isfinite(value)
    ]
    return Snapshot.of(device, target.num_qubits, readings, measured_at, target.dt)


def restrict(
    device: Target | Snapshot, physical_qubits: Sequence[int], without: Collection[Place] = ()
) -> Target:
    """The part of a device that the given qubits make, renumbered ``0..k-1`` in their order.

    Args:
        without: Pairs of device qubits that do nothing together, in either direction.
    """
    uncoupled = {frozenset(pair) for pair in without}
    whole = build_target(device) if isinstance(device, Snapshot) else device
    number = {physical: compact for compact, physical in enumerate(physical_qubits)}
    properties = whole.qubit_properties
    part = Target(
        num_qubits=len(number),
        dt=whole.dt,
        qubit_properties=None if properties is None else [properties[q] for q in physical_qubits],
    )
    for name, places in whole.items():
        operation = whole.operation_from_name(name)
        if places is None or None in places:
            part.add_instruction(operation, name=name)
            continue
        inside = {
            tuple(number[q] for q in place): values
            for place, values in places.items()
            if all(q in number for q in place) and frozenset(place) not in uncoupled
        }
        if inside:
            part.add_instruction(operation, inside, name=name)
    return part


def is_usable(snapshot: Snapshot, gate: str, qubits: Place) -> bool:
    """Whether a gate, and every qubit that it acts on, is operational."""
    return snapshot.is_operational(*qubits, gate=gate) and all(
        snapshot.is_operational(qubit) for qubit in qubits
    )


def out_of_order(snapshot: Snapshot) -> tuple[Place, ...]:
    """Qubits, then pairs of other qubits, in ascending order, that nothing should be compiled for.

    Not operational, or without an error where the same gate has one elsewhere. A pair with a gate
    that works in one direction has that gate.
    """
    lost = {qubit for qubit in range(snapshot.num_qubits) if not _answers(snapshot, qubit)}
    pairs: set[Place] = set()
    for name, places in snapshot.gates.items():
        working = {place for place in places if not _fails(snapshot, name, place)}
        for place in set(places) - working:
            if len(place) == 1 and name not in _DISPENSABLE:
                lost.add(place[0])
            elif len(place) > 1 and place[::-1] not in working:
                pairs.add(tuple(sorted(place)))
    return (
        *((qubit,) for qubit in sorted(lost)),
        *(pair for pair in sorted(pairs) if lost.isdisjoint(pair)),
    )


def gate_error(snapshot: Snapshot, gate: str, qubits: Place) -> float | None:
    """1 - average fidelity; 1.0 where only this place lacks it, ``None`` where all places do."""
    error = snapshot.get(Quantity.GATE_ERROR, *qubits, gate=gate)
    if error is not None:
        return error
    return 1.0 if gate in snapshot.layout.gates_with_errors else None


def readout_error(snapshot: Snapshot, qubit: int) -> tuple[float, float] | None:
    """``p(1|0)`` and ``p(0|1)``; ``None`` where the device reports no readout errors at all.

    A qubit without them on a device that reports them is read at random, 0.5 each.
    """
    known = snapshot.readout_error(qubit)
    if known is not None:
        return known
    reported = any(name.value in snapshot.layout.of_qubits for name in READOUT)
    return (0.5, 0.5) if reported else None


def operation_named(name: str, num_qubits: int) -> Instruction:
    """The operation of that name, standard or taught, with free parameters; or an opaque gate."""
    return _standard().get(name) or own_gate(name, num_qubits) or Gate(name, num_qubits, [])


@functools.cache
def _standard() -> dict[str, Instruction]:
    """Qiskit makes all of them anew whenever it is asked, which takes milliseconds."""
    return dict(get_standard_gate_name_mapping())


def _add_control_flow(target: Target, names: Collection[str]) -> None:
    for name in names:
        target.add_instruction(CONTROL_FLOW[name], name=name)
    if not _LOOPS.isdisjoint(names):
        target.add_instruction(BreakLoopOp, name="break_loop")
        target.add_instruction(ContinueLoopOp, name="continue_loop")


def _answers(snapshot: Snapshot, qubit: int) -> bool:
    """Whether a qubit is in use and can be read."""
    error = readout_error(snapshot, qubit)
    reported = snapshot.readout_error(qubit) is not None
    return is_usable(snapshot, "measure", (qubit,)) and (error is None or reported)


def _fails(snapshot: Snapshot, gate: str, place: Place) -> bool:
    error = gate_error(snapshot, gate, place)
    return not is_usable(snapshot, gate, place) or (error is not None and error >= WORST)


def _qubit_properties(snapshot: Snapshot, qubit: int) -> QubitProperties:
    t2 = snapshot.t2_s(qubit)
    return QubitProperties(
        t1=snapshot.get(Quantity.T1_S, qubit),
        t2=None if t2 is None else t2[0],
        frequency=snapshot.get(Quantity.FREQUENCY_HZ, qubit),
    )


def _gate_properties(
    snapshot: Snapshot, name: str, places: Iterable[Place]
) -> dict[Place, InstructionProperties]:
    return {
        place: InstructionProperties(
            duration=snapshot.get(Quantity.GATE_DURATION_S, *place, gate=name),
            error=gate_error(snapshot, name, place),
        )
        for place in places
    }


def _readout_properties(
    snapshot: Snapshot, places: Iterable[Place]
) -> dict[Place, InstructionProperties]:
    properties = {}
    for place in places:
        errors = readout_error(snapshot, place[0])
        properties[place] = InstructionProperties(
            duration=snapshot.get(Quantity.READOUT_DURATION_S, *place),
            error=None if errors is None else sum(errors) / 2,
        )
    return properties


def _told_of_qubits(target: Target) -> Iterator[Told]:
    for qubit, properties in enumerate(target.qubit_properties or ()):
        if properties is not None:
            yield (Quantity.T1_S, "", (qubit,)), properties.t1
            yield (Quantity.T2_S, "", (qubit,)), properties.t2
            yield (Quantity.FREQUENCY_HZ, "", (qubit,)), properties.frequency
    named = [name for name in target.operation_names if _is_calibrated(target, name)]
    used = {qubit for name in named for place in _places(target, name) for qubit in place}
    for qubit in set(range(target.num_qubits)) - used if used else ():
        yield (Quantity.OPERATIONAL, "", (qubit,)), 0.0


def _told_of_instructions(target: Target) -> Iterator[Told]:
    for name in target.operation_names:
        if not _is_calibrated(target, name):
            continue
        places = _places(target, name)
        for place, properties in places.items():
            yield from _told_of_instruction(name, place, properties)
        if name in NO_GATES:
            for qubit in range(target.num_qubits):
                if (qubit,) not in places:
                    yield (Quantity.OPERATIONAL, name, (qubit,)), 0.0


def _told_of_instruction(
    name: str, place: Place, properties: InstructionProperties | None
) -> Iterator[Told]:
    duration = None if properties is None else properties.duration
    error = None if properties is None else properties.error
    if name == "measure":
        yield (Quantity.READOUT_DURATION_S, "", place), duration
        yield (Quantity.READOUT_ERROR, "", place), error
    elif name != "delay":
        yield (Quantity.GATE_DURATION_S, name, place), duration
        yield (Quantity.GATE_ERROR, name, place), error
        if duration is None and error is None:
            yield (Quantity.OPERATIONAL, name, place), 1.0


def _is_calibrated(target: Target, name: str) -> bool:
    """Whether it is a gate; control flow, which a target has as a class, is not."""
    return not isinstance(target.operation_from_name(name), type)


def _places(target: Target, name: str) -> dict[Place, InstructionProperties | None]:
    listed: dict[Place | None, InstructionProperties | None] = target[name] or {None: None}
    places = {place: known for place, known in listed.items() if place is not None}
    if None not in listed:
        return places
    width = target.operation_from_name(name).num_qubits
    if math.perm(target.num_qubits, width) > MAX_PLACES:
        raise CalibrationError(
            f"the target has {name!r} on any {width} of its {target.num_qubits} qubits, which no "
            "calibration lists. Take it out of the target, or name its places."
        )
    return dict.fromkeys(itertools.permutations(range(target.num_qubits), width), listed[None])
