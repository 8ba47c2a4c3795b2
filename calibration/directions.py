"""Put a template on a device's qubits: turn the gates that exist only the other way round there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction
from qiskit.converters import circuit_to_dag, dag_to_circuit
from qiskit.transpiler import TranspilerError
from qiskit.transpiler.passes import GateDirection, Optimize1qGatesDecomposition

from adapters.compiler_stages import compiling
from adapters.target import gate_error
from calibration.device_errors import DEAD
from calibration.durations import Durations
from calibration.recompiling import compact_target, cost, recompiled
from calibration.template import IGNORED, Template
from calibration.timeline import Timeline
from calibration.workload import measurement_s
from qcpaas.calibration import Quantity
from qcpaas.errors import CalibrationError
from store.layout import NO_GATES
from store.snapshot import Snapshot

Qubits = tuple[int, ...]
Interaction = tuple[int, int, str]
Places = Mapping[str, frozenset[Qubits]]

KEPT_CIRCUITS = 256
KEPT_OFFERS = 4
# Left where they are by every device: they say something about other instructions.
PLACELESS = IGNORED | {"store"}


@dataclass(frozen=True, eq=False)
class Offer:
    """What a device executes under one snapshot.

    Attributes:
        places: Of each gate.
        broken: Gates and places that are out of order.
        down: Qubits that are.
    """

    snapshot: Snapshot
    places: Places
    broken: frozenset[tuple[str, Qubits]]
    down: frozenset[int]
    durations: Durations

    @classmethod
    def of(cls, snapshot: Snapshot, places: Places) -> Offer:
        broken = {
            (gate, tuple(place))
            for (quantity, gate), (where, rows) in snapshot.layout.of_gates.items()
            if quantity == Quantity.OPERATIONAL
            for place in where[snapshot.values[rows] == 0.0].tolist()
        }
        down = np.flatnonzero(snapshot.per_qubit(Quantity.OPERATIONAL) == 0.0).tolist()
        durations = Durations.of(snapshot)
        return cls(snapshot, places, frozenset(broken), frozenset(down), durations)

    def has(self, name: str, place: Qubits) -> bool:
        listed = name in NO_GATES or place in self.places.get(name, ())
        return listed and (name, place) not in self.broken and self.down.isdisjoint(place)

    def works(self, gate: str, place: Qubits) -> bool:
        """Whether it is there, and its error known where others' are."""
        return self.has(gate, place) and (gate_error(self.snapshot, gate, place) or 0.0) < DEAD


@dataclass(frozen=True, eq=False)
class Materialised:
    """A template with some of its gates turned round.

    Attributes:
        template: The very template where no gate is turned.
        uses: Name and compact qubits of every instruction, each once; control flow opened.
        reads: Whether it has a measurement. Without one it is read at its end, wherever the
            original circuit's qubits lie, and these reads are among ``uses``.
    """

    template: Template
    uses: frozenset[tuple[str, Qubits]]
    reads: bool

    @classmethod
    def of(cls, template: Template) -> Materialised:
        uses = frozenset(_uses(template.circuit))
        reads = any(name == "measure" for name, _ in uses)
        later = () if reads else (("measure", (qubit,)) for qubit in template.positions)
        return cls(template, uses.union(later), reads)

    def duration_s(
        self, physical_qubits: Qubits, snapshot: Snapshot, durations: Durations
    ) -> float:
        """By the longest path on these qubits, the reads at its end included."""
        rows = np.array(physical_qubits, dtype=np.intp)[:, None]
        lengths = self._timeline.lengths(rows, durations)[:, 0].tolist()
        ready = [0.0] * self._num_bits
        for bits, length in zip(self._timeline.bits, lengths, strict=True):
            end = max(ready[bit] for bit in bits) + length
            for bit in bits:
                ready[bit] = end
        read_later = 0.0 if self.reads else measurement_s(snapshot, physical_qubits)
        return max(ready, default=0.0) + read_later

    @cached_property
    def _timeline(self) -> Timeline:
        circuit = self.template.circuit
        return Timeline.of(circuit, {qubit: at for at, qubit in enumerate(circuit.qubits)})

    @cached_property
    def _num_bits(self) -> int:
        return 1 + max((max(bits) for bits in self._timeline.bits), default=-1)


