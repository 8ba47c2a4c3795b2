"""What a device's capabilities refuse, before anything is sent or spent."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.angles import check_angles
from adapters.backend import check_shots, check_width
from adapters.contract import Capabilities, Submission
from qcpaas.errors import InputError, SubmissionRefused
from qcpaas.execution import Experiment


def check_limits(submission: Submission, device: str, capabilities: Capabilities) -> None:
    """Refuse a submission beyond the device's limits, naming what was asked and what there is.

    The platform keeps to them by itself; an adapter checks again for whoever calls it directly.

    Raises:
        SubmissionRefused: Too many circuits, points, shots or qubits, different shots where they
            must be equal, exact probabilities of a device that samples, a noise model of one that
            has its own, or observables of one that counts.
    """
    experiments = submission.experiments
    _check_count("circuits", len(experiments), device, capabilities.max_circuits)
    points = sum(experiment.points for experiment in experiments)
    _check_count("parameter points", points, device, capabilities.max_points)
    total = sum(experiment.points * (experiment.shots or 0) for experiment in experiments)
    if capabilities.max_total_shots is not None and total > capabilities.max_total_shots:
        raise SubmissionRefused(
            f"{total} shots at all points together were asked of {device}; one job takes "
            f"{capabilities.max_total_shots}. Send fewer points or shots at once."
        )
    for experiment in experiments:
        try:
            check_shots(experiment, device, capabilities)
            check_width(experiment.circuit, device, capabilities)
        except InputError as error:
            raise SubmissionRefused(str(error)) from error
        if experiment.observables is not None and not capabilities.estimates:
            raise SubmissionRefused(
                f"expectation values were asked of {device}, which answers counts. Measure in the "
                "basis of the observable."
            )
        check_angles(experiment, device, capabilities)
    _check_kinds(experiments, device, capabilities)
    if submission.noise_model is not None and not capabilities.noise_models:
        raise SubmissionRefused(f"{device} takes no noise model. Choose a simulator or a twin.")


def _check_count(what: str, asked: int, device: str, most: int | None) -> None:
    if asked < 1 or (most is not None and asked > most):
        raise SubmissionRefused(
            f"{asked} {what} were given for one device job; {device} takes 1 to {most or 'any'}."
        )


def _check_kinds(
    experiments: Sequence[Experiment], device: str, capabilities: Capabilities
) -> None:
    """What all experiments of one submission have in common."""
    shots = sorted({str(experiment.shots) for experiment in experiments})
    if capabilities.equal_shots and len(shots) > 1:
        raise SubmissionRefused(
            f"{' and '.join(shots)} shots were asked in one device job; {device} takes the same "
            "for all its circuits. Submit them apart."
        )
    if len({experiment.level for experiment in experiments}) > 1:
        raise SubmissionRefused(
            "counts and expectation values were asked in one device job. Submit them apart."
        )
