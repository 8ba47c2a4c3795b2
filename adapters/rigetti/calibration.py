"""What QCS tells of a processor's quality, as a `Snapshot` in SI units.

Qubits are numbered in the order of Rigetti's numbers. A qubit or coupler of the architecture that
an instruction lacks is there as not operational, so that a device's gates do not come and go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from adapters.rigetti.isa import MEASURE, QISKIT_NAMES, Architecture, Fact, Place
from qcpaas.calibration import Quantity
from qcpaas.errors import CalibrationError, MalformedReply
from store.snapshot import Provenance, Reading, Snapshot

_FIDELITIES = {
    "CZ": "fCZ",
    "ISWAP": "fISWAP",
    "CPHASE": "fCPHASE",
    "XY": "fXY",
    "RESET": "fAR",
    "RX": "f1QRB",
}
# The error of a pulse while the others are driven too, as circuits do; else that of a pulse alone.
_PULSES = ("randomized_benchmark_simultaneous_1q", "randomized_benchmark_1q")
_TIMES = (
    ("FreeInversionRecovery", "T1", Quantity.T1_S),
    ("FreeInductionDecay", "T2", Quantity.T2_RAMSEY_S),
)
_NEVER = datetime.fromtimestamp(0, UTC)
_ABOVE_ONE = 1.01  # a fit of a very good gate can end a little above one


def snapshot(found: Architecture, device: str, taken_at: datetime) -> Snapshot:
    """Every value with its own date and standard error.

    Raises:
        MalformedReply: A value makes no sense.
    """
    reader = _Reader(found, f"rigetti:{found.name}")
    readings = [*reader.times(), *reader.readout(), *reader.gates(), *reader.order()]
    for reading in readings:
        if not _plausible(reading):
            raise MalformedReply(
                f"QCS says of {found.name} that {reading.provenance.method} on qubits "
                f"{reading.qubits} makes {reading.quantity.value} {reading.value}."
            )
    try:
        return Snapshot.of(device, len(found.nodes), readings, taken_at)
    except CalibrationError as error:
        raise MalformedReply(f"QCS's calibration of {found.name} is no calibration: {error}") from (
            error
        )


@dataclass(frozen=True)
class Read:
    """What a fact says, in our terms; places are of Rigetti's numbers."""

    quantity: Quantity
    place: Place
    value: float
    gate: str = ""


class _Reader:
    """Readings of one architecture."""

    def __init__(self, found: Architecture, source: str) -> None:
        self._found = found
        self._source = source
        self._newest = max(_dates(found), default=_NEVER)

    def times(self) -> Iterator[Reading]:
        for benchmark, name, quantity in _TIMES:
            for place, facts in self._found.benchmarks.get(benchmark, {}).items():
                fact = _named(facts, name)
                if fact is not None:
                    yield self._measured(Read(quantity, place, fact.value), fact, benchmark)

    def readout(self) -> Iterator[Reading]:
        for place, facts in self._found.sites.get(MEASURE, {}).items():
            fact = _named(facts, "fRO")
            if fact is not None:
                error = Read(Quantity.READOUT_ERROR, place, 1 - fact.value)
                yield self._measured(error, fact, MEASURE)

    def gates(self) -> Iterator[Reading]:
        for quil, gates in QISKIT_NAMES.items():
            places = self._found.sites.get(quil)
            if not places:
                continue
            width = len(next(iter(places)))
            everywhere = self._found.edges if width == 2 else [(n,) for n in self._found.nodes]
            for place in dict.fromkeys([*everywhere, *places]):
                for gate in gates:
                    for order in {place, place[::-1]}:
                        yield from self._gate(quil, gate, order, place)

    def order(self) -> Iterator[Reading]:
        """Qubits that lack pulses or readout."""
        needed = [self._found.sites.get(name, {}) for name in ("RX", MEASURE)]
        for node in self._found.nodes:
            if not all((node,) in sites for sites in needed):
                yield self._told(Read(Quantity.OPERATIONAL, (node,), 0.0), "architecture")

    def _gate(self, quil: str, gate: str, order: Place, place: Place) -> Iterator[Reading]:
        facts = self._found.sites[quil].get(place)
        if facts is None:
            yield self._told(Read(Quantity.OPERATIONAL, order, 0.0, gate), "architecture")
        elif quil == "RZ":
            yield self._told(Read(Quantity.GATE_ERROR, order, 0.0, gate), "frame change")
            yield self._told(Read(Quantity.GATE_DURATION_S, order, 0.0, gate), "frame change")
        else:
            fidelity, method = self._fidelity(quil, place, facts)
            if fidelity is None:
                yield self._told(Read(Quantity.OPERATIONAL, order, 1.0, gate), "architecture")
            else:
                error = 1 - fidelity.value
                if 1 < fidelity.value <= _ABOVE_ONE:
                    error = 0.0
                read = Read(Quantity.GATE_ERROR, order, error, gate)
                yield self._measured(read, fidelity, method)

    def _fidelity(self, quil: str, place: Place, facts: Sequence[Fact]) -> tuple[Fact | None, str]:
        own = _named(facts, _FIDELITIES[quil])
        if own is not None or quil != "RX":
            return own, quil
        for benchmark in _PULSES:
            fact = _named(self._found.benchmarks.get(benchmark, {}).get(place, ()), "fRB")
            if fact is not None:
                return fact, benchmark
        return None, quil

    def _measured(self, read: Read, fact: Fact, method: str) -> Reading:
        return Reading(
            read.quantity,
            self._found.indices(read.place),
            read.value,
            fact.measured_at,
            read.gate,
            fact.error,
            Provenance(self._source, f"{method}.{fact.name}"),
        )

    def _told(self, read: Read, method: str) -> Reading:
        """What the architecture says; it has no date of its own."""
        return Reading(
            read.quantity,
            self._found.indices(read.place),
            read.value,
            self._newest,
            read.gate,
            provenance=Provenance(self._source, method),
        )


def _named(facts: Sequence[Fact], name: str) -> Fact | None:
    return next((fact for fact in facts if fact.name == name), None)


def _dates(found: Architecture) -> Iterator[datetime]:
    for group in (found.sites, found.benchmarks):
        for places in group.values():
            for facts in places.values():
                yield from (fact.measured_at for fact in facts)


def _plausible(reading: Reading) -> bool:
    if reading.quantity in {Quantity.T1_S, Quantity.T2_RAMSEY_S}:
        return 0 < reading.value < 1
    return 0 <= reading.value <= 1
