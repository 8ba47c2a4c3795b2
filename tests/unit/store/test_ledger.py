"""The ledger: every step kept in order, repeated without harm, refused to who has lost the job."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, text

from qcpaas.errors import PlatformError, PlatformUnavailable, StoreFull, Superseded, UnknownJob
from qcpaas.execution import Counts, Distribution, ExpectationValues
from qcpaas.manifest import CalibrationUse, ExecutionRecord
from qcpaas.schemas import CircuitItem, CircuitJob, CircuitPayload, ExecutionSettings
from store.database import Store, open_store
from store.jobs import Jobs
from store.leases import Lease, Leases
from store.ledger import (
    WRITE_AFTER_S,
    Intent,
    Ledger,
    LedgerReader,
    NewCall,
    RecordedCall,
    SubmissionState,
)
from store.records import encode_asked, encode_outcomes, encode_request

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
JOB = "job-1"


def create_job(store: Store, job_id: str = JOB) -> None:
    circuit = CircuitPayload(format="qasm2", text="OPENQASM 2.0; qreg q[1];")
    Jobs(store).create(
        CircuitJob(
            job_id=job_id,
            execution=ExecutionSettings(backend="FakeKolkata", seed=1),
            items=(CircuitItem(circuit=circuit),),
        )
    )


def call(index: int, key: str = "", plan_key: str = "plan") -> NewCall:
    return NewCall(index, key or f"key-{index}", plan_key, f"asked {index}".encode())


def intent(index: int, part: int = 0, attempt: int = 0, **changed: Any) -> Intent:
    fields: dict[str, Any] = {
        "call": index,
        "part": part,
        "attempt": attempt,
        "token": f"token-{index}-{part}-{attempt}",
        "device": "loopback",
        "session_id": None,
        "content_key": "content",
        "seed": 2**62 + index,
        "request": b"request",
        "submitted_at": NOW,
    }
    return Intent(**fields | changed)


def no_guards() -> tuple[Lease, ...]:
    return ()


@pytest.fixture
def ledger(store: Store) -> Iterator[Ledger]:
    create_job(store)
    with Ledger(store, JOB, no_guards) as opened:
        yield opened


def perform(ledger: Ledger, index: int) -> None:
    """All steps of one call."""
    ledger.intend(intent(index), call(index))
    ledger.accepted(f"token-{index}-0-0", f"device-{index}")
    ledger.answered(f"token-{index}-0-0", b"answer", 1.5, 0.25)
    ledger.finished(index, f"outcomes {index}".encode())


def state(ledger: Ledger, token: str) -> SubmissionState:
    (found,) = [each for each in ledger.submissions() if each.token == token]
    return found.state


def test_a_call_goes_through_its_steps(ledger: Ledger) -> None:
    sent = intent(0, session_id="session-7")
    ledger.intend(sent, call(0))
    assert ledger.calls() == [RecordedCall(0, "key-0", "plan", done=False)]
    assert ledger.asked(0) == b"asked 0"
    (found,) = ledger.open_submissions()
    assert {name: getattr(found, name) for name in Intent.__dataclass_fields__} == sent.__dict__
    assert (found.state, found.device_job_id, found.answer) == (SubmissionState.INTENT, None, None)

    ledger.accepted(sent.token, "device-1")
    (found,) = ledger.open_submissions()
    assert (found.state, found.device_job_id) == (SubmissionState.ACCEPTED, "device-1")

    ledger.answered(sent.token, b"answer", 0.1 + 0.2, 1e-3)
    ledger.finished(0, b"outcomes")
    assert ledger.open_submissions() == []
    (found,) = ledger.submissions()
    assert found.state is SubmissionState.DONE
    assert (found.answer, found.seconds, found.qpu_s) == (b"answer", 0.1 + 0.2, 1e-3)
    assert ledger.calls() == [RecordedCall(0, "key-0", "plan", done=True)]
    assert ledger.outcomes(0, 0) == {0: b"outcomes"}


def test_another_process_finds_what_was_written(store: Store, ledger: Ledger) -> None:
    for index in range(3):
        perform(ledger, index)
    ledger.flush()
    other = Ledger(store, JOB, no_guards)
    assert other.calls() == ledger.calls()
    assert other.outcomes(1, 2) == {1: b"outcomes 1", 2: b"outcomes 2"}
    other.close()


def test_every_step_may_be_repeated(ledger: Ledger) -> None:
    steps: list[Callable[[], None]] = [
        lambda: ledger.keep_plan("plan", b"plan", "[]"),
        lambda: ledger.intend(intent(0), call(0)),
        lambda: ledger.accepted("token-0-0-0", "device-1"),
        lambda: ledger.answered("token-0-0-0", b"answer", 1.0, 2.0),
        lambda: ledger.finished(0, b"outcomes"),
        lambda: ledger.checkpoint(3, b"state"),
        lambda: ledger.keep_journal("journal"),
    ]
    for again in range(len(steps)):
        for step in steps[: again + 1]:
            step()
            step()
        ledger.flush()
    (found,) = ledger.submissions()
    assert (found.state, found.device_job_id, found.answer) == (
        SubmissionState.DONE,
        "device-1",
        b"answer",
    )
    assert ledger.outcomes(0, 9) == {0: b"outcomes"}
    assert ledger.latest_checkpoint() == (3, b"state")


def test_the_first_answer_and_the_first_outcomes_stay(ledger: Ledger) -> None:
    perform(ledger, 0)
    ledger.flush()
    ledger.answered("token-0-0-0", b"another", 9.0, 9.0)
    ledger.finished(0, b"others")
    (found,) = ledger.submissions()
    assert (found.answer, found.seconds) == (b"answer", 1.5)
    assert ledger.outcomes(0, 0) == {0: b"outcomes 0"}


def test_the_next_intent_takes_what_is_queued_into_its_commit(store: Store, ledger: Ledger) -> None:
    perform(ledger, 0)
    reader = LedgerReader(store)
    assert reader.finished_count(JOB) == 0
    ledger.intend(intent(1), call(1))
    assert reader.finished_count(JOB) == 1


def test_what_is_queued_is_written_in_time_by_itself(store: Store, ledger: Ledger) -> None:
    perform(ledger, 0)
    deadline = time.monotonic() + WRITE_AFTER_S + 5
    while LedgerReader(store).finished_count(JOB) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_closing_writes_what_is_queued(store: Store) -> None:
    create_job(store)
    with Ledger(store, JOB, no_guards) as ledger:
        perform(ledger, 0)
        ledger.keep_journal("journal")
    with Ledger(store, JOB, no_guards) as again:
        assert again.outcomes(0, 0) == {0: b"outcomes 0"}
        assert again.journal() == "journal"


def test_an_acceptance_may_wait_for_what_comes_next(store: Store, ledger: Ledger) -> None:
    ledger.intend(intent(0), call(0))
    ledger.accepted("token-0-0-0", "device-1", queued=True)
    (found,) = LedgerReader(store).open_submissions(JOB)
    assert found.state is SubmissionState.INTENT
    ledger.flush()
    (found,) = LedgerReader(store).open_submissions(JOB)
    assert (found.state, found.device_job_id) == (SubmissionState.ACCEPTED, "device-1")


def test_accepting_what_was_never_intended_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(PlatformError, match="'token-9'"):
        ledger.accepted("token-9", "device-1")


def test_a_ledger_of_an_unknown_job_is_refused(store: Store) -> None:
    create_job(store)
    with Ledger(store, "job-2", no_guards) as ledger:
        with pytest.raises(UnknownJob, match="'job-2'"):
            ledger.intend(intent(0), call(0))
        with pytest.raises(UnknownJob, match="'job-2'"):
            ledger.keep_plan("plan", b"", "[]")


def test_a_place_that_has_another_submission_is_not_written_over(ledger: Ledger) -> None:
    ledger.intend(intent(0), call(0))
    with pytest.raises(Superseded, match="token-0-0-0"):
        ledger.intend(intent(0, token="other"), None)
    with pytest.raises(Superseded, match=r"key-0, not other"):
        ledger.intend(intent(0), call(0, key="other"))
    assert [each.token for each in ledger.submissions()] == ["token-0-0-0"]


def test_a_token_is_never_used_twice(store: Store, ledger: Ledger) -> None:
    create_job(store, "job-2")
    ledger.intend(intent(0, token="same"), call(0))
    with Ledger(store, "job-2", no_guards) as other:
        with pytest.raises(Superseded, match="same"):
            other.intend(intent(0, token="same"), call(0))
        assert other.calls() == []  # nothing of it was kept


def test_a_large_call_has_parts_and_attempts(ledger: Ledger) -> None:
    ledger.intend(intent(0), call(0))
    for part, attempt in ((2, 0), (1, 0), (1, 1)):
        ledger.intend(intent(0, part, attempt), None)
    ledger.failed("token-0-1-0", "session ended")
    ledger.answered("token-0-0-0", b"answer", 1.0, 1.0)
    ledger.intend(intent(1), call(1))
    places = [(each.call, each.part, each.attempt) for each in ledger.submissions()]
    assert places == [(0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 2, 0), (1, 0, 0)]
    assert len(ledger.submissions(call=0)) == 4
    left = [(each.part, each.attempt) for each in ledger.submissions(call=0, open_only=True)]
    assert left == [(1, 1), (2, 0)]


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_submission_that_came_to_nothing_says_why(ledger: Ledger, cancelled: bool) -> None:
    ledger.intend(intent(0), call(0))
    ledger.failed("token-0-0-0", "calibration\0 running", cancelled=cancelled)
    (found,) = ledger.submissions()
    assert found.state is (SubmissionState.CANCELLED if cancelled else SubmissionState.FAILED)
    assert found.note == "calibration running"
    assert ledger.open_submissions() == []
    ledger.accepted("token-0-0-0", "device-1")  # learnt late; needed to look it up there
    (found,) = ledger.submissions()
    assert found.device_job_id == "device-1"
    assert not found.state.open


def test_an_answer_outlives_a_cancellation(ledger: Ledger) -> None:
    perform(ledger, 0)
    ledger.failed("token-0-0-0", "too late", cancelled=True)
    assert state(ledger, "token-0-0-0") is SubmissionState.DONE


def test_the_newest_submission_tells_the_session(ledger: Ledger) -> None:
    assert ledger.last_session() is None
    ledger.intend(intent(0, session_id="first"), call(0))
    ledger.intend(intent(0, attempt=1, session_id="second"), None)
    assert ledger.last_session() == "second"
    ledger.intend(intent(1), call(1))
    assert ledger.last_session() is None


def test_calls_set_aside_leave_their_places_free(ledger: Ledger) -> None:
    for index in range(4):
        perform(ledger, index)
    ledger.set_aside([2, 3])
    ledger.set_aside([2, 3])
    assert [each.index for each in ledger.calls()] == [0, 1]
    ledger.intend(intent(2, token="new"), call(2, key="new"))
    ledger.set_aside([2])
    ledger.intend(intent(2, token="newer"), call(2, key="newer"))
    assert [(each.index, each.key) for each in ledger.calls()] == [
        (0, "key-0"),
        (1, "key-1"),
        (2, "newer"),
    ]
    places = {each.token: each.call for each in ledger.submissions()}
    assert places == {
        "token-0-0-0": 0,
        "token-1-0-0": 1,
        "token-2-0-0": -1,
        "token-3-0-0": -2,
        "new": -3,
        "newer": 2,
    }


def test_a_plan_is_kept_once(store: Store, ledger: Ledger) -> None:
    ledger.keep_plan("b", b"first", '["first"]')
    ledger.keep_plan("a", b"second", '["second"]')
    with Ledger(store, JOB, no_guards) as other:
        other.keep_plan("b", b"again", '["again"]')
    assert ledger.plan("b") == b"first"
    assert ledger.plan("c") is None


def test_the_newest_checkpoint_and_journal_stay(store: Store, ledger: Ledger) -> None:
    assert (ledger.latest_checkpoint(), ledger.journal()) == (None, None)
    ledger.checkpoint(3, b"three")
    ledger.checkpoint(7, b"seven")
    ledger.keep_journal("first")
    ledger.keep_journal("second")
    assert ledger.latest_checkpoint() == LedgerReader(store).latest_checkpoint(JOB) == (7, b"seven")
    assert ledger.journal() == "second"


def test_asking_for_a_call_that_is_not_there_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(PlatformError, match="no call 3"):
        ledger.asked(3)


# --- leases ----------------------------------------------------------------------------------


def test_who_has_lost_a_lease_writes_no_intent(store: Store) -> None:
    create_job(store)
    leases = Leases(store)
    held = [leases.take("job/job-1", "ada", JOB, 60.0), leases.take_slot("qpu", 1, "ada", JOB, 60)]
    mine = [lease for lease in held if isinstance(lease, Lease)]
    with Ledger(store, JOB, lambda: mine) as ledger:
        perform(ledger, 0)
        leases.release(mine[1])  # the device's
        with pytest.raises(Superseded, match=r"device/qpu/0.*Nothing was sent"):
            ledger.intend(intent(1), call(1))
        with pytest.raises(Superseded):
            ledger.checkpoint(1, b"state")
        with pytest.raises(Superseded):
            ledger.set_aside([0])
        assert [each.index for each in ledger.calls()] == [0]
        assert ledger.latest_checkpoint() is None
        # What the device answered is true whoever asked, and was paid for.
        assert ledger.outcomes(0, 0) == {0: b"outcomes 0"}
        mine[1:] = [lease for lease in [leases.take_slot("qpu", 1, "ada", JOB, 60)] if lease]
        ledger.intend(intent(1), call(1))


def test_an_expired_lease_that_nobody_took_still_allows_an_intent(store: Store) -> None:
    create_job(store)
    lease = Leases(store).take("job/job-1", "ada", JOB, 0.01)
    assert isinstance(lease, Lease)
    time.sleep(0.05)
    with Ledger(store, JOB, lambda: [lease]) as ledger:
        ledger.intend(intent(0), call(0))


# --- outages ---------------------------------------------------------------------------------


def test_a_full_disk_is_named_and_nothing_is_lost(tmp_path: Any) -> None:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        create_job(store)
        with store.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        limit = [pages + 4]

        @event.listens_for(store.engine, "connect")
        def _limited(connection: Any, record: object) -> None:
            connection.execute(f"PRAGMA max_page_count = {limit[0]}")

        store.engine.dispose()
        ledger = Ledger(store, JOB, no_guards)
        ledger.intend(intent(0), call(0))
        ledger.answered("token-0-0-0", b"a" * 100_000, 1.0, 1.0)
        ledger.finished(0, b"outcomes")
        with pytest.raises(StoreFull, match=r"no space left.*qcpaas gc") as caught:
            ledger.intend(intent(1), call(1))
        assert not caught.value.retryable
        with pytest.raises(StoreFull):
            ledger.flush()
        large = text("INSERT INTO compiled VALUES ('k', zeroblob(100000), 100000, '', '')")
        with pytest.raises(StoreFull), store.write() as connection:
            connection.execute(large)
        limit[0] = 2**30
        store.engine.dispose()
        ledger.intend(intent(1), call(1))
        (first, second) = ledger.submissions()
        assert (first.answer, second.state) == (b"a" * 100_000, SubmissionState.INTENT)
        assert ledger.outcomes(0, 1) == {0: b"outcomes"}
        ledger.close()


def _end_connections(store: Store) -> None:
    with store.read() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


@pytest.mark.postgres
def test_a_connection_that_broke_between_two_steps_is_replaced(
    postgres_database: Callable[[], str],
) -> None:
    with open_store(postgres_database()) as store:
        create_job(store)
        with Ledger(store, JOB, no_guards) as ledger:
            perform(ledger, 0)
            _end_connections(store)
            perform(ledger, 1)
            _end_connections(store)
            assert ledger.outcomes(0, 1) == {0: b"outcomes 0", 1: b"outcomes 1"}


@pytest.mark.postgres
def test_what_is_queued_waits_until_the_database_is_back(
    postgres_database: Callable[[], str],
) -> None:
    url = postgres_database()
    with open_store(postgres_database()) as outside, open_store(url) as store:
        create_job(store)
        name = store.url.database
        admin = outside.engine.execution_options(isolation_level="AUTOCOMMIT")
        with Ledger(store, JOB, no_guards) as ledger:
            ledger.intend(intent(0), call(0))
            with admin.connect() as connection:
                connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        f"WHERE datname = '{name}'"
                    )
                )
            ledger.answered("token-0-0-0", b"answer", 1.0, 1.0)
            ledger.finished(0, b"outcomes")
            time.sleep(WRITE_AFTER_S + 0.3)  # the background writer fails, and keeps it
            with pytest.raises(PlatformUnavailable) as caught:
                ledger.intend(intent(1), call(1))
            assert caught.value.retryable
            with admin.connect() as connection:
                connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
            ledger.intend(intent(1), call(1))
            assert ledger.outcomes(0, 1) == {0: b"outcomes"}


def test_a_job_that_ended_with_an_error_is_not_given_another_by_closing(store: Store) -> None:
    def fail() -> None:
        with Ledger(store, "job-2", no_guards) as ledger:
            ledger.keep_journal("of an unknown job")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


@pytest.mark.parametrize(("durable", "level"), [(False, 1), (True, 2)])
def test_a_durable_ledger_waits_for_the_disk(tmp_path: Any, durable: bool, level: int) -> None:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        create_job(store)
        with Ledger(store, JOB, no_guards, durable=durable) as ledger:
            perform(ledger, 0)
            found = ledger._writer.run(
                lambda cursor: cursor.execute("PRAGMA synchronous").fetchone()[0]
            )
        assert found == level


# --- as others see it ------------------------------------------------------------------------


def counts(weight: float = 100.0) -> Counts:
    return Counts((Distribution.from_dict({"00": weight, "11": 0.5}, 2, 100),), (("c", 2),))


def test_executions_are_read_for_the_manifest(store: Store, ledger: Ledger) -> None:
    uses = [
        CalibrationUse(
            device="loopback",
            snapshot_id=f"snapshot-{place}",
            taken_at=NOW,
            age_s=1.0,
            physical_qubits=(3, place),
        )
        for place in range(3)
    ]
    placements = json.dumps([use.model_dump(mode="json") for use in (uses[2], uses[1])])
    ledger.keep_plan("plan", b"", placements)
    values = [np.array([[0.1 + 0.2, -0.0]]), np.empty((1, 0))]
    request = encode_request(["a", "b"], values, [100, None], 0)
    ledger.intend(intent(0, session_id="s", request=request), call(0))
    ledger.intend(intent(0, attempt=1, request=request), None)
    ledger.failed("token-0-0-0", "lost")
    ledger.accepted("token-0-0-1", "device-1")
    ledger.answered("token-0-0-1", encode_outcomes([counts(), counts(0.1)]), 0.3, 0.25)
    ledger.intend(intent(1, request=encode_request(["a"], values[1:], [9], 1)), call(1, "k", ""))
    ledger.answered("token-1-0-0", encode_outcomes([counts()]), 1.0, 0.5)
    ledger.flush()
    first, second = LedgerReader(store).executions(JOB, uses)
    assert first == ExecutionRecord(
        index=0,
        part=0,
        attempt=1,
        token="token-0-0-1",
        circuits=("a", "b"),
        parameter_values=(((0.1 + 0.2, -0.0),), ((),)),
        shots=(100, None),
        counts=(({"00": 100.0, "11": 0.5},), ({"00": 0.1, "11": 0.5},)),
        calibration=2,  # the plan's first, which is the manifest's last
        device_job_id="device-1",
        seed=2**62,
        submitted_at=NOW,
        seconds=0.3,
        qpu_s=0.25,
    )
    assert ExecutionRecord.model_validate_json(first.model_dump_json()) == first
    assert second.calibration == 1  # of a call without a plan: the manifest's own place
    ledger.set_aside([1])
    assert [each.index for each in LedgerReader(store).executions(JOB, uses)] == [0]


def test_the_newest_calls_are_read_for_a_partial_result(store: Store, ledger: Ledger) -> None:
    before = datetime.now(UTC)
    for index in range(5):
        ledger.intend(intent(index), call(index))
        ledger.finished(index, f"outcomes {index}".encode())
    ledger.intend(intent(5), call(5))
    reader = LedgerReader(store)
    found = reader.newest_calls(JOB, limit=2)
    assert [(each.index, each.asked, each.outcomes) for each in found] == [
        (3, b"asked 3", b"outcomes 3"),
        (4, b"asked 4", b"outcomes 4"),
    ]
    assert before <= found[0].finished_at <= found[1].finished_at <= datetime.now(UTC)
    assert reader.finished_count(JOB) == 5
    assert reader.finished_count("nobody's") == 0
    assert len(reader.open_submissions(JOB)) == 6


# --- many at once ----------------------------------------------------------------------------


def test_many_threads_share_a_ledger(ledger: Ledger) -> None:
    barrier = threading.Barrier(8)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        barrier.wait()
        try:
            for step in range(10):
                perform(ledger, 10 * number + step)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert ledger.outcomes(0, 79) == {index: f"outcomes {index}".encode() for index in range(80)}
    assert len(ledger.calls()) == 80


def test_ten_thousand_recorded_calls_are_read_at_once(store: Store) -> None:
    create_job(store)
    values = ExpectationValues(np.array([[-1.1]]), np.array([[1e-4]]))
    row = {
        "job_id": JOB,
        "key": "k" * 32,
        "plan_key": "p",
        "state": "done",
        "created_at": NOW,
        "finished_at": NOW + timedelta(seconds=1),
        "asked": encode_asked(["ansatz"], [np.zeros((1, 8))], [4096]),
        "outcomes": encode_outcomes([values]),
    }
    from store.ledger_rows import CALL

    with store.write() as connection:
        connection.execute(CALL.insert(), [{**row, "index": index} for index in range(10_000)])
    with Ledger(store, JOB, no_guards) as ledger:
        assert len(ledger.calls()) == len(ledger.outcomes(0, 9_999)) == 10_000
