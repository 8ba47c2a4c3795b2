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
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from qcpaas.manifest import Diagnostic

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
    """

    circuit: QuantumCircuit
    parameter_values: NDArray[np.float64]
    observables: tuple[SparsePauliOp, ...] | None = None
    shots: int | None = 4096
    binding: Binding | None = None
    source: int = 0

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


@dataclass(frozen=True, eq=False)
class Counts:
    """First result level: what was measured, one `Distribution` a parameter point.

    ``registers`` are the circuit's classical registers as (name, size), lowest clbits first.
    ``readout`` holds, for each clbit, the inverse 2x2 assignment matrix that corrects
    expectation values, shape ``(clbits, 2, 2)``; ``None`` leaves the counts as they are.
    """

    points: tuple[Distribution, ...]
    registers: tuple[tuple[str, int], ...]
    readout: NDArray[np.float64] | None = None
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, eq=False)
class ExpectationValues:
    """Second result level.

    Attributes:
        values: Shape ``(points, observables)``.
        variances: Squared standard errors of ``values``, same shape; 0 where exact.
        raw_values: Without any option's correction, where an option changed them.
        raw_variances: Of ``raw_values``.
    """

    values: NDArray[np.float64]
    variances: NDArray[np.float64]
    raw_values: NDArray[np.float64] | None = None
    raw_variances: NDArray[np.float64] | None = None
    diagnostics: tuple[Diagnostic, ...] = ()


Outcome = Counts | ExpectationValues


class PlanContext(BaseModel):
    """What an option must remember between ``plan`` and ``combine``; JSON-serialisable."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, eq=False)
class Plan:
    """Experiments ready for one submission, and the contexts of the options that made them.

    ``contexts`` are outermost first. ``columns`` gives, for each planned experiment, the columns
    of its source's parameter values that its own circuit uses.
    """

    experiments: tuple[Experiment, ...]
    contexts: tuple[PlanContext, ...] = ()
    columns: tuple[tuple[int, ...], ...] | None = None

    def at(self, sources: Sequence[Experiment]) -> Plan:
        """The same plan at other parameter points, without planning again."""
        if self.columns is None:
            return self
        moved = tuple(
            replace(
                experiment,
                parameter_values=sources[experiment.source].parameter_values[:, list(columns)],
            )
            for experiment, columns in zip(self.experiments, self.columns, strict=True)
        )
        return replace(self, experiments=moved)


class ExecutionBackend(ABC):
    """Runs experiments."""

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
        reusable_plan: Whether one plan serves every parameter point (false for fresh samples).
    """

    rank: ClassVar[int] = 50
    levels: ClassVar[frozenset[Level]] = frozenset({"counts", "expectation"})
    requires: ClassVar[tuple[str, ...]] = ()
    internal: ClassVar[bool] = False
    reusable_plan: ClassVar[bool] = True

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

    def circuit_factor(self) -> int:
        """Circuits that one circuit becomes, for the estimate."""
        return 1

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