@dataclass(eq=False)
class Materialiser:
    """Makes circuits of templates and places; remembers them, since few things tell them apart.

    A circuit on compact qubits depends on the place only through which gates are turned, so that
    most changes of place cost nothing, and what is known by the circuit's identity stays known.

    Attributes:
        basis_gates: Instruction names that the device executes.
    """

    basis_gates: tuple[str, ...]
    _made: OrderedDict[tuple[Template, frozenset[Interaction]], Materialised] = field(
        default_factory=OrderedDict
    )
    _offers: OrderedDict[str, Offer] = field(default_factory=OrderedDict)

    def materialise(
        self, template: Template, physical_qubits: Qubits, snapshot: Snapshot
    ) -> Materialised:
        """The template's circuit for these qubits.

        Raises:
            CalibrationError: The device lacks one of its instructions there, both ways round.
        """
        offer = self.offer(snapshot)
        turned = frozenset(_turned(template, physical_qubits, offer))
        made = self._made.get((template, turned))
        if made is None:
            made = self._made[template, turned] = self._make(template, turned)
            if len(self._made) > KEPT_CIRCUITS:
                self._made.popitem(last=False)
        self._made.move_to_end((template, turned))
        _check(made, physical_qubits, offer)
        return made

    def offer(self, snapshot: Snapshot) -> Offer:
        """What the device executes."""
        offer = self._offers.get(snapshot.content_id)
        if offer is None:
            offer = self._offers[snapshot.content_id] = Offer.of(snapshot, self._places(snapshot))
            if len(self._offers) > KEPT_OFFERS:
                self._offers.popitem(last=False)
        return offer

    def _places(self, snapshot: Snapshot) -> Places:
        """Those of an earlier snapshot where nothing but values has changed."""
        for offer in self._offers.values():
            if offer.snapshot.topology_id == snapshot.topology_id:
                return offer.places
        return {gate: frozenset(places) for gate, places in snapshot.gates.items()}

    def _make(self, template: Template, turned: frozenset[Interaction]) -> Materialised:
        circuit = turn_template(template, turned, self.basis_gates)
        same = circuit is template.circuit
        return Materialised.of(template if same else replace(template, circuit=circuit))


def turn_template(
    template: Template, turned: frozenset[Interaction], basis_gates: tuple[str, ...]
) -> QuantumCircuit:
    """The template's circuit with some of its gates turned, compiled anew where that is shorter.

    Raises:
        CalibrationError: One of them cannot be turned.
    """
    circuit = turn(template.circuit, template.interactions, turned, basis_gates)
    if not turned or template.source is None:
        return circuit
    anew = recompiled(template, _with(template.interactions, turned), basis_gates)
    return anew if anew is not None and cost(anew) < cost(circuit) else circuit


def turn(
    circuit: QuantumCircuit,
    interactions: Mapping[Interaction, int],
    turned: frozenset[Interaction],
    basis_gates: tuple[str, ...],
) -> QuantumCircuit:
    """Turn two-qubit gates round; the very same circuit where there are none to turn.

    Args:
        interactions: All of the circuit's two-qubit gates.
        turned: Those of them that are to act the other way round.

    Raises:
        CalibrationError: One of them cannot be turned.
    """
    if not turned:
        return circuit
    target = compact_target(circuit.num_qubits, _with(interactions, turned), basis_gates)
    direction = GateDirection(None, target)
    merging = Optimize1qGatesDecomposition(target=target)
    # Without a pass manager, which takes as long as the two passes.
    dag = circuit_to_dag(circuit, copy_operations=False)
    try:
        with compiling():
            dag = merging.run(direction.run(dag))
    except TranspilerError as error:
        raise CalibrationError(
            f"circuit {circuit.name} has a gate that the device has only the other way round at "
            f"this place, and that cannot be turned: {error.message}. Choose another device."
        ) from error
    return dag_to_circuit(dag, copy_operations=False)


def _with(interactions: Iterable[Interaction], turned: frozenset[Interaction]) -> list[Interaction]:
    """The interactions, some of them turned."""
    return [
        (second, first, gate) if (first, second, gate) in turned else (first, second, gate)
        for first, second, gate in interactions
    ]


def _turned(template: Template, physical_qubits: Qubits, offer: Offer) -> Iterator[Interaction]:
    """What has to be turned; refuses the place before anything is made for it."""
    for first, second, gate in template.interactions:
        place = physical_qubits[first], physical_qubits[second]
        if not offer.works(gate, place):
            if offer.works(gate, place[::-1]):
                yield first, second, gate
            elif not offer.has(gate, place):
                raise _lacking(template, gate, place, offer)


def _check(made: Materialised, physical_qubits: Qubits, offer: Offer) -> None:
    """Nothing leaves for a device that does not have it at that place, whatever was chosen."""
    for name, qubits in made.uses:
        place = tuple(physical_qubits[qubit] for qubit in qubits)
        if not offer.has(name, place):
            raise _lacking(made.template, name, place, offer)


def _lacking(template: Template, name: str, place: Qubits, offer: Offer) -> CalibrationError:
    return CalibrationError(
        f"circuit {template.circuit.name} was placed where {offer.snapshot.device} has no working "
        f"{name} on qubit{'s' * (len(place) > 1)} {', '.join(map(str, place))} in snapshot "
        f"{offer.snapshot.content_id}. Choose another placement or device."
    )


def _uses(circuit: QuantumCircuit) -> Iterator[tuple[str, Qubits]]:
    number = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    seen: set[tuple[str, tuple[object, ...]]] = set()
    for step in circuit.data:
        if step.is_control_flow():
            yield from _uses_inside(step, tuple(number[qubit] for qubit in step.qubits))
        elif (step.name, step.qubits) not in seen and step.name not in PLACELESS and step.qubits:
            seen.add((step.name, step.qubits))
            yield step.name, tuple(number[qubit] for qubit in step.qubits)


def _uses_inside(step: CircuitInstruction, qubits: Qubits) -> Iterator[tuple[str, Qubits]]:
    for block in step.operation.blocks:
        for name, inner in _uses(block):
            yield name, tuple(qubits[place] for place in inner)
