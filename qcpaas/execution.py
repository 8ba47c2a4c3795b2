"""The programming model's core: execution backends, and options that decorate them.

An option *is* an execution backend and *holds* one (the Decorator pattern). Work passes down a
stack of options in three steps, so that any number of options over any number of circuits makes
one submission, and each step can be a task of its own:

- ``plan``: every option, outermost first, turns its experiments into more experiments and a
  serialisable context;
- ``execute``: the device runs all planned experiments in one submission;
- ``combine``: every option, innermost first, turns outcomes into outcomes with its context.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, JsonValue

from qcpaas.calibration import Quantity
from qcpaas.manifest import Diagnostic, Plot
from qcpaas.noise import GateLayer, LayerNoise

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

Level = Literal["counts", "expectation"]


@dataclass(frozen=True, eq=False)
class Binding:
    """Where a circuit was placed on a device, and by which calibration.

    Attributes:
        physical_qubits: Device qubit of each circuit qubit.
        snapshot_id: Content id of the calibration snapshot; empty on an ideal simulator.
        compiled_snapshot_id: Of the one whose topology the circuit was compiled for.
        routing: Which of the circuit's routings was placed.
        positions: Circuit qubit that holds each of the caller's qubits at the end; empty where
            the circuit keeps their numbers.
        corrections_version: Of what observed fidelities had said about the device by then.
        readout_errors: ``p(1|0)`` and ``p(0|1)`` of each circuit qubit, shape ``(qubits, 2)``.
        basis_gates: Instruction names that the device executes.
        log_fidelity: Natural log of the placement's expected success probability.
        duration_s: Scheduled duration.
        reason: Why this placement was chosen.
    """

    physical_qubits: tuple[int, ...]
    snapshot_id: str
    readout_errors: NDArray[np.float64] | None
    basis_gates: tuple[str, ...]
    log_fidelity: float | None = None
    duration_s: float = 0.0
    reason: str = ""
    compiled_snapshot_id: str = ""
    routing: int = 0
    corrections_version: int = 0
    positions: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Experiment:
    """A circuit, the points to run it at, and what is wanted of it.

    Attributes:
        circuit: Parameters may be symbolic. Once bound, its qubits are those of ``binding``.
        parameter_values: Shape ``(points, circuit.num_parameters)``, columns in the order of
            ``circuit.parameters``; one row of width 0 for a circuit without parameters.
        observables: On the circuit's qubits, all wanted at every point; ``None`` asks for counts.
        shots: For each point; ``None`` asks for exact probabilities.
        binding: Set when the circuit has been compiled for a device.
        source: Index of the caller's experiment that this one serves.
        device: To run on, where that is another than the job's; only logical options set it.
    """

    circuit: QuantumCircuit
    parameter_values: NDArray[np.float64]
    observables: tuple[SparsePauliOp, ...] | None = None
    shots: int | None = 4096
    binding: Binding | None = None
    source: int = 0
    device: str = ""

    @property
    def level(self) -> Level:
        return "counts" if self.observables is None else "expectation"

    @property
    def points(self) -> int:
        return int(self.parameter_values.shape[0])


@dataclass(frozen=True, eq=False)
class Distribution:
    """Measured bit strings of one parameter point.

    Attributes:
        outcomes: Distinct bit strings as packed bytes, shape ``(m, ceil(num_bits / 8))``, big
            endian, so that clbit 0 is the lowest bit of the last byte.
        weights: Counts, or probabilities where ``shots`` is ``None``; shape ``(m,)``.
        num_bits: Classical bits.
        shots: ``None`` for exact probabilities.
    """

    outcomes: NDArray[np.uint8]
    weights: NDArray[np.float64]
    num_bits: int
    shots: int | None

    def to_dict(self) -> dict[str, float]:
        """Bit string, clbit 0 rightmost, to count or probability."""
        import numpy as np

        width = self.num_bits
        if not width:
            return {"": float(self.weights.sum())}
        bits = np.unpackbits(self.outcomes, axis=1)[:, -width:]
        text = (bits + ord("0")).tobytes().decode("ascii")
        keys = (text[start : start + width] for start in range(0, len(text), width))
        return dict(zip(keys, self.weights.tolist(), strict=True))

    @classmethod
    def from_dict(
        cls, weights: Mapping[str, float], num_bits: int, shots: int | None
    ) -> Distribution:
        """The inverse of `to_dict`; sorted by outcome."""
        import numpy as np

        width = max(1, -(-num_bits // 8))
        rows = sorted((int(key, 2) if key else 0, value) for key, value in weights.items())
        packed = b"".join(outcome.to_bytes(width, "big") for outcome, _ in rows)
        return cls(
            outcomes=np.frombuffer(packed, dtype=np.uint8).reshape(len(rows), width),
            weights=np.array([value for _, value in rows], dtype=np.float64),
            num_bits=num_bits,
            shots=shots,
        )


class Spent(NamedTuple):
    """Circuit executions (one a parameter point) and shots in all of them."""

    circuits: int
    shots: int


class Cost(NamedTuple):
    """What an option multiplies: the circuits to execute, and the shots in all of them."""

    circuits: float = 1.0
    shots: float = 1.0


@dataclass(frozen=True, eq=False)
class ReadoutUncertainty:
    """How well measured readout errors are known.

    Attributes:
        places: Number of the calibrated qubit behind each clbit; clbits with the same number, in
            these or other counts of a call, share its error. -1 where nothing was calibrated.
        variances: Squared standard errors of ``p(1|0)`` and ``p(0|1)``, shape ``(clbits, 2)``.
    """

    places: NDArray[np.intp]
    variances: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Counts:
    """First result level: what was measured, one `Distribution` a parameter point.

    ``registers`` are the circuit's classical registers as (name, size), lowest clbits first.
    ``readout`` holds, for each clbit, the inverse 2x2 assignment matrix that corrects
    expectation values, shape ``(clbits, 2, 2)``; ``None`` leaves the counts as they are. Where it
    was measured, ``readout_uncertainty`` says how well.
    """

    points: tuple[Distribution, ...]
    registers: tuple[tuple[str, int], ...]
    readout: NDArray[np.float64] | None = None
    readout_uncertainty: ReadoutUncertainty | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    spent: Spent | None = None


@dataclass(frozen=True, eq=False)
class ExpectationValues:
    """Second result level.

    Attributes:
        values: Shape ``(points, observables)``.
        variances: Squared standard errors of ``values``, same shape; 0 where exact.
        raw_values: Without any option's correction, where an option changed them.
        raw_variances: Of ``raw_values``.
        spent: What was executed for it; set when all options are done.
    """

    values: NDArray[np.float64]
    variances: NDArray[np.float64]
    raw_values: NDArray[np.float64] | None = None
    raw_variances: NDArray[np.float64] | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    spent: Spent | None = None


Outcome = Counts | ExpectationValues


class PlanContext(BaseModel):
    """What an option must remember between ``plan`` and ``combine``; JSON-serialisable.

    Attributes:
        announcement: What the job's user should know before anything is spent, such as a
            sampling overhead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    announcement: str = ""


