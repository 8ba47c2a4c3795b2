"""One IQM quantum computer."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from adapters.backend import check_points
from adapters.contract import (
    Availability,
    Capabilities,
    DeviceAdapter,
    DeviceJobState,
    DeviceResult,
    DeviceSession,
    JobHandle,
    Submission,
    Unsupported,
)
from adapters.iqm.architecture import Architecture
from adapters.iqm.calibration import snapshot_of
from adapters.iqm.circuits import registers_of, write
from adapters.iqm.connection import Connection
from adapters.iqm.credentials import IqmCredentials
from adapters.iqm.history import has_history, sets_at
from adapters.iqm.results import Layout, device_seconds, read_counts, told_of
from adapters.iqm.settings import IqmSettings
from adapters.iqm.wire import WireError
from adapters.waiting import await_result
from qcpaas.errors import (
    DeviceUnavailable,
    ExecutionFailed,
    ResultPending,
    SubmissionRefused,
    UnknownDeviceJob,
)
from store.snapshot import Snapshot

if TYPE_CHECKING:
    from iqm.station_control.interface.models import CircuitJobDefinition
    from iqm.station_control.interface.models.jobs_new import JobData

LONGEST_QUEUE = 10**6
REMEMBERED = 256  # layouts of jobs; of others the server is asked
FIRST_PAUSE_S = 0.2
_STATES = {
    "waiting": DeviceJobState.QUEUED,
    "processing": DeviceJobState.RUNNING,
    "completed": DeviceJobState.COMPLETED,
    "failed": DeviceJobState.FAILED,
    "cancelled": DeviceJobState.CANCELLED,
}


class IqmAdapter(DeviceAdapter):
    """A quantum computer behind an IQM server, through ``iqm-client``.

    Args:
        alias: The server's name of it.
        name: The platform's.
        known: The newest snapshot that the store has of it.
    """

    def __init__(
        self,
        credentials: IqmCredentials,
        alias: str,
        name: str,
        settings: IqmSettings,
        known: Snapshot | None = None,
    ) -> None:
        self.name = name
        self._connection = Connection(credentials, alias, name)
        self._errors = self._connection.errors
        self._settings = settings
        self._snapshot = known
        self._architecture: Architecture | None = None
        self._layouts: OrderedDict[str, Layout] = OrderedDict()
        self._lock = threading.Lock()

    # --- what it is ---------------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """From the newest calibration that is known here; asks for one only where none is."""
        snapshot = self._snapshot or self._pulled()
        conditional = "reset" in snapshot.gates  # both need a measurement's feedback
        limits = self._settings
        return Capabilities(
            num_qubits=snapshot.num_qubits,
            basis_gates=(*snapshot.gates, "measure", "delay"),
            max_shots=limits.max_shots,
            max_circuits=limits.max_circuits,
            max_points=limits.max_circuits,
            equal_shots=True,
            concurrent_jobs=limits.concurrent_jobs,
            rep_delay_s=limits.rep_delay_s,
            control_flow=frozenset({"if_else"}) if conditional else frozenset(),
        )

    def calibration(self, at: datetime | None = None) -> Snapshot | Unsupported:
        if at is None:
            return self._pulled()
        current = self._pulled()
        if current.measured_at_s.max(initial=0.0) <= at.timestamp():
            return current
        if self._settings.calibration_set_id is not None:
            reason = f"{self.name} is set to one calibration set, which is newer than {at}"
            return Unsupported("calibration", reason)
        with self._errors.asking("its past calibration sets"):
            if not has_history(self._connection):
                return Unsupported(
                    "calibration",
                    f"{self._connection.url} lists past calibration sets only to those who may "
                    "use its station's interface; a set whose id is known can be chosen with the "
                    "setting calibration_set_id",
                )
            return self._past(at)

    def availability(self) -> Availability:
        """Its health, and the length of the queue where the server tells it."""
        alias = self._connection.alias
        try:
            client = self._connection.client
            with self._errors.asking("its health"):
                health = client.get_health()
                if not isinstance(health["healthy"], bool):
                    raise ValueError(f"healthy is {health['healthy']!r:.50}")
            queue = self._queue(f"quantum-computers/{alias}/queue-availability")
        except DeviceUnavailable as error:
            return Availability(online=False, message=str(error))
        if not health["healthy"]:
            said = health.get("message")
            why = said if isinstance(said, str) else "in maintenance"
            return Availability(online=False, queue_length=queue, message=f"{alias}: {why:.200}")
        return Availability(online=True, queue_length=queue)

    # --- jobs ---------------------------------------------------------------------------------

    def submit(self, submission: Submission, token: str) -> JobHandle:
        """One job of all circuits and points; the token is kept with the job, for people to see.

        Raises:
            SubmissionRefused: Also where circuits differ in shots, which one job cannot.
        """
        shots = self._checked(submission)
        definition = self._definition(submission, shots, token)
        layout = Layout.of(submission.experiments, shots, self._settings.heralding)
        client = self._connection.client
        with self._errors.submitting(token):
            job = client.submit_circuit_job(definition, use_timeslot=self._settings.use_timeslot)
            job_id = str(job.job_id)
        with self._lock:
            self._layouts[job_id] = layout
            if len(self._layouts) > REMEMBERED:
                self._layouts.popitem(last=False)
        return JobHandle(device=self.name, device_job_id=job_id, token=token)

    def find_by_token(self, token: str) -> JobHandle | Unsupported | None:
        return Unsupported(
            "find_by_token",
            f"the server of {self.name} neither takes a token of ours nor lists its jobs: whether "
            "a job was accepted whose answer got lost, only IQM's own dashboard tells",
        )

    def status(self, handle: JobHandle) -> DeviceJobState:
        return _STATES[self._job(handle).status.value]

    def result(self, handle: JobHandle, timeout_s: float | None = None) -> DeviceResult:
        place: list[int | None] = [None]

        def look() -> JobData | None:
            data = self._job(handle)
            place[0] = data.queue_position
            return data if _STATES[data.status.value] in _ENDED else None

        try:
            data = await_result(handle, look, timeout_s, first_s=FIRST_PAUSE_S)
        except ResultPending as error:
            if place[0] is None:
                raise
            raise ResultPending(f"{error} Before it in the queue: {place[0]} jobs.") from None
        return self._read(handle, data)

    def cancel(self, handle: JobHandle) -> Unsupported | None:
        """A job that is being run is interrupted."""
        if _STATES[self._job(handle).status.value] in _ENDED:
            return None
        with self._errors.asking("a cancellation", handle.device_job_id):
            self._connection.client.cancel_job(uuid.UUID(handle.device_job_id))
        return None

    # --- what IQM has none of -----------------------------------------------------------------

    def open_session(self) -> DeviceSession | Unsupported:
        return Unsupported(
            "open_session",
            f"{self.name} has no sessions. For a queue of one's own, book a time slot in IQM's "
            "dashboard and set use_timeslot",
        )

    def close_session(self, session: DeviceSession) -> Unsupported | None:
        return Unsupported("close_session", f"{self.name} has no sessions")

    def reservations(self) -> Unsupported:
        return Unsupported(
            "reservations",
            f"time slots on {self.name} are booked and seen in IQM's dashboard: its client lists "
            "none, and only sends jobs to them (setting use_timeslot)",
        )

    # --- parts --------------------------------------------------------------------------------

    def _pulled(self) -> Snapshot:
        """The calibration in force."""
        client = self._connection.client
        with self._errors.asking("its calibration"):
            architecture = self._fetched()
            chosen = uuid.UUID(architecture.calibration_set_id)
            sets = [client.get_calibration_set(chosen), client.get_quality_metric_set(chosen)]
            self._snapshot = self._of(architecture, sets)
            return self._snapshot

    def _past(self, at: datetime) -> Snapshot | Unsupported:
        found = sets_at(self._connection, at)
        if found is None:
            return Unsupported("calibration", f"{self.name} had no calibration set by {at}")
        chosen, sets = found
        client = self._connection.client
        calibrated = client.get_dynamic_quantum_architecture(chosen)
        chip = client.get_static_quantum_architecture()
        return self._of(Architecture.of(calibrated, chip), sets)

    def _of(self, architecture: Architecture, sets: list[Any]) -> Snapshot:
        source = f"iqm:{self._connection.alias}"
        return snapshot_of(self.name, source, architecture, sets, datetime.now(UTC))

    def _fetched(self) -> Architecture:
        """The operations of the calibration in force, or of the one that was chosen."""
        client = self._connection.client
        calibrated = client.get_dynamic_quantum_architecture(self._settings.calibration_set_id)
        chip = client.get_static_quantum_architecture()
        self._architecture = Architecture.of(calibrated, chip)
        return self._architecture

    def _checked(self, submission: Submission) -> int:
        """The shots of every circuit."""
        if submission.noise_model is not None:
            raise SubmissionRefused(f"{self.name} takes no noise model. Choose a simulator.")
        if not submission.experiments:
            raise SubmissionRefused(f"no circuits were given for a job of {self.name}.")
        for experiment in submission.experiments:
            check_points(experiment)
        shots = {experiment.shots for experiment in submission.experiments}
        if len(shots) != 1:
            raise SubmissionRefused(
                f"circuits with {sorted(map(str, shots))} shots were given for one job of "
                f"{self.name}, whose circuits all have the same. Submit them apart."
            )
        (asked,) = shots
        if asked is None or any(e.observables is not None for e in submission.experiments):
            raise SubmissionRefused(f"{self.name} counts outcomes of shots, and nothing else.")
        points = sum(experiment.points for experiment in submission.experiments)
        for found, most, what in (
            (asked, self._settings.max_shots, "shots"),
            (points, self._settings.max_circuits, "circuits"),
        ):
            if not 1 <= found <= most:
                raise SubmissionRefused(
                    f"{found} {what} were given for one job of {self.name}, which takes 1 to "
                    f"{most}. Submit fewer at a time."
                )
        return asked

    def _definition(self, submission: Submission, shots: int, token: str) -> CircuitJobDefinition:
        """What is sent, checked against the operations of the calibration in force."""
        known = self._architecture
        if known is not None:
            with contextlib.suppress(SubmissionRefused):  # they may have changed since
                return self._defined(submission, shots, token, known)
        with self._errors.asking("its gates"):
            architecture = self._fetched()
        return self._defined(submission, shots, token, architecture)

    def _defined(
        self, submission: Submission, shots: int, token: str, architecture: Architecture
    ) -> CircuitJobDefinition:
        circuits, first = [], []
        for number, experiment in enumerate(submission.experiments):
            registers = registers_of(experiment.circuit)
            kept = {"experiment": number, "registers": registers, "token": token}
            written = write(experiment, architecture, kept)
            first.append(written[0])
            circuits += written
        client = self._connection.client
        with self._errors.checking():
            # Points of a circuit differ in angles, which are not checked: the first one serves.
            definition = client.create_circuit_job_definition(
                first,
                # Known to the client by now, so that its checks ask nobody.
                calibration_set_id=uuid.UUID(architecture.calibration_set_id),
                shots=shots,
                options=self._settings.compilation_options(),
            )
        chosen = self._settings.calibration_set_id
        return definition.model_copy(update={"circuits": circuits, "calibration_set_id": chosen})

    def _job(self, handle: JobHandle) -> JobData:
        """Raises `UnknownDeviceJob`."""
        job_id = handle.device_job_id
        try:
            uuid.UUID(job_id)
        except ValueError as error:
            raise UnknownDeviceJob(
                f"{self.name} has no job {job_id}: its ids are UUIDs."
            ) from error
        executor = self._connection.executor
        with self._errors.asking("a job", job_id):
            return executor.get_job(job_id)

    def _read(self, handle: JobHandle, data: JobData) -> DeviceResult:
        """The result of a job that has ended."""
        job_id = handle.device_job_id
        state = _STATES[data.status.value]
        if state is DeviceJobState.CANCELLED:
            raise ExecutionFailed(f"job {job_id} on {self.name} was cancelled.")
        if state is DeviceJobState.FAILED:
            told = "; ".join(str(error) for error in data.errors) or "without a reason"
            raise ExecutionFailed(f"job {job_id} on {self.name} failed: {told:.1000}")
        with self._errors.asking("the counts of a job", job_id):
            measured = self._connection.client.get_job_measurement_counts(uuid.UUID(job_id))
            counts = read_counts(measured, self._layout(job_id))
            return DeviceResult(counts, device_seconds(data), details=told_of(data))

    def _layout(self, job_id: str) -> Layout:
        """What a job's circuits stand for; the server keeps that for other processes."""
        with self._lock:
            known = self._layouts.get(job_id)
        if known is None:
            known = Layout.from_payload(
                self._connection.executor.get_job_payload(job_id, "circuit")
            )
        return known

    def _queue(self, path: str) -> int | None:
        """Jobs that wait; ``None`` where the server does not tell."""
        try:
            with self._errors.asking("its queue"):
                try:
                    told = self._connection.get_json(path)
                except WireError as error:
                    if error.status not in {403, 404}:  # not for everybody, or not there yet
                        raise
                    return None
                length = told["queue_length"]
                if isinstance(length, bool) or length not in range(LONGEST_QUEUE):
                    raise ValueError(f"a queue of {length!r:.50}")
                return int(length)
        except DeviceUnavailable:
            return None


_ENDED = {DeviceJobState.COMPLETED, DeviceJobState.FAILED, DeviceJobState.CANCELLED}
