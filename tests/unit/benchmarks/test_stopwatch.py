import time
from types import SimpleNamespace

import pytest

from benchmarks.stopwatch import Stopwatch


def test_each_function_is_charged_for_its_own_time_only():
    place = SimpleNamespace(inner=lambda: time.sleep(0.05))

    def outer():
        time.sleep(0.02)
        place.inner()
        place.inner()

    place.outer = outer
    stopwatch = Stopwatch()
    with stopwatch.watching({"out": (place, "outer"), "in": (place, "inner")}):
        place.outer()
    assert place.outer is outer
    assert 0.02 <= stopwatch.seconds["out"] < 0.09  # without the 0.1 s inside
    assert stopwatch.seconds["in"] >= 0.1


def test_a_function_that_raises_is_charged_as_well():
    def failing():
        raise ValueError("wanted")

    place = SimpleNamespace(failing=failing)
    stopwatch = Stopwatch()
    with (
        stopwatch.watching({"failing": (place, "failing")}),
        pytest.raises(ValueError, match="wanted"),
    ):
        place.failing()
    assert stopwatch.seconds["failing"] > 0
