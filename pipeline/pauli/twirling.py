"""Pauli twirling: what gates do wrong becomes Pauli noise, without coherent part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field, JsonValue

from pipeline.pauli.frames import PauliFrames
from pipeline.pauli.random_circuits import affordable, mean_values, run_at_random, summed_counts
from qcpaas.execution import (
    Cost,
    Counts,
    EnrichedExecutionBackend,
    Experiment,
    OptionSettings,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Diagnostic


class TwirledCircuit(PlanContext):
    """An experiment's twirls.

    Attributes:
        draws: How often each of its circuits was drawn.
        gates: That were twirled.
        untwirled: Names of joint gates that are no Clifford gates.
    """

    draws: tuple[int, ...]
    gates: int
    untwirled: tuple[str, ...]


class TwirlingContext(PlanContext):
    circuits: tuple[TwirledCircuit, ...]


class PauliTwirling(EnrichedExecutionBackend):
    """Turns what two-qubit gates do wrong into Pauli noise, which does not add up coherently.

    Clifford gates on two or more qubits stand between random Pauli gates that leave the circuit
    as it is; others stay as they are. The random circuits share the experiment's shots. A loop
    keeps the twirls that its first call drew, so that its values change with its parameters only.

    Source: Wallman and Emerson, PRA 94, 052325 (2016).
    """

    rank = 30

    class Settings(OptionSettings):
        """``twirls`` is the number of random circuits; fewer where shots are short of four each."""

        twirls: int = Field(default=32, ge=1)

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], TwirlingContext]:
        expanded: list[Experiment] = []
        twirled = []
        for index, experiment in enumerate(experiments):
            basis = experiment.binding.basis_gates if experiment.binding else ()
            frames = PauliFrames(experiment.circuit, basis)
            rng = np.random.default_rng([self.services.seed, self.rank, index])
            number = affordable(self.settings.twirls, experiment.shots) if frames.twirled else 1
            twirls = frames.draw_twirls(number, rng).tolist()
            planned, draws = run_at_random(
                experiment, frames, (frames.steps(twirl=twirl) for twirl in twirls)
            )
            expanded.extend(planned)
            twirled.append(
                TwirledCircuit(draws=draws, gates=frames.twirled, untwirled=frames.untwirled)
            )
        return expanded, TwirlingContext(circuits=tuple(twirled))

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, TwirlingContext)
        remaining = iter(outcomes)
        return tuple(
            _untwirled(circuit, [next(remaining) for _ in circuit.draws])
            for circuit in context.circuits
        )

    def cost(self, experiment: Experiment) -> Cost:
        """At most: random circuits that come out equal run as one."""
        return Cost(circuits=affordable(self.settings.twirls, experiment.shots))


def _untwirled(circuit: TwirledCircuit, outcomes: Sequence[Outcome]) -> Outcome:
    counted = isinstance(outcomes[0], Counts)
    whole = (summed_counts if counted else mean_values)(outcomes, circuit.draws)
    figures: dict[str, JsonValue] = {
        "twirls": sum(circuit.draws),
        "circuits": len(circuit.draws),
        "gates": circuit.gates,
    }
    if circuit.untwirled:
        figures["untwirled"] = list(circuit.untwirled)
    note = Diagnostic(option="PauliTwirling", figures=figures)
    return replace(whole, diagnostics=(*whole.diagnostics, note))
