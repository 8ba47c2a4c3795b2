"""How long a workload takes: by its own runs before on the device, else as such jobs usually do."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt

import numpy as np
from scipy.special import stdtrit

from qcpaas.scheduling import JobEstimate
from qcpaas.schemas import WorkloadJob
from store.timings import PastRun
from tasks.estimation.case import Case
from tasks.estimation.constants import LEVEL, Amount, Array
from tasks.estimation.estimator import Estimator, found
from tasks.estimation.timing import qpu_constants, widening, with_amount
from tasks.estimation.workload_key import inputs_bytes, workload_key

# Inputs that say how long a loop is, by the names that workloads use most; the first that is there.
STEPS = (
    "steps",
    "iterations",
    "maxiter",
    "max_iter",
    "max_iterations",
    "num_steps",
    "num_iterations",
    "n_steps",
    "epochs",
    "layers",
)
USUAL_STEPS = 100
MOST_STEPS = 1_000_000
CIRCUITS_A_STEP = 2  # such as an optimiser's two evaluations
USUAL_CIRCUIT_S = 5e-6
OWN_CODE_S = 0.1  # a step, besides the device
SPREAD = log(3.0)  # of one run's seconds around what is believed without any history
FEW_RUNS_SPREAD = 0.5  # of runs of one workload among themselves, worth `WEIGHT` runs
WEIGHT = 2.0
# Between inputs of other lengths; a run with others still says more than none.
SIZE_SPREAD = 1.0
MOST_SPREAD = 100.0  # a wider interval tells nobody more
START_S = 5.0


class WorkloadSeconds(Estimator):
    """Its circuits are known to its code alone, which is not run for an estimate."""

    rank = 35

    def estimate(self, case: Case, so_far: JobEstimate) -> JobEstimate:
        if not isinstance(case.job, WorkloadJob):
            return so_far
        size = inputs_bytes(case.job)
        runs = case.timings.workloads.get(workload_key(case.job), ())
        if runs:
            return _as_before(case, so_far, runs, size)
        return _as_usual(case, so_far)


def steps_of(job: WorkloadJob) -> int | None:
    """How many steps its inputs speak of, where they do."""
    for name in STEPS:
        value = job.inputs.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_STEPS:
            return value
    return None


def _as_before(case: Case, so_far: JobEstimate, runs: Sequence[PastRun], size: int) -> JobEstimate:
    """The geometric mean of its runs; those with inputs of another length count for less."""
    distance = np.array([abs(log((size + 1) / (run.inputs_bytes + 1))) for run in runs])
    weights = 1.0 / (1.0 + (distance / 0.1) ** 2)
    weights /= weights.max()  # how far the nearest is counts on its own, as distance
    widening_ = widening(case.timings, case.job.kind)
    nearest = runs[int(np.argmin(distance))]
    took = _typical([run.qpu_s for run in runs], weights, float(distance.min())).widened(widening_)
    wall = _typical([run.wall_s for run in runs], weights, float(distance.min()))
    there = so_far.model_copy(
        update={"circuits": nearest.circuits, "shots": nearest.shots, "wall_s": wall.value_s}
    )
    return with_amount(there, took, f"seconds: {len(runs)} runs of the same workload here")


def _typical(seconds: Sequence[float], weights: Array, distance: float) -> Amount:
    """Log-normal: the weighted geometric mean, with a predictive interval of the next run."""
    if not any(seconds):
        return Amount(0.0, 0.0, 0.0)
    logs = np.log(np.maximum(seconds, 1e-6))
    total = float(weights.sum())
    mean = float(weights @ logs) / total
    squares = float(weights @ (logs - mean) ** 2)
    variance = (WEIGHT * FEW_RUNS_SPREAD**2 + squares) / (WEIGHT + total)
    spread = sqrt(variance * (1 + 1 / total)) + SIZE_SPREAD * distance
    half = min(float(stdtrit(WEIGHT + total, 0.5 + LEVEL / 2)) * spread, log(MOST_SPREAD))
    return Amount(exp(mean), exp(mean - half), exp(mean + half))


def _as_usual(case: Case, so_far: JobEstimate) -> JobEstimate:
    """Steps as its inputs declare them, of two small circuits each."""
    assert isinstance(case.job, WorkloadJob)
    declared = steps_of(case.job)
    steps = USUAL_STEPS if declared is None else declared
    circuits = CIRCUITS_A_STEP * steps
    shots = 0 if case.job.execution.exact else circuits * case.job.execution.shots
    there = so_far.model_copy(update={"circuits": circuits, "shots": shots})
    said = f"its inputs declare {steps} steps" if declared else f"{steps} steps, as nothing says"
    method = f"seconds: {said}, of {CIRCUITS_A_STEP} small circuits each; it has not run here yet"
    if not case.device.capabilities.compiles and case.simulated:
        return found(there, method, wall_s=START_S + steps * OWN_CODE_S)
    constants = qpu_constants(case.timings, case.device.capabilities)
    likely = constants.of(steps, circuits, shots, shots * USUAL_CIRCUIT_S).value_s
    wide = exp(1.96 * SPREAD * widening(case.timings, case.job.kind))
    took = Amount(likely, likely / wide, likely * wide)
    device_s = 0.0 if case.simulated else likely
    wall_s = START_S + steps * OWN_CODE_S + device_s
    return with_amount(there, took, method).model_copy(update={"wall_s": wall_s})