@dataclass(frozen=True, eq=False)
class Plan:
    """Experiments ready for one submission, and the contexts of the options that made them.

    ``contexts`` are outermost first. ``columns`` gives, for each planned experiment, the columns
    of its source's parameter values that its own circuit uses; ``None`` for one that was planned
    for its own points only.
    """

    experiments: tuple[Experiment, ...]
    contexts: tuple[PlanContext, ...] = ()
    columns: tuple[tuple[int, ...] | None, ...] | None = None

    def at(self, sources: Sequence[Experiment]) -> Plan:
        """The same plan at other parameter points, without planning again."""
        if self.columns is None:
            return self
        moved = tuple(
            experiment
            if columns is None
            else replace(
                experiment,
                parameter_values=sources[experiment.source].parameter_values[:, list(columns)],
            )
            for experiment, columns in zip(self.experiments, self.columns, strict=True)
        )
        return replace(self, experiments=moved)


class CalibrationValues(Protocol):
    """A calibration snapshot, as far as options need it."""

    @property
    def device(self) -> str: ...

    @property
    def content_id(self) -> str: ...

    @property
    def gates(self) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """Physical qubits of every gate of each name."""
        ...

    def get(self, quantity: Quantity, *qubits: int, gate: str = "") -> float | None:
        """One value of physical qubits in SI units; ``None`` where it was not reported."""
        ...

    def readout_error(self, qubit: int) -> tuple[float, float] | None:
        """``p(1|0)`` and ``p(0|1)`` of a physical qubit."""
        ...


