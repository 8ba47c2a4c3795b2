"""A device's properties as a calibration snapshot.

Braket's ``standardized`` properties are what is read; of an IonQ device that has none, its
provider's. Braket gives one date, of the properties' last update; Rigetti's own description dates
each value, and is believed where it holds the same value. Qubits are numbered 0, 1, ... in the
order of the vendor's numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard

from pydantic import TypeAdapter, ValidationError

from adapters.braket.errors import Malformed
from adapters.braket.gates import SYMMETRIC, VIRTUAL, native_names, width
from adapters.braket.properties import (
    Amount,
    Facts,
    Fidelity,
    Standardized,
)
from qcpaas.calibration import Quantity
from store.snapshot import Provenance, Reading, Snapshot

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
# The first that is there: what the SDK's own emulator takes.
_GATES_BY = ("RANDOMIZED_BENCHMARKING", "SIMULTANEOUS_RANDOMIZED_BENCHMARKING")
_READOUT_BY = ("READOUT", "READOUT_ERROR")
_DATE = TypeAdapter(datetime)

Place = tuple[int, ...]


@dataclass(frozen=True)
class _Value:
    """In SI, with its standard error, and as the vendor's own description would hold it."""

    value: float
    error: float | None = None
    told: float | None = None


_WORKS = _Value(1.0)


@dataclass(frozen=True)
class Dated:
    """A value with its own date, as Rigetti's description gives it."""

    value: float
    at: datetime


def read_calibration(facts: Facts, device: str, taken_at: datetime) -> Snapshot:
    """The snapshot of a QPU.

    Raises:
        MalformedReply: A unit or a qubit that is not known, or no date.
    """
    return Snapshot.of(device, facts.num_qubits, _Reader(facts).readings(), taken_at)


