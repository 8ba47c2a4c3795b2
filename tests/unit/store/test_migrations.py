"""Databases of earlier versions, with what is in them."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import Engine, create_engine, inspect, text

from adapters.fake_backends import read_snapshot
from qcpaas.calibration import Quantity
from qcpaas.errors import CalibrationError, NotReady
from qcpaas.manifest import CalibrationUse, ExecutionRecord, JobResult, Manifest
from qcpaas.schemas import CircuitItem, CircuitJob, CircuitPayload, ExecutionSettings, JobState
from store.calibrations import Calibrations
from store.database import open_store
from store.jobs import Jobs
from store.ledger import Intent, Ledger, LedgerReader, NewCall, SubmissionState
from store.migrations import upgrade
from store.payloads import pack
from store.records import decode_outcomes
from store.results import Results
from store.snapshot import Snapshot

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
CIRCUIT = CircuitPayload(format="qasm2", text="OPENQASM 2.0; qreg q[1];")
USE = CalibrationUse(
    device="FakeKolkata", snapshot_id="abc", taken_at=NOW, age_s=1.0, physical_qubits=(3, 5)
)


def job(job_id: str) -> CircuitJob:
    return CircuitJob(
        job_id=job_id,
        execution=ExecutionSettings(backend="FakeKolkata", seed=1),
        items=(CircuitItem(circuit=CIRCUIT),),
    )


def execution(job_id: str, index: int) -> ExecutionRecord:
    return ExecutionRecord(
        index=index,
        token=f"{job_id}/{index}",
        circuits=("a", "b"),
        parameter_values=(((0.1 + 0.2,), (-0.0,)), ((),)),
        shots=(1000, None),
        counts=(({"00": 900.0, "11": 100.0}, {"01": 1000.0}), ({"": 0.1},)),
        calibration=0,
        device_job_id=f"device-{index}",
        seed=2**31 - 1,
        submitted_at=NOW,
        seconds=0.1 + 0.2,
        qpu_s=1e-3,
    )


def first_version(url: str) -> Engine:
    """A database as the first version of the platform made it."""
    if url.startswith("sqlite"):
        from pathlib import Path

        from sqlalchemy.engine import make_url

        Path(str(make_url(url).database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.begin() as connection:
        upgrade(connection, "0001")
    return engine


def add_job(engine: Engine, job_id: str, state: str, executions: int) -> None:
    moment = NOW.replace(tzinfo=None) if engine.dialect.name == "sqlite" else NOW
    old = {
        "part",
        "attempt",
        "token",
        "session_id",
        "snapshot_id",
    }
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO job (job_id, kind, name, backend, options, state, created_at, "
                "progress, spec) VALUES (:id, 'circuits', '', 'FakeKolkata', '[]', :state, "
                ":now, '{}', :spec)"
            ),
            {"id": job_id, "state": state, "now": moment, "spec": pack(job(job_id))},
        )
        for index in range(executions):
            record = execution(job_id, index).model_dump(mode="json", exclude=old)
            connection.execute(
                text(
                    "INSERT INTO execution VALUES "
                    "(:id, :index, :device_job_id, :submitted_at, :qpu_s, :payload)"
                ),
                {
                    "id": job_id,
                    "index": index,
                    "device_job_id": record["device_job_id"],
                    "submitted_at": moment,
                    "qpu_s": record["qpu_s"],
                    "payload": zlib.compress(json.dumps(record).encode()),
                },
            )
        if state == "completed":
            manifest = Manifest(job=job(job_id), execution_count=executions, calibrations=(USE,))
            result = JobResult(job_id=job_id, value=-1.1, manifest=manifest)
            connection.execute(
                text("INSERT INTO result VALUES (:id, :now, :payload)"),
                {"id": job_id, "now": moment, "payload": pack(result)},
            )


def test_executions_of_a_finished_job_are_in_its_manifest(new_url: str) -> None:
    engine = first_version(new_url)
    add_job(engine, "done", "completed", 12)
    engine.dispose()
    with open_store(new_url) as store:
        assert "execution" not in inspect(store.engine).get_table_names()
        manifest = Results(store).load("done").manifest
        assert manifest.executions == tuple(execution("done", index) for index in range(12))
        assert manifest.execution_count == 12
        assert LedgerReader(store).finished_count("done") == 12
        assert LedgerReader(store).newest_calls("done") == []  # their outcomes were never kept


@pytest.mark.parametrize("state", ["queued", "running", "failed", "cancelled"])
def test_a_job_without_a_result_runs_from_its_start_and_loses_nothing(
    new_url: str, state: str
) -> None:
    engine = first_version(new_url)
    add_job(engine, "open", state, 2)
    engine.dispose()
    with open_store(new_url) as store:
        with pytest.raises(NotReady):
            Results(store).load("open")
        assert Jobs(store).interruptions("open") == 0
        assert Jobs(store).start("open").state is JobState.RUNNING
        with Ledger(store, "open", tuple) as ledger:
            assert ledger.calls() == []
            before = ledger.submissions()
            assert [each.call for each in before] == [-2, -1]
            assert all(each.state is SubmissionState.DONE for each in before)
            assert before[0].answer is not None
            assert decode_outcomes(before[0].answer)[0].points[1].to_dict() == {"01": 1000.0}
            ledger.intend(
                Intent(0, 0, 0, "new", "FakeKolkata", None, "content", 1, b"", NOW),
                NewCall(0, "key", "plan", b""),
            )
            ledger.set_aside([0])
            assert [each.call for each in ledger.submissions()] == [-3, -2, -1]


def third_version(url: str) -> Engine:
    engine = first_version(url)
    with engine.begin() as connection:
        upgrade(connection, "0003")
    return engine


def old_bytes(snapshot: Snapshot) -> bytes:
    """A snapshot as versions up to the third kept it: all of it in one deflated text."""
    header = snapshot.layout.header
    columns = (snapshot.values, snapshot.std_errors, snapshot.measured_at_s, snapshot.origin)
    body = b"".join(column.tobytes() for column in columns)
    return zlib.compress(len(header).to_bytes(4, "little") + header + body, level=6)


def add_snapshot(engine: Engine, snapshot: Snapshot, payload: bytes | None = None) -> None:
    at = snapshot.taken_at
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO snapshot_content (content_id, device, num_qubits, payload, readings) "
                "VALUES (:id, :device, :width, :payload, 0)"
            ),
            {
                "id": snapshot.content_id,
                "device": snapshot.device,
                "width": snapshot.num_qubits,
                "payload": old_bytes(snapshot) if payload is None else payload,
            },
        )
        connection.execute(
            text("INSERT INTO snapshot_pull (device, pulled_at, content_id) VALUES (:d, :at, :id)"),
            {
                "d": snapshot.device,
                "at": at.replace(tzinfo=None) if engine.dialect.name == "sqlite" else at,
                "id": snapshot.content_id,
            },
        )


def old_snapshots() -> list[Snapshot]:
    """Without errors, with short ones, with all digits of them, and one without any reading."""
    real = read_snapshot("FakeNairobi")
    later = {"taken_at": real.taken_at + timedelta(hours=1)}
    single = np.full(len(real.keys), np.nan)
    single[::2] = np.float32(0.1)
    return [
        real,
        replace(real, values=real.values * 2, std_errors=single, **later),
        replace(real.of_device("other"), std_errors=real.values / 3),
        Snapshot.of("empty", 3, [], NOW),
    ]


def test_snapshots_keep_their_ids_and_all_of_their_digits(new_url: str) -> None:
    engine = third_version(new_url)
    for snapshot in old_snapshots():
        add_snapshot(engine, snapshot)
    engine.dispose()
    with open_store(new_url) as store:
        calibrations = Calibrations(store)
        for before in old_snapshots():
            after = calibrations.get(before.content_id)
            assert after.readings() == before.readings()
            assert after.std_errors.tobytes() == before.std_errors.tobytes()
            assert after.taken_at == before.taken_at
        first, second, other, _ = old_snapshots()
        history = calibrations.value_history(first.device, Quantity.T1_S, (3,))
        t1_s = first.get(Quantity.T1_S, 3)
        assert t1_s is not None
        assert [point.value for point in history] == [t1_s, 2 * t1_s]
        (point,) = calibrations.value_history(other.device, Quantity.T1_S, (3,))
        assert point.std_error == t1_s / 3
        # What is pulled now and was known then is the same content.
        assert not calibrations.record(replace(second, taken_at=NOW))
        with store.read() as connection:
            layouts = connection.execute(text("SELECT count(*) FROM snapshot_layout")).scalar()
        assert layouts == 3


def test_a_snapshot_that_was_corrupt_stays_so_and_holds_nothing_up(new_url: str) -> None:
    engine = third_version(new_url)
    real = read_snapshot("FakeNairobi")
    damaged = bytearray(old_bytes(real))
    damaged[100] ^= 1
    add_snapshot(engine, real, bytes(damaged))
    add_snapshot(engine, real.of_device("whole"))
    engine.dispose()
    with open_store(new_url) as store:
        with pytest.raises(CalibrationError, match="corrupt"):
            Calibrations(store).latest(real.device)
        found = Calibrations(store).latest("whole")
        assert found is not None
        assert found.values.tolist() == real.values.tolist()


def test_parts_of_a_payload_can_be_read_on_postgresql_without_the_rest(new_url: str) -> None:
    with open_store(new_url) as store, store.read() as connection:
        if store.is_sqlite:
            pytest.skip("SQLite never compresses")
        how = connection.execute(
            text(
                "SELECT attstorage FROM pg_attribute WHERE attname = 'payload' "
                "AND attrelid = 'snapshot_content'::regclass"
            )
        ).scalar()
    assert how in {"e", b"e"}  # EXTERNAL: out of line, uncompressed


def test_a_database_without_jobs_is_upgraded(new_url: str) -> None:
    first_version(new_url).dispose()
    with open_store(new_url) as store:
        assert Jobs(store).all() == []
        assert Jobs(store).create(job("new")).state is JobState.QUEUED
