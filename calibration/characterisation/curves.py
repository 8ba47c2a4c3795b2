"""Qibocal's fit functions again, to ask of a fit what Qibocal does not: is it any good, how sure.

Qibocal leaves curve_fit's covariance in the units of the residuals: with few points that scale is
itself a guess, and the errors then have the long tails of Student's t. Here the scale comes from
the known noise of the shots (or of the sequences), and is widened by the square root of the
reduced chi squared where the data scatter more than that explains (the scale factor of the
Particle Data Group). The fitted values stay Qibocal's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2 as chi2_distribution
from scipy.stats import f as f_distribution

Real = NDArray[np.float64]
Function = Callable[..., Real]


def decay(x: Real, offset: float, amplitude: float, time: float) -> Real:
    return offset - amplitude * np.exp(-x / time)


def fringe(x: Real, *parameters: float) -> Real:
    """A damped sine; parameters: offset, amplitude, angular frequency, phase, rate of decay."""
    offset, amplitude, omega, phase, rate = parameters
    damped: Real = offset + amplitude * np.sin(x * omega + phase) * np.exp(-x * rate)
    return damped


def oscillation(x: Real, offset: float, amplitude: float, period: float, phase: float) -> Real:
    return offset + amplitude * np.cos(2 * np.pi * x / period + phase)


def survival(x: Real, amplitude: float, base: float, offset: float) -> Real:
    return amplitude * base**x + offset


def line(x: Real, *parameters: float) -> Real:
    """A Lorentzian; parameters: area, centre, half width, offset, and the background's slope."""
    area, centre, width, offset, *slope = parameters
    background = offset + (slope[0] * x if slope else 0.0)
    return area / np.pi * width / ((x - centre) ** 2 + width**2) + background


@dataclass(frozen=True)
class FittedCurve:
    """A function with Qibocal's parameters, beside the data that it was fitted to.

    Attributes:
        x: Shape ``(n,)``.
        y: Shape ``(n,)``.
        noise: Standard error of each ``y``, shape ``(n,)``; ``None`` where it is not known, and
            then the scatter about the curve stands for it.
        weights: Standard errors that the fit was weighted with, where they differ from ``noise``.
    """

    function: Function
    parameters: Sequence[float]
    x: Real
    y: Real
    noise: Real | None = None
    weights: Real | None = None

    @cached_property
    def residuals(self) -> Real:
        return np.asarray(self.y - self.function(self.x, *self.parameters))

    @property
    def degrees_of_freedom(self) -> int:
        return len(self.x) - len(self.parameters)

    @cached_property
    def reduced_chi2(self) -> float | None:
        """Mean squared residual in units of the noise; ``None`` where the noise is not known."""
        if self.noise is None or self.degrees_of_freedom < 1:
            return None
        return float(np.sum((self.residuals / self.noise) ** 2) / self.degrees_of_freedom)

    @cached_property
    def log10_chance(self) -> float:
        """How likely noise about a constant is explained as well by this curve.

        By what the curve takes off the constant's chi squared where the noise is known (and found
        to be at least that large), else by the F test.
        """
        scale = np.ones_like(self.y) if self.noise is None else self.noise
        mean = np.average(self.y, weights=scale**-2)
        without = float(np.sum(((self.y - mean) / scale) ** 2))
        left = float(np.sum((self.residuals / scale) ** 2))
        gained, freedom = len(self.parameters) - 1, self.degrees_of_freedom
        if freedom < 1 or not left < without:
            return 0.0
        if self.noise is not None:
            taken = (without - left) / max(1.0, self.reduced_chi2 or 0.0)
            return float(chi2_distribution.logsf(taken, gained) / np.log(10))
        ratio = (without - left) / gained / max(left / freedom, 1e-300)
        return float(f_distribution.logsf(ratio, gained, freedom) / np.log(10))

    @cached_property
    def covariance(self) -> Real:
        """Of the parameters; infinite where the data do not fix them.

        The fit minimises residuals over ``weights``; the data scatter by ``noise``: the sandwich
        of both, which is the usual covariance where they agree.
        """
        slopes = self._slopes()
        size = np.linalg.norm(slopes, axis=0)  # a frequency in Hz beside an amplitude of 1
        if not np.all(np.isfinite(size)) or np.any(size == 0):
            return np.full((len(self.parameters),) * 2, np.inf)
        slopes = slopes / size
        noise = self._scatter()
        weight = (noise if self.weights is None else self.weights) ** -2
        try:
            bread = np.linalg.inv(slopes.T @ (slopes * weight[:, None]))
        except np.linalg.LinAlgError:
            return np.full((len(self.parameters),) * 2, np.inf)
        filling = slopes.T @ (slopes * (weight * noise)[:, None] ** 2)
        unscaled = bread @ filling @ bread / np.outer(size, size)
        return np.asarray(unscaled * max(1.0, self.reduced_chi2 or 0.0))

    def std_error(self, value: Callable[[Real], float]) -> float:
        """Standard error of a function of the parameters, by its gradient."""
        gradient = _gradient(lambda p: np.array([value(p)]), np.asarray(self.parameters))[0]
        if not np.all(np.isfinite(self.covariance)):
            return float("inf")
        variance = gradient @ self.covariance @ gradient
        return float(np.sqrt(variance)) if variance >= 0 else float("inf")

    def _scatter(self) -> Real:
        if self.noise is not None:
            return self.noise
        scatter = np.sqrt(np.sum(self.residuals**2) / max(self.degrees_of_freedom, 1))
        return np.full_like(self.y, scatter)

    def _slopes(self) -> Real:
        return _gradient(lambda p: self.function(self.x, *p), np.asarray(self.parameters))


def _gradient(function: Callable[[Real], Real], at: Real) -> Real:
    """Central differences, shape ``(n, parameters)``."""
    columns = []
    for index, value in enumerate(at):
        step = 1e-6 * max(abs(value), 1e-9)
        up, down = at.astype(float).copy(), at.astype(float).copy()
        up[index] += step
        down[index] -= step
        columns.append((function(up) - function(down)) / (2 * step))
    return np.stack(columns, axis=-1)