class _Reader:
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._told = facts.properties.standardized or _of_ionq(facts.properties.provider)
        self._stamps = dict(_stamps(facts.properties.provider))
        at = self._told.updated_at or facts.properties.service.updated_at
        if at is None:
            raise Malformed.of(f"for the properties of {facts.name}", "no updatedAt")
        self._at = at if at.tzinfo else at.replace(tzinfo=UTC)
        self._single = [gate for gate in facts.gates if width(gate) == 1]
        self._double = [gate for gate in facts.gates if width(gate) == 2]

    def readings(self) -> list[Reading]:
        found = [*self._of_device(), *self._of_qubits(), *self._of_pairs(), *self._virtual()]
        # What stands for a qubit or pair itself comes later, and counts.
        kept = {reading.key: reading for reading in found}
        listed = {reading.gate for reading in found if reading.quantity is Quantity.GATE_ERROR}
        return [*kept.values(), *self._unmeasured(set(self._facts.gates) - listed - VIRTUAL)]

    def _of_device(self) -> Iterator[Reading]:
        told, everywhere = self._told, [(qubit,) for qubit in range(self._facts.num_qubits)]
        for place in everywhere:
            yield from self._amount(Quantity.T1_S, place, told.t1, "T1")
            yield from self._amount(Quantity.T2_S, place, told.t2, "T2")
            yield from self._amount(
                Quantity.READOUT_DURATION_S, place, told.readout_duration, "readoutDuration"
            )
            yield from self._readout(place, told.readout_fidelity or (), "readoutFidelity")
            yield from self._gate(place, told.single_qubit_fidelity or (), "singleQubitFidelity")
            for gate in self._single:
                name = "singleQubitGateDuration"
                value = None if gate in VIRTUAL else told.single_qubit_gate_duration
                yield from self._amount(Quantity.GATE_DURATION_S, place, value, name, gate)
        for pair in self._facts.pairs if told.two_qubit_gate_fidelity else ():
            yield from self._both(pair, told.two_qubit_gate_fidelity or (), "twoQubitGateFidelity")
        for pair in self._facts.pairs:
            for gate in self._double:
                name, value = "twoQubitGateDuration", told.two_qubit_gate_duration
                yield from self._amount(Quantity.GATE_DURATION_S, pair, value, name, gate)

    def _of_qubits(self) -> Iterator[Reading]:
        for name, qubit in (self._told.one_qubit_properties or {}).items():
            place = self._facts.place(name)
            yield from self._amount(Quantity.T1_S, place, qubit.t1, "oneQubitProperties.T1")
            yield from self._amount(Quantity.T2_S, place, qubit.t2, "oneQubitProperties.T2")
            yield from self._readout(place, qubit.one_qubit_fidelity, "oneQubitFidelity")
            yield from self._gate(place, qubit.one_qubit_fidelity, "oneQubitFidelity")

    def _of_pairs(self) -> Iterator[Reading]:
        for name, pair in (self._told.two_qubit_properties or {}).items():
            place = self._facts.place(name)
            if len(place) != 2 or place[0] == place[1]:
                raise Malformed.of(f"for the properties of {self._facts.name}", f"pair {name}")
            for way in (place, place[::-1]):
                yield from self._both(way, pair.two_qubit_gate_fidelity, "twoQubitGateFidelity")

    def _virtual(self) -> Iterator[Reading]:
        for gate in VIRTUAL & set(self._facts.gates):
            for qubit in range(self._facts.num_qubits):
                yield self._reading(Quantity.OPERATIONAL, (qubit,), _WORKS, "nativeGateSet", gate)

    def _unmeasured(self, gates: Iterable[str]) -> Iterator[Reading]:
        """Gates of which nothing is told anywhere, wherever they can be."""
        for gate in sorted(gates):
            everywhere = [(qubit,) for qubit in range(self._facts.num_qubits)]
            for place in everywhere if width(gate) == 1 else self._facts.pairs:
                yield self._reading(Quantity.OPERATIONAL, place, _WORKS, "nativeGateSet", gate)

    def _readout(self, place: Place, told: Iterable[Fidelity], where: str) -> Iterator[Reading]:
        found = _chosen(told, _READOUT_BY, any_type=where == "readoutFidelity")
        if found is not None:
            method = f"{where}.READOUT" if where == "oneQubitFidelity" else where
            yield self._error(Quantity.READOUT_ERROR, place, found, method)

    def _gate(self, place: Place, told: Iterable[Fidelity], where: str) -> Iterator[Reading]:
        found = _chosen(told, _GATES_BY)
        for gate in self._single if found is not None else ():
            if gate not in VIRTUAL:
                assert found is not None
                yield self._error(Quantity.GATE_ERROR, place, found, _method(where, found), gate)

    def _both(self, place: Place, told: Iterable[Fidelity], where: str) -> Iterator[Reading]:
        """The 2-qubit gates of a pair in one direction."""
        best: dict[str, Fidelity] = {}
        for each in told:
            for gate in self._named(each):
                if gate not in SYMMETRIC and not self._runs(each, place):
                    continue
                if gate not in best or best[gate].fidelity < each.fidelity:
                    best[gate] = each
        for gate, found in best.items():
            yield self._error(Quantity.GATE_ERROR, place, found, _method(where, found), gate)

    def _named(self, told: Fidelity) -> list[str]:
        """Our 2-qubit gates that a fidelity is of.

        A device that compiles itself does one of its own 2-qubit gates for each of ours.
        """
        if not self._facts.verbatim or not told.gate_name:
            return self._double
        names = native_names([told.gate_name, "x"], quarter_turns=False) or ()
        return [gate for gate in names if gate in self._double]

    def _runs(self, told: Fidelity, place: Place) -> bool:
        ends = told.direction
        if not ends or not {"control", "target"} <= set(ends):
            return True
        named = (ends["control"], ends["target"])
        return tuple(self._facts.index.get(label) for label in named) == place

    def _error(
        self, quantity: Quantity, place: Place, told: Fidelity, method: str, gate: str = ""
    ) -> Reading:
        value = _Value(1.0 - told.fidelity, told.standard_error, told.fidelity)
        return self._reading(quantity, place, value, method, gate)

    def _amount(
        self, quantity: Quantity, place: Place, told: Amount | None, method: str, gate: str = ""
    ) -> Iterator[Reading]:
        if told is None:
            return
        unit = SECONDS.get(told.unit)
        if unit is None:
            raise Malformed.of(f"for the properties of {self._facts.name}", f"unit {told.unit}")
        error = None if told.standard_error is None else told.standard_error * unit
        value = _Value(told.value * unit, error, told.value * unit)
        yield self._reading(quantity, place, value, method, gate)

    def _reading(
        self, quantity: Quantity, place: Place, value: _Value, method: str, gate: str
    ) -> Reading:
        return Reading(
            quantity=quantity,
            qubits=place,
            value=value.value,
            measured_at=self._date(place, value.told),
            gate=gate,
            std_error=value.error,
            provenance=Provenance(f"braket:{self._facts.name}", method),
        )

    def _date(self, place: Place, told: float | None) -> datetime:
        labels = tuple(sorted(self._facts.labels[qubit] for qubit in place))
        stamps = () if told is None else self._stamps.get(labels, ())
        dates = [s.at for s in stamps if math.isclose(s.value, told or 0.0, rel_tol=1e-9)]
        return max(dates, default=self._at)


