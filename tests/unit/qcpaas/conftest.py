"""A small platform: a `Transport` that keeps jobs in a dictionary and runs workloads itself."""

import logging
from datetime import UTC, datetime

import numpy as np
import pytest

from qcpaas.calibration import CalibrationRun, HistoryPoint, ValueHistory
from qcpaas.devices import DeviceInfo
from qcpaas.errors import CalibrationError, InputError, JobCancelled, NotReady, UnknownJob
from qcpaas.manifest import CalibrationUse, JobResult, Manifest
from qcpaas.partial import PartialResult
from qcpaas.reports import rebuild, report_error
from qcpaas.schemas import Environment, JobRecord, JobState, OptionInfo, Progress
from qcpaas.unpacking import loaded

DEVICES = (
    DeviceInfo(name="FakeKolkata", adapter="twins", num_qubits=27, snapshot_id="a1b2c3"),
    DeviceInfo(name="FakeSherbrooke", adapter="twins", num_qubits=127),
)
OPTIONS = (
    OptionInfo(
        name="ZeroNoiseExtrapolation",
        rank=10,
        summary="extrapolates to zero noise",
        levels=("expectation",),
        settings={
            "scale_factors": {
                "anyOf": [
                    {"type": "array", "items": {"type": "number"}},
                    {"const": "auto", "type": "string"},
                ]
            },
            "order": {"type": "integer"},
            "fit": {"type": "string", "enum": ["linear", "exponential"]},
        },
    ),
    OptionInfo(name="ReadoutMitigation", rank=90, summary="inverts readout errors"),
    OptionInfo(name="Learned", rank=40, summary="needs a package", requires=("absent-package",)),
)


class Context:
    log = logging.getLogger("workload")
    exact = False

    def __init__(self, job, report):
        self.rng = np.random.default_rng(job.execution.seed)
        self.shots = job.execution.shots
        self.report = report

    def backend(self, options):
        return None


