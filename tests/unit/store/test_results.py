"""Results with their executions: exact, joined again, explained when they are not there."""

from __future__ import annotations

import json
import math
import struct
import threading
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from qcpaas.errors import NotReady, UnknownJob
from qcpaas.execution import Counts, Distribution
from qcpaas.manifest import CalibrationUse, Diagnostic, ExecutionRecord, JobResult, Manifest
from qcpaas.schemas import (
    CircuitItem,
    CircuitJob,
    CircuitPayload,
    ErrorReport,
    ExecutionSettings,
    JobState,
)
from store.database import Store
from store.jobs import Jobs
from store.ledger import Intent, Ledger, NewCall
from store.payloads import pack, unpack
from store.records import encode_outcomes, encode_request
from store.results import Results
from store.tables import ExecutedCircuit, table

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
CIRCUITS = {key: CircuitPayload(format="qpy", text=key * 50, name=key) for key in ("a", "b")}


def job(job_id: str = "job-1") -> CircuitJob:
    return CircuitJob(
        job_id=job_id,
        execution=ExecutionSettings(backend="FakeKolkata", seed=1),
        items=(CircuitItem(circuit=CIRCUITS["a"]),),
    )


def execution(index: int, angle: float = 0.1, probability: float = 100.0) -> ExecutionRecord:
    return ExecutionRecord(
        index=index,
        token=f"token-{index}",
        circuits=("a", "b"),
        parameter_values=(((angle,), (2 * angle,)), ((),)),
        shots=(1000, None),
        counts=(({"00": 900.0, "11": probability}, {"01": 1000.0}), ({"1": 0.1},)),
        calibration=0,
        device_job_id=f"device-{index}",
        seed=2**31 - 1,
        submitted_at=NOW,
        seconds=0.1 + 0.2,
        qpu_s=1e-3,
    )


def execute(store: Store, results: Results, *indexes: int, angle: float = 0.1) -> None:
    """What a job does to have executed something."""
    results.keep_circuits("job-1", CIRCUITS)
    with Ledger(store, "job-1", tuple) as ledger:
        for index in indexes:
            record = execution(index, angle)
            values = [np.array(rows) for rows in record.parameter_values]
            intent = Intent(
                call=index,
                part=0,
                attempt=0,
                token=record.token,
                device="FakeKolkata",
                session_id=None,
                content_key="",
                seed=record.seed,
                request=encode_request(record.circuits, values, record.shots, 0),
                submitted_at=NOW,
            )
            answer = [
                Counts(
                    tuple(Distribution.from_dict(point, bits, shots) for point in points),
                    (("c", bits),),
                )
                for points, shots, bits in zip(record.counts, record.shots, (2, 1), strict=True)
            ]
            ledger.intend(intent, NewCall(index, "key", "", b""))
            ledger.accepted(record.token, record.device_job_id)
            ledger.answered(record.token, encode_outcomes(answer), record.seconds, record.qpu_s)


def result(
    value: object = -1.137, executions: tuple[ExecutionRecord, ...] = (), **manifest: object
) -> JobResult:
    use = CalibrationUse(
        device="FakeKolkata",
        snapshot_id="abc",
        taken_at=NOW,
        age_s=3.5,
        physical_qubits=(3, 5),
    )
    return JobResult(
        job_id="job-1",
        value=value,
        manifest=Manifest(
            job=job(),
            circuits=CIRCUITS if executions else {},
            executions=executions,
            execution_count=len(executions),
            calibrations=(use,),
            versions={"qiskit": "2.1.2"},
            spent_qpu_s=0.1,
        ).model_copy(update=manifest),
    )


@pytest.fixture
def results(store: Store) -> Results:
    Jobs(store).create(job())
    return Results(store)


def complete(store: Store) -> None:
    Jobs(store).finish("job-1", JobState.COMPLETED)


def test_a_result_comes_back_with_what_was_executed(store: Store, results: Results) -> None:
    execute(store, results, 0, 1)
    results.save(result({"energy": [-1.137, 0.1 + 0.2]}))
    complete(store)
    whole = result({"energy": [-1.137, 0.1 + 0.2]}, (execution(0), execution(1)))
    assert results.load("job-1") == whole
    assert results.whole(result({"energy": [-1.137, 0.1 + 0.2]}, execution_count=2)) == whole


def test_without_executions_their_number_is_still_known(store: Store, results: Results) -> None:
    execute(store, results, 0, 1)
    results.save(result())
    complete(store)
    manifest = results.load("job-1", executions=False).manifest
    assert (manifest.executions, manifest.circuits, manifest.execution_count) == ((), {}, 2)


