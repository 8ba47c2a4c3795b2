"""Zero-noise extrapolation: measure at amplified noise, extrapolate to none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import model_validator
from qiskit import QuantumCircuit

from pipeline.extrapolation import Extrapolation, Fit, extrapolate, points_needed
from pipeline.folding import FoldedGates, fold
from pipeline.strength import LARGEST, scales_for
from qcpaas.errors import MitigationError
from qcpaas.execution import (
    Cost,
    EnrichedExecutionBackend,
    ExpectationValues,
    Experiment,
    Level,
    OptionSettings,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Diagnostic

FIXED = (1.0, 3.0, 5.0)


class ZneContext(PlanContext):
    """Reached noise scales of each experiment, and each observable's fully mixed value."""

    scales: tuple[tuple[float, ...], ...]
    mixed_values: tuple[tuple[float, ...], ...]


class ZeroNoiseExtrapolation(EnrichedExecutionBackend):
    """Extrapolates expectation values to zero noise by folding the compiled circuit's gates.

    Every scale factor is measured with the experiment's full number of shots, so the cost is
    ``len(scale_factors)`` times that of the plain circuit; three times with ``auto``.

    Source: Temme et al., PRL 119, 180509 (2017); Giurgica-Tiron et al., QCE 2020 (folding).
    """

    rank = 10
    levels = frozenset[Level]({"expectation"})

    class Settings(OptionSettings):
        """``scale_factors`` are wanted noise scales; ``gates`` are the ones to fold.

        With ``auto`` the scales follow from the fidelity that the calibration promises each
        circuit where it was placed, and from the shots: the plain circuit twice, and one largest
        scale, small for circuits that noise erases soon.
        """

        scale_factors: tuple[float, ...] | Literal["auto"] = FIXED
        fit: Fit = "exponential"
        gates: FoldedGates = "two_qubit"

        @model_validator(mode="after")
        def _enough_points(self) -> ZeroNoiseExtrapolation.Settings:
            if self.scale_factors == "auto":
                if self.fit != "exponential":
                    raise ValueError(
                        f"scale_factors 'auto' are chosen for an exponential fit; a {self.fit} fit "
                        f"needs them given"
                    )
                return self
            distinct = sorted(set(self.scale_factors))
            if not distinct or distinct[0] != 1.0:
                raise ValueError(f"scale_factors must contain 1 and nothing below; got {distinct}")
            if len(distinct) < points_needed(self.fit):
                raise ValueError(
                    f"a {self.fit} fit needs {points_needed(self.fit)} scale factors; "
                    f"got {len(distinct)}"
                )
            return self

    def expand(self, experiments: Sequence[Experiment]) -> tuple[Sequence[Experiment], ZneContext]:
        expanded: list[Experiment] = []
        scales, mixed = [], []
        for experiment in experiments:
            folded = self._folded(experiment)
            scales.append(_supported([scale for _, scale in folded], self.settings.fit))
            mixed.append(tuple(map(_mixed_value, experiment.observables or ())))
            expanded.extend(replace(experiment, circuit=circuit) for circuit, _ in folded)
        return expanded, ZneContext(scales=tuple(scales), mixed_values=tuple(mixed))

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, ZneContext)
        remaining = iter(outcomes)
        return tuple(
            self._at_zero_noise(scales, mixed, [next(remaining) for _ in scales])
            for scales, mixed in zip(context.scales, context.mixed_values, strict=True)
        )

    def cost(self, experiment: Experiment) -> Cost:
        factors = self.settings.scale_factors
        scales = len(FIXED if factors == "auto" else factors)
        return Cost(scales, scales)

    def _folded(self, experiment: Experiment) -> list[tuple[QuantumCircuit, float]]:
        """The circuit at every noise scale, and the scales that were reached."""
        factors, binding = self.settings.scale_factors, experiment.binding
        gates = self.settings.gates
        if factors != "auto":
            return [fold(experiment.circuit, factor, gates) for factor in factors]
        if binding is None or binding.log_fidelity is None:
            return [fold(experiment.circuit, factor, gates) for factor in FIXED]
        *plain, largest = scales_for(binding.log_fidelity, experiment.shots)
        folded = fold(experiment.circuit, largest, gates)
        for further in LARGEST:  # the first that so few gates can reach
            if folded[1] == 1.0 and further > largest:
                folded = fold(experiment.circuit, further, gates)
        return [*(fold(experiment.circuit, factor, gates) for factor in plain), folded]

    def _at_zero_noise(
        self, scales: Sequence[float], mixed: Sequence[float], measured: Sequence[Outcome]
    ) -> ExpectationValues:
        noisy = [_expectation(outcome) for outcome in measured]
        values = np.stack([outcome.values for outcome in noisy])
        variances = np.stack([outcome.variances for outcome in noisy])
        at_zero = np.empty(values.shape[1:])
        variance = np.empty(values.shape[1:])
        fits: list[Extrapolation] = []
        for place in np.ndindex(*values.shape[1:]):
            fitted = extrapolate(
                np.array(scales),
                values[:, *place],
                variances[:, *place],
                self.settings.fit,
                asymptote=mixed[place[1]],
            )
            fits.append(fitted)
            at_zero[place], variance[place] = fitted.value, fitted.variance
        plain = noisy[scales.index(1.0)]
        return ExpectationValues(
            values=at_zero,
            variances=variance,
            raw_values=plain.values if plain.raw_values is None else plain.raw_values,
            raw_variances=plain.variances if plain.raw_variances is None else plain.raw_variances,
            diagnostics=(*plain.diagnostics, self._diagnose(scales, values, variances, fits)),
        )

    def _diagnose(
        self,
        scales: Sequence[float],
        values: np.ndarray,
        variances: np.ndarray,
        fits: Sequence[Extrapolation],
    ) -> Diagnostic:
        """The measured curve of the first point and observable, and how every fit went."""
        return Diagnostic(
            option="ZeroNoiseExtrapolation",
            figures={
                "scale_factors": list(scales),
                "values": values[:, 0, 0].tolist(),
                "std_errors": np.sqrt(variances[:, 0, 0]).tolist(),
                "extrapolated": fits[0].value,
                "fit": fits[0].fit,
                "fits_replaced": sum(fit.fit != self.settings.fit for fit in fits),
                "why_replaced": next((fit.note for fit in fits if fit.note), ""),
            },
        )


def _supported(scales: Sequence[float], fit: Fit) -> tuple[float, ...]:
    distinct = len(set(scales))
    if distinct < points_needed(fit) and distinct > 1:
        raise MitigationError(
            f"folding reached only {distinct} distinct noise scales {sorted(set(scales))}; a {fit} "
            f"fit needs {points_needed(fit)}. The circuit has too few gates to fold: choose "
            f"odd scale factors, or gates='all'."
        )
    return tuple(scales)


def _mixed_value(observable: object) -> float:
    """Expectation value in the fully mixed state: the identity's coefficient."""
    from qiskit.quantum_info import SparsePauliOp

    assert isinstance(observable, SparsePauliOp)
    identity = ~(observable.paulis.x.any(axis=1) | observable.paulis.z.any(axis=1))
    return float(np.real(observable.coeffs[identity].sum()))


def _expectation(outcome: Outcome) -> ExpectationValues:
    assert isinstance(outcome, ExpectationValues)
    return outcome
