"""How likely a job's circuits are to run without an error."""

from __future__ import annotations

from qcpaas.scheduling import JobEstimate
from tasks.estimation.case import Case
from tasks.estimation.estimator import Estimator, found


class Success(Estimator):
    """Log of the expected success probability of the worst circuit, where it would lie now."""

    rank = 20

    def estimate(self, case: Case, so_far: JobEstimate) -> JobEstimate:
        if case.asked is None or not case.laid:
            why = "; ".join(one.why for one in case.not_laid)
            return found(so_far, f"success: unknown, {why}") if why else so_far
        worst = min(case.laid.values(), key=lambda laid: laid.log_esp)
        return found(so_far, f"success: {worst.how}", log_esp=worst.log_esp)
