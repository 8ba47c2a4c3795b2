"""A control chart over one quantity of a whole device: where a value leaves its own history.

Calibration data are heavy-tailed, skewed and correlated from day to day, and of each value some
tens of readings are known. So no distribution is assumed:

1. Each value is forecast from its own past by exponential smoothing with bounded steps, and the
   error is divided by its usual size, in which a short past leans on the other elements
   (Gelper, Fried and Croux, J. Forecasting 29, 285, 2010).
2. The error is ranked among all earlier ones of the quantity on the device, and the rank turned
   into a Gaussian score, as in conformal prediction. Scores end at `CAP`, from where one reading
   alone raises no alarm: it may be a failed fit (Hawkins, J. Quality Technology 25, 248, 1993).
3. Two-sided cumulative sums of the scores raise an alarm at limits that follow from the rate of
   false alarms and from the correlation found so far.

This is done twice: on a track for steps, whose forecasts follow the value, and on one for slow
changes, whose forecasts hardly do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from calibration.run_length import limit_for

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

WARM_UP = 7  # readings from which a level is learnt, at first and after a mark
POOL = 40  # forecast errors, of all elements, before anything is judged
BOUND = 1.0  # largest error that moves the level in full, in standard deviations
HOLD = 0.7  # share of an alarm's limit from which the level waits
OUTLIER = 5.0  # largest error that counts in full towards the usual size, in standard deviations
PRIOR = 10  # readings that the other elements' usual size counts for
SMALLEST = 1e-12  # usual size where nothing ever changed
MEMORY = 60  # readings over which an element's own usual size is learnt
TAIL = 3.0  # power of the law that rarer errors than any so far are assumed to follow
LONGEST_WAIT = 10  # readings before an unsettled element's errors join the others'
CAP = 2.5  # standard deviations
CORRELATION = 0.2  # from reading to reading, assumed with the weight of `PAIRS` pairs
PAIRS = 50


@dataclass(frozen=True)
class Track:
    """What a cumulative sum is made for.

    Attributes:
        gains: Shares of an error by which the level follows; the best so far is used.
        reference: Half the shift that is found soonest, in standard deviations.
        share: Of the false alarms.
    """

    gains: tuple[float, ...]
    reference: float
    share: float


STEPS = Track(gains=(0.05, 0.15, 0.3), reference=1.5, share=0.7)
SLOW = Track(gains=(0.02,), reference=1.0, share=0.3)
TRACKS = (STEPS, SLOW)


@dataclass(frozen=True)
class Watched:
    """What a chart says of every reading; arrays of the readings' shape.

    Attributes:
        alarms: Where a value has left its history.
        judged: Where there was history enough to say so.
        expected: Forecasts, NaN where there is none.
        spread: Usual size of the forecast's error, as a standard deviation; NaN likewise.
    """

    alarms: Flags
    judged: Flags
    expected: Array
    spread: Array


def watch(readings: Array, rate: float, known: Flags | None = None) -> Watched:
    """Judge readings one row after the other, each by the rows before it only.

    Args:
        readings: Shape ``(rows, elements)``, on a scale where changes add up (logarithms of
            times, say); NaN where an element was not measured again.
        rate: False alarms per reading, at most.
        known: Marks that were set before, of the same shape. The level is learnt anew from each,
            and what came before it is not judged again.

    Returns:
        Alarms and forecasts; a known mark is no alarm.
    """
    known = np.zeros(readings.shape, dtype=bool) if known is None else known
    settled = np.logical_or.accumulate(known[::-1], axis=0)[::-1]
    chart = _Chart(readings.shape[1], rate)
    rows = [chart.judge(*row) for row in zip(readings, known, settled, strict=True)]
    if not rows:
        empty = np.empty(readings.shape)
        return Watched(known, known, empty, empty)
    alarms, judged, expected, spread = (np.array(column) for column in zip(*rows, strict=True))
    return Watched(alarms, judged, expected, spread)


class _Chart:
    """The tracks of a quantity; arrays end with axis ``(elements,)``."""

    def __init__(self, elements: int, rate: float) -> None:
        self._tracks = [_Follower(elements, rate, track) for track in TRACKS]

    def judge(
        self, values: Array, known: Flags, settled: Flags
    ) -> tuple[Flags, Flags, Array, Array]:
        """One row: alarms, whether they could be judged, forecasts, usual errors."""
        looks = [track.look(values, settled) for track in self._tracks]
        tension = np.array([look.tension for look in looks])
        alarms: Flags = np.any(tension > 1, axis=0)
        for track, look in zip(self._tracks, looks, strict=True):
            track.learn(values, look, alarms, alarms | (known & np.isfinite(values)))
        most = np.argmax(tension, axis=0)[None, :]
        expected = np.take_along_axis(np.array([look.expected for look in looks]), most, 0)[0]
        spread = np.take_along_axis(np.array([look.spread for look in looks]), most, 0)[0]
        return alarms, looks[0].judged, expected, spread


@dataclass(frozen=True)
class _Look:
    """What a track says of a row; arrays of shape ``(elements,)``.

    Attributes:
        error: From the forecast, in units of its usual size.
        tension: Largest cumulative sum in units of its limit; 0 where nothing is judged.
    """

    expected: Array
    spread: Array
    error: Array
    judged: Flags
    tension: Array


class _Follower:
    """What one track knows of every element between two rows."""

    def __init__(self, elements: int, rate: float, track: Track) -> None:
        self._track = track
        self._rate = track.share * rate
        self._level = _Level(elements, track.gains)
        self._usual = _UsualSize(elements)
        self._scores = _Scores(elements)
        self._sums = np.zeros((2, elements))

    def look(self, values: Array, settled: Flags) -> _Look:
        """Judge a row by what is known so far."""
        expected = self._level.forecast()
        spread = np.where(np.isfinite(expected), self._usual.spread(), np.nan)
        error = (values - expected) / spread
        scores = self._scores.of(error)
        judged = np.isfinite(scores) & ~settled
        tension = self._accumulate(scores, judged)
        return _Look(expected, spread, error, judged, tension)

    def learn(self, values: Array, look: _Look, alarms: Flags, restart: Flags) -> None:
        """Take a row into what is known.

        Args:
            restart: Where the level is to be learnt anew, this row's value being the first.
        """
        self._scores.keep(look.error, alarms | (look.tension == 0))
        self._usual.add(look.error * look.spread, look.spread)
        self._level.follow(values, look.spread, held=look.tension > HOLD)
        self._level.forget(restart)
        self._scores.forget(restart)
        self._sums[:, restart] = 0
        self._usual.start(self._level.learn(values))

    def _accumulate(self, scores: Array, judged: Flags) -> Array:
        """Add scores to the sums, which only judged elements have."""
        if not judged.any():
            return np.zeros(scores.shape)
        reference = self._track.reference
        grown = np.maximum(0, self._sums + np.array([scores, -scores]) - reference)
        np.copyto(self._sums, grown, where=judged)
        limit = limit_for(self._rate, reference, CAP, self._scores.correlation())
        # Not below what one reading alone can add.
        tension: Array = self._sums.max(axis=0) / max(limit, CAP - reference)
        return tension


class _Level:
    """Exponential smoothing at several gains; the one that has forecast best is used."""

    def __init__(self, elements: int, gains: tuple[float, ...]) -> None:
        self._gains = np.array(gains)[:, None]
        self._levels = np.full((len(gains), elements), np.nan)
        self._losses = np.zeros(len(gains))
        self._first = np.full((WARM_UP, elements), np.nan)
        self._seen = np.zeros(elements, dtype=np.int64)

    def forecast(self) -> Array:
        """NaN while a level is learnt."""
        best: Array = self._levels[np.argmin(self._losses)].copy()
        return best

    def follow(self, values: Array, spread: Array, held: Flags) -> None:
        """Move towards a row of values.

        Args:
            held: Where the level waits, because a change is suspected.
        """
        errors = (values - self._levels) / spread
        known = np.isfinite(errors)
        self._losses += np.minimum(errors**2, 9.0, where=known, out=np.zeros_like(errors)).sum(1)
        steps = self._gains * np.clip(errors, -BOUND, BOUND) * spread
        self._levels += np.where(known & ~held, steps, 0.0)

    def forget(self, where: Flags) -> None:
        self._levels[:, where] = np.nan
        self._seen[where] = 0

    def learn(self, values: Array) -> Array:
        """Take values of elements without a level.

        Returns:
            For elements whose level is settled by them, how far their first values lie from it;
            shape ``(WARM_UP, elements)``, NaN for all others.
        """
        new = np.isfinite(values) & np.isnan(self._levels[0])
        self._first[self._seen[new], new] = values[new]
        self._seen[new] += 1
        ready = new & (self._seen == WARM_UP)
        self._levels[:, ready] = np.median(self._first[:, ready], axis=0)
        return np.where(ready, self._first - self._levels[0], np.nan)


class _UsualSize:
    """Mean square of each element's errors, drawn towards that of all elements."""

    def __init__(self, elements: int) -> None:
        self._squares = np.zeros(elements)
        self._counted = np.zeros(elements)

    def spread(self) -> Array:
        """Standard deviation to expect of each element's next error; positive."""
        pooled = self._squares.sum() / max(self._counted.sum(), 1.0)
        spread: Array = np.sqrt((PRIOR * pooled + self._squares) / (PRIOR + self._counted))
        return np.maximum(spread, SMALLEST)

    def start(self, deviations: Array) -> None:
        """Learn from deviations around a first median, shape ``(WARM_UP, elements)``."""
        fresh = np.isfinite(deviations[0]) & (self._counted == 0)
        if fresh.any():
            sizes = np.abs(deviations[:, fresh]) * np.sqrt(WARM_UP / (WARM_UP - 1))
            largest = OUTLIER * 1.4826 * np.median(sizes)  # MAD of a Gaussian times 1.4826 is 1
            self._squares[fresh] = (np.minimum(sizes, largest) ** 2).sum(axis=0)
            self._counted[fresh] = WARM_UP

    def add(self, errors: Array, spread: Array) -> None:
        """Learn from a row of errors; NaN where there is none."""
        here = np.isfinite(errors)
        kept = np.where(here & (self._counted >= MEMORY), 1 - 1 / MEMORY, 1.0)
        square = np.minimum(np.abs(errors), OUTLIER * spread) ** 2
        self._squares = kept * self._squares + np.where(here, square, 0.0)
        self._counted = kept * self._counted + here


