"""What travels over the open hardware API, version 1: JSON objects.

Arrays travel as base64 (RFC 4648, standard alphabet) of their bytes, so that a float64 arrives as
it was sent in every language. Times are seconds, frequencies hertz, moments ISO 8601 with their
offset. A request with a field that its version does not have is refused; in a reply such a field
is left unread, so that a newer server serves an older client.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    WithJsonSchema,
)

from qcpaas.calibration import CalibratedValue

API_VERSION = "1.0"
PREFIX = "/v1"
JOB_ID = r"^[A-Za-z0-9._:-]{1,200}$"  # as a part of a path

_LARGEST_COUNT = 2**53  # what every JSON reader keeps exactly
_LARGEST_SIZE = 1_000_000  # qubits, bits, parameters
_LARGEST_TIME_S = 1e12
_VISIBLE = r"^[\x21-\x7e]{1,200}$"


def _from_base64(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"it is not base64: {error}") from None


Packed = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(lambda data: base64.b64encode(data).decode("ascii"), when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
Count = Annotated[int, Field(ge=0, le=_LARGEST_COUNT)]
Size = Annotated[int, Field(ge=0, le=_LARGEST_SIZE)]
Seconds = Annotated[float, Field(ge=0, le=_LARGEST_TIME_S, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Token = Annotated[str, Field(pattern=_VISIBLE)]
CircuitFormat = Literal["openqasm3", "qpy"]
Register = tuple[Annotated[str, Field(max_length=200)], Size]


class Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# --- the device ---------------------------------------------------------------------------------


class GateShape(Reply):
    """A gate of the device's own: on how many qubits it acts, and how many numbers it takes."""

    name: str
    num_qubits: Annotated[int, Field(ge=1, le=100)]
    num_params: Annotated[int, Field(ge=0, le=100)]


class Description(Reply):
    """What the device is, and what it can be asked for.

    Attributes:
        api: Version of this interface; clients of the same major version understand it.
        basis_gates: Instructions that it executes, ``measure`` and ``delay`` included; empty where
            it takes any gate that the text of a circuit defines.
        own_gates: Of these, the ones that are neither in OpenQASM 3's ``stdgates.inc`` nor known
            to Qiskit.
        gate_definitions: OpenQASM 3 ``gate`` statements: what the own gates do, in standard ones;
            and how standard gates are made of the device's, for compilers.
        circuit_formats: ``openqasm3`` always; ``qpy`` where it reads Qiskit's QPY, up to
            ``qpy_version``.
        max_points: Parameter points in one job, all circuits together.
        max_total_shots: Of one job, over all experiments and points.
        equal_shots: All experiments of a job must ask for the same number of shots.
        rep_delay_s: Between two shots, besides the circuit's own duration.
        angle_ranges: Smallest and largest angle (rad) of gates that do not take every one.
    """

    api: Annotated[str, Field(pattern=r"^\d+\.\d+$")]
    name: str
    num_qubits: Size
    basis_gates: tuple[str, ...] = ()
    own_gates: tuple[GateShape, ...] = ()
    gate_definitions: str = ""
    circuit_formats: tuple[str, ...] = ("openqasm3",)
    qpy_version: Size = 0
    max_shots: Count
    max_circuits: Count
    max_points: Count | None = None
    max_total_shots: Count | None = None
    equal_shots: bool = False
    concurrent_jobs: Annotated[int, Field(ge=1, le=_LARGEST_SIZE)] = 1
    rep_delay_s: Seconds = 0.0
    token_lag_s: Seconds = 0.0
    simulator: bool = False
    exact: bool = False
    noise_models: bool = False
    estimates: bool = False
    mid_circuit_measurement: bool = True
    control_flow: tuple[str, ...] = ()
    angle_ranges: dict[str, tuple[Finite, Finite]] = Field(default_factory=dict)


class OpenWindow(Reply):
    """A time in which the device serves its public, or the holder of a reservation."""

    starts_at: datetime
    ends_at: datetime
    reservation_id: str = ""
    note: str = ""


class Windows(Reply):
    windows: tuple[OpenWindow, ...]


class Status(Reply):
    """Whether the device takes work now.

    ``queue_length`` counts the jobs before a new one; ``queue_s`` is how long these take, where the
    server estimates it.
    """

    online: bool
    queue_length: Count | None = None
    queue_s: Seconds | None = None
    message: str = ""
    next_window: OpenWindow | None = None


