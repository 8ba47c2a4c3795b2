"""Readings of a snapshot as values on the wire, and which values cannot be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from qcpaas.calibration import CalibratedValue, Quantity
from store.snapshot import Provenance, Reading, Snapshot

_OF_GATES = {Quantity.GATE_ERROR, Quantity.GATE_DURATION_S}
_COHERENCE = {
    Quantity.T1_S,
    Quantity.T2_S,
    Quantity.T2_ECHO_S,
    Quantity.T2_RAMSEY_S,
}
_PROBABILITY = (0.0, 1.0, "a probability")
# As wide as the slowest and fastest of today's platforms, and a few orders more: what is outside
# was written in another unit.
_PLAUSIBLE = {
    **dict.fromkeys(_COHERENCE, (0.0, 1e5, "in seconds")),
    Quantity.FREQUENCY_HZ: (1e5, 1e16, "in Hz"),
    Quantity.READOUT_FREQUENCY_HZ: (1e5, 1e16, "in Hz"),
    Quantity.ANHARMONICITY_HZ: (-1e11, 1e11, "in Hz"),
    Quantity.READOUT_P10: _PROBABILITY,
    Quantity.READOUT_P01: _PROBABILITY,
    Quantity.READOUT_ERROR: _PROBABILITY,
    Quantity.GATE_ERROR: _PROBABILITY,
    Quantity.READOUT_DURATION_S: (0.0, 10.0, "in seconds"),
    Quantity.GATE_DURATION_S: (0.0, 10.0, "in seconds"),
    Quantity.DRIVE_AMPLITUDE: (0.0, 1.0, "a share of the full scale"),
    Quantity.OPERATIONAL: (0.0, 1.0, "1 or 0"),
}
# Only superconducting qubits have an anharmonicity, and none of them lives for a second.
_WITH_ANHARMONICITY = (0.0, 1.0, "in seconds")


def to_values(snapshot: Snapshot) -> tuple[CalibratedValue, ...]:
    """Every reading; `to_readings` gives them back."""
    return tuple(
        CalibratedValue(
            quantity=reading.quantity,
            qubits=reading.qubits,
            value=reading.value,
            measured_at=reading.measured_at,
            gate=reading.gate,
            std_error=reading.std_error,
            source=reading.provenance.source,
            method=reading.provenance.method,
        )
        for reading in snapshot.readings()
    )


def to_readings(values: Iterable[CalibratedValue]) -> list[Reading]:
    """The inverse of `to_values`."""
    return [
        Reading(
            quantity=value.quantity,
            qubits=value.qubits,
            value=value.value,
            measured_at=value.measured_at,
            gate=value.gate,
            std_error=value.std_error,
            provenance=Provenance(value.source, value.method),
        )
        for value in values
    ]


def faults_of(values: Iterable[CalibratedValue], num_qubits: int) -> Iterator[str]:
    """What is wrong with values that may have been written by hand, each with its name."""
    values = tuple(values)
    superconducting = any(
        value.quantity is Quantity.ANHARMONICITY_HZ and value.value for value in values
    )
    for value in values:
        for fault in _faults_of(value, num_qubits, superconducting):
            yield f"{_named(value)} {fault}"


def _faults_of(value: CalibratedValue, num_qubits: int, superconducting: bool) -> Iterator[str]:
    if value.measured_at.tzinfo is None:
        yield f"was measured at {value.measured_at}, which has no time zone"
    if not value.qubits or len(set(value.qubits)) != len(value.qubits):
        yield "needs qubits, each once"
    if not all(0 <= qubit < num_qubits for qubit in value.qubits):
        yield f"names a qubit that the device does not have: it has {num_qubits}"
    if value.quantity in _OF_GATES and not value.gate:
        yield "needs the name of its gate"
    of_one_qubit = value.quantity not in {*_OF_GATES, Quantity.OPERATIONAL}
    if of_one_qubit and (value.gate or len(value.qubits) != 1):
        yield "belongs to one qubit and to no gate"
    yield from _faults_of_number(value, superconducting)


def _faults_of_number(value: CalibratedValue, superconducting: bool) -> Iterator[str]:
    low, high, meaning = _PLAUSIBLE[value.quantity]
    if superconducting and value.quantity in _COHERENCE:
        low, high, meaning = _WITH_ANHARMONICITY
    if not low <= value.value <= high:
        yield f"is {value.value:g}: {meaning}, it lies between {low:g} and {high:g}"
    elif value.quantity is Quantity.OPERATIONAL and value.value not in {0.0, 1.0}:
        yield f"is {value.value:g}: it is 1 where it works, else 0"
    error = value.std_error
    if error is not None and not (math.isfinite(error) and error >= 0):
        yield f"has the standard error {error:g}: it is zero or more"


def _named(value: CalibratedValue) -> str:
    place = "-".join(map(str, value.qubits))
    return " ".join(filter(None, (value.quantity.value, value.gate, f"of qubit {place}")))
