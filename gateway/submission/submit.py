"""The way of one job in, from its text to its place in the backlog."""

from __future__ import annotations

from gateway.answers import GatewayAnswers
from gateway.limits import limits_of
from gateway.matching.match import find_pool
from gateway.person import Person
from gateway.platform import Platform
from gateway.submission.content import check_content, content_key
from gateway.submission.place import choose_device, placed, with_window
from qcpaas.checks import check_job
from qcpaas.errors import Conflict
from qcpaas.schemas import CircuitJob, WorkloadJob
from qcpaas.tracing import current_traceparent
from store.admissions import Admissions
from store.workers import Workers


def submit(
    platform: Platform, person: Person, job: CircuitJob | WorkloadJob, client_key: str | None
) -> tuple[str, bool]:
    """Check a job, choose where it runs, and put it into the backlog.

    Args:
        client_key: Of the client's own, by which it can repeat a submission of which it knows not
            whether it arrived. The job's id serves as well.

    Returns:
        The job's id, and whether it is new.

    Raises:
        InputError: The job cannot run as asked; nothing was spent.
        Conflict: The key, or the id, is another job's.
        NoWorker: None has what it needs.
        LimitReached: Its owner has as much of the platform as they may.
    """
    content = content_key(job)
    before = _repeated(platform, person, job.job_id, client_key, content)
    if before is not None:
        return before, False
    check_content(job)
    job = with_window(platform, person, job)
    environment = GatewayAnswers(platform, person).environment()
    check_job(job, environment)
    choice, estimate = choose_device(platform, person, job, environment)
    job = placed(job, choice.device).model_copy(update={"traceparent": current_traceparent()})
    pool = find_pool(job, Workers(platform.store).living())
    answer = Admissions(platform.store).add(
        None,
        job,
        owner=person.name,
        client_key=client_key,
        content_key=content,
        device=choice.device,
        pool=pool,
        session=isinstance(job, WorkloadJob),
        estimate=estimate,
        choice=choice,
        limits=limits_of(platform, person.name),
    )
    platform.news.set()
    return answer


def _repeated(
    platform: Platform, person: Person, job_id: str, client_key: str | None, content: str
) -> str | None:
    """The job that this is a repetition of; `Conflict` where it is another under the same name."""
    admissions = Admissions(platform.store)
    by_key = admissions.repeated(person.name, client_key, content)
    if by_key is not None:
        return by_key
    found = admissions.get(job_id)
    if found is None:
        return None
    if (found.owner, found.content_key) != (person.name, content):
        raise Conflict(f"the id {job_id!r} is taken. Submit the job again under a new one.")
    return job_id
