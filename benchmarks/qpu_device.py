"""The loopback QPU behind its HTTP interface: queue, sessions, and what goes wrong on purpose."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass
from typing import Literal

from adapters.aer import AerRunner
from adapters.fake_backends import read_snapshot
from adapters.loopback import IDEAL, IDEAL_QUBITS, NAME
from adapters.loopback_wire import Answer, CircuitReader, Description, SentJob, read_job
from adapters.noise import DeviceErrors
from adapters.twins import REP_DELAY_S
from benchmarks.qpu_controls import Controls
from benchmarks.qpu_log import JobLog, JobState, LoggedJob, LoggedSession, Reply
from qcpaas.errors import DeviceUnavailable, SessionClosed, SubmissionRefused, UnknownDeviceJob

_LOOKS_EVERY_S = 0.05
_ENDED: tuple[JobState, ...] = ("completed", "failed", "cancelled", "dropped")


@dataclass(frozen=True)
class Machine:
    """What is imitated: a device's noise and gates, or none."""

    runner: AerRunner
    num_qubits: int
    basis_gates: tuple[str, ...]
    rep_delay_s: float

    @classmethod
    def named(cls, name: str) -> Machine:
        """``ideal``, or one of the digital twins."""
        if name == IDEAL:
            return cls(AerRunner(NAME, ideal_method="statevector"), IDEAL_QUBITS, (), 0.0)
        snapshot = read_snapshot(name)
        runner = AerRunner(NAME, DeviceErrors(snapshot), rep_delay_s=REP_DELAY_S)
        gates = (*snapshot.gates, "measure", "delay")
        return cls(runner, snapshot.num_qubits, gates, REP_DELAY_S)


