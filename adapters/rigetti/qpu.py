"""A Rigetti processor at QCS."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Protocol

from adapters.contract import (
    Availability,
    Capabilities,
    DeviceAdapter,
    DeviceJobState,
    DeviceResult,
    JobHandle,
    Submission,
    Unsupported,
    Window,
)
from adapters.limits import check_limits
from adapters.rigetti.calibration import snapshot
from adapters.rigetti.circuits import Dialect, QuilProgram, quil_program
from adapters.rigetti.executions import Cancelled, Executions, Readout
from adapters.rigetti.handles import SentCircuit, SentJob
from adapters.rigetti.isa import Architecture, architecture
from adapters.rigetti.qcs import Connection, Qcs
from adapters.rigetti.quilc import compiled
from adapters.rigetti.results import bits_of_columns, distribution
from adapters.waiting import await_result
from qcpaas.errors import (
    AcceptanceUnknown,
    AdapterError,
    DeviceUnavailable,
    ExecutionFailed,
    MalformedReply,
    SubmissionRefused,
)
from qcpaas.execution import Counts, Experiment
from store.snapshot import Snapshot

MAX_SHOTS = 100_000
MAX_CIRCUITS = 20
MAX_POINTS = 500
GLANCE_S = 2.0  # how long a status waits for a result that is there already
LONGEST_S = 20.0  # of one request for a result
SHORTEST_S = 0.1
AT_ONCE = 8  # requests for results
KEPT = 1_000  # executions whose outcome is remembered

Outcome = Readout | ExecutionFailed


class QPUSettings(Connection, Protocol):
    """What of `RigettiSettings` a processor needs."""

    @property
    def compiler(self) -> str: ...
    @property
    def execution_timeout_s(self) -> float | None: ...


class QPUAdapter(DeviceAdapter):
    """One processor; calls nobody until it is asked."""

    def __init__(self, name: str, processor: str, qcs: Qcs, settings: QPUSettings) -> None:
        self.name = name
        self._processor = processor
        self._qcs = qcs
        self._settings = settings
        self._executions = Executions(qcs, processor, settings, settings.execution_timeout_s)
        self._known: tuple[Any, Architecture] | None = None
        self._ended: OrderedDict[str, Outcome] = OrderedDict()
        self._lock = threading.Lock()

    def capabilities(self) -> Capabilities:
        gates = self._architecture().gates
        return Capabilities(
            num_qubits=len(self._architecture().nodes),
            basis_gates=(*gates, "measure", "delay"),
            max_shots=MAX_SHOTS,
            max_circuits=MAX_CIRCUITS,
            max_points=MAX_POINTS,
            control_flow=frozenset(),
            mid_circuit_measurement=False,
        )

    def calibration(self, at: datetime | None = None) -> Snapshot | Unsupported:
        """The one in force; of the past, only while nothing has been measured since."""
        now = datetime.now(UTC)
        _, found = self._fetch()
        newest = snapshot(found, self.name, now)
        if at is not None and at.timestamp() < newest.measured_at_s.max(initial=0.0):
            return Unsupported("calibration", "QCS keeps no calibration but the newest")
        return newest

    def availability(self) -> Availability:
        try:
            return self._qcs.availability(self._processor, self._settings)
        except DeviceUnavailable as error:
            return Availability(online=False, message=str(error))

    def submit(self, submission: Submission, token: str) -> JobHandle:
        """Translate every circuit, then send each one's points together.

        Raises:
            SubmissionRefused: Too much, not native, or refused by QCS in its own words.
            CredentialsRefused, DeviceUnavailable, MalformedReply: Nothing was taken.
            AcceptanceUnknown: Sent, and no answer came; or some circuits were taken, and the
                next was not.
        """
        check_limits(submission, self.name, self.capabilities())
        programs = [self._program(experiment) for experiment in submission.experiments]
        self._check_online()
        translated = [
            self._translated(program, experiment.shots or 0)
            for experiment, program in zip(submission.experiments, programs, strict=True)
        ]
        sent: list[SentCircuit] = []
        for experiment, program, (binary, streams) in zip(
            submission.experiments, programs, translated, strict=True
        ):
            memories = [program.memory_map(point) for point in experiment.parameter_values]
            ids = self._send(binary, memories, token, sent)
            sent.append(_sent(program, experiment, ids, streams))
        job_id = SentJob(circuits=tuple(sent)).model_dump_json()
        return JobHandle(device=self.name, device_job_id=job_id, token=token)

    def status(self, handle: JobHandle) -> DeviceJobState:
        """What asking for the results tells: QCS's client has no other way.

        A job that waits is told as running.
        """
        outcomes = self._outcomes(SentJob.of(handle), GLANCE_S)
        if outcomes is None:
            return DeviceJobState.RUNNING
        if any(isinstance(outcome, Cancelled) for outcome in outcomes):
            return DeviceJobState.CANCELLED
        failed = any(isinstance(outcome, ExecutionFailed) for outcome in outcomes)
        return DeviceJobState.FAILED if failed else DeviceJobState.COMPLETED

    def result(self, handle: JobHandle, timeout_s: float | None = None) -> DeviceResult:
        job = SentJob.of(handle)
        deadline = float("inf") if timeout_s is None else time.monotonic() + timeout_s

        def look() -> DeviceResult | None:
            wait_s = min(LONGEST_S, max(SHORTEST_S, deadline - time.monotonic()))
            outcomes = self._outcomes(job, wait_s)
            return None if outcomes is None else _result(job, outcomes)

        return await_result(handle, look, timeout_s)

    def cancel(self, handle: JobHandle) -> Unsupported | None:
        """Stops what has not begun; the executions of one job begin one by one."""
        job = SentJob.of(handle)
        self._qcs.availability(self._processor, self._settings)
        refused = self._executions.cancel(job.executions)
        if not refused:
            return None
        return Unsupported("cancel", f"QCS cancels only what has not begun: {refused}")

    def reservations(self) -> Sequence[Window] | Unsupported:
        return self._qcs.reservations(self._processor)

    # --- what is asked ----------------------------------------------------------------------

    def _program(self, experiment: Experiment) -> QuilProgram:
        circuit, binding = experiment.circuit, experiment.binding
        found = self._architecture()
        indices = range(circuit.num_qubits) if binding is None else binding.physical_qubits
        program = quil_program(
            circuit,
            [found.nodes[index] for index in indices],
            Dialect(
                self.name,
                pulse_level=True,
                control_flow=False,
                mid_circuit=False,
                native=frozenset(found.gates),
            ),
        )
        if not program.measured:
            raise SubmissionRefused(
                f"circuit {circuit.name} has no measurement. Add measure_all()."
            )
        return program

    def _translated(self, program: QuilProgram, shots: int) -> tuple[str, dict[int, str]]:
        binary, streams = self._executions.translate(self._text(program), shots)
        missing = [bit for bit in program.measured if bit not in streams]
        if missing:
            raise MalformedReply(
                f"{self.name}: the translated program does not say where its bits {missing} are "
                "read. Nothing was sent."
            )
        return binary, streams

    def _text(self, program: QuilProgram) -> str:
        if self._settings.compiler == "native":
            return program.text
        isa, _ = self._known or self._fetch()
        return compiled(program.text, isa, self._qcs.credentials.quilc())

    def _check_online(self) -> None:
        availability = self._qcs.availability(self._processor, self._settings)
        if not availability.online:
            raise DeviceUnavailable(
                f"{self.name} takes nothing now: {availability.message}. Ask again later."
            )

    def _send(
        self,
        binary: str,
        memories: list[dict[str, list[float]]],
        token: str,
        sent: Sequence[SentCircuit],
    ) -> tuple[str, ...]:
        """Send one circuit; where it fails, take back those that were sent before it."""
        try:
            return self._executions.send(binary, memories, token)
        except AdapterError as error:
            taken = [each for circuit in sent for each in circuit.executions]
            if taken:
                raise AcceptanceUnknown(
                    f"{error} The circuits before it were taken under token {token}: "
                    f"{', '.join(taken)[:500]}; {self._taken_back(taken)}."
                ) from error
            raise

    def _taken_back(self, executions: Sequence[str]) -> str:
        try:
            refused = self._executions.cancel(executions)
        except AdapterError as error:
            refused = str(error)
        return f"cancelling them failed: {refused}" if refused else "they were cancelled"

    def _architecture(self) -> Architecture:
        return (self._known or self._fetch())[1]

    def _fetch(self) -> tuple[Any, Architecture]:
        """Ask QCS; Rigetti's own object, and what is in it."""
        from qcs_sdk.qpu.isa import InstructionSetArchitecture, SerializeISAError

        path = f"/v1/quantumProcessors/{self._processor}/instructionSetArchitecture"
        # Not by the client's own request, which is tried again for five minutes.
        told = json.dumps(self._qcs.get(path))
        try:
            isa = InstructionSetArchitecture.from_raw(told)
        except (SerializeISAError, ValueError) as error:
            raise MalformedReply(
                f"QCS answers no architecture of {self._processor}: {str(error)[:200]}"
            ) from error
        self._known = isa, architecture(isa)
        return self._known

    # --- what came back ---------------------------------------------------------------------

    def _outcomes(self, job: SentJob, wait_s: float) -> list[Outcome] | None:
        """Of every execution; ``None`` where one is not done after ``wait_s``.

        The first that is missing is waited for alone, so that a job that has not begun is not
        asked for as often as it has points.
        """
        # Who is not let in, or cannot reach it, is told at once.
        self._qcs.availability(self._processor, self._settings)
        missing = [each for each in job.executions if self._known_outcome(each) is None]
        for part in (missing[:1], missing[1:]):
            if not part:
                continue
            with ThreadPoolExecutor(min(AT_ONCE, len(part))) as pool:
                if None in list(pool.map(lambda each: self._read(each, wait_s), part)):
                    return None
        found = [self._known_outcome(each) for each in job.executions]
        return None if None in found else [each for each in found if each is not None]

    def _known_outcome(self, execution: str) -> Outcome | None:
        with self._lock:
            return self._ended.get(execution)

    def _read(self, execution: str, wait_s: float) -> Outcome | None:
        """Ask once and remember: QCS need not keep what was retrieved."""
        try:
            outcome: Outcome | None = self._executions.read(execution, wait_s)
        except ExecutionFailed as error:
            outcome = error
        if outcome is not None:
            with self._lock:
                self._ended[execution] = outcome
                while len(self._ended) > KEPT:
                    self._ended.popitem(last=False)
        return outcome


