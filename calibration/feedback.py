"""What observed fidelities say about a device's calibrated errors, kept from one to the next.

Kept are the newest circuits that were observed, and not a running covariance: the same circuit
seen a thousand times must not outweigh what the model itself gets wrong, an observation that all
later ones contradict loses its weight, and a calibration that is renewed makes what was learnt of
that one element void.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from adapters.target import READOUT
from calibration.elements import Corrections, Element, Kind
from calibration.factors import SLAB, SLAB_SHARE, SPIKE, Factor, Seen, fit
from qcpaas.calibration import Quantity
from store.snapshot import T2_KINDS, Snapshot

FORMAT = 1
KEPT_CIRCUITS = 256
USER = "user"  # of two figures that a user gives for the same job, the later one counts
_ALONE: tuple[Kind, ...] = ("one_qubit", "readout", "idle")
_OF_QUBIT: Mapping[Kind, tuple[Quantity, ...]] = {
    "readout": READOUT,
    "idle": (Quantity.T1_S, *T2_KINDS),
}


@dataclass(frozen=True, eq=False)
class Evidence:
    """The newest circuits that were observed, and what they say of the elements in them.

    Attributes:
        seen: The newest last, at most `KEPT_CIRCUITS`.
        marks: Which calibration of each element ``seen`` refers to.
        factors: Of the elements of ``seen``.
    """

    seen: tuple[Seen, ...] = ()
    marks: Mapping[Element, str] = field(default_factory=dict)
    factors: Mapping[Element, Factor] = field(default_factory=dict)

    def renewed(self, marks: Mapping[Element, str]) -> Evidence:
        """The same, where an element of another mark starts anew: as calibrated."""
        changed = [e for e, mark in marks.items() if self.marks.get(e, mark) != mark]
        seen = self.seen
        for element in changed:
            known = self.factors.get(element, Factor(0.0, SLAB))
            seen = tuple(
                one.without(element, math.exp(known.log), known.std_error)
                if element in one.elements
                else one
                for one in seen
            )
        seen = tuple(one for one in seen if one.elements)
        factors = {e: factor for e, factor in self.factors.items() if e not in changed}
        return _bounded(Evidence(seen, {**self.marks, **marks}, factors))

    def with_seen(self, observed: Seen, marks: Mapping[Element, str]) -> Evidence:
        """With one observation more, and the factors that it changes.

        Args:
            marks: The calibration of the observation's elements.
        """
        now = self.renewed(marks)
        same = [one for one in now.seen if one.name == observed.name]
        newest = same[-1].merged(observed) if same and observed.source != USER else observed
        others = tuple(one for one in now.seen if one.name != observed.name)
        held = _bounded(replace(now, seen=(*others, newest)))
        return replace(held, factors=fit(held.seen))

    def corrections(self, marks: Mapping[Element, str], version: int) -> Corrections:
        """What to multiply calibrated errors by.

        Args:
            marks: The calibration that they are of; what was learnt of another is left out.
        """
        known = {
            element: factor.log
            for element, factor in self.factors.items()
            if factor.log and marks.get(element) == self.marks.get(element)
        }
        return Corrections(known, version)

    def drawn(self, elements: Iterable[Element], seed: int) -> Corrections:
        """Factors as they may be, drawn from what is known and not known of each element.

        A placement that is best by such a draw is one worth a look: likely good, or little known.

        Source: Thompson, Biometrika 25, 285 (1933).
        """
        rng = np.random.default_rng(seed)
        listed = list(elements)
        far = rng.random(len(listed)) < SLAB_SHARE
        drawn = {}
        for element, is_far, normal in zip(listed, far, rng.normal(size=len(listed)), strict=True):
            unknown = Factor(0.0, SLAB if is_far else SPIKE)
            factor = self.factors.get(element, unknown)
            drawn[element] = factor.log + factor.std_error * float(normal)
        return Corrections(drawn, seed)

    def to_bytes(self) -> bytes:
        """For the store: some 200 bytes a circuit."""
        elements = list(
            dict.fromkeys((*self.marks, *(e for one in self.seen for e in one.elements)))
        )
        place = {element: index for index, element in enumerate(elements)}
        header = {
            "elements": elements,
            "marks": [self.marks.get(element) for element in elements],
            "factors": [
                (place[element], factor.log, factor.std_error)
                for element, factor in self.factors.items()
            ],
            "seen": [
                (one.name, one.source, one.log_fidelity, one.variance, len(one.elements))
                for one in self.seen
            ],
        }
        text = json.dumps(header).encode()
        indices = [place[element] for one in self.seen for element in one.elements]
        nats = np.concatenate([one.contributions for one in self.seen] or [np.empty(0)])
        body = struct.pack("<I", len(text)) + text + np.array(indices, "<u4").tobytes()
        return bytes([FORMAT]) + zlib.compress(body + nats.astype("<f8").tobytes())

    @classmethod
    def from_bytes(cls, payload: bytes) -> Evidence | None:
        """What `to_bytes` wrote; ``None`` where it is damaged or of another version."""
        if not payload or payload[0] != FORMAT:
            return None
        try:
            body = zlib.decompress(payload[1:])
            (size,) = struct.unpack_from("<I", body)
            return _read(json.loads(body[4 : 4 + size]), body[4 + size :])
        except (zlib.error, struct.error, ValueError, KeyError, IndexError, TypeError):
            return None


def _read(header: Mapping[str, Any], columns: bytes) -> Evidence:
    elements = [Element(kind, tuple(qubits)) for kind, qubits in header["elements"]]
    total = sum(row[4] for row in header["seen"])
    indices = np.frombuffer(columns, "<u4", total)
    nats = np.frombuffer(columns, "<f8", total, offset=indices.nbytes)
    seen, start = [], 0
    for name, source, log_fidelity, variance, count in header["seen"]:
        own = slice(start, start + count)
        used = tuple(elements[index] for index in indices[own])
        seen.append(Seen(name, used, nats[own].copy(), log_fidelity, variance, source))
        start += count
    return Evidence(
        tuple(seen),
        {e: mark for e, mark in zip(elements, header["marks"], strict=True) if mark is not None},
        {elements[index]: Factor(log, error) for index, log, error in header["factors"]},
    )


def elements_of(snapshot: Snapshot) -> tuple[Element, ...]:
    """Everything on a device that a circuit can use."""
    couplers = {
        tuple(sorted(place))
        for places in snapshot.gates.values()
        for place in places
        if len(place) == 2
    }
    qubits = [(qubit,) for qubit in range(snapshot.num_qubits)]
    return (
        *(Element("two_qubit", pair) for pair in sorted(couplers)),
        *(Element(kind, qubit) for kind in _ALONE for qubit in qubits),
    )


def marks_of(snapshot: Snapshot, elements: Iterable[Element]) -> dict[Element, str]:
    """Which calibration of each element a snapshot has: changes with a value or its date."""
    rows_of: dict[Element, list[int]] = {element: [] for element in elements}
    for row, (quantity, _, qubits) in enumerate(snapshot.keys):
        for kind in kinds_of(quantity, len(qubits)):
            element = Element(kind, tuple(sorted(qubits)))
            if element in rows_of:
                rows_of[element].append(row)
    return {
        element: hashlib.blake2b(
            snapshot.values[rows].tobytes() + snapshot.measured_at_s[rows].tobytes(), digest_size=6
        ).hexdigest()
        for element, rows in rows_of.items()
    }


def kinds_of(quantity: str, width: int) -> tuple[Kind, ...]:
    """The kinds of element whose error a quantity decides."""
    if quantity == Quantity.GATE_ERROR.value:
        return ("two_qubit",) if width == 2 else ("one_qubit",)
    return tuple(kind for kind, own in _OF_QUBIT.items() if quantity in own)


def _bounded(evidence: Evidence) -> Evidence:
    """The newest circuits, and of marks and factors what they still refer to."""
    seen = evidence.seen[-KEPT_CIRCUITS:]
    used = {element for one in seen for element in one.elements}
    return Evidence(
        seen,
        {e: mark for e, mark in evidence.marks.items() if e in used},
        {e: factor for e, factor in evidence.factors.items() if e in used},
    )
