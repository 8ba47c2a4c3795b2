"""``python -m benchmarks.binding``: placing circuits late, and what it is worth."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.report import Options, Report, run_benchmark

PARTS = ("latency", "quality", "effect", "history", "staleness", "growth")


def measure(options: Options, report: Report) -> None:
    """Late binding: latency, cost an iteration, quality beside peers, staleness, growth."""
    wanted: list[str] = options.own.part or list(PARTS)
    quick, seed = options.quick, options.seed
    if "latency" in wanted:
        from benchmarks.binding_latency import measure_iterations, measure_latency

        measure_latency(report, quick=quick, seed=seed)
        measure_iterations(report, quick=quick, seed=seed)
    if "quality" in wanted:
        from benchmarks.binding_quality import measure_quality

        measure_quality(report, quick=quick, seed=seed)
    if "effect" in wanted:
        from benchmarks.binding_effect import measure_effect

        measure_effect(report, quick=quick, seed=seed)
    if "history" in wanted and options.own.history is not None:
        from benchmarks.binding_history import measure_history

        measure_history(report, options.own.history, quick=quick, seed=seed)
    if "staleness" in wanted:
        from benchmarks.binding_faults import measure_staleness

        measure_staleness(report, quick=quick, seed=seed)
    if "growth" in wanted:
        from benchmarks.binding_growth import measure_growth

        measure_growth(report, quick=quick, seed=seed)


def _own_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--part", action="append", choices=PARTS, help="only this; may be given several times"
    )
    parser.add_argument(
        "--history",
        type=Path,
        metavar="DIR",
        help="folder with the CSV files of one real device's record, a file a quantity",
    )


def main() -> None:
    run_benchmark("binding", measure, extend=_own_options)


if __name__ == "__main__":
    main()