class InMemoryPlatform:
    """Runs a workload when its record is first asked for; a circuit job answers zeros."""

    def __init__(self, environment=None):
        self.submitted = {}
        self.records = {}
        self.results = {}
        self.polls = 0
        self.closed = False
        self.never_ends = False
        self.partials = {}
        self.resumed = []
        self.calibrations = []
        self.marks = []
        self.fitted = []
        self.asked_for = []
        self.runs = []
        self._environment = environment

    def environment(self):
        if self._environment is not None:
            return self._environment
        from importlib.metadata import version
        from platform import python_version

        installed = {name: version(name) for name in ("qcpaas", "numpy", "qiskit")}
        return Environment(
            python=python_version(), distributions=installed, options=OPTIONS, devices=DEVICES
        )

    def submit(self, job):
        self.submitted[job.job_id] = job
        self.records[job.job_id] = JobRecord(
            job_id=job.job_id,
            kind=job.kind,
            name=job.name,
            backend=job.execution.backend,
            options=tuple(option.name for option in job.execution.options),
            state=JobState.QUEUED,
            created_at=datetime.now(UTC),
        )
        return self.records[job.job_id]

    def job(self, job_id):
        if job_id not in self.records:
            raise UnknownJob(f"there is no job {job_id!r}.")
        self.polls += 1
        record = self.records[job_id]
        if record.state is JobState.QUEUED:
            self._change(job_id, state=JobState.RUNNING, started_at=datetime.now(UTC))
        elif record.state is JobState.RUNNING and not self.never_ends:
            self._run(job_id)
        return self.records[job_id]

    def jobs(self, limit=50):
        return list(reversed(self.records.values()))[:limit]

    def result(self, job_id):
        record = self.job(job_id)
        if record.error is not None:
            raise rebuild(record.error)
        if record.state is JobState.CANCELLED:
            raise JobCancelled(f"job {job_id} was cancelled.")
        if job_id not in self.results:
            raise NotReady(f"job {job_id} is {record.state}.")
        return self.results[job_id]

    def partial(self, job_id):
        record = self.records[job_id]
        empty = PartialResult(
            job_id=job_id, state=record.state, progress=record.progress, finished=0
        )
        return self.partials.get(job_id, empty)

    def resume(self, job_id, recovery=None):
        if self.job(job_id).state is JobState.COMPLETED:
            raise InputError(f"job {job_id} has completed.")
        self.resumed.append((job_id, recovery))
        self._change(job_id, state=JobState.QUEUED, error=None)
        return self.records[job_id]

    def stop(self, job_id, state, error):
        """Its process died, or it waits for a person."""
        self._change(job_id, state=state, error=error)

    def logs(self, job_id):
        return [f"line of {self.job(job_id).job_id}"]

    def cancel(self, job_id):
        self._change(job_id, state=JobState.CANCELLED, finished_at=datetime.now(UTC))

    def devices(self):
        return self.environment().devices

    def options(self):
        return self.environment().options

    def calibration(self, device, at=None):
        known = [report for report in self.calibrations if at is None or report.taken_at <= at]
        if not known:
            raise CalibrationError(f"nothing is known of {device}.")
        return known[-1]

    def calibration_history(self, device, quantity, qubits, gate="", since=None):
        asked = (quantity, gate, tuple(qubits))
        points = tuple(
            HistoryPoint(
                pulled_at=report.taken_at,
                measured_at=value.measured_at,
                value=value.value,
                std_error=value.std_error,
            )
            for report in self.calibrations
            for value in report.values
            if (value.quantity, value.gate, value.qubits) == asked
            and (since is None or report.taken_at >= since)
        )
        marks = tuple(m for m in self.marks if (m.quantity, m.gate, m.qubits) == asked)
        return ValueHistory(
            device=device, quantity=quantity, qubits=qubits, gate=gate, points=points, marks=marks
        )

    def fits(self, device, limit=50):
        return self.fitted[:limit]

    def calibrate(self, device, measured=None):
        self.asked_for.append((device, measured))
        return CalibrationRun(run_id="run-1", device=device, finished=False)

    def calibration_run(self, run_id):
        run, *self.runs = self.runs
        return run

    def address(self, job_id):
        return f"http://platform/runs/{job_id}"

    def close(self):
        self.closed = True

    def _change(self, job_id, **change):
        self.records[job_id] = self.records[job_id].model_copy(update=change)

    def _run(self, job_id):
        from qcpaas.values import encode

        job = self.submitted[job_id]
        ended = {"finished_at": datetime.now(UTC)}

        def report(done, total, message, metrics):
            told = Progress(stage="iterations", done=done, total=total, metrics=metrics)
            self._change(job_id, progress=told)

        try:
            value = self._circuits(job) if job.kind == "circuits" else self._workload(job, report)
        except Exception as error:  # noqa: BLE001  the user's code may raise anything
            self._change(job_id, state=JobState.FAILED, error=report_error(error), **ended)
            return
        use = CalibrationUse(
            device=job.execution.backend,
            snapshot_id="a1b2c3",
            taken_at=datetime(2026, 1, 1, tzinfo=UTC),
            age_s=7200,
            physical_qubits=(3, 5),
        )
        manifest = Manifest(job=job, calibrations=(use,), stage_seconds={"execute": 0.5})
        self.results[job_id] = JobResult(job_id=job_id, value=encode(value), manifest=manifest)
        self._change(job_id, state=JobState.COMPLETED, **ended)

    def _workload(self, job, report):
        with loaded(job.bundle) as worker_class:
            return worker_class(Context(job, report)).run(**job.inputs)

    def _circuits(self, job):
        answers = []
        for item in job.items:
            answer = {"circuit": item.circuit.name, "shots": item.shots or job.execution.shots}
            points = len(item.parameter_values or [()])
            if item.observables is None:
                answer["counts"] = [{"c": {"00": 3000, "11": 1096}}] * points
            else:
                width = len(item.observables)
                answer |= {
                    "expectation_values": [[-1.13712] * width] * points,
                    "std_errors": [[0.00234] * width] * points,
                    "raw_values": [[-1.05] * width] * points,
                    "raw_std_errors": [[0.001] * width] * points,
                }
            answers.append(answer)
        return answers


@pytest.fixture
def platform():
    return InMemoryPlatform()
