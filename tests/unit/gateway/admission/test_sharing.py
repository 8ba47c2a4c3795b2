"""Waiting jobs handed over as one submission, whatever happens to it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from qiskit import QuantumCircuit

from gateway.admission import sharing
from gateway.admission.releaser import Releaser
from gateway.platform import Platform
from gateway.scheduling.fair import FairPolicy
from qcpaas.circuits import to_payload
from qcpaas.devices import DeviceInfo
from qcpaas.scheduling import Choice, JobEstimate, Limits, Scheduling
from qcpaas.schemas import CircuitItem, CircuitJob, ExecutionSettings, JobState
from store.admissions import Admissions, AdmissionState
from store.devices import Devices
from store.jobs import Jobs
from store.shared import Shared


@pytest.fixture
def submit_circuits(platform: Platform) -> Any:
    """Let a job of two qubits wait that may share a device of 27; answers its id."""
    device = DeviceInfo(name="gamma", adapter="none", num_qubits=27, concurrent_jobs=1)
    Devices(platform.store).register(device)

    def submitted(owner: str = "ada", share: bool = True, **settings: Any) -> str:
        circuit = QuantumCircuit(2)
        circuit.h(0)
        circuit.measure_all()
        job = CircuitJob(
            execution=ExecutionSettings(backend="gamma", **settings),
            items=(CircuitItem(circuit=to_payload(circuit)),),
            scheduling=Scheduling(share_device=share),
        )
        return Admissions(platform.store).add(
            None,
            job,
            owner=owner,
            client_key=None,
            content_key="content",
            device="gamma",
            pool="pool",
            session=False,
            estimate=JobEstimate(device="gamma", qpu_s=10.0, qpu_s_hi=15.0, wall_s=20.0),
            choice=Choice(device="gamma", explanation="as asked."),
            limits=Limits(),
        )[0]

    return submitted


def states(platform: Platform, jobs: list[str]) -> list[AdmissionState]:
    found = Admissions(platform.store).some(jobs)
    return [found[job].state for job in jobs]


def test_jobs_that_may_share_make_one_run(
    platform: Platform, runs: Any, submit_circuits: Any
) -> None:
    jobs = [submit_circuits("ada"), submit_circuits("bob"), submit_circuits("eve", share=False)]
    assert Releaser(platform, FairPolicy()).look() == 3
    submission = Shared(platform.store).submission_of(jobs[0])
    assert submission is not None
    assert Shared(platform.store).submission_of(jobs[1]) == submission
    assert set(runs.made) == {submission, jobs[2]}
    assert set(states(platform, jobs)) == {AdmissionState.RELEASED}
    assert Jobs(platform.store).get(submission).flow_run_id == runs.made[submission]
    assert Admissions(platform.store).owner(submission) is None  # nobody's


def test_jobs_with_other_shots_or_a_calibration_of_their_own_run_by_themselves(
    platform: Platform, runs: Any, submit_circuits: Any
) -> None:
    jobs = [submit_circuits(shots=100), submit_circuits(), submit_circuits(snapshot_id="s")]
    Releaser(platform, FairPolicy()).look()
    assert set(runs.made) <= set(jobs)


def test_a_partner_over_its_owners_limit_keeps_nobody_back(
    platform: Platform, runs: Any, submit_circuits: Any
) -> None:
    platform.settings.limits = Limits(running_jobs=1)
    jobs = [submit_circuits("ada"), submit_circuits("ada")]
    Releaser(platform, FairPolicy()).look()
    assert list(runs.made) == [jobs[0]]
    assert states(platform, jobs) == [AdmissionState.RELEASED, AdmissionState.WAITING]


def test_a_submission_without_a_run_is_handed_over_by_whoever_looks_next(
    platform: Platform, runs: Any, submit_circuits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "LOST_AFTER", timedelta(0))
    jobs = [submit_circuits("ada"), submit_circuits("bob")]
    runs.away.add("pool")
    Releaser(platform, FairPolicy()).look()
    assert not runs.made
    runs.away.clear()
    Releaser(platform, FairPolicy()).look()
    submission = Shared(platform.store).submission_of(jobs[0])
    assert list(runs.made) == [submission]


def test_members_of_a_failed_submission_run_by_themselves(
    platform: Platform, runs: Any, submit_circuits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [submit_circuits("ada"), submit_circuits("bob")]
    Releaser(platform, FairPolicy()).look()
    submission = Shared(platform.store).submission_of(jobs[0])
    assert submission is not None
    Jobs(platform.store).start(jobs[0])
    Jobs(platform.store).finish(jobs[1], JobState.COMPLETED)  # answered before it failed
    Jobs(platform.store).finish(submission, JobState.FAILED)
    monkeypatch.setattr("gateway.admission.handover.LOST_AFTER", timedelta(0))
    releaser = Releaser(platform, FairPolicy())
    releaser.look()
    releaser.look()
    assert jobs[0] in runs.made
    assert jobs[1] not in runs.made
    assert Jobs(platform.store).get(jobs[0]).state is JobState.QUEUED
