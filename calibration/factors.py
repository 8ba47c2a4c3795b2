"""How much worse than calibrated elements are, estimated from fidelities that were observed.

A circuit's log fidelity is the sum over its elements of what each is calibrated to lose, times how
much worse the element is than calibrated. Most elements are as calibrated and a few are far off,
so the logarithm of that factor has a narrow prior with a wide one beside it; beyond the elements,
each kind may as a whole show more or less in an observation than the sum says, since the sum
counts every error as fatal. The posterior is found by expectation propagation around a
linearisation that follows the estimate. With one Gaussian prior in its place, as a Kalman filter
has it, simulated devices won back as much where reports were wrong (0.63 of the gap, 16 reports)
and lost 0.0013 nats in place of 0.0001 where they were right. Of elements that are always used
together the fit tends to blame one; what they lose together is right.

Source: Minka, UAI 2001 (expectation propagation); Hernández-Lobato et al., JMLR 14, 1891 (2013),
for priors with a spike and a slab.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.elements import Element
from qcpaas.errors import CalibrationError

Array = NDArray[np.float64]

# Of log factors: standard deviations, and the share that is far off.
SPIKE, SLAB, SLAB_SHARE = 0.1, 1.2, 0.15
KIND_SPREAD = 0.25  # of the logarithm of what a whole kind shows
MODEL_SHARE, MODEL_NATS = 0.06, 0.01  # what the model itself gets wrong
TAIL = 4.0  # degrees of freedom: an observation far off what all others say counts less
LARGEST = 3.0  # a log factor of 20
ROUNDS = 30
SETTLED = 1e-3
MAX_NATS = 20.0


@dataclass(frozen=True, eq=False)
class Seen:
    """One circuit at one place, and the fidelity that was observed of it.

    Attributes:
        name: Of circuit, place and source: what is seen under the same name is averaged.
        elements: What it uses.
        contributions: What each adds to its log fidelity as calibrated, nats, shape ``(k,)``.
        log_fidelity: Natural logarithm of what was seen.
        variance: Of ``log_fidelity``, from counting alone.
        source: What was observed; sources are not assumed to show errors alike.
    """

    name: str
    elements: tuple[Element, ...]
    contributions: Array
    log_fidelity: float
    variance: float
    source: str = "echo"

    @classmethod
    def of(
        cls,
        name: str,
        contributions: Mapping[Element, float],
        log_fidelity: float,
        std_error: float,
        source: str = "echo",
    ) -> Seen:
        """Checked.

        Raises:
            CalibrationError: A number is not finite, positive where it cannot be, or the circuit
                uses nothing that could be at fault.
        """
        kept = {element: nats for element, nats in contributions.items() if nats != 0.0}
        nats = np.array(list(kept.values()), dtype=np.float64)
        problem = _problem(nats, log_fidelity, std_error)
        if problem:
            raise CalibrationError(f"this observation teaches nothing: {problem}.")
        floor = max(log_fidelity, -MAX_NATS)
        return cls(name, tuple(kept), nats, floor, std_error**2, source)

    @property
    def predicted(self) -> float:
        """What the calibration promised."""
        return float(self.contributions.sum())

    def merged(self, other: Seen) -> Seen:
        """Both as one observation, of the mean of what they used; the more certain counts more."""
        if min(self.variance, other.variance) == 0.0:  # exact
            return other if other.variance == 0.0 else self
        share = other.variance / (self.variance + other.variance)
        nats = dict.fromkeys((*self.elements, *other.elements), 0.0)
        for one, weight in ((self, share), (other, 1 - share)):
            for element, lost in zip(one.elements, one.contributions.tolist(), strict=True):
                nats[element] += weight * lost
        return replace(
            other,
            elements=tuple(nats),
            contributions=np.array(list(nats.values())),
            log_fidelity=share * self.log_fidelity + (1 - share) * other.log_fidelity,
            variance=share * self.variance,
        )

    def without(self, element: Element, factor: float, log_std_error: float) -> Seen:
        """The same, its loss in one element taken as known up to an error."""
        place = self.elements.index(element)
        loss = float(self.contributions[place]) * factor
        kept = np.arange(len(self.elements)) != place
        return replace(
            self,
            elements=tuple(e for e in self.elements if e != element),
            contributions=self.contributions[kept],
            log_fidelity=self.log_fidelity - loss,
            variance=self.variance + (loss * log_std_error) ** 2,
        )


@dataclass(frozen=True)
class Factor:
    """Natural logarithm of true over calibrated error, and its standard error."""

    log: float
    std_error: float


def fit(seen: Sequence[Seen]) -> dict[Element, Factor]:
    """The factors of all elements that were observed, shrunk towards 1.

    Costs the cube of the number of circuits and their square times the number of elements.
    """
    if not seen:
        return {}
    model = _Model.of(seen)
    logs, variances = _propagate(model)
    return {
        element: Factor(float(log), float(math.sqrt(variance)))
        for element, log, variance in zip(model.elements, logs, variances, strict=False)
    }


@dataclass(frozen=True, eq=False)
class _Model:
    """Observations in columns: first the elements', then one for each kind and source.

    Attributes:
        contributions: Shape ``(observations, elements)``.
        group: Column of the kind that each entry belongs to, shape of ``contributions``.
        count: Columns in all.
    """

    elements: tuple[Element, ...]
    contributions: Array
    group: NDArray[np.int64]
    count: int
    observed: Array
    variances: Array

    @classmethod
    def of(cls, seen: Sequence[Seen]) -> _Model:
        elements = tuple(dict.fromkeys(e for one in seen for e in one.elements))
        groups = dict.fromkeys((one.source, e.kind) for one in seen for e in one.elements)
        column = {element: place for place, element in enumerate(elements)}
        place = {group: len(elements) + index for index, group in enumerate(groups)}
        contributions = np.zeros((len(seen), len(elements)))
        group = np.full(contributions.shape, len(elements))
        for row, one in enumerate(seen):
            columns = [column[element] for element in one.elements]
            contributions[row, columns] = one.contributions
            group[row, columns] = [place[one.source, element.kind] for element in one.elements]
        return cls(
            elements=elements,
            contributions=contributions,
            group=group,
            count=len(elements) + len(groups),
            observed=np.array([one.log_fidelity for one in seen]),
            variances=np.array([one.variance for one in seen]),
        )

    def at(self, logs: Array) -> tuple[Array, Array]:
        """Expected log fidelities, shape ``(m,)``, and their derivatives, ``(m, count)``."""
        n = len(self.elements)
        terms = self.contributions * np.exp(logs[:n] + logs[self.group])
        slopes = np.zeros((len(terms), self.count))
        slopes[:, :n] = terms
        for column in range(n, self.count):
            slopes[:, column] = np.where(self.group == column, terms, 0.0).sum(axis=1)
        return terms.sum(axis=1), slopes


def _propagate(model: _Model) -> tuple[Array, Array]:
    """Mean and variance of every column of the model's posterior."""
    n = len(model.elements)
    start = SPIKE**2 * (1 - SLAB_SHARE) + SLAB**2 * SLAB_SHARE
    precision = np.full(model.count, 1 / start)  # of what stands in for the prior
    precision[n:] = 1 / KIND_SPREAD**2
    shift: Array = np.zeros(model.count)
    logs: Array = np.zeros(model.count)
    variances: Array = 1 / precision
    for _ in range(ROUNDS):
        expected, slopes = model.at(logs)
        doubt = model.variances + (MODEL_SHARE * expected) ** 2 + MODEL_NATS**2
        spread = np.einsum("ij,j,ij->i", slopes, variances, slopes)
        far = (model.observed - expected) ** 2 / (doubt + spread)
        doubt = doubt * (TAIL + far) / (TAIL + 1)
        target = model.observed - expected + slopes @ logs
        means, variances = _posterior(slopes, doubt, target, precision, shift)
        step = np.clip(means - logs, -0.5, 0.5)
        logs = np.clip(logs + step, -LARGEST, LARGEST)
        precision[:n], shift[:n] = _refined(logs[:n], variances[:n], precision[:n], shift[:n])
        if np.abs(step).max() < SETTLED:
            break
    return logs, variances


