"""Put a template on a device's qubits: turn the gates that exist only the other way round there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction
from qiskit.converters import circuit_to_dag, dag_to_circuit
from qiskit.transpiler import Target, TranspilerError
from qiskit.transpiler.passes import GateDirection, Optimize1qGatesDecomposition

from adapters.target import gate_error, is_usable, operation_named
from calibration.template import IGNORED, Template
from qcpaas.errors import CalibrationError
from store.layout import NO_GATES
from store.snapshot import Snapshot

Qubits = tuple[int, ...]
Interaction = tuple[int, int, str]
Places = Mapping[str, frozenset[Qubits]]

KEPT_CIRCUITS = 256
KEPT_TOPOLOGIES = 4
# Left where they are by every device: they say something about other instructions.
PLACELESS = IGNORED | {"store"}


@dataclass(frozen=True, eq=False)
class Materialised:
    """A template with some of its gates turned round.

    Attributes:
        template: The very template where no gate is.
        uses: Name and compact qubits of every instruction, each once; control flow opened.
    """

    template: Template
    uses: frozenset[tuple[str, Qubits]]


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
    _places: OrderedDict[str, Places] = field(default_factory=OrderedDict)

    def materialise(
        self, template: Template, physical_qubits: Qubits, snapshot: Snapshot
    ) -> Materialised:
        """The template's circuit for these qubits.

        Raises:
            CalibrationError: The device lacks one of its instructions there, both ways round.
        """
        places = self._places_of(snapshot)
        turned = frozenset(
            interaction
            for interaction in template.interactions
            if _is_turned(interaction, physical_qubits, snapshot, places)
        )
        made = self._made.get((template, turned))
        if made is None:
            circuit = turn(template.circuit, template.interactions, turned, self.basis_gates)
            made = Materialised(
                template if circuit is template.circuit else replace(template, circuit=circuit),
                frozenset(_uses(circuit)),
            )
            self._made[template, turned] = made
            if len(self._made) > KEPT_CIRCUITS:
                self._made.popitem(last=False)
        self._made.move_to_end((template, turned))
        _check(made, physical_qubits, snapshot, places)
        return made

    def _places_of(self, snapshot: Snapshot) -> Places:
        places = self._places.get(snapshot.topology_id)
        if places is None:
            places = {gate: frozenset(found) for gate, found in snapshot.gates.items()}
            self._places[snapshot.topology_id] = places
            if len(self._places) > KEPT_TOPOLOGIES:
                self._places.popitem(last=False)
        return places


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
    direction = GateDirection(None, _target(circuit.num_qubits, interactions, turned))
    merging = Optimize1qGatesDecomposition(basis=list(basis_gates))
    # Without a pass manager, which takes as long as the two passes.
    dag = circuit_to_dag(circuit, copy_operations=False)
    try:
        dag = merging.run(direction.run(dag))
    except TranspilerError as error:
        raise CalibrationError(
            f"circuit {circuit.name} has a gate that the device has only the other way round at "
            f"this place, and that cannot be turned: {error.message}. Choose another device."
        ) from error
    return dag_to_circuit(dag, copy_operations=False)


def _target(
    width: int, interactions: Mapping[Interaction, int], turned: frozenset[Interaction]
) -> Target:
    """A device that has every one of these gates in the direction that is wanted."""
    places: dict[str, dict[Qubits, None]] = {}
    for first, second, gate in interactions:
        is_turned = (first, second, gate) in turned
        place = (second, first) if is_turned else (first, second)
        places.setdefault(gate, {})[place] = None
    target = Target(num_qubits=width)
    for gate, found in places.items():
        target.add_instruction(operation_named(gate, 2), found, name=gate)
    return target


def _is_turned(
    interaction: Interaction, physical_qubits: Qubits, snapshot: Snapshot, places: Places
) -> bool:
    first, second, gate = interaction
    place = physical_qubits[first], physical_qubits[second]
    known = places.get(gate, frozenset())
    return not _works(gate, place, snapshot, known) and _works(gate, place[::-1], snapshot, known)


def _works(gate: str, place: Qubits, snapshot: Snapshot, known: frozenset[Qubits]) -> bool:
    return (
        place in known
        and is_usable(snapshot, gate, place)
        and (gate_error(snapshot, gate, place) or 0.0) < 1.0
    )


def _check(made: Materialised, physical_qubits: Qubits, snapshot: Snapshot, places: Places) -> None:
    """Nothing leaves for a device that does not have it at that place, whatever was chosen."""
    for name, qubits in made.uses:
        place = tuple(physical_qubits[qubit] for qubit in qubits)
        known = name in NO_GATES or place in places.get(name, ())
        if not known or not is_usable(snapshot, name, place):
            raise CalibrationError(
                f"circuit {made.template.circuit.name} was placed where {snapshot.device} has no "
                f"working {name} on qubit{'s' * (len(place) > 1)} {', '.join(map(str, place))} in "
                f"snapshot {snapshot.content_id}. Choose another placement or device."
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