def _result(job: SentJob, outcomes: Sequence[Outcome]) -> DeviceResult:
    """Raises the first failure."""
    by_id: dict[str, Readout] = {}
    for execution, outcome in zip(job.executions, outcomes, strict=True):
        if isinstance(outcome, ExecutionFailed):
            raise outcome
        by_id[execution] = outcome
    counts = tuple(
        Counts(
            tuple(distribution(_bits(circuit, each, by_id[each])) for each in circuit.executions),
            circuit.registers,
        )
        for circuit in job.circuits
    )
    seconds = sum(readout.duration_s for readout in by_id.values())
    return DeviceResult(counts, seconds, details={"executions": list(job.executions)})


def _sent(
    program: QuilProgram, experiment: Experiment, ids: tuple[str, ...], streams: dict[int, str]
) -> SentCircuit:
    return SentCircuit(
        executions=ids,
        streams={bit: streams[bit] for bit in program.measured},
        registers=program.registers,
        shots=experiment.shots or 0,
    )


def _bits(circuit: SentCircuit, execution: str, readout: Readout) -> Any:
    try:
        columns = {bit: readout.streams[name] for bit, name in circuit.streams.items()}
        return bits_of_columns(columns, circuit.shots, circuit.num_bits)
    except (KeyError, ValueError) as error:
        raise MalformedReply(f"execution {execution}: {error}"[:400]) from error
