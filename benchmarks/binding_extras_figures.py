"""Means over cases, with a bootstrap over them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.report import Interval, ratio_of_sums


def mean(values: Sequence[float], seed: int) -> Interval:
    return ratio_of_sums(values, [1.0] * len(values), seed)


def geometric_mean(ratios: Sequence[float], seed: int) -> Interval:
    logs = mean([math.log(ratio) for ratio in ratios], seed)
    return Interval(math.exp(logs.value), math.exp(logs.low), math.exp(logs.high))
