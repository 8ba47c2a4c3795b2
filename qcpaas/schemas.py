"""What crosses a process boundary: jobs on the way in, states and results on the way out."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from qcpaas.binding import BindingPolicy
from qcpaas.devices import DeviceInfo
from qcpaas.errors import OptionError
from qcpaas.noise import NoiseLearning
from qcpaas.scheduling import Schedule, Scheduling
from qcpaas.wire import Wire

MAX_SHOTS = 10_000_000


# --- what is asked -------------------------------------------------------------------------


class OptionSpec(Wire):
    """One execution option and its settings, as a job names it."""

    name: str
    settings: dict[str, JsonValue] = Field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | OptionSpec) -> OptionSpec:
        """Read ``Name`` or ``Name(setting=value, ...)``, values as JSON.

        Raises:
            OptionError: The text has another form.
        """
        import json

        if isinstance(text, OptionSpec):
            return text
        match = re.fullmatch(r"\s*([A-Za-z_][\w.]*)\s*(?:\((.*)\))?\s*", text, re.DOTALL)
        if match is None:
            raise OptionError(
                f"option {text!r} cannot be read. Write Name or Name(setting=value, ...)."
            )
        name, body = match.groups()
        # A comma separates settings only when the next word is followed by '='.
        parts = re.split(r",\s*(?=[A-Za-z_]\w*\s*=)", body) if body and body.strip() else []
        settings: dict[str, JsonValue] = {}
        for part in parts:
            key, equals, value = part.partition("=")
            if not equals:
                raise OptionError(f"option {name}: {part.strip()!r} is not of the form key=value.")
            try:
                settings[key.strip()] = json.loads(value)
            except json.JSONDecodeError:
                settings[key.strip()] = value.strip()
        return cls(name=name, settings=settings)


class CircuitPayload(Wire):
    """A circuit as text, in the form of the framework that it comes from.

    Attributes:
        format: ``qpy``: base64 of Qiskit's; ``qasm2`` and ``qasm3``: OpenQASM as the user wrote
            it; ``cirq``: Cirq's JSON; ``pennylane``: a tape's operations and measurements as JSON;
            ``quil``: Quil; ``braket``: the OpenQASM 3 of Braket; ``qir``: LLVM text, or base64 of
            bitcode.
    """

    format: Literal["qpy", "qasm2", "qasm3", "cirq", "pennylane", "quil", "braket", "qir"]
    text: str
    name: str = ""


class ObservableTerm(Wire):
    """A Pauli string, rightmost letter on qubit 0, and its real coefficient."""

    pauli: str
    coefficient: float = 1.0


class Observable(Wire):
    terms: tuple[ObservableTerm, ...] = Field(min_length=1)


class CircuitItem(Wire):
    """One circuit of a batch.

    Attributes:
        observables: What to measure; ``None`` asks for counts.
        parameter_values: One row a parameter point, columns in ``circuit.parameters`` order.
        shots: Overrides the job's.
        options: Overrides the job's.
    """

    circuit: CircuitPayload
    observables: tuple[Observable, ...] | None = None
    parameter_values: tuple[tuple[float, ...], ...] | None = None
    shots: int | None = None
    options: tuple[OptionSpec, ...] | None = None


class Recovery(Wire):
    """What a job does where going on after an interruption needs a decision.

    Attributes:
        unknown_acceptance: For a submission of which nobody knows whether the device took it, on a
            device that cannot search by token: wait for a person, or send it again.
        divergence: For code that asks for something else than before the interruption: end with
            an error, or drop what no longer fits and go on from there.
        adopt: The device's id of the submission that a held job waits for, found by a person.
    """

    unknown_acceptance: Literal["hold", "resubmit"] = "hold"
    divergence: Literal["fail", "continue"] = "fail"
    adopt: str | None = None

    def decided(self, decisions: Recovery | None) -> Recovery:
        """These rules with what a person has set now; what was adopted once is not carried over."""
        changed = {} if decisions is None else decisions.model_dump(exclude_unset=True)
        return self.model_copy(update={"adopt": None, **changed})


class ExecutionSettings(Wire):
    """How a job executes, whatever its kind.

    Attributes:
        backend: Device name, such as ``FakeKolkata``.
        options: Execution options, outermost first.
        shots: For each circuit and parameter point.
        exact: Probabilities in place of samples; simulators and twins only.
        gate_for_gate: Run the circuit's gates as given on the qubits as numbered, uncompiled.
        noise_model: Aer noise model as its serialisable dictionary, in place of the twin's own.
        seed: Root of every random choice; drawn at submission when unset.
        snapshot_id: Calibration to bind with; the newest when unset.
        max_calibration_age_s: A device that reported its calibration longer ago is asked again
            before a circuit is bound.
        binding: When a placement is given up for a newer calibration's.
        recovery: Decisions for going on after an interruption.
        noise_learning: How noise is learnt, where an option draws on it.
    """

    backend: str
    options: tuple[OptionSpec, ...] = ()
    shots: int = 4096
    exact: bool = False
    gate_for_gate: bool = False
    noise_model: dict[str, JsonValue] | None = None
    seed: int = Field(default_factory=lambda: secrets.randbits(31), ge=0)
    snapshot_id: str | None = None
    max_calibration_age_s: float | None = Field(default=None, gt=0)
    binding: BindingPolicy = BindingPolicy()
    recovery: Recovery = Recovery()
    noise_learning: NoiseLearning = NoiseLearning()


class Requirement(Wire):
    """An installed distribution that a workload imports."""

    name: str
    version: str


class Bundle(Wire):
    """A workload's source: its modules by dotted name, and what they need installed.

    Attributes:
        requirements: What the modules import, as it was installed where they were packed.
        needs: What the workload asks for itself, as PEP 508 has it: ``torch>=2.4``.
    """

    entry: str = Field(pattern=r"^[\w.]+:\w+$")
    modules: dict[str, str]
    packages: tuple[str, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    needs: tuple[str, ...] = ()
    python: str = ""


def new_job_id() -> str:
    """A sortable, readable id: ``20261123-101502-5f0c1b``."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


