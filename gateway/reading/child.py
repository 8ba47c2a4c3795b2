"""A reader: estimates the jobs that its gateway hands it, one after the other.

Importing this module is what makes a reader warm: the process that readers are forked from does.
"""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection

from pydantic import TypeAdapter

from gateway.reading.limits import ReadingLimits, limit_memory, limit_processor
from qcpaas.devices import DeviceInfo
from qcpaas.errors import QCPaaSError
from qcpaas.reports import report_error
from qcpaas.scheduling import JobEstimate
from qcpaas.schemas import ErrorReport, Job
from store.database import open_store
from tasks.estimation import Estimation

_JOB: TypeAdapter[Job] = TypeAdapter(Job)


@dataclass(frozen=True)
class Question:
    """A job, as JSON, and where it might run.

    Attributes:
        compare: Whether those that cannot run it are left out; ``devices`` are then all there are.
    """

    job: str
    devices: tuple[str, ...] | tuple[DeviceInfo, ...]
    compare: bool
    fault_tolerant: bool


@dataclass(frozen=True)
class Reply:
    """Either estimates or an error; ``full`` where the memory was not enough."""

    estimates: tuple[JobEstimate, ...] = ()
    error: ErrorReport | None = None
    full: bool = False


def read(questions: Connection, store_url: str, limits: ReadingLimits) -> None:
    """Answer until the gateway hangs up."""
    with open_store(store_url) as store:
        estimation = Estimation(store)
        limit_memory(limits.memory_mib)
        questions.send(None)  # ready
        while True:
            try:
                question = questions.recv()
            except EOFError:
                return
            limit_processor(limits.cpu_s)
            questions.send(_answered(estimation, question))


def _answered(estimation: Estimation, question: Question) -> Reply:
    try:
        job = _JOB.validate_json(question.job)
        ask = estimation.compare if question.compare else estimation.estimate
        found = ask(job, question.devices, fault_tolerant=question.fault_tolerant)  # type: ignore[arg-type]
        return Reply(tuple(found))
    except MemoryError:
        return Reply(full=True)
    except QCPaaSError as error:
        return Reply(error=report_error(error))
