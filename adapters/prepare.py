"""Circuits made ready for the simulator: used qubits only, idle time explicit, values symbolic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qiskit import QuantumCircuit, QuantumRegister
from qiskit.circuit import CircuitInstruction, Delay

from adapters.noise import DeviceErrors, Place, Readout
from adapters.parameters import ParameterTable, tabulate
from adapters.schedule import delay_s, schedule_alap, snapshot_durations
from adapters.target import is_usable, readout_error
from qcpaas.errors import SubmissionRefused

if TYPE_CHECKING:
    from qiskit_aer.noise import QuantumError


@dataclass(frozen=True, eq=False)
class Prepared:
    """A circuit on its used qubits alone, numbered ``0..k-1``.

    Attributes:
        circuit: What runs; placeholders stand for parameter expressions.
        physical_qubits: Device qubit of each.
        table: Values of the placeholders; ``None`` where control flow forbids placeholders, so
            that each point is bound on its own.
        registers: Classical registers as (name, size), lowest clbits first.
        measured: (clbit, qubit) of the final measurements; ``None`` where some come earlier.
        resets: Whether a qubit is reset or initialised.
        duration_s: Scheduled on the device; 0 on a simulator.
        errors: Noise channels by instruction label and qubits.
        readouts: Readout errors of the measured qubits.
    """

    circuit: QuantumCircuit
    physical_qubits: Place
    table: ParameterTable | None
    registers: tuple[tuple[str, int], ...]
    measured: tuple[tuple[int, int], ...] | None
    resets: bool
    duration_s: float = 0.0
    errors: Mapping[tuple[str, Place], QuantumError] | None = None
    readouts: Mapping[int, Readout] | None = None

    @property
    def width(self) -> int:
        return len(self.physical_qubits)


def prepare_ideal(circuit: QuantumCircuit, physical_qubits: Place) -> Prepared:
    """Without noise or time."""
    compact, physical = compacted(circuit, physical_qubits)
    return _prepared(circuit, compact, physical)


def prepare_timed(
    circuit: QuantumCircuit, physical_qubits: Place, errors: DeviceErrors
) -> Prepared:
    """With a device's durations, and none of its noise."""
    compact, physical = compacted(circuit, physical_qubits)
    snapshot = errors.snapshot
    schedule = schedule_alap(compact, snapshot_durations(snapshot, physical), snapshot.dt_s)
    return _prepared(circuit, compact, physical, duration_s=schedule.duration_s)


def prepare_noisy(
    circuit: QuantumCircuit, physical_qubits: Place, errors: DeviceErrors
) -> Prepared:
    """With a device's durations and noise.

    Relaxation over idle time is left out of circuits with control flow, whose timing is not known
    before they run; their gates and readout are as noisy as any.

    Raises:
        SubmissionRefused: The device does not execute one of the gates there.
    """
    compact, physical = compacted(circuit, physical_qubits)
    check_executable(circuit.name, compact, physical, errors)
    snapshot = errors.snapshot
    schedule = schedule_alap(compact, snapshot_durations(snapshot, physical), snapshot.dt_s)
    channels: dict[tuple[str, Place], QuantumError] = {}
    if not has_control_flow(compact):
        compact = _with_idling(compact, schedule.idle_s, physical, errors, channels)
    readouts: dict[int, Readout] = {}
    for name, place in dict.fromkeys(walk(compact)):
        if name == "measure":
            readout = readout_error(snapshot, physical[place[0]])
            readouts |= {} if readout is None else {place[0]: readout}
        elif (name, place) not in channels:
            channel = errors.of_gate(name, tuple(physical[q] for q in place))
            channels |= {} if channel is None else {(name, place): channel}
    return _prepared(
        circuit,
        compact,
        physical,
        duration_s=schedule.duration_s,
        errors=channels,
        readouts=readouts,
    )


def compacted(circuit: QuantumCircuit, physical_qubits: Place) -> tuple[QuantumCircuit, Place]:
    """The circuit on the qubits that something acts on, and their physical numbers.

    Barriers and delays alone do not count as use. Clbits and registers stay.
    """
    used = {
        qubit
        for instruction in circuit.data
        if instruction.name not in {"barrier", "delay"}
        for qubit in instruction.qubits
    }
    old = [qubit for qubit in circuit.qubits if qubit in used]
    compact = QuantumCircuit(QuantumRegister(len(old), "q"), name=circuit.name)
    compact.add_bits(circuit.clbits)
    for register in circuit.cregs:
        compact.add_register(register)
    for variable in circuit.iter_vars():
        compact.add_uninitialized_var(variable)
    new = dict(zip(old, compact.qubits, strict=True))
    for instruction in circuit.data:
        qubits = [new[qubit] for qubit in instruction.qubits if qubit in new]
        if instruction.name == "barrier":
            compact.barrier(qubits)
        elif len(qubits) == len(instruction.qubits):
            # The public append costs ten times as much, and checks what is already checked.
            compact._append(instruction.replace(qubits=qubits))  # noqa: SLF001
    places = zip(circuit.qubits, physical_qubits, strict=True)
    return compact, tuple(physical for qubit, physical in places if qubit in used)


