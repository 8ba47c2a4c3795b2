"""Training with held-out validation: what a learned correction is worth where it was not trained.

The regressor learns what is missing from the noisy values, not the exact ones: one that learns
nothing then leaves values as measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.regression.regressors import RegressorSource

Array = NDArray[np.float64]

MARGIN = 0.1  # of the range of a feature in training: as far as that outside is still inside
NOISE = 2.0  # standard errors of shot noise, besides
_CONSTANT = 1e-9


@dataclass(frozen=True, eq=False)
class Examples:
    """Circuits with their features and what was measured of them, one a row.

    Attributes:
        features: Shape ``(rows, features)``.
        spreads: Standard errors of the features by shot noise, same shape.
        noisy: Values at the first noise scale, shape ``(rows, observables)``.
        variances: Of ``noisy``.
    """

    features: Array
    spreads: Array
    noisy: Array
    variances: Array


@dataclass(frozen=True, eq=False)
class Learned:
    """A trained correction, and how it did on circuits that were held out.

    Attributes:
        held_out: Values of every training circuit, predicted without it.
        error: Mean squared error of ``held_out``, shape ``(observables,)``.
        raw_error: That of the noisy values themselves.
    """

    regressor: _Standardised
    examples: Examples
    held_out: Array
    error: Array
    raw_error: Array

    @property
    def useless(self) -> NDArray[np.bool_]:
        """Observables that it predicts no better than they were measured."""
        worse: NDArray[np.bool_] = self.error >= self.raw_error
        return worse

    def outside(self, asked: Examples) -> NDArray[np.bool_]:
        """Rows with a feature outside the range of the training circuits' ones."""
        known = self.examples.features
        margin = MARGIN * np.ptp(known, axis=0) + NOISE * asked.spreads + _CONSTANT
        low, high = known.min(axis=0) - margin, known.max(axis=0) + margin
        beyond: NDArray[np.bool_] = ((asked.features < low) | (asked.features > high)).any(axis=1)
        return beyond

    def predict(self, asked: Examples) -> tuple[Array, Array]:
        """Corrected values and their variances, shape ``(rows, observables)``.

        The variance is the validation's, which has the shot noise of training circuits in it; a
        row with more shot noise than they had gets the difference on top.
        """
        values = asked.noisy + self.regressor.predict(asked.features)
        more_noise = asked.variances - self.examples.variances.mean(axis=0)
        return values, self.error + np.maximum(more_noise, 0.0)


class _Standardised:
    """A regressor of features and targets in units of their spread; constant ones are left out."""

    def __init__(self, features: Array, missing: Array, source: RegressorSource) -> None:
        spread = features.std(axis=0)
        self._varied = spread > _CONSTANT
        self._centre, self._spread = features.mean(axis=0), spread
        self._mean, scale = missing.mean(axis=0), missing.std(axis=0)
        self._scale = np.where(scale > _CONSTANT, scale, 1.0)
        self._regressor = source()
        if self._varied.any():
            self._regressor.fit(self._inputs(features), (missing - self._mean) / self._scale)

    def predict(self, features: Array) -> Array:
        """What is missing from the noisy values."""
        if not self._varied.any():
            return np.tile(self._mean, (len(features), 1))
        missing: Array = self._mean + self._scale * self._regressor.predict(self._inputs(features))
        return missing

    def _inputs(self, features: Array) -> Array:
        inputs: Array = ((features - self._centre) / np.where(self._varied, self._spread, 1.0))[
            :, self._varied
        ]
        return inputs


def learn(
    examples: Examples,
    exact: Array,
    source: RegressorSource,
    folds: int,
    rng: np.random.Generator,
) -> Learned:
    """Train on all examples, after each fold of them was predicted by the others.

    Args:
        exact: Shape ``(rows, observables)``.
    """
    missing = exact - examples.noisy
    held_out = np.empty_like(exact)
    for fold in np.array_split(rng.permutation(len(exact)), folds):
        others = np.setdiff1d(np.arange(len(exact)), fold)
        trained = _Standardised(examples.features[others], missing[others], source)
        held_out[fold] = examples.noisy[fold] + trained.predict(examples.features[fold])
    return Learned(
        regressor=_Standardised(examples.features, missing, source),
        examples=examples,
        held_out=held_out,
        error=((held_out - exact) ** 2).mean(axis=0),
        raw_error=(missing**2).mean(axis=0),
    )
