"""``python -m benchmarks.mitigation``: what error mitigation gives, costs and spoils."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

from benchmarks.report import Options, Report, run_benchmark
from benchmarks.side_by_side import workers_here

# Imported only when it is measured: after the threads are pinned, and not where left out.
PARTS = {
    "accuracy": "mitigation_accuracy:measure_accuracy",
    "ideal": "mitigation_ideal:measure_ideal",
    "folding": "mitigation_folding:measure_folding",
    "readme": "mitigation_readme:measure_readme",
    "wide": "mitigation_wide:measure_wide",
    "platform": "mitigation_platform:measure_platform",
}
PARALLEL = ("accuracy", "ideal")


def measure(options: Options, report: Report) -> None:
    """Error mitigation: accuracy, coverage, harm, budgets, folding, loops, width."""

    def save() -> None:
        if options.json_file is not None:
            report.write(options.json_file)

    side_by_side: dict[str, Any] = {"workers": options.own.workers or workers_here(), "save": save}
    for part in options.own.part or PARTS:
        module, _, function = PARTS[part].partition(":")
        add_rows = getattr(import_module(f"benchmarks.{module}"), function)
        more = dict(side_by_side) if part in PARALLEL else {}
        if part == "accuracy":
            more |= {"names": options.own.case, "labels": options.own.stack}
        add_rows(report, quick=options.quick, seed=options.seed, **more)
        save()


def _own_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--part", action="append", choices=PARTS, help="only this; may be given several times"
    )
    for what, example in (("case", "qaoa8"), ("stack", "zne_readout")):
        parser.add_argument(
            f"--{what}",
            action="append",
            default=[],
            help=f"of the accuracy only this, {example} say; may be given several times",
        )
    parser.add_argument("--workers", type=int, default=0, help="processes; one for each core")


def main() -> None:
    run_benchmark("mitigation", measure, extend=_own_options)


if __name__ == "__main__":
    main()
