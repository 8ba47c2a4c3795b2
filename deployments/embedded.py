"""The platform inside one process: SQLite, a local Prefect server, flows in a thread."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from deployments import prefect_setup
from deployments.embedded_administration import EmbeddedAdministration
from deployments.embedded_calibration import EmbeddedCalibrations
from deployments.garbage import collect
from deployments.job_thread import DRAIN_S, JobThread, send_what_is_queued
from deployments.living_jobs import LivingJobs
from deployments.prefect_server import prefect_environment, start_server
from deployments.processes import Processes, free_port
from gateway.engine.prefect import PrefectEngine
from qcpaas.calibration import CalibrationReport, CalibrationRun, Characterisation
from qcpaas.errors import (
    InputError,
    JobHeld,
    NotReady,
    PlatformError,
    PlatformUnavailable,
    UnknownJob,
)
from qcpaas.operations import Operations
from qcpaas.partial import PartialResult
from qcpaas.prefect_api import PrefectApi
from qcpaas.reports import report_error
from qcpaas.scheduling import JobEstimate
from qcpaas.schemas import (
    CircuitJob,
    Environment,
    ErrorReport,
    JobRecord,
    JobState,
    PrunedJob,
    Recovery,
    WorkloadJob,
)
from qcpaas.settings import Settings
from store.database import open_store
from store.devices import Devices
from tasks.answers import StoredAnswers

if TYPE_CHECKING:
    from tasks.estimation import Estimation

HOST = "127.0.0.1"
CANCEL_GRACE_S = 5.0
_GIVEN_UP = (
    "the job was cancelled in the middle of a simulation or of its own code, which could not be "
    "interrupted. What it was computing is dropped."
)
_AT_WORK = {JobState.QUEUED, JobState.RUNNING}


class EmbeddedTransport(StoredAnswers):
    """Implements ``qcpaas.transport.Transport``; the server starts with the first submission.

    Reading jobs, results, devices and options needs the store alone.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        _make_folder(settings.data_dir)
        super().__init__(open_store(settings.resolved_store_url))
        self._processes = Processes()
        self._port = free_port(HOST)
        self._starting = threading.Lock()
        self._living = LivingJobs(settings.data_dir / "running")
        self._running: dict[str, JobThread] = {}
        self._left_runs: set[str] = set()
        self._engine = PrefectEngine(PrefectApi(self._address))
        self._calibrations = EmbeddedCalibrations(self._store, self._engine.calibrations)
        self._administration = EmbeddedAdministration(
            self._store, self._engine.blocks, self._reach_server
        )

    def environment(self) -> Environment:
        from tasks.environment import look_around

        return look_around(self._store)

    def estimates(
        self,
        job: CircuitJob | WorkloadJob,
        devices: Sequence[str] = (),
        *,
        fault_tolerant: bool = False,
    ) -> Sequence[JobEstimate]:
        if not devices:
            return self._estimation.compare(job, self.devices(), fault_tolerant=fault_tolerant)
        return self._estimation.estimate(job, devices, fault_tolerant=fault_tolerant)

    def submit(self, job: CircuitJob | WorkloadJob) -> JobRecord:
        self._living.begin(job.job_id)
        try:
            record = self._jobs.create(job)
        except BaseException:
            self._living.end(job.job_id)
            raise
        self._start(job)
        return record

    def resume(self, job_id: str, recovery: Recovery | None = None) -> JobRecord:
        """Run the job in this process, from where its ledger ends."""
        before = self.job(job_id)
        state = before.state
        if state is JobState.COMPLETED:
            raise InputError(
                f"job {job_id} has completed: there is nothing to resume. `qcpaas rerun` repeats "
                "it."
            )
        if state in _AT_WORK:
            raise NotReady(
                f"job {job_id} is {state} in a process that lives: there is nothing to resume."
            )
        job = self._jobs.spec(job_id)
        decided = job.execution.recovery.decided(recovery)
        execution = job.execution.model_copy(update={"recovery": decided})
        if job_id in self._running:  # its record is final a moment before its thread ends
            self._running[job_id].join(DRAIN_S)
        self._living.begin(job_id)
        try:
            record = self._jobs.start(job_id)
        except BaseException:
            self._living.end(job_id)
            raise
        if before.flow_run_id is not None:
            self._left_runs.add(before.flow_run_id)
        self._start(job.model_copy(update={"execution": execution}))
        return record

    def job(self, job_id: str) -> JobRecord:
        self._find_abandoned()
        record = super().job(job_id)
        running = self._running.get(job_id)
        if running is not None and running.unrecorded is not None and not record.state.finished:
            raise running.unrecorded
        return record

    def jobs(self, limit: int = 50) -> Sequence[JobRecord]:
        self._find_abandoned()
        return super().jobs(limit)

    def partial(self, job_id: str) -> PartialResult:
        self._find_abandoned()
        return super().partial(job_id)

    def logs(self, job_id: str) -> Sequence[str]:
        record = self._jobs.get(job_id)
        if record.flow_run_id is None:
            return ()
        self._start_server()
        if job_id in self._running:
            send_what_is_queued()  # Prefect sends lines in batches, every two seconds
        return self._engine.logs(record.flow_run_id)

    def cancel(self, job_id: str) -> None:
        running = self._running.get(job_id)
        if running is not None and running.alive:
            self._end(job_id, running)
            return
        state = self.job(job_id).state
        if state in _AT_WORK:
            raise NotReady(
                f"job {job_id} is {state} in another process. Press Ctrl-C there, or end that "
                "process."
            )
        if not state.finished:
            self._living.begin(job_id)  # nobody resumes it at this moment
            try:
                self._cancel(job_id, "the job was cancelled.")
            finally:
                self._living.end(job_id)

    def calibration(self, device: str, at: datetime | None = None) -> CalibrationReport:
        self._reach(device)
        return super().calibration(device, at)

    def import_calibration(self, report: CalibrationReport, person: str) -> CalibrationReport:
        from tasks.calibration_reports import take_over

        return take_over(self._store, report, person)

    def calibrate(self, device: str, measured: Characterisation | None = None) -> CalibrationRun:
        """Its flow runs in this process, and ends with it."""
        from tasks.calibration_reports import device_name

        name = device_name(self._store, device)
        self._reach_server()
        return self._calibrations.start(name, measured)

    def calibration_run(self, run_id: str) -> CalibrationRun:
        self._start_server()
        return self._calibrations.run(run_id)

    def administration(self) -> EmbeddedAdministration:
        return self._administration

    def operations(self) -> Operations:
        raise PlatformUnavailable(
            "users, reservations, workers and usage are of a platform that runs for many: start "
            "one with `make up`, and name it (--remote, QCPAAS_API_URL)."
        )

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
            self._end(job_id, running)
        self._calibrations.close()
        send_what_is_queued()
        self._processes.stop()
        self._store.close()

    def prune(self, older_than: timedelta, *, dry_run: bool) -> Sequence[PrunedJob]:
        """The store's part, and what Prefect has kept of the jobs' stages."""
        self._find_abandoned()
        results = self._settings.data_dir / "prefect" / "results"
        return collect(self._store, results, older_than, dry_run=dry_run)

    def _start(self, job: CircuitJob | WorkloadJob) -> None:
        running = self._running[job.job_id] = JobThread(job, self._jobs, self._living)
        self._configure_prefect()
        running.start()  # imports the flows while the server starts
        try:
            self._start_server()
            self._release_abandoned()
        except BaseException as error:
            running.cancelled.set()
            ending = JobState.CANCELLED if isinstance(error, KeyboardInterrupt) else JobState.FAILED
            self._jobs.finish(job.job_id, ending, report_error(error))
            raise
        finally:
            running.server_ready.set()

    def _end(self, job_id: str, running: JobThread) -> None:
        """Let a cancelled job end in order, or give it up: its thread is a daemon."""
        if not running.cancel(CANCEL_GRACE_S):
            self._cancel(job_id, _GIVEN_UP)

    def _cancel(self, job_id: str, message: str) -> None:
        from tasks.cancellation import cancel_job

        cancel_job(self._store, job_id, message)

    def _find_abandoned(self) -> None:
        """Mark the jobs whose process went without a word."""
        for job_id in self._living.abandoned():
            with suppress(UnknownJob):  # it went before the job was recorded
                self._jobs.interrupt(job_id, _abandoned(job_id))

    def _reach_server(self) -> None:
        """Let this process's own Prefect speak to the server."""
        self._configure_prefect()
        self._start_server()

    def _start_server(self) -> str:
        with self._starting:
            if not self._processes.children:
                start_server(self._processes, HOST, self._port, self._settings.data_dir)
        return self._address

    def _reach(self, device: str) -> None:
        """Have the server up that keeps a device's credentials, where it is opened with any."""
        registration = Devices(self._store).registration(device)
        if registration is not None and registration.credentials:
            self._reach_server()

    def _release_abandoned(self) -> None:
        """Let go of the devices that runs without a process still hold."""
        self._find_abandoned()
        home = self._settings.data_dir / "prefect"
        prefect_setup.release_slots(PrefectApi(self._address), home, self._is_left)

    def _is_left(self, flow_run_id: str) -> bool:
        """Whether no process works on a flow run; that of a resumed job has another run."""
        return flow_run_id in self._left_runs or self._jobs.is_run_at_rest(flow_run_id)

    @cached_property
    def _estimation(self) -> Estimation:
        from tasks.estimation import Estimation  # and with it the compiler

        return Estimation(self._store)

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


def _abandoned(job_id: str) -> ErrorReport:
    return ErrorReport(
        type=JobHeld.__name__,
        message="the process that ran the job ended without finishing it (killed, or the machine "
        f"went down). `qcpaas resume {job_id}` goes on from there; what is finished is not run "
        "again.",
    )
