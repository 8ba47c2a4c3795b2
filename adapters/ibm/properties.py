"""IBM's backend properties as readings: of a live device, and of the files that Qiskit carries."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from qcpaas.calibration import Quantity
from qcpaas.errors import MalformedReply
from store.snapshot import Provenance, Reading

_SI = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "Hz": 1.0, "GHz": 1e9}
_SI["MHz"] = 1e6
_OF_QUBIT = {
    "T1": Quantity.T1_S,
    "T2": Quantity.T2_S,
    "frequency": Quantity.FREQUENCY_HZ,
    "anharmonicity": Quantity.ANHARMONICITY_HZ,
    "prob_meas1_prep0": Quantity.READOUT_P10,
    "prob_meas0_prep1": Quantity.READOUT_P01,
    "readout_length": Quantity.READOUT_DURATION_S,
    "operational": Quantity.OPERATIONAL,
}
_OF_GATE = {
    "gate_error": Quantity.GATE_ERROR,
    "gate_length": Quantity.GATE_DURATION_S,
    "operational": Quantity.OPERATIONAL,
}
_SHARES = {
    Quantity.READOUT_P10,
    Quantity.READOUT_P01,
    Quantity.GATE_ERROR,
    Quantity.OPERATIONAL,
}
_SHORTEST_DT_S = 1e-12  # one device's file gives its sampling time in seconds, labelled ns


def read_properties(
    properties: Mapping[str, Any], gates: Collection[str], num_qubits: int, origin: Provenance
) -> list[Reading]:
    """Every value with its own date, in SI units; what is not finite was not measured.

    Args:
        properties: As IBM's API gives them.
        gates: Names of the instructions that the device executes; the others are left out.

    Raises:
        MalformedReply: They are not what the API promises.
    """
    try:
        readings = [*_of_qubits(properties, origin), *_of_gates(properties, gates, origin)]
        for reading in readings:
            _check(reading, num_qubits)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise MalformedReply(
            f"{origin.source}: its properties cannot be read: {error!r:.200}. Ask again, and tell "
            "IBM where it stays so."
        ) from error
    return readings


def sampling_time(dt_ns: float | None) -> float | None:
    """``dt`` of a configuration in seconds, where it makes sense."""
    dt_s = (dt_ns or 0.0) * 1e-9
    return dt_s if dt_s > _SHORTEST_DT_S else None


def moment(date: str) -> datetime:
    """UTC, also where it does not say so."""
    told = datetime.fromisoformat(date)
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)


def _of_qubits(properties: Mapping[str, Any], origin: Provenance) -> Iterator[Reading]:
    for qubit, entries in enumerate(properties["qubits"]):
        for entry in entries:
            yield from _reading(entry, _OF_QUBIT, (qubit,), "", origin)


def _of_gates(
    properties: Mapping[str, Any], gates: Collection[str], origin: Provenance
) -> Iterator[Reading]:
    for gate in properties["gates"]:
        if gate["gate"] in gates:
            for entry in gate["parameters"]:
                yield from _reading(entry, _OF_GATE, tuple(gate["qubits"]), gate["gate"], origin)


def _reading(
    entry: Mapping[str, Any],
    quantities: Mapping[str, Quantity],
    qubits: tuple[int, ...],
    gate: str,
    origin: Provenance,
) -> Iterator[Reading]:
    quantity = quantities.get(entry["name"])
    if quantity is None:
        return
    value = float(entry["value"]) * _SI[entry["unit"]]
    if math.isfinite(value):
        yield Reading(quantity, qubits, value, moment(entry["date"]), gate, provenance=origin)


def _check(reading: Reading, num_qubits: int) -> None:
    where = f"{reading.gate or 'qubit'} {reading.qubits}"
    if not all(type(qubit) is int and 0 <= qubit < num_qubits for qubit in reading.qubits):
        raise ValueError(f"there are {num_qubits} qubits; found {where}")
    largest = 1.0 if reading.quantity in _SHARES else math.inf
    smallest = -math.inf if reading.quantity is Quantity.ANHARMONICITY_HZ else 0.0
    if not smallest <= reading.value <= largest:
        raise ValueError(f"{reading.quantity} of {where} is {reading.value}")
