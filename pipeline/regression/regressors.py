"""Regressors that learn a correction from features of noisy values."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PENALTIES = np.logspace(-3, 3, 13)
Model = Literal["ridge", "mlp", "forest", "gp"]


class Regressor(Protocol):
    """Learns all targets at once; features and targets are standardised, one row a circuit."""

    def fit(self, features: Array, targets: Array) -> None:
        """Shapes ``(rows, features)`` and ``(rows, targets)``."""
        ...

    def predict(self, features: Array) -> Array:
        """Shape ``(rows, targets)``."""
        ...


RegressorSource = Callable[[], Regressor]  # a fresh one each time


def regressor_for(model: Model, seed: int) -> Regressor:
    """A fresh regressor, not yet trained."""
    return RidgeRegressor() if model == "ridge" else SklearnRegressor(model, seed)


class RidgeRegressor:
    """Linear, its penalty chosen by the error at each example left out in turn.

    As scikit-learn's ``RidgeCV``, whose 3 ms a fit, and seconds to import, would slow down a loop.
    """

    def __init__(self) -> None:
        self._coefficients = np.empty((0, 0))

    def fit(self, features: Array, targets: Array) -> None:
        left, singular, right = np.linalg.svd(features, full_matrices=False)
        projected = left.T @ targets
        errors = []
        for penalty in PENALTIES:
            shrunk = singular**2 / (singular**2 + penalty)
            lever = left**2 @ shrunk + 1 / len(features)  # the mean is fitted as well
            residual = targets - left @ (shrunk[:, None] * projected)
            errors.append(((residual / np.maximum(1 - lever, 1e-9)[:, None]) ** 2).sum())
        penalty = PENALTIES[int(np.argmin(errors))]
        scaled = (singular / (singular**2 + penalty))[:, None] * projected
        self._coefficients = right.T @ scaled

    def predict(self, features: Array) -> Array:
        values: Array = features @ self._coefficients
        return values


class SklearnRegressor:
    """One of scikit-learn's, of a size for some dozen training circuits."""

    def __init__(self, model: Model, seed: int) -> None:
        self._model = _MODELS[model](seed % 2**32)

    def fit(self, features: Array, targets: Array) -> None:
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            # A model that has not converged shows in its validation error.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model.fit(features, targets if targets.shape[1] > 1 else targets[:, 0])

    def predict(self, features: Array) -> Array:
        found = np.asarray(self._model.predict(features), dtype=np.float64)
        return found.reshape(len(features), -1)


def _mlp(seed: int) -> Any:
    from sklearn.neural_network import MLPRegressor

    return MLPRegressor(
        hidden_layer_sizes=(16,),
        activation="tanh",
        solver="lbfgs",
        alpha=1.0,
        max_iter=300,
        random_state=seed,
    )


def _forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(50, min_samples_leaf=2, random_state=seed, n_jobs=1)


def _gp(seed: int) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    kernel = ConstantKernel(1.0) * RBF(3.0, (0.3, 100.0)) + WhiteKernel(0.3, (1e-4, 10.0))
    return GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)


_MODELS: dict[str, Callable[[int], Any]] = {
    "mlp": _mlp,
    "forest": _forest,
    "gp": _gp,
}
