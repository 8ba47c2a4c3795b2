"""What is written into the pages of a running job."""

from datetime import UTC, datetime

from flows.live_pages import describe, within
from qcpaas.partial import CallOutcome, FinishedCall, PartialResult
from qcpaas.schemas import JobState, Progress


def partial(calls, checkpoint=None):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    finished = tuple(
        FinishedCall(
            index=index,
            circuits=("c",),
            parameter_values=(((0.5,) * 20,),),
            outcomes=(CallOutcome(values=((1.0,),), standard_errors=((0.1,),)),),
            finished_at=now,
        )
        for index in range(calls)
    )
    return PartialResult(
        job_id="job-1",
        state=JobState.RUNNING,
        progress=Progress(updated_at=now),
        finished=calls,
        calls=finished,
        checkpoint=checkpoint,
    )


def test_partial_result_that_fits_is_whole():
    whole = partial(10, {"x": 1})
    assert PartialResult.model_validate_json(within(whole, 1_000_000)) == whole


def test_partial_result_that_is_too_large_keeps_its_newest_calls():
    text = within(partial(200), 20_000)
    assert len(text) <= 20_000
    kept = PartialResult.model_validate_json(text)
    assert kept.finished == 200
    assert [call.index for call in kept.calls] == list(range(200 - len(kept.calls), 200))
    assert len(kept.calls) >= 25


def test_checkpoint_that_is_too_large_is_left_out_at_last():
    text = within(partial(1, "x" * 10_000), 2_000)
    kept = PartialResult.model_validate_json(text)
    assert (kept.calls, kept.checkpoint, kept.finished) == ((), None, 1)


def test_progress_is_told_to_people_and_to_clients():
    text = describe(Progress(stage="iterations", done=3, total=9, metrics={"energy": -1.25}))
    first, second = text.splitlines()
    assert first == "iterations · 3 of 9 · energy -1.25"
    assert Progress.model_validate_json(second.removeprefix("<!--").removesuffix("-->")).done == 3
