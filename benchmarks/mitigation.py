"""``python -m benchmarks.mitigation``: what error mitigation gives, costs and spoils."""

from __future__ import annotations

import argparse
from importlib import import_module

from benchmarks.report import Options, Report, run_benchmark

# Imported only when it is measured: after the threads are pinned, and not where left out.
PARTS = {
    "accuracy": "mitigation_accuracy:measure_accuracy",
    "ideal": "mitigation_ideal:measure_ideal",
    "folding": "mitigation_folding:measure_folding",
    "readme": "mitigation_readme:measure_readme",
    "wide": "mitigation_wide:measure_wide",
    "platform": "mitigation_platform:measure_platform",
}


def measure(options: Options, report: Report) -> None:
    """Error mitigation: accuracy, coverage, harm, budgets, folding, loops, width."""
    for part in options.own.part or PARTS:
        module, _, function = PARTS[part].partition(":")
        add_rows = getattr(import_module(f"benchmarks.{module}"), function)
        add_rows(report, quick=options.quick, seed=options.seed)


def _own_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--part", action="append", choices=PARTS, help="only this; may be given several times"
    )


def main() -> None:
    run_benchmark("mitigation", measure, extend=_own_options)


if __name__ == "__main__":
    main()
