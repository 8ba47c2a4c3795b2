"""One IBM backend."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from adapters.contract import (
    CONTROL_FLOW,
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
from adapters.ibm import sessions
from adapters.ibm.calibration import read_calibration
from adapters.ibm.circuits import estimator_pub, folded, sampler_pub
from adapters.ibm.connection import Connected, Connection
from adapters.ibm.errors import LONGEST, status_of
from adapters.ibm.replies import (
    Configuration,
    Job,
    JobList,
    Metrics,
    Session,
    Status,
    details_of,
)
from adapters.ibm.results import read_result
from adapters.ibm.settings import IbmSettings
from adapters.limits import check_limits
from adapters.waiting import await_result
from qcpaas.errors import (
    AcceptanceUnknown,
    DeviceUnavailable,
    ExecutionFailed,
    MalformedReply,
    SessionClosed,
    UnknownDeviceJob,
)
from store.snapshot import Snapshot

if TYPE_CHECKING:
    from qiskit_ibm_runtime.api.clients import RuntimeClient

MAX_EXECUTIONS = 10_000_000  # shots of one job, as IBM's page on job limits says
MAX_POINTS = 1_000  # at 10,000 shots each, they are the most executions that one job takes
MAX_CIRCUITS = 300
# IBM states no bound; a job is listed with its tags from its acceptance on.
TOKEN_LAG_S = 5.0
CONCURRENT_JOBS = 3  # that an account of the open plan may have pending
_NO_SESSIONS = {400, 403, 422}  # the account's plan has none of the kind
_ENDED = {DeviceJobState.COMPLETED, DeviceJobState.FAILED, DeviceJobState.CANCELLED}

Answer = TypeVar("Answer")


class IbmAdapter(DeviceAdapter):
    """A backend of IBM Quantum, through qiskit-ibm-runtime.

    Args:
        name: Ours.
        address: IBM's name of the backend.
    """

    def __init__(
        self, name: str, address: str, connection: Connection, settings: IbmSettings
    ) -> None:
        self.name = name
        self._address = address
        self._connection = connection
        self._settings = settings
        self._configured: Configuration | None = None

    def capabilities(self) -> Capabilities:
        """Raises `DeviceUnavailable` or `CredentialsRefused` where it must be asked, and cannot."""
        told = self._configuration()
        gates = dict.fromkeys([*told.basis_gates, "measure", "delay"])
        if "reset" in told.supported_instructions:
            gates["reset"] = None
        return Capabilities(
            num_qubits=told.n_qubits,
            basis_gates=tuple(gates),
            max_shots=told.max_shots,
            max_circuits=told.max_experiments or MAX_CIRCUITS,
            max_points=MAX_POINTS,
            max_total_shots=MAX_EXECUTIONS,
            simulator=told.simulator,
            concurrent_jobs=CONCURRENT_JOBS,
            rep_delay_s=told.default_rep_delay,
            token_lag_s=TOKEN_LAG_S,
            control_flow=CONTROL_FLOW.intersection(told.supported_instructions),
            estimates=True,
        )

    def calibration(self, at: datetime | None = None) -> Snapshot | Unsupported:
        configuration, backend = self._configuration(), self._connected().backend
        journal = self._connection.journal
        return self._ask(lambda _: read_calibration(self.name, backend, configuration, at, journal))

    def availability(self) -> Availability:
        try:
            status = self._status()
        except DeviceUnavailable as error:
            return Availability(online=False, message=str(error))
        message = "" if status.state and status.status == "active" else status.status
        return Availability(status.state, status.length_queue, message)

    # --- jobs -------------------------------------------------------------------------------

    def submit(self, submission: Submission, token: str) -> JobHandle:
        check_limits(submission, self.name, self.capabilities())
        connected = self._connected()
        run = self._prepared(submission, connected, token)
        journal, errors = self._connection.journal, self._connection.errors
        journal.clear()
        try:
            job_id = run().job_id()
        except Exception as error:  # noqa: BLE001 - the client raises anything
            if not journal.submitted:
                errors.unsent(error, journal.trouble)
            trouble = journal.trouble
            if submission.session is not None and status_of(error, trouble) in {400, 404, 409, 410}:
                self._require_open(submission.session)
            errors.submitted(error, trouble, token)
        if not isinstance(job_id, str) or not job_id:
            raise AcceptanceUnknown(
                f"a job was sent to {self.name} under token {token}, and {job_id!r:.100} came back "
                "in place of its id. Look for the token before it is sent again."
            )
        return JobHandle(device=self.name, device_job_id=job_id, token=token)

    def status(self, handle: JobHandle) -> DeviceJobState:
        return self._job(handle).progress

    def result(self, handle: JobHandle, timeout_s: float | None = None) -> DeviceResult:
        def look() -> Job | None:
            job = self._job(handle)
            return job if job.progress in _ENDED else None

        job = await_result(handle, look, timeout_s)
        if job.progress is not DeviceJobState.COMPLETED:
            self._raise_ended(job)
        counts, values = read_result(self._ask(lambda api: _decoded(api, handle)), self.name)
        metrics = self._metrics(handle)
        return DeviceResult(
            counts=counts,
            values=values,
            qpu_s=metrics.usage.quantum_seconds or 0.0,
            details=details_of(job, metrics),
        )

    def cancel(self, handle: JobHandle) -> Unsupported | None:
        self._ask(lambda api: api.job_cancel(_path(handle)), self._unknown(handle), ended={409})
        return None

    def find_by_token(self, token: str) -> JobHandle | Unsupported | None:
        """The first job with the token among its tags."""
        found = self._ask(lambda api: api.jobs_get(limit=10, job_tags=[token], descending=False))
        jobs = self._connection.read(JobList, found).jobs
        tagged = [job for job in jobs if token in (job.tags or ())]
        if not tagged:
            return None
        return JobHandle(device=self.name, device_job_id=tagged[0].id, token=token)

    # --- sessions ---------------------------------------------------------------------------

    def open_session(self) -> DeviceSession | Unsupported:
        mode = self._settings.mode
        if mode == "job":
            return Unsupported(
                "open_session",
                f"{self.name} is set to mode job. Set it to session or batch, as the plan allows.",
            )
        backend = self._connected().backend
        longest_s = self._settings.max_time_s
        opened = self._ask(
            lambda _: sessions.open_mode(backend, mode, longest_s).session_id, ended=_NO_SESSIONS
        )
        if opened is None:
            refusal = getattr(self._connection.journal.trouble, "text", "")
            said = self._connection.credentials.scrubbed(refusal)[:LONGEST]
            return Unsupported("open_session", f"IBM opens no {mode} here: {said}")
        if not isinstance(opened, str) or not opened:
            raise MalformedReply(
                f"{self.name} opened a session, and {opened!r:.100} came back in place of its id."
            )
        return sessions.limits(self._session(opened))

    def close_session(self, session: DeviceSession) -> Unsupported | None:
        """Jobs that it has taken run to their end."""
        self._ask(lambda api: api.close_session(_quoted(session.session_id)), ended={404})
        return None

    def reservations(self) -> Unsupported:
        return Unsupported(
            "reservations",
            "IBM's client has no call for them; a dedicated mode is booked on the IBM Quantum "
            "Platform, and a session stands for a while of one's own",
        )

    # --- requests ---------------------------------------------------------------------------

    def _prepared(
        self, submission: Submission, connected: Connected, token: str
    ) -> Callable[[], Any]:
        """The submission as one call of the client's primitive."""
        from qiskit_ibm_runtime import EstimatorV2, SamplerV2

        session, mode = submission.session, connected.backend
        if session is not None:
            self._require_open(session)
            mode = sessions.resumed(connected.backend, session.session_id)
        width, experiments = self._configuration().n_qubits, submission.experiments
        environment = {"job_tags": [token]}
        if all(experiment.observables is not None for experiment in experiments):
            level = self._settings.resilience_level
            options = {"environment": environment, "resilience_level": level}
            estimator = EstimatorV2(mode, options)
            asked = [folded(estimator_pub(each, width), estimator) for each in experiments]
            return lambda: estimator.run(asked)
        sampler = SamplerV2(mode, {"environment": environment})
        pubs = [folded(sampler_pub(each, width), sampler) for each in experiments]
        return lambda: sampler.run(pubs)

    def _connected(self) -> Connected:
        return self._connection.backend(self._address)

    def _configuration(self) -> Configuration:
        if self._configured is None:
            told = self._connected().backend.configuration()
            fields = {name: getattr(told, name, None) for name in Configuration.model_fields}
            known = {name: value for name, value in fields.items() if value is not None}
            self._configured = self._connection.read(Configuration, known)
        return self._configured

    def _status(self) -> Status:
        self._ask(lambda api: api.backend_status(self._address))
        # The client puts its own values where the reply has none, or none that make sense.
        return self._connection.read(Status, self._connection.journal.body)

    def _job(self, handle: JobHandle) -> Job:
        found = self._ask(lambda api: api.job_get(_path(handle)), self._unknown(handle))
        return self._connection.read(Job, found)

    def _metrics(self, handle: JobHandle) -> Metrics:
        """Nothing where IBM has not counted yet."""
        found = self._ask(lambda api: api.job_metadata(_path(handle)), ended={404})
        return self._connection.read(Metrics, found or {})

    def _session(self, session_id: str) -> Session:
        gone = SessionClosed(f"{self.name} has no session {session_id} any more. Open another one.")
        found = self._ask(lambda api: api.session_details(_quoted(session_id)), gone)
        return self._connection.read(Session, found)

    def _require_open(self, session: DeviceSession) -> None:
        details = self._session(session.session_id)
        if not details.open:
            raise SessionClosed(
                f"session {session.session_id} on {self.name} is {details.state or 'closed'} and "
                "takes no more jobs. Open another one."
            )

    def _ask(
        self,
        request: Callable[[RuntimeClient], Answer],
        missing: Exception | None = None,
        *,
        ended: Collection[int] = (),
    ) -> Answer | Any:
        """What the client answers.

        Args:
            missing: Raised where the server knows nothing by that name.
            ended: Statuses of refusals that are answers: there is nothing to answer.
        """
        api, journal = self._connected().api, self._connection.journal
        journal.clear()
        try:
            return request(api)
        except Exception as error:  # noqa: BLE001 - the client raises anything
            status = status_of(error, journal.trouble)
            if missing is not None and status == 404:
                raise missing from None
            if status in ended:
                return None
            self._connection.errors.asked(error, journal.trouble)

    def _unknown(self, handle: JobHandle) -> UnknownDeviceJob:
        return UnknownDeviceJob(
            f"{self.name} has no job {handle.device_job_id} for these credentials. Check the "
            "instance, or submit it again."
        )

    def _raise_ended(self, job: Job) -> None:
        reason = self._connection.credentials.scrubbed(job.state.reason or "")[:1000]
        told = f"job {job.id} on {self.name} ended as {job.state.status.lower()}: {reason}"
        cancelled = job.progress is DeviceJobState.CANCELLED
        if cancelled and job.session_id and "session" in reason.lower():
            raise SessionClosed(f"{told}. Open another session.")
        raise ExecutionFailed(told.rstrip(": ") + ".")


def _decoded(api: RuntimeClient, handle: JobHandle) -> Any:
    from qiskit_ibm_runtime.utils.result_decoder import ResultDecoder

    return ResultDecoder.decode(api.job_results(_path(handle)))


def _path(handle: JobHandle) -> str:
    return _quoted(handle.device_job_id)


def _quoted(name: str) -> str:
    """An id as one part of a path, whatever it holds."""
    return quote(name, safe="")