def _chosen(
    told: Iterable[Fidelity], names: tuple[str, ...], *, any_type: bool = False
) -> Fidelity | None:
    by_type = {
        each.fidelity_type.name if each.fidelity_type else "": each for each in reversed([*told])
    }
    for name in names:
        if name in by_type:
            return by_type[name]
    return next(iter(by_type.values()), None) if any_type else None


def _method(where: str, told: Fidelity) -> str:
    kind = told.fidelity_type.name if told.fidelity_type else ""
    return ".".join(filter(None, (where, told.gate_name.lower(), kind)))


def _stamps(found: object, depth: int = 0) -> Iterator[tuple[Place, list[Dated]]]:
    """Values with dates of each site, from a description such as Rigetti's."""
    sites: dict[Place, list[Dated]] = {}
    for nodes, characteristic in _characteristics(found, depth):
        try:
            value = float(characteristic["value"])
            at = _DATE.validate_python(characteristic["timestamp"])
        except (KeyError, OverflowError, TypeError, ValueError, ValidationError):
            continue  # one that has no date is of no use here
        sites.setdefault(nodes, []).append(
            Dated(value, at if at.tzinfo else at.replace(tzinfo=UTC))
        )
    yield from sites.items()


def _characteristics(found: object, depth: int) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    if depth > 12:
        return
    if isinstance(found, dict):
        nodes, listed = found.get("node_ids"), found.get("characteristics")
        if _are_numbers(nodes) and isinstance(listed, list):
            place = tuple(sorted(nodes))
            yield from ((place, each) for each in listed if isinstance(each, dict))
        for value in found.values():
            yield from _characteristics(value, depth + 1)
    elif isinstance(found, list):
        for value in found:
            yield from _characteristics(value, depth + 1)


def _are_numbers(found: Any) -> TypeGuard[list[int]]:
    return isinstance(found, list) and all(isinstance(each, int) for each in found)


def _of_ionq(provider: Mapping[str, Any] | None) -> Standardized:
    """IonQ's own averages in the form of the standardized properties."""
    try:
        fidelity, timing = dict((provider or {})["fidelity"]), dict((provider or {})["timing"])
        kind = {"fidelityType": {"name": _GATES_BY[0]}}
        given = {
            "T1": _seconds(timing, "T1"),
            "T2": _seconds(timing, "T2"),
            "readoutDuration": _seconds(timing, "readout"),
            "singleQubitGateDuration": _seconds(timing, "1Q"),
            "twoQubitGateDuration": _seconds(timing, "2Q"),
            "readoutFidelity": _mean(fidelity, "spam", {}),
            "singleQubitFidelity": _mean(fidelity, "1Q", kind),
            "twoQubitGateFidelity": _mean(fidelity, "2Q", kind),
        }
    except (KeyError, TypeError, ValueError):
        return Standardized()
    return Standardized.model_validate(given)


def _seconds(timing: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    return {"value": timing[name], "unit": "s"} if name in timing else None


def _mean(
    fidelity: Mapping[str, Any], name: str, kind: Mapping[str, Any]
) -> tuple[dict[str, Any], ...] | None:
    return ({"fidelity": fidelity[name]["mean"], **kind},) if name in fidelity else None
