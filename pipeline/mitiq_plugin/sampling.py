"""Mitiq's techniques that draw random circuits, as options."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, cast

import numpy as np
from pydantic import Field, PositiveInt, field_validator

from pipeline.mitiq_plugin.circuits import Handed
from pipeline.mitiq_plugin.combination import Array, Samples
from pipeline.mitiq_plugin.options import Fit, extrapolation, plain_included
from pipeline.mitiq_plugin.representations import NoiseModel, relaxation_share, representations_of
from pipeline.mitiq_plugin.technique import Construction, MitiqOption, Remembered
from qcpaas.errors import MitigationError
from qcpaas.execution import (
    Binding,
    Cost,
    EnrichedExecutionBackend,
    Experiment,
    OptionSettings,
)

# Share of gate errors from which on it matters: 0.7 to 0.85 on twins of FakeLima, FakeManila and
# FakeKolkata, below 0.1 of FakeSherbrooke and FakeTorino.
RELAXATION = 0.2


class SampledTechnique(MitiqOption):
    """Random circuits that take the noise of two-qubit gates to be depolarising."""

    def advice(self, binding: Binding | None) -> str:
        """Where the noise is largely relaxation, and nothing twirls it."""
        calibration = self.services.calibration(binding)
        if calibration is None or binding is None or self._twirls_inside():
            return ""
        share = relaxation_share(calibration, binding.physical_qubits)
        if share < RELAXATION:
            return ""
        return (
            f"{share:.0%} of the gate errors is relaxation, which is no depolarising noise: values "
            "are likely to be further from the truth than raw ones. Put PauliTwirling after "
            f"{self.option_name()}, or take ProbabilisticErrorCancellation."
        )

    def _twirls_inside(self) -> bool:
        inner = self.inner
        while isinstance(inner, EnrichedExecutionBackend):
            if inner.option_name() == "PauliTwirling":
                return True
            inner = inner.inner
        return False


class SamplingSettings(OptionSettings):
    """``num_samples`` circuits are drawn; equal ones run once, with the shots of all of them."""

    num_samples: int = Field(200, ge=2)
    shots_per_sample: PositiveInt = 64
    noise: NoiseModel = "global_depolarizing"


class MitiqPEC(SampledTechnique):
    """Probabilistic error cancellation by Mitiq, for depolarising noise as calibrated.

    Two-qubit gates are represented by the error that the bound calibration gives them. The plain
    circuit runs besides, with the shots that were asked for.

    Source: Temme et al., PRL 119, 180509 (2017).
    """

    purpose = "remove the noise of gates"
    technique = "pec"

    class Settings(SamplingSettings):
        """``max_error`` is the largest standard error that ``num_samples`` may leave for an
        observable between -1 and 1.
        """

        max_error: float = Field(0.3, gt=0)

    def construct(self, handed: Handed, seed: int) -> Construction:
        from mitiq import pec

        settings = self.settings
        known = representations_of(
            handed, self.services.calibration(handed.binding), settings.noise, self.option_name()
        )
        norm = math.prod(_norms(handed, known))
        if norm > settings.max_error * math.sqrt(settings.num_samples):
            needed = math.ceil((norm / settings.max_error) ** 2)
            raise MitigationError(
                f"circuit {handed.template.name}: its quasi-probability norm is {norm:.3g}, so "
                f"that {settings.num_samples} samples leave a standard error above "
                f"{settings.max_error}. Give num_samples={needed} or more, or a larger max_error."
            )
        circuits, signs, norm = _quietly(
            lambda: pec.construct_circuits(
                handed.circuit,
                known,
                num_samples=settings.num_samples,
                random_state=np.random.RandomState(seed),
                full_output=True,
            )
        )
        return Construction(circuits, {"norm": float(norm), "signs": [int(s) for s in signs]})

    def combined(self, remember: Remembered, results: Array) -> float:
        from mitiq import pec

        norm, signs = cast("float", remember["norm"]), cast("list[int]", remember["signs"])
        return float(pec.combine_results(results.tolist(), norm, signs))

    def samples(self, remember: Remembered) -> Sequence[Samples]:
        signs = np.array(remember["signs"], dtype=np.float64)
        return [Samples(slice(0, len(signs)), signs, cast("float", remember["norm"]))]

    def announced(self, remembered: Sequence[Remembered]) -> str:
        norm = max((cast("float", each["norm"]) for each in remembered), default=1.0)
        return (
            f"MitiqPEC: quasi-probability norm {norm:.3g}; {self.settings.num_samples} samples "
            f"leave a standard error of up to {norm / math.sqrt(self.settings.num_samples):.2g}"
        )

    def shots_each(self, experiment: Experiment) -> int | None:
        return None if experiment.shots is None else self.settings.shots_per_sample

    def cost(self, experiment: Experiment) -> Cost:
        return _cost(self.settings, experiment, self.settings.num_samples, plain=1)


class MitiqPEA(SampledTechnique):
    """Probabilistic error amplification by Mitiq: random errors in place of folded gates.

    The noise of two-qubit gates is amplified as the bound calibration gives it, and extrapolated.

    Source: Kim et al., Nature 618, 500 (2023).
    """

    purpose = "remove the noise of gates"
    technique = "experimental.pea"

    class Settings(SamplingSettings):
        """``num_samples`` are drawn at each scale factor."""

        num_samples: int = Field(100, ge=2)
        scale_factors: tuple[float, ...] = Field((1.0, 2.0, 3.0), min_length=2)
        fit: Fit = "richardson"
        asymptote: float | None = None

        @field_validator("scale_factors")
        @classmethod
        def _plain_included(cls, factors: tuple[float, ...]) -> tuple[float, ...]:
            return plain_included(factors)

    def construct(self, handed: Handed, seed: int) -> Construction:
        pea = _experimental()

        settings, factors = self.settings, list(self.settings.scale_factors)
        known = representations_of(
            handed, self.services.calibration(handed.binding), settings.noise, self.option_name()
        )
        scaled, signs, norms = _quietly(
            lambda: pea.construct_circuits(
                handed.circuit,
                factors,
                representations=known,
                num_samples=settings.num_samples,
                random_state=np.random.RandomState(seed),
            )
        )
        remember = {
            "scale_factors": factors,
            "norms": [float(norm) for norm in norms],
            "signs": [[int(sign) for sign in group] for group in signs],
        }
        plain = factors.index(1.0) * settings.num_samples  # noise as it is: nothing is inserted
        return Construction([c for group in scaled for c in group], cast("Any", remember), plain)

    def combined(self, remember: Remembered, results: Array) -> float:
        pea = _experimental()

        groups = self.samples(remember)
        return float(
            pea.combine_results(
                cast("list[float]", remember["scale_factors"]),
                [results[group.places].tolist() for group in groups],
                [group.norm for group in groups],
                cast("list[list[int]]", remember["signs"]),
                extrapolation(self.settings.fit, self.settings.asymptote),
            )
        )

    def samples(self, remember: Remembered) -> Sequence[Samples]:
        signs = cast("list[list[int]]", remember["signs"])
        norms = cast("list[float]", remember["norms"])
        ends = list(accumulate(map(len, signs)))
        return [
            Samples(slice(end - len(own), end), np.array(own, dtype=np.float64), norm)
            for own, norm, end in zip(signs, norms, ends, strict=True)
        ]

    def shots_each(self, experiment: Experiment) -> int | None:
        return None if experiment.shots is None else self.settings.shots_per_sample

    def cost(self, experiment: Experiment) -> Cost:
        drawn = self.settings.num_samples * len(self.settings.scale_factors)
        return _cost(self.settings, experiment, drawn, plain=0)


def _cost(settings: SamplingSettings, experiment: Experiment, drawn: int, plain: int) -> Cost:
    """At most as many circuits; the shots are exact."""
    if experiment.shots is None:
        return Cost(drawn + plain, drawn + plain)
    return Cost(drawn + plain, plain + drawn * settings.shots_per_sample / experiment.shots)


def _norms(handed: Handed, known: Sequence[Any]) -> list[float]:
    """One-norm of the representation of each of the circuit's two-qubit gates."""
    norms = {
        next(representation.ideal.all_operations()): representation.norm for representation in known
    }
    return [norms.get(operation, 1.0) for operation in handed.circuit.all_operations()]


def _quietly(construct: Callable[[], Any]) -> Any:
    """Mitiq warns of every gate that is taken as perfect."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No representation found", UserWarning)
        return construct()


def _experimental() -> Any:
    """``mitiq.experimental.pea``, whose import warns that it may change; our version is pinned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from mitiq.experimental import pea
    return pea