class PlanningServices:
    """What an option may ask of the platform while it plans; the innermost backend has them."""

    @property
    def seed(self) -> int:
        """Root of an option's random choices: another for each call, the same on a resumed job."""
        return 0

    def calibration(self, binding: Binding | None) -> CalibrationValues | None:
        """The snapshot that a circuit was bound with; ``None`` on an ideal simulator."""
        return None

    def learnt_noise(
        self, binding: Binding | None, layers: Sequence[GateLayer]
    ) -> tuple[LayerNoise | None, ...]:
        """What was learnt of each layer under the binding's calibration."""
        return (None,) * len(layers)


class ExecutionBackend(ABC):
    """Runs experiments."""

    @property
    def services(self) -> PlanningServices:
        return PlanningServices()

    @abstractmethod
    def plan(self, experiments: Sequence[Experiment]) -> Plan:
        """Turn the caller's experiments into the ones to submit; sends nothing."""

    @abstractmethod
    def execute(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        """Run all experiments in one submission: counts, or values of those that ask for them.

        Raises:
            AdapterError: The device refused them, failed, or cannot be reached.
        """

    @abstractmethod
    def combine(self, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        """Turn the outcomes of ``plan.experiments`` into those of the caller's experiments."""

    def run(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        """Plan, execute and combine."""
        plan = self.plan(experiments)
        return self.combine(plan, self.execute(plan.experiments))


class OptionSettings(BaseModel):
    """An option's settings, validated when the job is submitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EnrichedExecutionBackend(ExecutionBackend):
    """An execution option: decorates another execution backend.

    A subclass implements `expand` and `reduce`, and is found by its class name once it is
    imported, or through the ``qcpaas.options`` entry-point group once it is installed.

    Attributes:
        rank: Place in a stack, outermost lowest; a stack with falling ranks is refused.
        levels: What it can be asked for.
        requires: Distributions that it needs installed.
        internal: Placed by the platform, not named by users.
        reusable_plan: Whether one plan serves every parameter point. False for an option that
            draws fresh samples, or reads parameter values: it plans each call anew, at its points.
        logical: Whether it works on circuits as the user gave them, before they are compiled; its
            rank is below 0, and its experiments may name a device to run on.
        measures: Whether it turns observables into counts itself, in place of the measurement
            basis; a stack has one such option.
        alone: Whether it chooses the other options itself, and none may be named beside it.
        quasi: Whether counts that it gives may be quasi-probabilities, which no single shots have.
        purpose: What only one option of a stack may do, in words that follow "both"; options with
            the same one cannot be combined.
        conflicts: Names of other options that it makes no sense with, and why not.
    """

    rank: ClassVar[int] = 50
    levels: ClassVar[frozenset[Level]] = frozenset({"counts", "expectation"})
    requires: ClassVar[tuple[str, ...]] = ()
    internal: ClassVar[bool] = False
    reusable_plan: ClassVar[bool] = True
    logical: ClassVar[bool] = False
    measures: ClassVar[bool] = False
    alone: ClassVar[bool] = False
    quasi: ClassVar[bool] = False
    purpose: ClassVar[str | None] = None
    conflicts: ClassVar[Mapping[str, str]] = {}

    class Settings(OptionSettings):
        pass

    def __init__(self, inner: ExecutionBackend, settings: OptionSettings | None = None) -> None:
        self.inner = inner
        self.settings: Any = settings if settings is not None else self.Settings()

    @classmethod
    def option_name(cls) -> str:
        return cls.__name__

    @abstractmethod
    def expand(self, experiments: Sequence[Experiment]) -> tuple[Sequence[Experiment], PlanContext]:
        """Experiments to run in place of the given ones, and what `reduce` will need."""

    @abstractmethod
    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        """Outcomes of the given experiments from those of the expanded ones."""

    @property
    def services(self) -> PlanningServices:
        return self.inner.services

    def cost(self, experiment: Experiment) -> Cost:
        """What the option multiplies for an experiment, known before it is planned."""
        return Cost()

    def wanted_noise(self, experiments: Sequence[Experiment]) -> tuple[GateLayer, ...]:
        """Layers whose noise is to be learnt before `expand` sees these bound experiments."""
        return ()

    @classmethod
    def plots(cls, figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
        """Plots of a diagnostic's figures; drawn once, when the job ends."""
        return ()

    def plan(self, experiments: Sequence[Experiment]) -> Plan:
        expanded, context = self.expand(experiments)
        inner = self.inner.plan(expanded)
        return replace(inner, contexts=(context, *inner.contexts))

    def execute(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        return self.inner.execute(experiments)

    def combine(self, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        context, *rest = plan.contexts
        return self.reduce(
            context, self.inner.combine(replace(plan, contexts=tuple(rest)), outcomes)
        )
