"""What can be read of a job while it runs, or after it died."""

import json
import math
import zlib
from datetime import UTC, datetime

import numpy as np
import pytest

from qcpaas.errors import UnknownJob
from qcpaas.execution import Counts, Distribution, ExpectationValues
from qcpaas.partial import PartialResult
from qcpaas.schemas import (
    CircuitItem,
    CircuitJob,
    CircuitPayload,
    ErrorReport,
    ExecutionSettings,
    JobState,
    Progress,
)
from store.curves import Curves
from store.jobs import Jobs
from store.ledger import Intent, Ledger, NewCall
from store.payloads import to_text
from store.records import encode_asked, encode_outcomes, encode_request
from tasks.partial import partial_result

JOB_ID = "job-1"
COUNTS = Counts((Distribution.from_dict({"00": 30, "11": 70}, 2, 100),), (("meas", 2),))


@pytest.fixture
def ledger(store):
    payload = CircuitPayload(format="qasm2", text="OPENQASM 2.0; qreg q[1];")
    item = CircuitItem(circuit=payload)
    jobs = Jobs(store)
    jobs.create(
        CircuitJob(job_id=JOB_ID, execution=ExecutionSettings(backend="Twin"), items=(item,))
    )
    jobs.start(JOB_ID)
    with Ledger(store, JOB_ID, guards=tuple) as opened:
        yield opened


def ask(ledger, index, values=((0.25, -1.5),)):
    asked = encode_asked(["ansatz"], [np.array(values)], [100], "Zne")
    request = encode_request(["key"], [np.array(values)], [100])
    now = datetime.now(UTC)
    intent = Intent(index, 0, 0, f"token-{index}", "Twin", None, "content", 1, request, now)
    ledger.intend(intent, NewCall(index, f"key-{index}", "plan", asked))


def answer(ledger, index, outcome):
    ledger.accepted(f"token-{index}", f"device-job-{index}")
    ledger.answered(f"token-{index}", encode_outcomes([COUNTS]), 0.5, 0.1)
    ledger.finished(index, encode_outcomes([outcome]))


def test_finished_calls_have_their_values_with_standard_errors(store, ledger):
    ask(ledger, 0)
    answer(ledger, 0, ExpectationValues(np.array([[-1.0, 0.5]]), np.array([[0.0004, 0.0]])))
    ask(ledger, 1)
    answer(ledger, 1, COUNTS)
    ask(ledger, 2)
    partial = partial_result(store, JOB_ID)
    assert (partial.state, partial.finished) == (JobState.RUNNING, 2)
    first, second = partial.calls
    assert (first.index, first.circuits) == (0, ("ansatz",))
    assert first.parameter_values == (((0.25, -1.5),),)
    assert first.outcomes[0].values == ((-1.0, 0.5),)
    assert first.outcomes[0].standard_errors[0] == pytest.approx((0.02, 0.0))
    assert second.outcomes[0].counts == ({"00": 30, "11": 70},)
    (waiting,) = partial.open_submissions
    assert (waiting.token, waiting.device, waiting.device_job_id) == ("token-2", "Twin", None)


def test_only_the_newest_calls_are_read_and_all_are_counted(store, ledger):
    for index in range(7):
        ask(ledger, index)
        answer(ledger, index, COUNTS)
    ledger.flush()
    partial = partial_result(store, JOB_ID, calls=3)
    assert partial.finished == 7
    assert [call.index for call in partial.calls] == [4, 5, 6]


def test_it_outlives_the_jobs_process_and_says_its_state(store, ledger):
    ask(ledger, 0)
    answer(ledger, 0, COUNTS)
    ledger.close()
    jobs = Jobs(store)
    jobs.report(JOB_ID, Progress(stage="iterations", done=1, total=9))
    jobs.interrupt(JOB_ID, ErrorReport(type="JobHeld", message="its process died"))
    partial = partial_result(store, JOB_ID)
    assert (partial.state, partial.finished) == (JobState.INTERRUPTED, 1)
    assert partial.progress.total == 9


def test_reported_figures_and_the_checkpoint_are_part_of_it(store, ledger):
    curve = [(1.0, -0.5), (2.0, -0.75)]
    Curves(store).keep(JOB_ID, {"energy": curve})
    kept = {"state": {"angles": [0.1, 0.2]}, "rng": None}
    ledger.checkpoint(5, zlib.compress(json.dumps(kept).encode()))
    partial = partial_result(store, JOB_ID)
    assert partial.metrics == {"energy": tuple(curve)}
    assert partial.checkpoint == {"angles": [0.1, 0.2]}


def test_values_that_are_no_numbers_survive_the_way(store, ledger):
    ask(ledger, 0)
    answer(ledger, 0, ExpectationValues(np.array([[math.nan]]), np.array([[math.inf]])))
    ledger.flush()
    Curves(store).keep(JOB_ID, {"energy": [(1.0, math.nan)]})
    read = PartialResult.model_validate_json(to_text(partial_result(store, JOB_ID)))
    assert math.isnan(read.calls[0].outcomes[0].values[0][0])
    assert read.calls[0].outcomes[0].standard_errors == ((math.inf,),)
    assert math.isnan(read.metrics["energy"][0][1])


def test_job_without_calls_has_nothing_yet(store, ledger):
    partial = partial_result(store, JOB_ID)
    assert (partial.finished, partial.calls, partial.metrics, partial.checkpoint) == (
        0,
        (),
        {},
        None,
    )


def test_unknown_job_is_said_to_be_unknown(store):
    with pytest.raises(UnknownJob, match="absent"):
        partial_result(store, "absent")