class _Scores:
    """Ranks of errors among all earlier ones, as Gaussian scores, and their correlation."""

    def __init__(self, elements: int) -> None:
        self._pool = np.empty(0)
        self._waiting = np.full((LONGEST_WAIT, elements), np.nan)
        self._count = np.zeros(elements, dtype=np.int64)
        self._last: Array = np.full(elements, np.nan)
        self._products = CORRELATION * PAIRS
        self._squares = float(PAIRS)

    def of(self, errors: Array) -> Array:
        """Scores of a row of standardised errors; NaN while too few are known."""
        scores = np.full(errors.shape, np.nan)
        here = np.isfinite(errors)
        if len(self._pool) >= POOL:
            ranks = [np.searchsorted(self._pool, errors[here], side) for side in ("left", "right")]
            share = (np.mean(ranks, axis=0) + 0.5) / (len(self._pool) + 1)
            scores[here] = np.clip(ndtri(self._thinned(share, errors[here])), -CAP, CAP)
        self._pair(scores)
        return scores

    def keep(self, errors: Array, settled: Flags) -> None:
        """Let a row of errors into the pool, those of unsettled elements later.

        Otherwise a fault's first reading would make its second one look usual.
        """
        here = np.flatnonzero(np.isfinite(errors))
        self._waiting[self._count[here], here] = errors[here]
        self._count[here] += 1
        ready = settled | (self._count == LONGEST_WAIT)
        new = self._waiting[:, ready]
        # The stable sort merges the few new ones into the long sorted run.
        self._pool = np.sort(np.concatenate([self._pool, new[np.isfinite(new)]]), kind="stable")
        self._waiting[:, ready] = np.nan
        self._count[ready] = 0

    def _thinned(self, share: Array, errors: Array) -> Array:
        """Shares of the pool below each error; beyond the pool they follow a power law."""
        rarest = 0.5 / (len(self._pool) + 1)
        low = np.maximum(errors / min(self._pool[0], -1.0), 1.0) ** -TAIL
        high = np.maximum(errors / max(self._pool[-1], 1.0), 1.0) ** -TAIL
        raised: Array = np.where(share <= rarest, rarest * low, share)
        return np.where(raised >= 1 - rarest, 1 - rarest * high, raised)

    def _pair(self, scores: Array) -> None:
        paired = np.isfinite(scores) & np.isfinite(self._last)
        self._products += float(scores[paired] @ self._last[paired])
        self._squares += float(scores[paired] @ scores[paired])
        self._last = np.where(np.isfinite(scores), scores, self._last)

    def correlation(self) -> float:
        """From one reading to the next, in steps of 0.1 so that limits are kept for reuse."""
        return round(min(max(self._products / self._squares, 0.0), 0.6), 1)

    def forget(self, where: Flags) -> None:
        self._last[where] = np.nan
