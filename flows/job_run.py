"""One job's run on this worker: its store, its device, its ledger, and what is told of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar
from uuid import UUID

from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from pydantic import JsonValue

from adapters.compiler_stages import defer_vendor_stages
from flows import artifacts, mitigation_pages
from flows.device_hold import DeviceHold
from flows.endings import ending_of
from flows.job_trace import job_trace
from flows.ownership import Ownership, owning
from flows.progress import ProgressReporter
from qcpaas.manifest import JobResult
from qcpaas.schemas import CircuitJob, JobState, WorkloadJob
from qcpaas.settings import Settings
from store.admissions import Admissions
from store.database import Store, open_store
from store.jobs import Jobs
from store.ledger import Ledger
from store.reservations import Reservations
from store.results import Results
from tasks.device import Device
from tasks.estimation.learning import learn_quietly
from tasks.execute import JournalledDevice
from tasks.journal import Journal
from tasks.patience import Patience

INLINE_EXECUTIONS = 1_000  # a longer loop's are read from the store, not from Prefect's pages

# Settings of the job's own device that mean nothing on another.
_OF_ONE_DEVICE = {"noise_model": None, "gate_for_gate": False, "snapshot_id": None}

T = TypeVar("T")

# Set by whoever runs a flow inside its own process and may want to end it.
cancellation: ContextVar[threading.Event | None] = ContextVar("cancellation", default=None)


class JobRun:
    """What the flows share while a job runs.

    No dataclass: Prefect walks through those among a task's parameters, and what this one holds
    changes while a task on another device starts.

    Attributes:
        backend: The device, recorded, as the innermost layer of every stack.
        elsewhere: Whether this is the part of a job that runs on another device than its own.
    """

    def __init__(
        self,
        job: CircuitJob | WorkloadJob,
        store: Store,
        backend: JournalledDevice,
        progress: ProgressReporter,
        ownership: Ownership,
        *,
        elsewhere: bool = False,
    ) -> None:
        self.job = job
        self.store = store
        self.backend = backend
        self.progress = progress
        self.ownership = ownership
        self.elsewhere = elsewhere
        self._others: dict[str, JobRun] = {}

    def on(self, device: str) -> JobRun:
        """This job on another device, with the same ledger; itself where none is named.

        Raises:
            UnknownDevice: No adapter has a device of that name.
        """
        if not device:
            return self
        if device not in self._others:
            own = self.backend
            settings = own.settings.model_copy(update={"backend": device, **_OF_ONE_DEVICE})
            opened = self.patiently(lambda: Device.open(device, self.store))
            backend = JournalledDevice(
                opened, own.journal, own.ledger, settings, own.patience, calls=own.calls
            )
            self._others[device] = JobRun(
                self.job, self.store, backend, self.progress, self.ownership, elsewhere=True
            )
        return self._others[device]

    @property
    def device(self) -> Device:
        return self.backend.device

    @property
    def journal(self) -> Journal:
        return self.backend.journal

    @contextmanager
    def holding_device(self) -> Iterator[None]:
        """Hold one of the device's slots, but not in a window that is reserved for others."""
        if not self.elsewhere:
            self.progress.stage("waiting for the device")
        backend = self.backend
        hold = DeviceHold(
            device=self.device.name,
            slots=self.device.capabilities.concurrent_jobs,
            run_id=current_flow_run_id(),
            ownership=self.ownership,
            patience=backend.patience,
            say=self.progress.say,
            calendar=Reservations(self.store),
            owner=self.patiently(lambda: Admissions(self.store).owner(self.job.job_id)),
            let_go=backend.scope.close,
        )
        with hold, backend.taking_turns(hold.make_way):
            yield

    def patiently(self, attempt: Callable[[], T]) -> T:
        """What ``attempt`` gives, however long the device, the store or Prefect is away."""
        return self.backend.patience.through(attempt)

    def check_cancelled(self) -> None:
        """Raise `JobCancelled` where somebody wants the job to end."""
        self.backend.patience.check()

    def show_placement(self) -> None:
        """Show which of the device's qubits the job was bound to."""
        job_id, uses = self.job.job_id, self.journal.calibrations
        self.patiently(lambda: artifacts.publish_placement(job_id, self.device, uses))

    def complete(self, value: JsonValue) -> None:
        """Store the answer with its manifest, and show it."""
        manifest = self.patiently(lambda: self.journal.manifest(self.job))
        result = JobResult(job_id=self.job.job_id, value=value, manifest=manifest)
        results = Results(self.store)
        self.ownership.check()
        self.patiently(lambda: results.save(result))
        small = manifest.execution_count <= INLINE_EXECUTIONS
        whole = self.patiently(lambda: results.whole(result)) if small else result
        self.patiently(lambda: artifacts.publish_result(whole))
        self.patiently(lambda: artifacts.publish_summary(result))
        self.patiently(lambda: mitigation_pages.publish(self.job.job_id, manifest.diagnostics))
        self.progress.complete()


@contextmanager
def job_run(job: CircuitJob | WorkloadJob) -> Iterator[JobRun]:
    """Open everything that a job needs, and leave its record true however the block ends."""
    log = get_run_logger()
    defer_vendor_stages()  # for the user's own compilations too
    cancelled = cancellation.get() or threading.Event()
    patience = Patience(cancelled, log=log)
    settings = Settings()
    with (
        job_trace(job, settings.otlp_endpoint),
        patience.through(lambda: open_store(settings.resolved_store_url)) as store,
    ):
        jobs = Jobs(store)
        flow_run_id = str(current_flow_run_id())
        patience.through(lambda: jobs.create(job, flow_run_id=flow_run_id))
        progress = ProgressReporter(job.job_id, store)
        patience.tell = progress.say
        try:
            with owning(job.job_id, store, patience, log, progress.say) as ownership:
                patience.through(lambda: jobs.start(job.job_id))
                with progress, _opened(job, store, ownership, patience) as backend:
                    yield JobRun(job, store, backend, progress, ownership)
                ownership.check()
                patience.through(lambda: jobs.finish(job.job_id, JobState.COMPLETED))
            learn_quietly(store, job.execution.backend)
        except BaseException as error:
            ending = ending_of(job.job_id, store, error)
            if ending is error:
                raise
            raise ending from error


@contextmanager
def _opened(
    job: CircuitJob | WorkloadJob, store: Store, ownership: Ownership, patience: Patience
) -> Iterator[JournalledDevice]:
    """The job's device and its ledger, which is complete when the block is left."""
    execution = job.execution
    device = patience.through(
        lambda: Device.open(
            execution.backend, store, execution.snapshot_id, execution.max_calibration_age_s
        )
    )
    paid = device.capabilities.keeps_jobs and not device.capabilities.simulator
    with Ledger(store, job.job_id, ownership.guards, durable=paid) as ledger:
        journal = Journal(job.job_id, Results(store), ledger)
        loop = isinstance(job, WorkloadJob)
        backend = JournalledDevice(device, journal, ledger, execution, patience, sessions=loop)
        try:
            yield backend
        except BaseException:
            journal.keep()
            raise
        finally:
            backend.scope.close()


def current_flow_run_id() -> UUID:
    """The Prefect flow run that this code runs in."""
    context = FlowRunContext.get()
    flow_run = None if context is None else context.flow_run
    assert flow_run is not None, "a job runs inside a flow"
    run_id: UUID = flow_run.id
    return run_id
