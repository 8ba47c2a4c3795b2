"""Which operations a quantum computer is calibrated for, by the platform's numbers of its qubits.

Qubits are those of the whole chip, in the natural order of their names (QB2 before QB10), so that
a qubit keeps its number when it drops out of a calibration. The resonators of a star architecture
have no number: a CZ between two qubits is written through one, as MOVE, CZ, MOVE.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iqm.station_control.interface.models import (
        DynamicQuantumArchitecture,
        StaticQuantumArchitecture,
    )

Pair = tuple[int, int]


@dataclass(frozen=True)
class Operation:
    """One calibrated operation: ``metrics.{method}.{gate}.{implementation}.{locus}`` has it."""

    gate: str
    implementation: str
    locus: tuple[str, ...]

    @property
    def path(self) -> str:
        return f"{self.gate}.{self.implementation}.{'__'.join(self.locus)}"


@dataclass(frozen=True)
class Detour:
    """A CZ through a resonator: ``move`` puts its second qubit there, and takes it out again."""

    move: Operation
    cz: Operation

    @property
    def resonator(self) -> str:
        return self.move.locus[1]


@dataclass(frozen=True)
class Architecture:
    """What the calibration set ``calibration_set_id`` has.

    Attributes:
        qubits: Names, by number.
        rotations: PRX, by qubit.
        measurements: By qubit.
        conditional: Qubits with a PRX that a measurement controls, and thus with a reset.
        couplings: CZ between qubits, by pair in its order.
        detours: CZ through a resonator, by (qubit that stays, qubit that is moved).
        missing: Pairs that the chip couples, and this calibration does not.
    """

    calibration_set_id: str
    qubits: tuple[str, ...]
    rotations: Mapping[int, Operation]
    measurements: Mapping[int, Operation]
    conditional: frozenset[int]
    couplings: Mapping[Pair, Operation]
    detours: Mapping[Pair, Detour]
    missing: tuple[Pair, ...]

    @classmethod
    def of(
        cls, calibrated: DynamicQuantumArchitecture, chip: StaticQuantumArchitecture
    ) -> Architecture:
        """Raises `ValueError` where the two do not fit together."""
        names = tuple(sorted(set(chip.qubits) | set(calibrated.qubits), key=_natural))
        if not names:
            raise ValueError("the quantum computer has no qubits")
        number = {name: index for index, name in enumerate(names)}
        resonators = {*chip.computational_resonators, *calibrated.computational_resonators}
        gates = {name: _operations(calibrated, name) for name in calibrated.gates}
        _check(gates.values(), {*names, *resonators})
        cz = gates.get("cz", ())
        couplings = {
            (number[each.locus[0]], number[each.locus[1]]): each
            for each in cz
            if resonators.isdisjoint(each.locus)
        }
        there = {frozenset(pair) for pair in couplings}
        wired = [
            tuple(sorted(number[name] for name in pair))
            for pair in chip.connectivity
            if len(pair) == 2 and all(name in number for name in pair)
        ]
        return cls(
            calibration_set_id=str(calibrated.calibration_set_id),
            qubits=names,
            rotations=_by_qubit(gates.get("prx", ()), number),
            measurements=_by_qubit(gates.get("measure", ()), number),
            conditional=frozenset(_by_qubit(gates.get("cc_prx", ()), number)),
            couplings=couplings,
            detours=_detours(gates.get("move", ()), cz, number),
            missing=tuple((a, b) for a, b in sorted(set(wired)) if frozenset((a, b)) not in there),
        )

    def coupling(
        self, first: int, second: int, moved: Container[int] = ()
    ) -> Operation | Detour | None:
        """How a CZ of two qubits is done, in whichever order the device has it.

        Args:
            moved: Qubits whose state is in a resonator already, which is best used again.
        """
        pairs = ((first, second), (second, first))
        for pair in pairs:
            if pair in self.detours and pair[1] in moved:
                return self.detours[pair]
        found = (self.couplings.get(pair) or self.detours.get(pair) for pair in pairs)
        return next((each for each in found if each is not None), None)


def _operations(calibrated: DynamicQuantumArchitecture, gate: str) -> tuple[Operation, ...]:
    """In the implementation that is used where none is asked for."""
    info = calibrated.gates[gate]
    return tuple(
        Operation(gate, info.get_default_implementation(locus), locus) for locus in info.loci
    )


def _check(gates: Iterable[tuple[Operation, ...]], components: set[str]) -> None:
    for each in (operation for operations in gates for operation in operations):
        if not set(each.locus) <= components or len(set(each.locus)) != len(each.locus):
            raise ValueError(f"{each.gate} acts on {each.locus}, which the chip does not have")
        if each.gate in {"cz", "move"} and len(each.locus) != 2:
            raise ValueError(f"{each.gate} acts on {each.locus}, which are not two")


def _by_qubit(operations: Iterable[Operation], number: Mapping[str, int]) -> dict[int, Operation]:
    """Of each qubit; a locus of several is one that acts on each of them."""
    return {
        number[name]: Operation(each.gate, each.implementation, (name,))
        for each in operations
        for name in each.locus
        if name in number
    }


def _detours(
    moves: Iterable[Operation], cz: Iterable[Operation], number: Mapping[str, int]
) -> dict[Pair, Detour]:
    by_resonator: dict[str, list[tuple[int, Operation]]] = {}
    for each in cz:
        for place, resonator in enumerate(each.locus):
            if resonator not in number:
                stays = number[each.locus[1 - place]]
                by_resonator.setdefault(resonator, []).append((stays, each))
    return {
        (stays, number[move.locus[0]]): Detour(move, gate)
        for move in moves
        for stays, gate in by_resonator.get(move.locus[1], ())
        if stays != number[move.locus[0]]
    }


def _natural(name: str) -> tuple[str, int, str]:
    digits = re.search(r"\d+", name)
    return re.sub(r"[^A-Za-z]", "", name), int(digits.group()) if digits else 0, name
