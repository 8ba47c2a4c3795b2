"""Sessions and batches, which live at IBM and are named by their id alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from adapters.contract import DeviceSession
from adapters.ibm.replies import Session as Details

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend, Session


def open_mode(backend: IBMBackend, mode: str, max_time_s: int | None) -> Session:
    """A new session or batch."""
    from qiskit_ibm_runtime import Batch, Session

    return (Batch if mode == "batch" else Session)(backend, max_time=max_time_s)


def resumed(backend: IBMBackend, session_id: str) -> Session:
    """One that is open already, perhaps by another process; asks nobody."""
    from qiskit_ibm_runtime import Session

    session = Session(backend, create_new=False)
    # `Session.from_id` would take another backend object, without the gates of any angle.
    session._session_id = session_id  # noqa: SLF001
    return session


def limits(details: Details) -> DeviceSession:
    """IBM counts its longest time from the first job's start; until then it is counted from now,
    so that it is never told too late.
    """
    started = details.activated_at or details.started_at or datetime.now(UTC)
    longest = details.max_ttl
    return DeviceSession(
        session_id=details.id,
        expires_at=None if longest is None else started + timedelta(seconds=longest),
        max_idle_s=details.interactive_ttl,
    )
