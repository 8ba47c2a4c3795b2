"""Circuits with random Pauli errors inserted, and their stratified mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.cancellation.quasi_probability import FEWEST, PauliErrors, Stratum, stratify
from pipeline.noise.circuit_noise import CircuitNoise, NoiseSource, circuit_noise
from pipeline.pauli.frames import PauliFrames
from pipeline.pauli.random_circuits import mean_of_draws, run_at_random, share
from qcpaas.execution import ExpectationValues, Experiment, PlanContext, PlanningServices

Array = NDArray[np.float64]

FEWEST_CIRCUITS = sum(FEWEST)  # that all strata can be drawn from


class DrawnStratum(PlanContext):
    """Circuits with as many errors.

    Attributes:
        chance: Of a draw to have as many.
        signs: In the inverse channel, one a circuit.
        draws: How often each circuit was drawn.
    """

    chance: float
    signs: tuple[int, ...]
    draws: tuple[int, ...]


class ErrorCircuits:
    """An experiment's circuit, ready for random errors.

    Args:
        twirl: Whether each draw is twirled, too.

    Raises:
        MitigationError: The noise of a gate or layer is not known.
    """

    def __init__(
        self,
        experiment: Experiment,
        services: PlanningServices,
        source: NoiseSource,
        *,
        twirl: bool = True,
    ) -> None:
        self._experiment, self._twirl = experiment, twirl
        binding = experiment.binding
        self.frames = PauliFrames(experiment.circuit, binding.basis_gates if binding else ())
        self.noise: CircuitNoise = circuit_noise(
            experiment, self.frames, services, source, twirled=twirl
        )
        self.errors = PauliErrors(self.noise.sites)

    def draw(
        self, scale: float, number: int, rng: np.random.Generator
    ) -> tuple[list[Experiment], tuple[DrawnStratum, ...]]:
        """Random circuits that share the experiment's shots.

        Args:
            scale: Strength of the inserted errors, in units of the noise.
        """
        shots = self._experiment.shots
        each = None if shots is None else shots / number
        strata = stratify(self.errors.chances(scale), number, rng, each)
        parts = share(shots, [len(stratum.errors) for stratum in strata])
        planned: list[Experiment] = []
        drawn = []
        for stratum, part in zip(strata, parts, strict=True):
            own, signs, draws = self._stratum(stratum, part, rng)
            planned.extend(own)
            drawn.append(DrawnStratum(chance=stratum.chance, signs=signs, draws=draws))
        return planned, tuple(drawn)

    def _stratum(
        self, stratum: Stratum, shots: int | None, rng: np.random.Generator
    ) -> tuple[list[Experiment], tuple[int, ...], tuple[int, ...]]:
        """Experiments, and of each its sign and how often it was drawn."""
        twirls = self.frames.draw_twirls(len(stratum.errors), rng).tolist()
        of_sign = [stratum.errors[stratum.signs == sign] for sign in (1, -1)]
        experiments: list[Experiment] = []
        signs: list[int] = []
        draws: list[int] = []
        parts = share(shots, [len(errors) for errors in of_sign])
        for sign, errors, part in zip((1, -1), of_sign, parts, strict=True):
            if not len(errors):
                continue
            steps = (
                self.frames.steps(
                    self.errors.insertions(row), twirls.pop() if self._twirl else None
                )
                for row in errors
            )
            own, often = run_at_random(replace(self._experiment, shots=part), self.frames, steps)
            experiments += own
            signs += [sign] * len(own)
            draws += often
        return experiments, tuple(signs), tuple(draws)


def stratified_mean(
    outcomes: Sequence[ExpectationValues], strata: Sequence[DrawnStratum], *, signed: bool
) -> tuple[Array, Array]:
    """Mean over all strata, and its squared standard error.

    Args:
        signed: Whether circuits count with their signs.

    Returns:
        Both of shape ``(points, observables)``.
    """
    values = np.stack([outcome.values for outcome in outcomes])
    variances = np.stack([outcome.variances for outcome in outcomes])
    total, error, start = np.zeros(values.shape[1:]), np.zeros(values.shape[1:]), 0
    for stratum in strata:
        end = start + len(stratum.draws)
        signs = np.array(stratum.signs if signed else (1,) * len(stratum.draws))[:, None, None]
        mean, variance = mean_of_draws(
            values[start:end] * signs, variances[start:end], stratum.draws
        )
        total += stratum.chance * mean
        error += stratum.chance**2 * variance
        start = end
    return total, error
