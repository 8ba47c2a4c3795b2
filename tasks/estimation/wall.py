"""From a job's start to its result, without the device's queue."""

from __future__ import annotations

from statistics import median

from qcpaas.scheduling import JobEstimate
from tasks.estimation.case import Case
from tasks.estimation.constants import Belief, fit
from tasks.estimation.estimator import Estimator, found
from tasks.estimation.timing import submissions_of

USUAL_OVERHEAD_S = 3.0  # compiling, planning and evaluating, measured on small circuits
USUAL_LATENCY_S = 1.0  # of a vendor's interface, a submission


class WallSeconds(Estimator):
    """Compiling and evaluating as it took before, and the device, simulated or real."""

    rank = 40

    def estimate(self, case: Case, so_far: JobEstimate) -> JobEstimate:
        if case.asked is None:
            return so_far
        overheads = case.timings.overheads_s
        overhead_s = median(overheads) if overheads else USUAL_OVERHEAD_S
        submissions = submissions_of(so_far, case.device.capabilities)
        if case.simulated:
            told = case.timings.observed
            constants = fit(told, [each.seconds for each in told], Belief.of_simulation())
            device_s = constants.of(submissions, so_far.circuits, so_far.shots, 0.0).value_s
        else:
            device_s = so_far.qpu_s + submissions * USUAL_LATENCY_S
        by = f"as {len(overheads)} jobs took" if overheads else "assumed"
        return found(
            so_far,
            f"wall seconds: {overhead_s:.2g} s besides the device, {by}",
            wall_s=overhead_s + device_s,
        )
