"""Results: what a job answered, and everything that it executed to find out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, select
from sqlalchemy.exc import IntegrityError

from qcpaas.errors import NotReady
from qcpaas.manifest import JobResult
from qcpaas.schemas import CircuitPayload, ErrorReport, JobState
from store.database import Store
from store.jobs import JOB, unknown_job
from store.ledger_reader import execution_count, executions_of
from store.payloads import pack, unpack
from store.tables import ExecutedCircuit, Result, table

RESULT = table(Result)
CIRCUIT = table(ExecutedCircuit)

_OF_JOB: BindParameter[str] = bindparam("of_job")
_CIRCUITS = select(CIRCUIT.c.key, CIRCUIT.c.payload).where(CIRCUIT.c.job_id == _OF_JOB)
_KNOWN_KEYS = select(CIRCUIT.c.key).where(
    CIRCUIT.c.job_id == _OF_JOB, CIRCUIT.c.key.in_(bindparam("named", expanding=True))
)


class Results:
    """Results by job id; what a job executed is in its ledger, and joined on reading."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # A loop names the same circuits at every step: those just kept are not looked up again.
        self._kept: tuple[str, frozenset[str]] = ("", frozenset())
        # Built once: building a statement costs as much as running it.
        self._add_circuit = store.insert(CIRCUIT).on_conflict_do_nothing()
        insert = store.insert(RESULT)
        self._put_result = insert.on_conflict_do_update(
            index_elements=["job_id"],
            set_={"payload": insert.excluded.payload, "saved_at": insert.excluded.saved_at},
        )

    def keep_circuits(self, job_id: str, circuits: Mapping[str, CircuitPayload]) -> None:
        """Keep circuits that a job is about to execute, each once.

        Raises:
            UnknownJob: There is no such job.
        """
        last_job, keys = self._kept
        kept = keys if last_job == job_id else frozenset()
        new = {key: circuit for key, circuit in circuits.items() if key not in kept}
        if new:
            with self._write(job_id) as connection:
                self._add_circuits(connection, job_id, new)
            self._kept = (job_id, kept | new.keys())

    def save(self, result: JobResult) -> None:
        """Keep a job's value and manifest, in place of an earlier one.

        Circuits in the manifest are added to those that are kept. Executions are not: the ledger
        has them.

        Raises:
            UnknownJob: There is no such job.
        """
        manifest = result.manifest
        slim = manifest.model_copy(update={"circuits": {}, "executions": ()})
        row = {
            "job_id": result.job_id,
            "saved_at": datetime.now(UTC),
            "payload": pack(result.model_copy(update={"manifest": slim})),
        }
        with self._write(result.job_id) as connection:
            self._add_circuits(connection, result.job_id, manifest.circuits)
            connection.execute(self._put_result, row)

    def load(self, job_id: str, executions: bool = True) -> JobResult:
        """A finished job's result.

        Args:
            executions: Whether to read the executions and their circuits too; their number is
                known either way.

        Raises:
            UnknownJob: There is no such job.
            NotReady: It is unfinished, ended without a result, or its result was removed.
        """
        query = (
            select(JOB.c.state, JOB.c.error, JOB.c.pruned_at, RESULT.c.payload)
            .select_from(JOB.outerjoin(RESULT, RESULT.c.job_id == JOB.c.job_id))
            .where(JOB.c.job_id == job_id)
        )
        with self._store.read() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                raise unknown_job(connection, job_id)
            if not JobState(row.state).finished:
                raise NotReady(f"job {job_id} is {row.state}. Ask again when it has finished.")
            if row.payload is None:
                raise NotReady(_why_none(job_id, row.state, row.error, row.pruned_at))
            result = unpack(JobResult, row.payload)
            count = execution_count(connection, job_id)
            joined = _joined(connection, result) if executions else {}
        manifest = result.manifest
        joined["execution_count"] = max(manifest.execution_count, count)
        return result.model_copy(update={"manifest": manifest.model_copy(update=joined)})

    def whole(self, result: JobResult) -> JobResult:
        """A result with the executions and circuits of its job."""
        with self._store.read() as connection:
            joined = _joined(connection, result)
        manifest = result.manifest.model_copy(update=joined)
        return result.model_copy(update={"manifest": manifest})

    @contextmanager
    def _write(self, job_id: str) -> Iterator[Connection]:
        try:
            with self._store.write() as connection:
                yield connection
        except IntegrityError as error:  # the one constraint that data can break: the job's id
            with self._store.read() as connection:
                raise unknown_job(connection, job_id) from error

    def _add_circuits(
        self, connection: Connection, job_id: str, circuits: Mapping[str, CircuitPayload]
    ) -> None:
        if not circuits:
            return
        named = {"of_job": job_id, "named": list(circuits)}
        known = set(connection.scalars(_KNOWN_KEYS, named))
        rows = [
            {"job_id": job_id, "key": key, "payload": pack(circuit)}
            for key, circuit in circuits.items()
            if key not in known
        ]
        if rows:
            connection.execute(self._add_circuit, rows)


def _why_none(job_id: str, state: str, error: str | None, pruned_at: datetime | None) -> str:
    if pruned_at is not None:
        return (
            f"the result of job {job_id} was removed on {pruned_at:%Y-%m-%d} to make space. Run "
            "the job again to get another."
        )
    reason = (
        "" if error is None else f": {ErrorReport.model_validate_json(error).message.rstrip('.')}"
    )
    return f"job {job_id} {state} without a result{reason}."


def _joined(connection: Connection, result: JobResult) -> dict[str, Any]:
    """The manifest's fields that live in tables of their own."""
    # Executions first: whatever is written meanwhile, each circuit that they name is there.
    records = executions_of(connection, result.job_id, result.manifest.calibrations)
    rows = connection.execute(_CIRCUITS, {"of_job": result.job_id})
    return {
        "executions": records,
        "circuits": {row.key: unpack(CircuitPayload, row.payload) for row in rows},
    }
