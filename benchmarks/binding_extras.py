"""What else is decided at bind time than the layout, each with what it is worth in simulation.

Echoes and noise scales are decided by `pipeline.idle.decoupling` and
`pipeline.extrapolation.strength`; the readout model and the schedule are the newest calibration's
in every binding. Corrected angles are left out: their rows say when they would help.
"""

from __future__ import annotations

from benchmarks.binding_extras_decoupling import measure_decoupling
from benchmarks.binding_extras_readings import measure_angles, measure_durations, measure_readout
from benchmarks.binding_extras_strength import measure_strength
from benchmarks.report import Report


def measure(report: Report, *, quick: bool, seed: int) -> None:
    """Echoes, strength of mitigation, readout model, durations, angles."""
    for part in (
        measure_decoupling,
        measure_strength,
        measure_readout,
        measure_durations,
        measure_angles,
    ):
        part(report, quick=quick, seed=seed)
