"""Harm: what stacks do to values that need no mitigation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.mitigation_circuits import problems_of
from benchmarks.mitigation_scene import Scene
from benchmarks.mitigation_stacks import READOUT, installed
from benchmarks.report import Report, median
from qcpaas.errors import QCPaaSError

IDEAL = "statevector"
SHOTS = 4096
LARGEST_PULL = 1.3  # RMS; of 80 pulls of a standard normal, one in ten thousand sets is above
FULL = tuple((family, 4, 20) for family in ("tfim", "ghz", "qaoa", "mirror"))
QUICK = (("tfim", 4, 2),)


def measure_ideal(
    report: Report, *, quick: bool, seed: int, cases: Sequence[tuple[str, int, int]] | None = None
) -> None:
    """Every stack without noise: errors in units of the stated standard errors."""
    harmful, refused = 0, []
    scene = Scene.open(IDEAL)
    # Readout has nothing to be calibrated here; the rest of each stack is what could do harm.
    left = {
        label: tuple(option for option in options if option != READOUT)
        for label, options in installed().items()
    }
    for label, options in left.items():
        if not options:
            continue
        try:
            pulls = _pulls(scene, options, cases or (QUICK if quick else FULL), seed)
        except QCPaaSError as refusal:
            refused.append(f"{label}: {str(refusal)[:90]}")
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
    note = f"RMS error above {LARGEST_PULL} standard errors without noise"
    report.add("harmful_on_ideal", harmful, "stacks", aim=0, better="equal", note=note)
    note = "; ".join(refused) or "none"
    report.add("refused_on_ideal", len(refused), "stacks", note=note)


def _pulls(
    scene: Scene, options: Sequence[str], cases: Sequence[tuple[str, int, int]], seed: int
) -> NDArray[np.float64]:
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
