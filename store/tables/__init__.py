"""The tables of the configuration database, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from store.tables.calibrations import (
    Drift,
    FittedValue,
    NodeState,
    SnapshotContent,
    SnapshotLayout,
    SnapshotPull,
)
from store.tables.devices import Device, Feedback, LearntNoise, Observation
from store.tables.jobs import Checkpoint, Curve, Job, Lease, Result, SavedJournal
from store.tables.ledger import OPEN, Call, Compiled, ExecutedCircuit, SentPlan, Submission
from store.tables.people import ApiToken, AuditEntry, User
from store.tables.row import NUMBER, Row, UtcDateTime, listed_qubits, qubits_text, table
from store.tables.scheduling import (
    Admission,
    DeviceTiming,
    RegisteredWorker,
    ReservedWindow,
    SharedJob,
    StartForecast,
    UserUsage,
)

__all__ = [
    "NUMBER",
    "OPEN",
    "Admission",
    "ApiToken",
    "AuditEntry",
    "Call",
    "Checkpoint",
    "Compiled",
    "Curve",
    "Device",
    "DeviceTiming",
    "Drift",
    "ExecutedCircuit",
    "Feedback",
    "FittedValue",
    "Job",
    "LearntNoise",
    "Lease",
    "NodeState",
    "Observation",
    "RegisteredWorker",
    "ReservedWindow",
    "Result",
    "Row",
    "SavedJournal",
    "SentPlan",
    "SharedJob",
    "SnapshotContent",
    "SnapshotLayout",
    "SnapshotPull",
    "StartForecast",
    "Submission",
    "User",
    "UserUsage",
    "UtcDateTime",
    "listed_qubits",
    "qubits_text",
    "table",
]
