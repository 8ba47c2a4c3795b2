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
    could be; where nothing was measured, they know nothing of the assumption's.

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
    return Rates(rates, np.sqrt(variances), float(residuals @ residuals) / max(1, len(residuals)))
