"""Which jobs may run beside others, and with which: what one submission needs to be the same."""

from __future__ import annotations

from pipeline.stack import logical_specs
from qcpaas.binding import BindingPolicy
from qcpaas.circuits import from_payload
from qcpaas.errors import OptionError
from qcpaas.noise import NoiseLearning
from qcpaas.schemas import CircuitJob


def check_shareable(job: CircuitJob) -> None:
    """Raises `OptionError` for a job that needs a submission of its own; says why."""
    execution = job.execution
    own = {
        "it names a calibration": execution.snapshot_id is not None,
        "it brings its own noise model": execution.noise_model is not None,
        "it runs gate for gate": execution.gate_for_gate,
        "it asks for a calibration of some age": execution.max_calibration_age_s is not None,
        "it has rules of its own for where it is placed": execution.binding != BindingPolicy(),
        "it has settings of its own for learning noise": (
            execution.noise_learning != NoiseLearning()
        ),
        "it repeats another job": job.repeats is not None,
        "an option works on circuits before they are compiled": any(
            logical_specs(execution.options if item.options is None else item.options)
            for item in job.items
        ),
    }
    why = [reason for reason, holds in own.items() if holds]
    if why:
        raise OptionError(f"job {job.job_id} cannot share a device: {why[0]}.")


def agreement(job: CircuitJob) -> tuple[object, ...]:
    """Jobs with the same answer can share a submission."""
    execution = job.execution
    return execution.backend, execution.exact, execution.shots


def width(job: CircuitJob) -> int:
    """Qubits of the job's widest circuit.

    Raises:
        CircuitError: A circuit cannot be read.
    """
    widths: list[int] = [from_payload(item.circuit).num_qubits for item in job.items]
    return max(widths)