class QuantumComputer:
    """Accepts, runs and remembers jobs; every operation may be called from any thread."""

    def __init__(self, machine: Machine, log: JobLog, **controls: object) -> None:
        self.log = log
        self._machine = machine
        self._reader = CircuitReader()
        self._changed = threading.Condition(threading.RLock())
        self._aer = threading.Lock()  # its caches are for one thread
        kept = log.controls()
        before = Controls() if kept is None else Controls.model_validate_json(kept)
        self._controls = before.changed(**controls)
        self._waiting = log.unfinished()  # accepted before a restart
        self._places = 0
        log.keep_controls(self._controls.model_dump_json())

    def start(self) -> None:
        """Close what ended meanwhile, and go on with the jobs that were accepted before."""
        self._close_expired()
        threading.Thread(target=self._watch_sessions, daemon=True).start()
        self._open_places()

    # --- what a client asks -----------------------------------------------------------------

    @property
    def controls(self) -> Controls:
        return self._controls

    def describe(self) -> Description:
        controls = self._controls
        return Description(
            num_qubits=self._machine.num_qubits,
            basis_gates=self._machine.basis_gates,
            max_shots=controls.max_shots,
            max_circuits=controls.max_circuits,
            concurrent_jobs=controls.at_once,
            rep_delay_s=self._machine.rep_delay_s,
            token_lag_s=controls.token_lag_s,
            queue_length=len(self._waiting),
        )

    def check_open(self) -> None:
        """Raises `DeviceUnavailable` while everything is refused."""
        left = self._controls.refuse_until - time.time()
        if left > 0:
            raise DeviceUnavailable(f"out of service for another {left:.1f} s.")

    def accept(self, body: bytes, client_pid: int | None) -> tuple[str, Reply]:
        """Keep a job for good, and say what is to become of the answer.

        Raises:
            SubmissionRefused: It breaks a limit.
            CircuitError: A circuit cannot be read.
            SessionClosed: Its session has ended.
        """
        job = read_job(body)
        self._check(job)
        content = self._reader.content(job)
        with self._changed:
            known = self.log.find(job.token, time.time()) if self._controls.dedup else None
            if known is not None:
                return known, self._strike()
            self._check_session(job.session_id)
            reply = self._strike()
            job_id = f"{NAME}-{uuid.uuid4().hex}"
            self.log.accept(
                LoggedJob(
                    job_id=job_id,
                    token=job.token,
                    accepted_at=time.time(),
                    client_pid=client_pid,
                    content=content,
                    seed=job.seed,
                    session_id=job.session_id,
                    circuits=len(job.experiments),
                    reply=reply,
                    state="queued",
                    runs=0,
                    ended_at=None,
                ),
                body,
            )
            if job.session_id is not None:
                self.log.use_session(job.session_id)
            self._waiting.append(job_id)
            self._changed.notify_all()
        return job_id, reply

    def loses_request(self) -> bool:
        """Whether the next submission is to vanish before it is accepted."""
        with self._changed:
            losing = self._controls.lose_requests
            if losing:
                self.set_controls(lose_requests=losing - 1)
        return losing > 0

    def state(self, job_id: str) -> JobState:
        """Raises `UnknownDeviceJob`."""
        state = self.log.state(job_id)
        if state is None:
            raise UnknownDeviceJob(f"there is no job {job_id}. Submit it again.")
        return state

    def wait(self, job_id: str, timeout_s: float) -> JobState:
        """The job's state, as soon as it has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self.state(job_id) in _ENDED, timeout_s)
            return self.state(job_id)

    def cancel(self, job_id: str) -> JobState:
        with self._changed:
            self.state(job_id)
            self._end(job_id, "cancelled", message="the job was cancelled.")
            return self.state(job_id)

    def find(self, token: str) -> str | None:
        return self.log.find(token, time.time() - self._controls.token_lag_s)

    # --- sessions ---------------------------------------------------------------------------

    def open_session(self) -> LoggedSession:
        now, controls = time.time(), self._controls
        session = LoggedSession(
            session_id=f"session-{uuid.uuid4().hex}",
            opened_at=now,
            expires_at=None if controls.session_max_s is None else now + controls.session_max_s,
            max_idle_s=controls.session_idle_s,
            used_at=now,
            closed_at=None,
            reason=None,
        )
        self.log.open_session(session)
        return session

    def close_session(self, session_id: str, reason: str, *, drop: bool) -> None:
        """Take no more jobs in it; those that wait run to their end unless they are dropped."""
        with self._changed:
            self.log.close_session(session_id, reason)
            for job_id in self.log.unfinished(session_id) if drop else ():
                if job_id in self._waiting:
                    self._end(job_id, "dropped", message=f"its session was closed: {reason}.")

    def _check_session(self, session_id: str | None) -> None:
        if session_id is None:
            return
        self._close_expired()
        session = self.log.session(session_id)
        if session is None or session.closed_at is not None:
            reason = "there is none of that name" if session is None else session.reason
            raise SessionClosed(f"session {session_id} is closed: {reason}. Open a new one.")

    def _watch_sessions(self) -> None:
        while True:
            time.sleep(_LOOKS_EVERY_S)
            self._close_expired()

    def _close_expired(self) -> None:
        with self._changed:
            for session in self.log.sessions(only_open=True):
                busy = bool(self.log.unfinished(session.session_id))
                reason = session.over(time.time(), busy=busy)
                if reason is not None:
                    self.close_session(session.session_id, reason, drop=True)

    # --- what its owner sets ----------------------------------------------------------------

    def set_controls(self, **values: object) -> Controls:
        with self._changed:
            self._controls = self._controls.changed(**values)
            self.log.keep_controls(self._controls.model_dump_json())
            self._open_places()
            self._changed.notify_all()
            return self._controls

    def _strike(self) -> Reply:
        """What becomes of the answer to this acceptance."""
        controls = self._controls
        name: Literal["kill_clients", "lose_replies"]
        name = "kill_clients" if controls.kill_clients else "lose_replies"
        left: int = getattr(controls, name)
        if not left:
            return "sent"
        if controls.strike_after:
            self.set_controls(strike_after=controls.strike_after - 1)
            return "sent"
        self.set_controls(**{name: left - 1})
        return "client killed" if name == "kill_clients" else "lost"

    # --- running ----------------------------------------------------------------------------

    def _check(self, job: SentJob) -> None:
        controls = self._controls
        if not 1 <= len(job.experiments) <= controls.max_circuits:
            raise SubmissionRefused(
                f"the job has {len(job.experiments)} circuits; one job takes 1 "
                f"to {controls.max_circuits}."
            )
        for experiment in self._reader.submission(job).experiments:
            circuit, places = experiment.circuit, experiment.binding
            qubits = range(circuit.num_qubits) if places is None else places.physical_qubits
            if any(not 0 <= qubit < self._machine.num_qubits for qubit in qubits):
                raise SubmissionRefused(
                    f"circuit {circuit.name} is on {len(qubits)} qubits, {tuple(qubits)}; there "
                    f"are {self._machine.num_qubits}."
                )
            if not 1 <= (experiment.shots or 0) <= controls.max_shots:
                raise SubmissionRefused(
                    f"circuit {circuit.name} asks for {experiment.shots} shots; 1 to "
                    f"{controls.max_shots} are taken."
                )

    def _open_places(self) -> None:
        with self._changed:
            for place in range(self._places, self._controls.at_once):
                threading.Thread(target=self._work, args=(place,), daemon=True).start()
                self._places = place + 1

    def _work(self, place: int) -> None:
        """One of the places where jobs run side by side."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting and place < self._controls.at_once)
                job_id = self._waiting.pop(0)
                request = self.log.begin(job_id)
            if self._delay(job_id):
                self._simulate(job_id, request)

    def _delay(self, job_id: str) -> bool:
        """Take the time that a job is to take; whether it is still wanted then."""
        began = time.monotonic()
        with self._changed:
            while self.state(job_id) == "running":
                left = began + self._controls.delay_s - time.monotonic()
                if left <= 0:
                    return True
                self._changed.wait(left)
        return False

    def _simulate(self, job_id: str, request: bytes) -> None:
        try:
            submission = self._reader.submission(read_job(request))
            with self._aer:
                result = self._machine.runner.run(submission)
            answer = Answer.of(result).model_dump_json().encode()
        except Exception as error:  # noqa: BLE001  one job's fault must not stop the queue
            self._end(job_id, "failed", message=f"{type(error).__name__}: {error}")
        else:
            self._end(job_id, "completed", answer)

    def _end(
        self, job_id: str, state: JobState, answer: bytes | None = None, message: str | None = None
    ) -> None:
        with self._changed:
            if job_id in self._waiting:
                self._waiting.remove(job_id)
            self.log.end(job_id, state, answer, message)
            session_id = self.log.session_of(job_id)
            if session_id is not None:
                self.log.use_session(session_id)
            self._changed.notify_all()