def test_executions_come_in_order_of_index(store: Store, results: Results) -> None:
    execute(store, results, 11, 2, 0)
    found = results.whole(result()).manifest.executions
    assert [record.index for record in found] == [0, 2, 11]


def test_circuits_are_kept_once_a_job(store: Store, results: Results) -> None:
    Jobs(store).create(job("job-2"))
    for _ in range(3):
        results.keep_circuits("job-1", CIRCUITS)
        Results(store).keep_circuits("job-1", CIRCUITS)  # as another process
        results.keep_circuits("job-2", CIRCUITS)
    with store.read() as connection:
        count = select(func.count()).select_from(table(ExecutedCircuit))
        assert connection.scalar(count) == 2 * len(CIRCUITS)


def test_circuits_of_a_manifest_are_kept_too(store: Store, results: Results) -> None:
    results.keep_circuits("job-1", {"a": CIRCUITS["a"]})
    results.save(result(circuits=CIRCUITS))
    complete(store)
    assert results.load("job-1").manifest.circuits == CIRCUITS


def test_saving_again_replaces_the_value_and_keeps_the_executions(
    store: Store, results: Results
) -> None:
    execute(store, results, 0)
    results.save(result(1.0))
    results.save(result(2.0))
    complete(store)
    assert results.load("job-1") == result(2.0, (execution(0),))


def test_keeping_circuits_of_an_unknown_job_is_an_error(results: Results) -> None:
    with pytest.raises(UnknownJob, match=r"'job-3'.*job-1"):
        results.keep_circuits("job-3", CIRCUITS)


def test_saving_for_an_unknown_job_is_an_error(results: Results) -> None:
    with pytest.raises(UnknownJob, match="'job-3'"):
        results.save(result().model_copy(update={"job_id": "job-3"}))


def test_loading_an_unknown_job_is_an_error(results: Results) -> None:
    with pytest.raises(UnknownJob, match="'job-3'"):
        results.load("job-3")


def test_an_unfinished_job_has_no_result_yet(store: Store, results: Results) -> None:
    with pytest.raises(NotReady, match="is queued"):
        results.load("job-1")
    Jobs(store).start("job-1")
    results.save(result())
    with pytest.raises(NotReady, match="is running"):
        results.load("job-1")


def test_a_job_that_ended_without_a_result_says_why(store: Store, results: Results) -> None:
    error = ErrorReport(type="WorkloadError", message="ZeroDivisionError: division by zero")
    Jobs(store).finish("job-1", JobState.FAILED, error)
    with pytest.raises(NotReady, match=r"failed without a result: ZeroDivisionError"):
        results.load("job-1")


def test_a_value_that_is_not_a_number_is_kept(store: Store, results: Results) -> None:
    figures = {"norm": math.inf, "factors": [math.nan, -math.inf]}
    results.save(
        result(
            {"energy": math.nan, "std": [math.inf]},
            diagnostics=(Diagnostic(option="x", figures=figures),),
        )
    )
    complete(store)
    loaded = results.load("job-1")
    assert isinstance(loaded.value, dict)
    assert math.isnan(loaded.value["energy"])  # type: ignore[arg-type]
    assert loaded.value["std"] == [math.inf]
    # repr, because NaN is not equal to itself
    assert repr(loaded.manifest.diagnostics[0].figures) == repr(figures)


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@given(st.lists(st.floats(allow_subnormal=True), min_size=1, max_size=20))
def test_every_float_survives_bit_for_bit(values: list[float]) -> None:
    saved = result(values)
    record = execution(0, angle=values[0], probability=values[-1])
    for found, given_value in zip(unpack(JobResult, pack(saved)).value, values, strict=True):
        # There are many NaNs; which of them is not kept.
        assert bits(found) == bits(given_value) or (math.isnan(found) and math.isnan(given_value))
    read = unpack(ExecutionRecord, pack(record))
    # repr, because NaN is not equal to itself
    assert repr(read.parameter_values) == repr(record.parameter_values)
    assert repr(read.counts) == repr(record.counts)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4)
    ),
    max_leaves=15,
)


@given(json_values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_any_json_value_survives_the_database(store: Store, value: object) -> None:
    if not Jobs(store).all():
        Jobs(store).create(job())
        complete(store)
    Results(store).save(result(value))
    found = Results(store).load("job-1").value
    assert json.dumps(found) == json.dumps(value)


def test_eight_threads_keep_the_same_circuits(store: Store, results: Results) -> None:
    barrier = threading.Barrier(8)

    def keep() -> None:
        barrier.wait()
        for step in range(10):
            Results(store).keep_circuits("job-1", {str(step): CIRCUITS["a"]})

    threads = [threading.Thread(target=keep) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = results.whole(result()).manifest.circuits
    assert found == {str(step): CIRCUITS["a"] for step in range(10)}
