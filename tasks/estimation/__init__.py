"""What a job would take on each device, before anything is submitted."""

from tasks.estimation.estimation import Estimation, estimate_job
from tasks.estimation.estimator import Estimator

__all__ = ["Estimation", "Estimator", "estimate_job"]