class _Job(Wire):
    job_id: str = Field(default_factory=new_job_id, pattern=r"^[\w-]{1,64}$")
    name: str = ""
    execution: ExecutionSettings
    scheduling: Scheduling = Scheduling()
    repeats: str | None = None  # the job whose manifest this one repeats
    traceparent: str = ""  # the trace that its submission belongs to, set by the gateway


class CircuitJob(_Job):
    kind: Literal["circuits"] = "circuits"
    items: tuple[CircuitItem, ...] = Field(min_length=1)


class WorkloadJob(_Job):
    kind: Literal["workload"] = "workload"
    bundle: Bundle
    inputs: dict[str, JsonValue] = Field(default_factory=dict)


Job = Annotated[CircuitJob | WorkloadJob, Field(discriminator="kind")]


# --- what is answered ----------------------------------------------------------------------


class JobState(StrEnum):
    """``interrupted``: its process died, and it goes on; ``held``: it waits for a decision."""

    QUEUED = "queued"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    HELD = "held"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        return self in {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}


class Progress(Wire):
    """How far a job is: ``done`` of ``total`` steps of ``stage``, with its latest figures."""

    stage: str = ""
    done: float = 0.0
    total: float | None = None
    message: str = ""
    metrics: dict[str, float] = Field(default_factory=dict)
    updated_at: datetime = Field(default_factory=lambda: datetime.now(UTC))

    def finishes_at(self, began_at: datetime | None) -> datetime | None:
        """When the job ends if it goes on as it did; ``None`` where that cannot be told."""
        if began_at is None or self.total is None or not 0.0 < self.done <= self.total:
            return None
        return began_at + (self.updated_at - began_at) * (self.total / self.done)


class ErrorReport(Wire):
    """An error as it crosses a process boundary; ``type`` is its class in ``qcpaas.errors``."""

    type: str
    message: str
    retryable: bool = False
    traceback_text: str = ""


class JobRecord(Wire):
    """A job's public state."""

    job_id: str
    kind: str
    name: str = ""
    backend: str = ""
    options: tuple[str, ...] = ()
    state: JobState
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    progress: Progress = Field(default_factory=Progress)
    error: ErrorReport | None = None
    flow_run_id: str | None = None
    owner: str = ""
    schedule: Schedule | None = None

    @property
    def waits_for_person(self) -> bool:
        """Whether it goes on only when somebody decides; ``error`` says what can be done."""
        told = self.error is not None and self.error.type == "JobHeld"
        return self.state is JobState.HELD or (self.state is JobState.INTERRUPTED and told)


class Estimate(Wire):
    """What a job will cost and how well it will do, before it runs.

    Attributes:
        qpu_s: Seconds on the device; ``qpu_s_hi`` is the upper end of its interval.
        circuits: Circuit executions in one pass, mitigation included.
        circuit_factor, shot_factor: What mitigation multiplies them and the shots by.
        log_esp: Natural log of the expected success probability of the worst circuit.
        duration_s: Scheduled duration of the longest circuit.
        method: How the figures were obtained.
    """

    qpu_s: float
    qpu_s_hi: float
    circuits: int
    shots: int
    log_esp: float
    duration_s: float
    method: str
    circuit_factor: float = 1.0
    shot_factor: float = 1.0

    @classmethod
    def of_all(cls, parts: Sequence[Estimate]) -> Estimate:
        """Of parts that all have to run; seconds, circuits and shots add up."""
        first = parts[0]
        if len(parts) == 1:
            return first
        asked = sum(part.circuits / part.circuit_factor for part in parts)
        shots = sum(part.shots / part.shot_factor for part in parts)
        return first.model_copy(
            update={
                "qpu_s": sum(part.qpu_s for part in parts),
                "qpu_s_hi": sum(part.qpu_s_hi for part in parts),
                "circuits": sum(part.circuits for part in parts),
                "shots": sum(part.shots for part in parts),
                "log_esp": min(part.log_esp for part in parts),
                "duration_s": max(part.duration_s for part in parts),
                "circuit_factor": sum(part.circuits for part in parts) / asked if asked else 1.0,
                "shot_factor": sum(part.shots for part in parts) / shots if shots else 1.0,
            }
        )


class PrunedJob(Wire):
    """A job whose result was removed; its record stays.

    Attributes:
        size_bytes: What its rows and files took.
    """

    job_id: str
    name: str
    finished_at: datetime
    size_bytes: int


class OptionInfo(Wire):
    """An option as a worker offers it; outer options have the lower rank.

    Attributes:
        levels: What it can be asked for, ``counts`` and ``expectation``; empty where unknown.
        settings: JSON schema of each setting, by name.
        logical: Whether it sees circuits before they are compiled, and may cut them smaller.
    """

    name: str
    rank: int
    summary: str
    levels: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)
    logical: bool = False


class Environment(Wire):
    """What a worker has, found by looking from inside its own process.

    Attributes:
        image: The container image that it runs in, where it is told (``QCPAAS_IMAGE``).
        memory_mib: That one run may use.
        gpus: Names.
        chooses_devices: A job may leave its device open.
    """

    python: str
    distributions: dict[str, str]
    options: tuple[OptionInfo, ...] = ()
    devices: tuple[DeviceInfo, ...] = ()
    adapters: tuple[str, ...] = ()
    image: str = ""
    cpus: int = 0
    memory_mib: int = 0
    gpus: tuple[str, ...] = ()
    chooses_devices: bool = False
