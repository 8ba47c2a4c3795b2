import json

import numpy as np
import pytest

from benchmarks.report import Report, Row, median, ratio_of_sums, run_benchmark


def test_interval_of_a_ratio_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        speed = rng.lognormal(0.0, 0.5, size=40)  # the machine's, the same for both of a pair
        ours, bare = (speed * factor * rng.lognormal(0.0, 0.1, size=40) for factor in (1.2, 1.0))
        found = ratio_of_sums(ours, bare, seed=trial)
        covered += found.low <= 1.2 <= found.high
    assert 178 <= covered <= 199  # 190 expected; 3 standard deviations, and a little for n = 40


def test_the_same_seed_gives_the_same_interval():
    values = [1.0, 4.0, 2.0, 8.0, 5.0]
    assert median(values, seed=1) == median(values, seed=1)
    assert median(values, seed=1).value == 4.0


@pytest.mark.parametrize(
    ("better", "value", "reached"),
    [("lower", 1.0, True), ("lower", 1.1, False), ("higher", 0.9, False), ("equal", 1.0, True)],
)
def test_an_aim_is_met_in_the_direction_that_the_row_says(better, value, reached):
    assert Row("m", value, "s", aim=1.0, better=better).reached is reached
    assert Row("m", value, "s", better=better).reached is None


def test_the_file_holds_what_was_added(tmp_path, capsys):
    def measure(options, report: Report):
        report.add("cost", float(options.seed), "ms", aim=2.0, peer="other", note="why")

    file = tmp_path / "out.json"
    run_benchmark("form", measure, ["--seed", "3", "--json", str(file)])
    written = json.loads(file.read_text())
    assert written["rows"] == [
        {
            "metric": "cost",
            "value": 3.0,
            "unit": "ms",
            "aim": 2.0,
            "better": "lower",
            "peer": "other",
            "note": "why",
        }
    ]
    assert "missed" in capsys.readouterr().out
