"""What an extrapolation tells of itself: figures, plots, and whether it was worth it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from pipeline.extrapolation.fits import SIGNIFICANT, Extrapolation, Fit
from qcpaas.manifest import Plot, Series

Array = NDArray[np.float64]


def extrapolation_figures(
    scales: Sequence[float],
    values: Array,
    variances: Array,
    fitted: Extrapolation,
    fit: Fit,
) -> dict[str, JsonValue]:
    """The measured curve of the first point and observable, and how every fit went.

    Args:
        values: Shape ``(scales, points, observables)``; ``variances`` too.
    """
    first = (0, 0)
    chi_square = float(fitted.chi_squares[first])
    told = fitted.freedom > 0 and np.isfinite(chi_square)
    return {
        "scale_factors": list(map(float, scales)),
        "values": values[:, 0, 0].tolist(),
        "std_errors": np.sqrt(variances[:, 0, 0]).tolist(),
        "extrapolated": float(fitted.values[first]),
        "std_error": float(np.sqrt(fitted.variances[first])),
        "systematic_error": float(fitted.systematics[first]),
        "fit": fit,
        "rate": float(fitted.rates[first]),
        "end": float(fitted.ends[first]),
        "chi_square": chi_square if told else None,
        "degrees_of_freedom": fitted.freedom,
        "fits": int(fitted.values.size),
        "fits_replaced": int(np.count_nonzero(fitted.unsupported)),
        "why_replaced": "; ".join(fitted.reasons),
    }


def verdict(raw: Array, variances: Array, fitted: Extrapolation) -> str:
    """Why the extrapolation probably made things worse; empty where it did not.

    Args:
        raw: Values at noise scale 1.
        variances: Squared standard errors of the extrapolated values.
    """
    said = []
    count = fitted.values.size
    replaced = int(np.count_nonzero(fitted.unsupported))
    if replaced:
        said.append(f"{replaced} of {count} fits are not supported ({'; '.join(fitted.reasons)})")
    lost = int(np.count_nonzero(np.sqrt(variances) > np.abs(fitted.values - raw)))
    if 2 * lost > count:
        said.append(f"{lost} of {count} corrections are smaller than their standard errors")
    if fitted.freedom:
        limit = SIGNIFICANT + 2 * (fitted.freedom - 1)
        poor = int(np.count_nonzero(np.nan_to_num(fitted.chi_squares) > limit))
        if poor:
            said.append(f"{poor} of {count} fits miss the measured values by more than shot noise")
    return "; ".join(said)


def extrapolation_plots(title: str, figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
    """The measured curve, the fit, and its value at zero noise."""
    scales = _numbers(figures, "scale_factors")
    if not scales:
        return ()
    at_zero = _number(figures, "extrapolated")
    error = float(np.hypot(_number(figures, "std_error"), _number(figures, "systematic_error")))
    x: Array = np.arange(41) * max(scales) / 40
    curve = _curve(figures, x)
    return (
        Plot(
            title=title,
            x_label="noise scale",
            y_label="expectation value",
            series=(
                Series(
                    label="measured",
                    x=tuple(scales),
                    y=tuple(_numbers(figures, "values")),
                    errors=tuple(_numbers(figures, "std_errors")),
                ),
                Series(label=f"{figures['fit']} fit", x=tuple(x), y=tuple(curve), style="line"),
                Series(label="at zero noise", x=(0.0,), y=(at_zero,), errors=(error,)),
            ),
        ),
    )


def _curve(figures: Mapping[str, JsonValue], x: Array) -> Array:
    """The fitted decay, or the polynomial through the fitted value at 0 nearest to the rest."""
    at_zero, rate, end = (_number(figures, name) for name in ("extrapolated", "rate", "end"))
    if np.isfinite(rate):
        decay: Array = end + (at_zero - end) * np.exp(-rate * x)
        return decay
    scales = np.array(_numbers(figures, "scale_factors"))
    rise = np.array(_numbers(figures, "values")) - at_zero
    freedom = int(_number(figures, "degrees_of_freedom"))
    degree = max(len(scales) - freedom - 1, 1)
    powers = np.arange(1, degree + 1)
    slopes = np.linalg.lstsq(scales[:, None] ** powers, rise, rcond=None)[0]
    polynomial: Array = at_zero + x[:, None] ** powers @ slopes
    return polynomial


def _number(figures: Mapping[str, JsonValue], name: str) -> float:
    value = figures.get(name)
    return float(value) if isinstance(value, int | float) else float("nan")


def _numbers(figures: Mapping[str, JsonValue], name: str) -> list[float]:
    return [float(cast("float", value)) for value in cast("list[JsonValue]", figures.get(name, []))]
