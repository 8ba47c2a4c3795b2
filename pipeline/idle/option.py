"""Dynamical decoupling as an option that a job names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from pipeline.idle.decoupling import Decoupling, decouple
from pipeline.idle.echo_sequences import EchoPolicy
from qcpaas.errors import MitigationError, OptionError
from qcpaas.execution import (
    EnrichedExecutionBackend,
    Experiment,
    OptionSettings,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Diagnostic
from store.snapshot import Snapshot


class DecoupledCircuit(PlanContext):
    """What was done to one circuit, as `Decoupling` has it."""

    windows: int
    pulses: int
    predicted_gain: float
    left: int
    assumed: int
    problem: str

    @classmethod
    def of(cls, done: Decoupling) -> DecoupledCircuit:
        return cls(
            windows=done.windows,
            pulses=done.pulses,
            predicted_gain=done.predicted_gain,
            left=done.left,
            assumed=done.assumed,
            problem=done.problem,
        )

    @property
    def note(self) -> Diagnostic:
        return Diagnostic(
            option="DynamicalDecoupling",
            figures={
                "windows": self.windows,
                "pulses": self.pulses,
                "predicted_gain_nats": self.predicted_gain,
                "windows_left_alone": self.left,
                "windows_with_assumed_t2_ramsey": self.assumed,
            },
            warning=self._warning(),
        )

    def _warning(self) -> str:
        if self.problem:
            return f"nothing was decoupled: {self.problem}"
        if self.predicted_gain < 0:
            return (
                f"by the calibration the {self.pulses} pulses cost more than their echoes save, "
                f"{-self.predicted_gain:.2g} nats of log fidelity: leave DynamicalDecoupling out, "
                f"or choose sequence=auto"
            )
        return ""


class DecouplingContext(PlanContext):
    """One entry a circuit."""

    circuits: tuple[DecoupledCircuit, ...]

    @cached_property
    def notes(self) -> tuple[Diagnostic, ...]:
        """A loop adds them at every call."""
        return tuple(circuit.note for circuit in self.circuits)


class DynamicalDecoupling(EnrichedExecutionBackend):
    """Fills idle windows with echoes, which undo dephasing that stays the same over a window.

    Unitary and duration of the circuit stay. Windows inside the circuit only; those that the
    platform has filled at binding, or a user with delays, are left as they are. Under noise
    without memory there is nothing to undo, and the pulses cost what they cost.

    Source: Viola, Knill and Lloyd, PRL 82, 2417 (1999).
    """

    rank = 40

    class Settings(OptionSettings):
        """Which windows are filled, and with what.

        ``auto`` chooses X-X or XY4 for each window, by its length and the qubit's T2* and T2, and
        leaves alone what would not gain twice what its pulses cost. Most vendors report one T2,
        that of an echo, which shows nothing that an echo could undo: for such qubits T2* is taken
        to be ``t2_ramsey_ratio`` times T2, and the diagnostic says so; ``none`` leaves them alone.
        A named sequence goes into every window that it fits into. ``min_idle_s`` is the shortest
        window that is filled.
        """

        sequence: Literal["auto", "XX", "XpXm", "CPMG", "XY4", "XY8"] = "auto"
        t2_ramsey_ratio: Annotated[float, Field(gt=0, le=1)] | Literal["none"] = 0.5
        min_idle_s: float = Field(default=0.0, ge=0)

        @property
        def policy(self) -> EchoPolicy:
            ratio = self.t2_ramsey_ratio
            return EchoPolicy(
                sequence=None if self.sequence == "auto" else self.sequence,
                min_idle_s=self.min_idle_s,
                ramsey_ratio=None if ratio == "none" else ratio,
            )

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], DecouplingContext]:
        expanded, circuits = [], []
        for experiment in experiments:
            snapshot = self._snapshot(experiment)
            assert experiment.binding is not None
            place = experiment.binding.physical_qubits
            circuit, done = decouple(experiment.circuit, place, snapshot, self.settings.policy)
            expanded.append(replace(experiment, circuit=circuit))
            circuits.append(DecoupledCircuit.of(done))
        return expanded, DecouplingContext(circuits=tuple(circuits))

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, DecouplingContext)
        return tuple(
            replace(outcome, diagnostics=(*outcome.diagnostics, note))
            for outcome, note in zip(outcomes, context.notes, strict=True)
        )

    def _snapshot(self, experiment: Experiment) -> Snapshot:
        snapshot = self.services.calibration(experiment.binding)
        if experiment.binding is None or not isinstance(snapshot, Snapshot):
            raise OptionError(
                "dynamical decoupling needs a device whose calibration tells how long gates take; "
                "an ideal simulator has none. Leave DynamicalDecoupling out."
            )
        if "delay" not in experiment.binding.basis_gates:
            raise MitigationError(
                f"{snapshot.device} takes no delays, which pulses must be spaced with. Leave "
                f"DynamicalDecoupling out."
            )
        return snapshot
