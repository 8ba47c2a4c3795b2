"""Device seconds of a circuit job."""

from __future__ import annotations

from math import ceil, exp

from adapters.contract import Capabilities
from qcpaas.scheduling import JobEstimate
from store.timings import DeviceTimings, Judged
from tasks.estimation.case import Case
from tasks.estimation.circuits import runs_of
from tasks.estimation.constants import Amount, Belief, Constants, fit
from tasks.estimation.estimator import Estimator, found


class QpuSeconds(Estimator):
    """What the circuits take by their schedules, and what the device adds by what it added."""

    rank = 30

    def estimate(self, case: Case, so_far: JobEstimate) -> JobEstimate:
        if case.asked is None:
            return so_far
        if not case.device.capabilities.compiles and case.simulated:
            return found(so_far, "QPU seconds: none, it is an ideal simulator")
        constants = qpu_constants(case.timings, case.device.capabilities)
        took = constants.of(
            submissions_of(so_far, case.device.capabilities),
            so_far.circuits,
            so_far.shots,
            sum(run.shots * run.duration_s for run in runs_of(case)),
        ).widened(widening(case.timings, case.job.kind))
        return with_amount(so_far, took, _method(constants))


def qpu_constants(timings: DeviceTimings, capabilities: Capabilities) -> Constants:
    """What a device adds to its circuits, by all that it has answered."""
    delay_s = capabilities.rep_delay_s
    belief = Belief.of_twin(delay_s) if capabilities.simulator else Belief.of_qpu(delay_s)
    told = [each for each in timings.observed if each.qpu_s > 0.0 and each.shots]
    return fit(told, [each.qpu_s for each in told], belief)


def submissions_of(estimate: JobEstimate, capabilities: Capabilities) -> int:
    """How many device jobs so many circuits and shots make."""
    at_once = min(capabilities.max_circuits, capabilities.max_points or estimate.circuits or 1)
    parts = ceil(estimate.circuits / max(1, at_once))
    if capabilities.max_total_shots:
        parts = max(parts, ceil(estimate.shots / capabilities.max_total_shots))
    return max(1, parts)


def widening(timings: DeviceTimings, kind: str) -> float:
    """By how much intervals of this kind of job have to be wider than they would be."""
    return exp(timings.judged.get(kind, Judged()).log_widening)


def with_amount(so_far: JobEstimate, took: Amount, method: str) -> JobEstimate:
    return found(so_far, method, qpu_s=took.value_s, qpu_s_lo=took.low_s, qpu_s_hi=took.high_s)


def _method(constants: Constants) -> str:
    a, b, c = constants.means
    by = f"fitted to {constants.observations} submissions" if constants.observations else "assumed"
    return (
        f"QPU seconds: schedules, and {a:.2g} s a submission, {b:.2g} s a circuit, "
        f"{c:.3g} s a shot, {by}"
    )
