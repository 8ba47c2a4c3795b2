"""Techniques of Mitiq as options; each only where mitiq is installed.

Not here: virtual distillation and debiasing (they need twice the qubits, or couplings that the
device does not have, so they do not work on placed circuits), readout twirling (it measures by
itself), and what Mitiq does not split into circuits and their combination.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, cast

import numpy as np
from pydantic import Field, PositiveInt, field_validator

from pipeline.mitiq_plugin.circuits import Handed
from pipeline.mitiq_plugin.combination import Array
from pipeline.mitiq_plugin.technique import Construction, MitiqOption, Remembered
from qcpaas.execution import Cost, Experiment, OptionSettings

Fit = Literal["linear", "quadratic", "richardson", "fake_nodes", "exponential", "poly_exponential"]
Extrapolation = Callable[[Sequence[float], Sequence[float]], float]


class MitiqZNE(MitiqOption):
    """Zero-noise extrapolation by Mitiq: its ways to scale noise, and its fits.

    The cost is one circuit a scale factor.
    """

    purpose = "remove the noise of gates"
    technique = "zne"

    class Settings(OptionSettings):
        """``scaling`` and ``fit`` name functions of ``mitiq.zne``; ``asymptote`` is what an
        exponential decays to, where that is known.
        """

        scale_factors: tuple[float, ...] = Field((1.0, 3.0, 5.0), min_length=2)
        scaling: Literal["fold_global", "fold_all", "fold_gates_at_random", "insert_id_layers"] = (
            "fold_global"
        )
        fit: Fit = "richardson"
        asymptote: float | None = None

        @field_validator("scale_factors")
        @classmethod
        def _plain_included(cls, factors: tuple[float, ...]) -> tuple[float, ...]:
            return plain_included(factors)

    def construct(self, handed: Handed, seed: int) -> Construction:
        from mitiq import zne

        factors = list(self.settings.scale_factors)
        circuits = zne.construct_circuits(handed.circuit, factors, self._scaling(seed))
        return Construction(circuits, {"scale_factors": factors}, plain=factors.index(1.0))

    def combined(self, remember: Remembered, results: Array) -> float:
        from mitiq import zne

        factors = cast("list[float]", remember["scale_factors"])
        fit = extrapolation(self.settings.fit, self.settings.asymptote)
        return float(zne.combine_results(factors, results.tolist(), fit))

    def cost(self, experiment: Experiment) -> Cost:
        scales = len(self.settings.scale_factors)
        return Cost(scales, scales)

    def _scaling(self, seed: int) -> Any:
        from mitiq.zne import scaling

        chosen = getattr(scaling, self.settings.scaling)
        return partial(chosen, seed=seed) if chosen is scaling.fold_gates_at_random else chosen


class MitiqLRE(MitiqOption):
    """Layerwise Richardson extrapolation by Mitiq: each chunk of the circuit has its own noise.

    Source: Russo and Mari, arXiv:2402.04000.
    """

    purpose = "remove the noise of gates"
    technique = "lre"

    class Settings(OptionSettings):
        """Of ``mitiq.lre``; the circuits grow with ``degree`` and ``num_chunks``."""

        degree: PositiveInt = 2
        fold_multiplier: PositiveInt = 2
        num_chunks: PositiveInt = 3

    def construct(self, handed: Handed, seed: int) -> Construction:
        from mitiq import lre
        from mitiq.zne.scaling import fold_gates_at_random

        circuit, given = handed.circuit, self.settings.model_dump()
        folding = partial(fold_gates_at_random, seed=seed)
        circuits = lre.construct_circuits(circuit, folding_method=folding, **given)
        # It is linear and needs the circuit: combined once, here, for each unit result.
        weights = lre.combine_results(np.eye(len(circuits)), circuit, **given)
        return Construction(circuits, {"weights": np.asarray(weights).tolist()}, plain=0)

    def combined(self, remember: Remembered, results: Array) -> float:
        return float(np.dot(cast("list[float]", remember["weights"]), results))

    def cost(self, experiment: Experiment) -> Cost:
        from math import comb

        circuits = comb(self.settings.num_chunks + self.settings.degree, self.settings.degree)
        return Cost(circuits, circuits)


class MitiqDDD(MitiqOption):
    """Digital dynamical decoupling by Mitiq: gates in place of idle moments.

    One circuit, and the plain one for comparison.
    """

    technique = "ddd"

    class Settings(OptionSettings):
        """``rule`` of ``mitiq.ddd.rules``; ``spacing`` is in moments, -1 for as wide as fits."""

        rule: Literal["xx", "yy", "xyxy"] = "xx"
        spacing: int = Field(-1, ge=-1)

    def construct(self, handed: Handed, seed: int) -> Construction:
        from mitiq import ddd

        rule = getattr(ddd.rules, self.settings.rule)
        spacing = {"spacing": self.settings.spacing}
        return Construction(ddd.construct_circuits(handed.circuit, rule, spacing))

    def combined(self, remember: Remembered, results: Array) -> float:
        from mitiq import ddd

        return float(ddd.combine_results(results.tolist()))

    def cost(self, experiment: Experiment) -> Cost:
        return Cost(2, 2)


def plain_included(factors: tuple[float, ...]) -> tuple[float, ...]:
    """Scale factors, checked: raw values are those at 1."""
    if min(factors) != 1.0 or len(set(factors)) != len(factors):
        raise ValueError("scale_factors must be distinct, contain 1, and nothing below")
    return factors


def extrapolation(fit: Fit, asymptote: float | None = None) -> Extrapolation:
    """The fit of ``mitiq.zne.inference``."""
    from mitiq.zne import inference

    known: dict[Fit, Any] = {
        "linear": inference.LinearFactory.extrapolate,
        "quadratic": partial(inference.PolyFactory.extrapolate, order=2),
        "richardson": inference.RichardsonFactory.extrapolate,
        "fake_nodes": inference.FakeNodesFactory.extrapolate,
        "exponential": partial(inference.ExpFactory.extrapolate, asymptote=asymptote),
        "poly_exponential": partial(
            inference.PolyExpFactory.extrapolate, order=1, asymptote=asymptote
        ),
    }
    return cast("Extrapolation", known[fit])