def check_executable(
    name: str, circuit: QuantumCircuit, physical_qubits: Place, errors: DeviceErrors
) -> None:
    """Refuse what the device has no gate for: the simulator would run it without noise."""
    snapshot = errors.snapshot
    for gate, place in dict.fromkeys(walk(circuit)):
        where = tuple(physical_qubits[qubit] for qubit in place)
        known = gate == "measure" or where in snapshot.gates.get(gate, ())
        if not known or not is_usable(snapshot, "" if gate == "measure" else gate, where):
            gates = ", ".join(snapshot.gates)
            raise SubmissionRefused(
                f"circuit {name} has {gate} on qubit{'s' * (len(where) > 1)} "
                f"{', '.join(map(str, where))}; {snapshot.device} executes {gates} on its "
                "working qubits and couplings. Compile the circuit for this device, or give a "
                "noise model."
            )


def has_control_flow(circuit: QuantumCircuit) -> bool:
    return bool(circuit.num_vars) or any(i.is_control_flow() for i in circuit.data)


def walk(circuit: QuantumCircuit) -> Iterator[tuple[str, Place]]:
    """Name and qubit indices of every gate, measurement and reset, also inside control flow."""
    number = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    for instruction in circuit.data:
        place = tuple(number[qubit] for qubit in instruction.qubits)
        # Asking for the operation itself makes a Python object of it, ten times as long.
        if instruction.is_control_flow():
            for block in instruction.operation.blocks:
                yield from ((n, tuple(place[q] for q in inner)) for n, inner in walk(block))
        elif instruction.name not in _TIMELESS:
            yield instruction.name, place


_TIMELESS = frozenset({"barrier", "delay", "break_loop", "continue_loop", "store"})


def _with_idling(
    circuit: QuantumCircuit,
    idle_s: tuple[tuple[float, ...], ...],
    physical_qubits: Place,
    errors: DeviceErrors,
    channels: dict[tuple[str, Place], QuantumError],
) -> QuantumCircuit:
    """Put a labelled delay where a qubit waits between two of its gates, and note its channel.

    Waiting before a qubit's first gate does nothing to its ground state, and after its last one
    nothing that is read.
    """
    timed = circuit.copy_empty_like()
    number = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    waited: dict[int, float] = {}  # of the qubits that have started
    for instruction, idle in zip(circuit.data, idle_s, strict=True):
        place = [number[qubit] for qubit in instruction.qubits]
        if instruction.name == "delay":
            idle = (idle[0] + delay_s(instruction, errors.snapshot.dt_s),)  # noqa: PLW2901
        if instruction.name in {"barrier", "delay"}:
            waited.update(
                {q: waited[q] + s for q, s in zip(place, idle, strict=True) if q in waited}
            )
            continue
        for qubit in place:
            waiting_ps = round(waited.get(qubit, 0.0) * 1e12)
            channel = errors.of_idling(physical_qubits[qubit], waiting_ps) if waiting_ps else None
            if channel is not None:
                label = f"idle_{waiting_ps}ps"
                channels[label, (qubit,)] = channel
                delay = Delay(waiting_ps * 1e-12, "s")
                delay.label = label
                timed._append(CircuitInstruction(delay, [circuit.qubits[qubit]]))  # noqa: SLF001
        timed._append(instruction)  # noqa: SLF001
        waited.update(zip(place, idle, strict=True))
    return timed


def _prepared(
    source: QuantumCircuit,
    compact: QuantumCircuit,
    physical_qubits: Place,
    *,
    duration_s: float = 0.0,
    errors: Mapping[tuple[str, Place], QuantumError] | None = None,
    readouts: Mapping[int, Readout] | None = None,
) -> Prepared:
    if not any(name == "measure" for name, _ in walk(compact)):
        raise SubmissionRefused(f"circuit {source.name} has no measurement. Add measure_all().")
    table = None
    if not has_control_flow(compact):
        compact, table = tabulate(compact, source.parameters)
    return Prepared(
        circuit=compact,
        physical_qubits=physical_qubits,
        table=table,
        registers=_registers(compact),
        measured=_final_measurements(compact),
        resets=any(name in {"reset", "initialize"} for name, _ in walk(compact)),
        duration_s=duration_s,
        errors=errors,
        readouts=readouts,
    )


def _registers(circuit: QuantumCircuit) -> tuple[tuple[str, int], ...]:
    inside = [bit for register in circuit.cregs for bit in register]
    if inside == list(circuit.clbits):
        return tuple((register.name, register.size) for register in circuit.cregs)
    return (("c", circuit.num_clbits),)


def _final_measurements(circuit: QuantumCircuit) -> tuple[tuple[int, int], ...] | None:
    """(clbit, qubit) where nothing follows a measurement on its qubit or its clbit."""
    if has_control_flow(circuit):
        return None
    found: dict[int, int] = {}
    for instruction in circuit.data:
        qubits = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        if instruction.name == "barrier":
            continue
        if set(qubits) & set(found.values()):
            return None
        if instruction.name == "measure":
            clbit = circuit.find_bit(instruction.clbits[0]).index
            if clbit in found:
                return None
            found[clbit] = qubits[0]
    return tuple(sorted(found.items()))
