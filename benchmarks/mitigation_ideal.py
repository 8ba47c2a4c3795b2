"""Harm: what stacks do to values that need no mitigation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.mitigation_circuits import problems_of
from benchmarks.mitigation_scene import Scene
from benchmarks.mitigation_stacks import READOUT, installed, on_family
from benchmarks.report import Report, median
from benchmarks.side_by_side import side_by_side
from qcpaas.errors import QCPaaSError

Array = NDArray[np.float64]
Case = tuple[str, int, int]  # family, qubits, instances

IDEAL = "statevector"
SHOTS = 4096
LARGEST_PULL = 1.3  # RMS; of 80 pulls of a standard normal, one in ten thousand sets is above
FULL = tuple((family, 4, 20) for family in ("tfim", "ghz", "qaoa", "mirror"))
QUICK = (("tfim", 4, 2),)


def measure_ideal(
    report: Report,
    *,
    quick: bool,
    seed: int,
    cases: Sequence[Case] | None = None,
    workers: int = 1,
    save: Callable[[], None] = lambda: None,
) -> None:
    """Every stack without noise: errors in units of the stated standard errors."""
    harmful, refused = 0, []
    # Readout has nothing to be calibrated here; the rest of each stack is what could do harm.
    left = {
        label: tuple(option for option in options if option != READOUT)
        for label, options in on_family(installed(), "", 4).items()
    }
    chosen = tuple(cases or (QUICK if quick else FULL))
    tasks = [(options, chosen, seed) for options in left.values() if options]
    answers = side_by_side(pulls_of, tasks, workers)
    for label in (label for label, options in left.items() if options):
        pulls = next(answers)
        if isinstance(pulls, str):
            refused.append(f"{label}: {pulls[:90]}")
            continue
        rms = float(np.sqrt((pulls**2).mean())) if len(pulls) else 0.0
        harmful += rms > LARGEST_PULL
        middle = median(np.abs(pulls).tolist(), seed) if len(pulls) else None
        report.add(
            f"ideal_pull_{label}",
            rms,
            "standard errors, RMS",
            aim=LARGEST_PULL,
            note=f"{len(pulls)} values; median of absolute values {middle.value:.2f}, {middle}"
            if middle
            else "every value was exact",
        )
        save()
    note = f"RMS error above {LARGEST_PULL} standard errors without noise"
    report.add("harmful_on_ideal", harmful, "stacks", aim=0, better="equal", note=note)
    note = "; ".join(refused) or "none"
    report.add("refused_on_ideal", len(refused), "stacks", note=note)


def pulls_of(task: tuple[tuple[str, ...], tuple[Case, ...], int]) -> Array | str:
    """Of one stack over all cases, or why it refused."""
    options, cases, seed = task
    try:
        return _pulls(Scene.open(IDEAL), options, cases, seed)
    except QCPaaSError as refusal:
        return str(refusal)


def _pulls(scene: Scene, options: Sequence[str], cases: Sequence[Case], seed: int) -> Array:
    """Errors over standard errors; a wrong value without an error bar counts as 10."""
    pulls: list[float] = []
    for family, qubits, instances in cases:
        for number, problem in enumerate(problems_of(family, qubits, instances, seed)):
            answer = scene.answer(options, problem, SHOTS, seed + number)
            errors = answer.values - problem.exact
            for error, spread in zip(errors, answer.std_errors, strict=True):
                if spread > 1e-9:
                    pulls.append(error / spread)
                elif abs(error) > 1e-6:
                    pulls.append(10.0)
    return np.array(pulls)
