from __future__ import annotations

import math

import pytest

from gateway.scheduling.choice import choose
from gateway.scheduling.fair import FairPolicy
from gateway.scheduling.situation import DeviceView, Running, Situation
from qcpaas.errors import InputError
from qcpaas.scheduling import JobEstimate


def estimate(device, fidelity, **changed):
    fields = {"qpu_s": 10.0, "qpu_s_hi": 12.0, "wall_s": 20.0, "log_esp": math.log(fidelity)}
    return JobEstimate(device=device, **(fields | changed))


def situation(now, *busy):
    devices = {
        name: DeviceView(name, running=tuple(one for one in busy if one.job.device == name))
        for name in ("alpha", "beta")
    }
    return Situation(now, [], devices)


def test_the_better_device_is_chosen_when_both_are_free(now, waiting):
    estimates = [estimate("alpha", 0.5), estimate("beta", 0.9)]
    choice = choose(FairPolicy(), situation(now), waiting("new"), estimates, fidelity_weight=0.5)
    assert choice.device == "beta"
    assert [one.device for one in choice.candidates] == ["beta", "alpha"]
    assert "expected success 0.9" in choice.explanation
    assert "before alpha" in choice.explanation


def test_a_long_queue_outweighs_a_little_fidelity(now, waiting):
    busy = Running(waiting("hog", device="beta", hold_s=3600), now, began_at=now)
    estimates = [estimate("alpha", 0.85), estimate("beta", 0.9)]
    choice = choose(
        FairPolicy(), situation(now, busy), waiting("new"), estimates, fidelity_weight=0.5
    )
    assert choice.device == "alpha"
    patient = choose(
        FairPolicy(), situation(now, busy), waiting("new"), estimates, fidelity_weight=1.0
    )
    assert patient.device == "beta"
    assert patient.candidates[0].starts_in_s > 3500


def test_devices_that_cannot_run_it_are_told_with_the_reason(now, waiting):
    estimates = [estimate("alpha", 0.5), estimate("beta", 0.9, problems=("it has 5 qubits",))]
    choice = choose(FairPolicy(), situation(now), waiting("new"), estimates, fidelity_weight=0.5)
    assert choice.device == "alpha"
    assert choice.candidates[-1].reason == "it has 5 qubits"
    assert choice.candidates[-1].score is None


def test_a_job_that_fits_nowhere_is_refused_with_all_reasons(now, waiting):
    estimates = [
        estimate("alpha", 0.5, problems=("it is away",)),
        estimate("beta", 0.9, problems=("it has 5 qubits",)),
    ]
    with pytest.raises(InputError, match="alpha: it is away; beta: it has 5 qubits"):
        choose(FairPolicy(), situation(now), waiting("new"), estimates, fidelity_weight=0.5)


def test_an_estimate_without_bounds_still_has_a_place_in_time(now, waiting):
    estimates = [estimate("alpha", 0.5, qpu_s_hi=1e22, wall_s=1e9)]
    choice = choose(FairPolicy(), situation(now), waiting("new"), estimates, fidelity_weight=0.5)
    assert choice.device == "alpha"
