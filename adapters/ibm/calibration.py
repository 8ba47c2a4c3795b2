"""A backend's properties as a calibration snapshot."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adapters.contract import Unsupported
from adapters.ibm.properties import moment, read_properties
from adapters.ibm.replies import Configuration
from qcpaas.errors import MalformedReply
from store.snapshot import Provenance, Snapshot

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend

    from adapters.ibm.transport import Journal

METHOD = "backend properties"


def read_calibration(
    device: str,
    backend: IBMBackend,
    configuration: Configuration,
    at: datetime | None,
    journal: Journal,
) -> Snapshot | Unsupported:
    """Ask for the newest properties, or for those in force at a past moment.

    The newest ones become those by which the client itself checks circuits. They are read as they
    came: the client takes every date for one of UTC, whatever zone it names.

    Raises:
        MalformedReply: They are not what the API promises.
    """
    now = datetime.now(UTC)
    asked = {"refresh": True} if at is None else {"datetime": at}
    properties = backend.properties(**asked)
    if properties is None:
        when = "now" if at is None else f"of {at.isoformat()} or before"
        return Unsupported("calibration", f"IBM has no properties of {backend.name} {when}")
    found = json.loads(journal.body)
    width, gates = configuration.n_qubits, {*configuration.basis_gates, "reset"}
    if len(found["qubits"]) != width:
        raise MalformedReply(
            f"{device} has {width} qubits, and properties of {len(found['qubits'])} were answered."
        )
    return Snapshot.of(
        device=device,
        num_qubits=width,
        readings=read_properties(found, gates, width, Provenance(f"ibm:{backend.name}", METHOD)),
        taken_at=now if at is None else moment(found["last_update_date"]),
        dt_s=configuration.dt,
    )
