"""``python -m benchmarks.binding``: placing circuits late, and what it is worth."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from benchmarks.report import Options, Report, run_benchmark

# Imported only when it is measured: after the threads are pinned, and not where left out.
PARTS = {
    "latency": "binding_latency:measure_latency",
    "iterations": "binding_latency:measure_iterations",
    "quality": "binding_quality:measure_quality",
    "effect": "binding_effect:measure_effect",
    "staleness": "binding_faults:measure_staleness",
    "feedback": "binding_feedback:measure",
    "extras": "binding_extras:measure",
    "growth": "binding_growth:measure_growth",
}


def measure(options: Options, report: Report) -> None:
    """Late binding: time, quality beside peers, effect, staleness, feedback, growth."""
    for part in options.own.part or PARTS:
        module, _, function = PARTS[part].partition(":")
        add_rows = getattr(import_module(f"benchmarks.{module}"), function)
        add_rows(report, quick=options.quick, seed=options.seed)
    if options.own.history is not None:
        from benchmarks.binding_history import measure_history

        measure_history(report, options.own.history, quick=options.quick, seed=options.seed)


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