def _posterior(
    slopes: Array, doubt: Array, target: Array, precision: Array, shift: Array
) -> tuple[Array, Array]:
    """Mean and marginal variances, through the smaller matrix: a row an observation."""
    prior = 1 / precision
    spread = slopes * prior
    middle = np.linalg.inv(spread @ slopes.T + np.diag(doubt))
    before = prior * shift
    means = before + spread.T @ (middle @ (target - slopes @ before))
    variances = prior - np.einsum("ij,ij->j", spread, middle @ spread)
    return means, np.maximum(variances, 1e-8)


def _refined(means: Array, variances: Array, precision: Array, shift: Array) -> tuple[Array, Array]:
    """The Gaussians that stand in for the prior, each matched where the posterior lies."""
    cavity = np.maximum(1 / variances - precision, 1e-6)
    centre = (means / variances - shift) / cavity
    wide = np.stack([1 / cavity + SPIKE**2, 1 / cavity + SLAB**2])
    weight = np.log([[1 - SLAB_SHARE], [SLAB_SHARE]]) - 0.5 * (np.log(wide) + centre**2 / wide)
    weight = np.exp(weight - weight.max(axis=0))
    weight /= weight.sum(axis=0)
    own = np.array([[SPIKE**2], [SLAB**2]])
    mean_each, variance_each = centre * own / wide, own / (cavity * wide)
    mean = (weight * mean_each).sum(axis=0)
    variance = (weight * (variance_each + mean_each**2)).sum(axis=0) - mean**2
    wanted = np.clip(1 / variance - cavity, 1 / SLAB**2, 1 / SPIKE**2)
    new_shift = mean * (wanted + cavity) - centre * cavity
    return 0.5 * (precision + wanted), 0.5 * (shift + new_shift)


def _problem(nats: Array, log_fidelity: float, std_error: float) -> str:
    if not len(nats):
        return "its circuit uses no element that the calibration knows"
    if not np.isfinite(nats).all() or (nats > 0).any():
        return "the calibration promises no finite fidelity for its circuit"
    if not math.isfinite(log_fidelity):
        return f"its log fidelity is {log_fidelity}"
    if not (math.isfinite(std_error) and std_error >= 0):
        return f"its standard error is {std_error}; it is a finite number, zero or more"
    return ""
