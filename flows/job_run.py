"""One job's run on this worker: its store, its device, its journal, and what is told of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.concurrency.sync import concurrency
from prefect.context import get_run_context
from prefect.exceptions import TerminationSignal
from prefect.logging import get_run_logger
from pydantic import JsonValue

from flows import artifacts
from flows.progress import ProgressReporter
from qcpaas.errors import JobCancelled
from qcpaas.reports import report_error
from qcpaas.schemas import CircuitJob, JobResult, JobState, WorkloadJob
from qcpaas.settings import Settings
from store.database import Store, open_store
from store.jobs import Jobs
from store.results import Results
from tasks.device import Device
from tasks.execute import JournalledDevice
from tasks.journal import Journal

INLINE_EXECUTIONS = 1_000  # a longer loop's are read from the store, not from Prefect's pages

# Set by whoever runs a flow inside its own process and may want to end it.
cancellation: ContextVar[threading.Event | None] = ContextVar("cancellation", default=None)


@dataclass(eq=False)
class JobRun:
    """What the flows share while a job runs."""

    job: CircuitJob | WorkloadJob
    store: Store
    device: Device
    journal: Journal
    progress: ProgressReporter
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def backend(self) -> JournalledDevice:
        """The device, recorded, as the innermost layer of every stack."""
        return JournalledDevice(self.device, self.journal, self.job.execution, self.cancelled)

    @contextmanager
    def holding_device(self) -> Iterator[None]:
        """Hold one of the device's slots, so that no more jobs share it than it takes."""
        limit = f"device-{self.device.name}"
        with get_client(sync_client=True) as client:
            client.upsert_global_concurrency_limit_by_name(
                limit, self.device.capabilities.concurrent_jobs
            )
        self.progress.stage("waiting for the device")
        holder = ConcurrencyLeaseHolder(type="flow_run", id=current_flow_run_id())
        with concurrency(limit, occupy=1, strict=True, holder=holder):
            yield

    def check_cancelled(self) -> None:
        """Raise `JobCancelled` where somebody wants the job to end."""
        if self.cancelled.is_set():
            raise JobCancelled(f"job {self.job.job_id} was cancelled.")

    def complete(self, value: JsonValue) -> None:
        """Store the answer with its manifest, and show it."""
        manifest = self.journal.manifest(self.job)
        result = JobResult(job_id=self.job.job_id, value=value, manifest=manifest)
        results = Results(self.store)
        results.save(result)
        small = manifest.execution_count <= INLINE_EXECUTIONS
        artifacts.publish_result(results.whole(result) if small else result)
        artifacts.publish_summary(result)
        self.progress.complete()


@contextmanager
def job_run(job: CircuitJob | WorkloadJob) -> Iterator[JobRun]:
    """Open everything that a job needs, and leave its record true however the block ends."""
    settings = Settings()
    with open_store(settings.resolved_store_url) as store:
        jobs = Jobs(store)
        jobs.create(job, flow_run_id=str(current_flow_run_id()))
        jobs.start(job.job_id)
        progress = ProgressReporter(job.job_id, jobs)
        try:
            with progress:
                device = Device.open(job.execution.backend, store, job.execution.snapshot_id)
                cancelled = cancellation.get() or threading.Event()
                with Journal(job.job_id, Results(store)) as journal:
                    yield JobRun(job, store, device, journal, progress, cancelled)
        except BaseException as error:
            _record_failure(job.job_id, jobs, error)
            raise
        jobs.finish(job.job_id, JobState.COMPLETED)


def current_flow_run_id() -> UUID:
    """The Prefect flow run that this code runs in."""
    context = get_run_context()
    flow_run = getattr(context, "flow_run", None)
    assert flow_run is not None, "a job runs inside a flow"
    run_id: UUID = flow_run.id
    return run_id


def _record_failure(job_id: str, jobs: Jobs, error: BaseException) -> None:
    if isinstance(error, TerminationSignal):
        return  # the worker ends this process; its hook knows whether the job was cancelled
    cancelled = isinstance(error, JobCancelled | KeyboardInterrupt)
    report = report_error(error)
    jobs.finish(job_id, JobState.CANCELLED if cancelled else JobState.FAILED, report)
    try:
        artifacts.publish_error(job_id, report)
    except Exception as unpublished:  # noqa: BLE001 - the job's own error matters more
        get_run_logger().warning("the error could not be shown in the UI: %s", unpublished)
