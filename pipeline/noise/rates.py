"""Rates of a sparse Pauli-Lindblad model from decays or fidelities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ASSUMED = 1e-3  # weight of what is assumed beside what was measured


@dataclass(frozen=True, eq=False)
class Rates:
    """Rates of each generator, and their standard errors, shape ``(g,)``.

    Attributes:
        misfit: Sum of squared residuals in standard errors, over their number.
    """

    rates: Array
    std_errors: Array
    misfit: float


def fit_rates(design: Array, exponents: Array, covariance: Array, assumed: Array) -> Rates:
    """Least squares with no negative rate.

    Errors are those of the fit without the bound, so that a rate at 0 still says how far from 0 it
    could be. Where nothing was measured, all that leaves no rate negative is taken for equally
    likely, and the error counts how far the assumption is from it.

    Args:
        design: ``design @ rates`` are the expected exponents, shape ``(m, g)``.
        exponents: Such as ``-log`` of a fidelity, shape ``(m,)``.
        covariance: Of the exponents.
        assumed: Rows whose product with the rates is taken for 0 where no exponent tells better,
            shape ``(a, g)``.
    """
    from scipy.optimize import nnls

    errors = np.sqrt(np.diag(covariance))
    errors = np.maximum(errors, max(1e-9, 1e-3 * float(np.median(errors))))
    scale = ASSUMED / float(np.median(errors))
    rows = np.concatenate([design / errors[:, None], scale * assumed])
    targets = np.concatenate([exponents / errors, np.zeros(len(assumed))])
    rates, _ = nnls(rows, targets, maxiter=30 * rows.shape[1])
    response = np.linalg.pinv(rows, rcond=1e-9)[:, : len(errors)] / errors
    variances = np.einsum("gm,mk,gk->g", response, covariance, response)
    residuals = (exponents - design @ rates) / errors
    variances = variances + _untold(design / errors[:, None], rates + np.sqrt(variances)) ** 2
    return Rates(rates, np.sqrt(variances), float(residuals @ residuals) / max(1, len(residuals)))


def _untold(design: Array, rates: Array) -> Array:
    """Root mean square of how far each rate can be off with no change of what was measured.

    Each by itself moves as far as no other one, which is least distant, becomes negative.
    """
    from scipy.linalg import null_space

    hidden = null_space(np.linalg.qr(design, mode="r"), rcond=1e-9)
    moves = hidden @ hidden.T
    moves[np.abs(moves) < 1e-9] = 0.0
    with np.errstate(divide="ignore"):
        # Steps along each column until a rate is 0, forwards and backwards.
        forwards = np.where(moves < 0, rates[:, None] / -moves, np.inf).min(axis=0)
        backwards = np.where(moves > 0, rates[:, None] / moves, np.inf).min(axis=0)
    forwards, backwards = (np.where(np.isfinite(x), x, 0.0) for x in (forwards, backwards))
    mean_square = (forwards**2 - forwards * backwards + backwards**2) / 3
    untold: Array = np.diag(moves) * np.sqrt(mean_square)
    return untold
