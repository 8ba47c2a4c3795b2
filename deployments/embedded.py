"""The platform inside one process: SQLite, a local Prefect server, flows in a thread."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deployments import prefect_setup
from deployments.living_jobs import LivingJobs
from deployments.prefect_server import prefect_environment, start_server
from deployments.processes import Processes, free_port
from qcpaas.errors import JobCancelled, JobFailed, NotReady, PlatformError, UnknownJob
from qcpaas.prefect_api import PrefectApi
from qcpaas.reports import rebuild, report_error
from qcpaas.schemas import (
    CircuitJob,
    DeviceInfo,
    Environment,
    ErrorReport,
    JobRecord,
    JobResult,
    JobState,
    OptionInfo,
    WorkloadJob,
)
from qcpaas.settings import Settings
from qcpaas.unpacking import is_user_file
from store.database import Store, open_store
from store.devices import Devices
from store.jobs import Jobs
from store.results import Results

HOST = "127.0.0.1"
DRAIN_S = 10.0
CANCEL_GRACE_S = 5.0
_GIVEN_UP = ErrorReport(
    type=JobCancelled.__name__,
    message="the job was cancelled in the middle of a simulation or of its own code, which could "
    "not be interrupted. What it was computing is dropped.",
)
_ABANDONED = ErrorReport(
    type=JobFailed.__name__,
    message="the process that ran the job ended without finishing it (killed, or the machine "
    "went down). Submit the job again.",
)


@dataclass(eq=False)
class RunningJob:
    """Attributes:
    unrecorded: Why the store does not know how the job ended.
    """

    thread: threading.Thread = field(init=False)
    cancelled: threading.Event = field(default_factory=threading.Event)
    server_ready: threading.Event = field(default_factory=threading.Event)
    unrecorded: PlatformError | None = None


class EmbeddedTransport:
    """Implements ``qcpaas.transport.Transport``; the server starts with the first submission.

    Reading jobs, results, devices and options needs the store alone.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        _make_folder(settings.data_dir)
        self._store: Store = open_store(settings.resolved_store_url)
        self._jobs = Jobs(self._store)
        self._processes = Processes()
        self._port = free_port(HOST)
        self._starting = threading.Lock()
        self._living = LivingJobs(settings.data_dir / "running")
        self._running: dict[str, RunningJob] = {}

    def environment(self) -> Environment:
        from tasks.environment import look_around

        return look_around()

    def submit(self, job: CircuitJob | WorkloadJob) -> JobRecord:
        self._living.begin(job.job_id)
        try:
            record = self._jobs.create(job)
        except BaseException:
            self._living.end(job.job_id)
            raise
        running = RunningJob()
        running.thread = threading.Thread(
            target=self._run, args=(job, running), name=f"job {job.job_id}", daemon=True
        )
        self._running[job.job_id] = running
        self._configure_prefect()
        running.thread.start()  # imports the flows while the server starts
        try:
            self._start_server()
        except BaseException as error:
            running.cancelled.set()
            ending = JobState.CANCELLED if isinstance(error, KeyboardInterrupt) else JobState.FAILED
            self._jobs.finish(job.job_id, ending, report_error(error))
            raise
        finally:
            running.server_ready.set()
        return record

    def job(self, job_id: str) -> JobRecord:
        self._bury_abandoned()
        record = self._jobs.get(job_id)
        running = self._running.get(job_id)
        if running is not None and running.unrecorded is not None and not record.state.finished:
            raise running.unrecorded
        return record

    def jobs(self, limit: int = 50) -> Sequence[JobRecord]:
        self._bury_abandoned()
        return self._jobs.all(limit)

    def result(self, job_id: str) -> JobResult:
        record = self.job(job_id)
        if record.state in {JobState.FAILED, JobState.CANCELLED} and record.error is not None:
            raise rebuild(record.error)
        return Results(self._store).load(job_id)

    def logs(self, job_id: str) -> Sequence[str]:
        record = self._jobs.get(job_id)
        if record.flow_run_id is None:
            return ()
        from qcpaas.prefect_transport import PrefectTransport

        with PrefectTransport(f"{self._start_server()}/api") as transport:
            return transport.flow_run_logs(record.flow_run_id)

    def cancel(self, job_id: str) -> None:
        running = self._running.get(job_id)
        if running is None:
            state = self.job(job_id).state
            if state.finished:
                return
            raise NotReady(
                f"job {job_id} is {state} in another process. Press Ctrl-C there, or end that "
                "process."
            )
        running.cancelled.set()
        self._wait_for_end(job_id, running)

    def devices(self) -> Sequence[DeviceInfo]:
        from adapters.registry import list_devices

        known = {info.name: info for info in Devices(self._store).all()}
        return [known.get(info.name, info) for info in list_devices()]

    def options(self) -> Sequence[OptionInfo]:
        from pipeline.stack import describe_options

        return describe_options()

    def address(self, job_id: str) -> str | None:
        record = self._jobs.get(job_id)
        if not self._processes.children or record.flow_run_id is None:
            return None
        return f"{self._address}/runs/flow-run/{record.flow_run_id}"

    def close(self) -> None:
        """Cancel what still runs, wait for it, and stop the server."""
        for running in self._running.values():
            running.cancelled.set()
        for job_id, running in self._running.items():
            self._wait_for_end(job_id, running)
        _send_what_is_queued()
        self._processes.stop()
        self._store.close()

    def _run(self, job: CircuitJob | WorkloadJob, running: RunningJob) -> None:
        """The job's thread: the flow records how it ended; this, that it could not begin."""
        try:
            from flows.hybrid_job import hybrid_job
            from flows.job_run import cancellation
            from flows.workload import workload

            cancellation.set(running.cancelled)
            _show_prints()
            running.server_ready.wait()
            if running.cancelled.is_set():
                raise JobCancelled(f"job {job.job_id} was cancelled before it began.")
            if isinstance(job, CircuitJob):
                hybrid_job(job)
            else:
                workload(job)
        except BaseException as error:  # noqa: BLE001 - told through the job's record
            ending = JobState.CANCELLED if isinstance(error, JobCancelled) else JobState.FAILED
            try:
                self._jobs.finish(job.job_id, ending, report_error(error))
            except PlatformError as unrecorded:  # the disk is full, the database has gone
                running.unrecorded = unrecorded
                return
        self._living.end(job.job_id)

    def _wait_for_end(self, job_id: str, running: RunningJob) -> None:
        """Let a cancelled job end in order, or give it up: its thread is a daemon."""
        running.thread.join(CANCEL_GRACE_S)
        if running.thread.is_alive():
            self._jobs.finish(job_id, JobState.CANCELLED, _GIVEN_UP)

    def _bury_abandoned(self) -> None:
        """Record the end of jobs whose process went without a word."""
        for job_id in self._living.abandoned():
            with suppress(UnknownJob):  # it went before the job was recorded
                self._jobs.finish(job_id, JobState.FAILED, _ABANDONED)

    def _start_server(self) -> str:
        with self._starting:
            if not self._processes.children:
                start_server(self._processes, HOST, self._port, self._settings.data_dir)
                self._release_abandoned()
        return self._address

    def _release_abandoned(self) -> None:
        """Let go of the devices that jobs without a process still hold."""
        self._bury_abandoned()
        home = self._settings.data_dir / "prefect"
        prefect_setup.release_slots(PrefectApi(self._address), home, self._jobs.is_finished_run)

    @property
    def _address(self) -> str:
        return f"http://{HOST}:{self._port}"

    def _configure_prefect(self) -> None:
        """Point this process's Prefect at the local server, which may not have started yet."""
        os.environ.update(prefect_environment(self._settings.data_dir, f"{self._address}/api"))
        # The command says what went wrong; Prefect's own traceback is for its pages.
        os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
        os.environ["QCPAAS_DATA_DIR"] = str(self._settings.data_dir)
        if self._settings.store_url is not None:  # the flows read it where this process does not
            os.environ["QCPAAS_STORE_URL"] = self._settings.store_url
        if "prefect" in sys.modules:  # imported before: it has read another configuration
            from prefect.context import refresh_global_settings_context

            refresh_global_settings_context()


def _make_folder(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlatformError(
            f"the data folder {data_dir} cannot be made: {error.strerror}. Choose another "
            "(QCPAAS_DATA_DIR)."
        ) from error


class _Prints(logging.Handler):
    """What the user's code prints and logs goes to its job's log; here it is shown too."""

    def filter(self, record: logging.LogRecord) -> bool:
        return is_user_file(record.pathname)

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{record.getMessage()}\n")


def _show_prints() -> None:
    from prefect.logging.configuration import setup_logging

    setup_logging()  # now: the first time drops all handlers, later ones keep them
    logger = logging.getLogger("prefect.flow_runs")
    if not any(isinstance(handler, _Prints) for handler in logger.handlers):
        logger.addHandler(_Prints())


def _send_what_is_queued() -> None:
    """Let Prefect's background threads finish; without their server they retry for minutes."""
    if "prefect" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=DRAIN_S, at_exit=False)
