"""A job's stream of events (Server-Sent Events), until it has ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Annotated

from fastapi import APIRouter, Header, Request
from pydantic_core import to_json
from sse_starlette import EventSourceResponse, ServerSentEvent

from gateway.answers import TheAnswers, records_of
from gateway.job_events import JobEvents, Told
from gateway.platform import Platform, ThePlatform
from qcpaas.schemas import JobRecord

PING_S = 2  # by it clients notice that their own time is up

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.get(
    "/jobs/{job_id}/events",
    name="job.events",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "Each event's name is `state`, `progress`, `schedule` or `problem`; its "
            "data a JobEvent. Once the state is final the stream ends.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
def events(
    job_id: str,
    request: Request,
    platform: ThePlatform,
    answers: TheAnswers,
    last_event_id: Annotated[str | None, Header(max_length=200)] = None,
) -> EventSourceResponse:
    """What happens to a job, from what it is now on, or from the event that you had last."""
    answers.job(job_id)
    stream = _stream(_events_of(request, platform), job_id, Told.read(last_event_id))
    return EventSourceResponse(stream, ping=PING_S)


async def _stream(events: JobEvents, job_id: str, told: Told) -> AsyncIterator[ServerSentEvent]:
    async for event, known in events.of(job_id, told):
        told_of = {**event.model_dump(mode="json", exclude={"data"}), "data": event.data}
        data = to_json(told_of, inf_nan_mode="constants").decode()
        yield ServerSentEvent(data=data, event=event.kind, id=str(known))


def _events_of(request: Request, platform: Platform) -> JobEvents:
    """The process's own, made when the first client follows a job."""
    state = request.app.state

    def look(job_ids: Collection[str]) -> Mapping[str, JobRecord]:
        return records_of(platform, job_ids)

    if not hasattr(state, "job_events"):
        state.job_events = JobEvents(look)
    found: JobEvents = state.job_events
    return found