class Calibration(Reply):
    """A calibration in SI units, each value with its own date.

    Qubits are numbered from 0. A value that is not known is left out.

    Attributes:
        taken_at: When it became known.
        dt_s: Sampling time of the control hardware.
    """

    device: str
    num_qubits: Size
    taken_at: datetime
    dt_s: Annotated[float, Field(gt=0, le=1.0, allow_inf_nan=False)] | None = None
    values: tuple[CalibratedValue, ...]


# --- jobs ---------------------------------------------------------------------------------------


class SentCircuit(Request):
    """One circuit of a job.

    Attributes:
        text: OpenQASM 3, in that format; bits are numbered in the order of their declaration.
        data: QPY, in that format.
        parameters: Names of the ``input float[64]`` in the order of the columns of the values.
        registers: Classical registers as (name, size), lowest bits first: how the sender calls
            what is ``bit[...]`` in the text.
    """

    format: CircuitFormat = "openqasm3"
    text: str = ""
    data: Packed = b""
    name: Annotated[str, Field(max_length=1000)] = ""
    parameters: tuple[str, ...] = ()
    registers: tuple[Register, ...] = ()


class SentExperiment(Request):
    """A circuit of the job, at some points.

    Attributes:
        circuit: Index into the job's circuits.
        points: How many.
        values: Parameter values, little-endian float64, ``points`` rows.
        shots: For each point; none asks for exact probabilities, or expectation values.
        physical_qubits: Device qubit of each of the circuit's; left out, the one of its number.
        observables: Sums of weighted Pauli strings, qubit 0 rightmost; expectation values are
            asked where they are given, and counts where not.
    """

    circuit: Size
    points: Annotated[int, Field(ge=1, le=_LARGEST_COUNT)]
    values: Packed = b""
    shots: Annotated[int, Field(ge=1, le=_LARGEST_COUNT)] | None = None
    physical_qubits: tuple[Size, ...] | None = None
    observables: tuple[tuple[tuple[str, Finite], ...], ...] | None = None


class SentJob(Request):
    """Bound circuits for one job.

    Attributes:
        token: Names this submission for ever: sent again, it answers the job that it was
            accepted as.
        seed: Makes a simulator repeatable; a QPU ignores it.
        noise_model: A serialised Aer noise model, where the device takes one.
    """

    token: Token
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    session_id: str | None = None
    circuits: Annotated[tuple[SentCircuit, ...], Field(min_length=1)]
    experiments: Annotated[tuple[SentExperiment, ...], Field(min_length=1)]
    noise_model: dict[str, JsonValue] | None = None


class Job(Reply):
    """A job that was accepted, and how far it is."""

    job_id: Annotated[str, Field(pattern=JOB_ID)]
    token: str
    state: Literal["queued", "running", "completed", "failed", "cancelled"]


class Found(Reply):
    """``job`` is null where none was accepted under the token."""

    job: Job | None


class Point(Reply):
    """What was measured at one point.

    Attributes:
        outcomes: Distinct bit strings in ascending order, each in ``ceil(num_bits / 8)`` bytes (at
            least one), big endian, so that bit 0 is the lowest of the last byte.
        weights: How often each was seen, or its probability where ``shots`` is null: float64,
            little endian.
    """

    outcomes: Packed
    weights: Packed
    num_bits: Size
    shots: Count | None


class CountsReply(Reply):
    registers: tuple[Register, ...]
    points: tuple[Point, ...]


class ValuesReply(Reply):
    """Expectation values and the squares of their standard errors.

    Both are float64, little endian, shape ``(points, observables)``.
    """

    values: Packed
    variances: Packed
    points: Size
    observables: Size


class Result(Reply):
    """A job's result: counts or expectation values, one of each experiment, and QPU seconds."""

    counts: tuple[CountsReply, ...]
    values: tuple[ValuesReply, ...] = ()
    qpu_s: Seconds
    details: dict[str, JsonValue] = Field(default_factory=dict)


# --- sessions and problems ------------------------------------------------------------------------


class Session(Reply):
    """The device's promise to serve one client for a while."""

    session_id: Annotated[str, Field(min_length=1, max_length=500)]
    expires_at: datetime | None = None
    max_idle_s: Seconds | None = None


class Closed(Reply):
    session_id: str


class Problem(Reply):
    """Why there is no answer.

    Attributes:
        error: Its kind, such as ``SubmissionRefused``; ``Unsupported`` where the device has no
            such ``operation``.
        message: For a person: what was asked, what was found, what to do next.
        retryable: Whether the same request can succeed later.
    """

    error: str
    message: str
    operation: str = ""
    retryable: bool = False
