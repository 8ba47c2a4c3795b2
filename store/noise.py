"""Noise of gate layers, learnt once and shared by jobs while the calibration under it stands."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, select

from qcpaas.calibration import Quantity
from qcpaas.errors import PlatformError
from qcpaas.noise import GateLayer, LayerNoise
from store.database import Store
from store.snapshot import Snapshot
from store.tables import LearntNoise, table

NOISE = table(LearntNoise)

KEPT_OF_A_LAYER = 8
KEPT_OF_A_DEVICE = 2000
AT_ONCE = 200  # layers that are looked up in one query

_METHODS = ("cycle_benchmarking", "process_tomography")
_OF_QUBITS = frozenset(
    {
        Quantity.T1_S,
        Quantity.T2_S,
        Quantity.T2_ECHO_S,
        Quantity.T2_RAMSEY_S,
        Quantity.READOUT_P10,
        Quantity.READOUT_P01,
        Quantity.READOUT_ERROR,
    }
)
_OF_GATES = frozenset({Quantity.GATE_ERROR, Quantity.GATE_DURATION_S})


def layer_id(layer: GateLayer) -> str:
    """Hash of a layer's gates and their physical qubits; 24 hexadecimal digits."""
    gates = sorted((gate.qubits, gate.name) for gate in layer.gates)
    return _hash(gates)


def elements_id(snapshot: Snapshot, layer: GateLayer) -> str:
    """Hash of what a calibration says of a layer's gates and qubits, dates and origins aside.

    Noise that was learnt under one snapshot stays valid under another that has the same.
    """
    wanted = [
        *((quantity.value, "", (qubit,)) for quantity in _OF_QUBITS for qubit in layer.qubits),
        *((quantity.value, g.name, g.qubits) for quantity in _OF_GATES for g in layer.gates),
    ]
    rows = ((key, snapshot.index.get(key)) for key in sorted(wanted))
    values = [(key, float(snapshot.values[row])) for key, row in rows if row is not None]
    return _hash([snapshot.device, values])


class LearntNoises:
    """Learnt noise by device, layer and the calibration's values for it; one a method."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, noises: Sequence[LayerNoise]) -> None:
        """Keep noise in place of what was learnt of the same under the same values.

        The oldest go beyond `KEPT_OF_A_LAYER` and `KEPT_OF_A_DEVICE`.

        Args:
            noises: ``device`` and ``elements_id`` are set.
        """
        rows = [_row(noise) for noise in noises]
        if not rows:
            return
        add = self._store.insert(NOISE)
        add = add.on_conflict_do_update(
            index_elements=["device", "layer", "elements"],
            set_={name: add.excluded[name] for name in ("measured_at", "payload")},
        )
        with self._store.write() as connection:
            for row in sorted(rows, key=lambda row: str(row["layer"])):
                connection.execute(add, row)
                _forget(connection, str(row["device"]), str(row["layer"]), KEPT_OF_A_LAYER)
            for device in sorted({str(row["device"]) for row in rows}):
                _forget(connection, device, None, KEPT_OF_A_DEVICE)

    def find(
        self, snapshot: Snapshot, layers: Sequence[GateLayer], method: str | None = None
    ) -> tuple[LayerNoise | None, ...]:
        """What is known of each layer under a calibration; the newest.

        Args:
            method: Learnt by this one alone.
        """
        keys = [(layer_id(layer), elements_id(snapshot, layer)) for layer in layers]
        found: dict[tuple[str, str], LayerNoise] = {}
        for start in range(0, len(keys), AT_ONCE):
            read = self._read(snapshot.device, keys[start : start + AT_ONCE])
            # The newest comes last.
            found |= {key: noise for key, noise in read if method in {None, noise.method}}
        return tuple(found.get(key) for key in keys)

    def of(self, device: str, limit: int = 200) -> list[LayerNoise]:
        """All that is kept of a device, the newest first."""
        query = (
            select(NOISE.c.payload)
            .where(NOISE.c.device == device)
            .order_by(NOISE.c.measured_at.desc(), NOISE.c.layer, NOISE.c.elements)
            .limit(limit)
        )
        with self._store.read() as connection:
            return [_noise(bytes(payload)) for payload in connection.scalars(query)]

    def _read(
        self, device: str, keys: Sequence[tuple[str, str]]
    ) -> list[tuple[tuple[str, str], LayerNoise]]:
        """The oldest first; some that are not asked may be among them."""
        names = [f"{layer}/{method}" for layer, _ in keys for method in _METHODS]
        query = (
            select(NOISE.c.layer, NOISE.c.elements, NOISE.c.payload)
            .where(
                NOISE.c.device == device,
                NOISE.c.layer.in_(names),
                NOISE.c.elements.in_([elements for _, elements in keys]),
            )
            .order_by(NOISE.c.measured_at)
        )
        with self._store.read() as connection:
            rows = connection.execute(query).all()
        return [
            ((row.layer.partition("/")[0], row.elements), _noise(bytes(row.payload)))
            for row in rows
        ]


def _row(noise: LayerNoise) -> dict[str, object]:
    if not noise.device or not noise.elements_id:
        raise PlatformError(
            "learnt noise is kept for a device and a calibration; this has "
            f"device {noise.device!r} and elements_id {noise.elements_id!r}."
        )
    return {
        "device": noise.device,
        # Of each method one: a job that wants the other must not renew it for all.
        "layer": f"{layer_id(noise.layer)}/{noise.method}",
        "elements": noise.elements_id,
        "measured_at": noise.measured_at or datetime.now(UTC),
        "payload": zlib.compress(noise.model_dump_json().encode()),
    }


def _forget(connection: Connection, device: str, layer: str | None, kept: int) -> None:
    """Drop the oldest of a layer, or of a device, beyond so many."""
    those = [NOISE.c.device == device]
    if layer is not None:
        those.append(NOISE.c.layer == layer)
    beyond = connection.execute(
        select(NOISE.c.layer, NOISE.c.elements)
        .where(*those)
        .order_by(NOISE.c.measured_at.desc())
        .offset(kept)
    ).all()
    for row in beyond:
        connection.execute(
            delete(NOISE).where(
                NOISE.c.device == device,
                NOISE.c.layer == row.layer,
                NOISE.c.elements == row.elements,
            )
        )


def _noise(payload: bytes) -> LayerNoise:
    return LayerNoise.model_validate_json(zlib.decompress(payload))


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]
