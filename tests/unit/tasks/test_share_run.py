"""Several jobs in one submission: each is answered as if it had run alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from adapters.contract import DeviceAdapter
from qcpaas.circuits import to_payload
from qcpaas.schemas import (
    CircuitItem,
    CircuitJob,
    ExecutionSettings,
    JobState,
    Observable,
    ObservableTerm,
    OptionSpec,
)
from store.database import Store
from store.jobs import Jobs
from store.ledger import Ledger
from store.results import Results
from store.shared import Shared
from store.shared_rows import SHARED
from tasks.device import Device
from tasks.execute import JournalledDevice
from tasks.journal import Journal
from tasks.patience import Patience
from tasks.share_places import LARGEST_LOSS, with_neighbours
from tasks.share_plan import shared_items
from tasks.share_run import SharedSubmission

ANGLES = (0.3, 1.2)


def ghz(name: str = "ghz") -> CircuitItem:
    circuit = QuantumCircuit(3, name=name)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.measure_all()
    return CircuitItem(circuit=to_payload(circuit))


def pair() -> CircuitItem:
    """<ZZ> is 1 and <XX> the sine of the angle."""
    circuit = QuantumCircuit(2, name="pair")
    circuit.ry(Parameter("angle"), 0)
    circuit.cx(0, 1)
    return CircuitItem(
        circuit=to_payload(circuit),
        observables=tuple(Observable(terms=(ObservableTerm(pauli=p),)) for p in ("ZZ", "XX")),
        parameter_values=tuple((angle,) for angle in ANGLES),
    )


def job(item: CircuitItem, device: str, *options: str, **settings: object) -> CircuitJob:
    asked = tuple(OptionSpec.parse(option) for option in options)
    execution = ExecutionSettings(backend=device, options=asked, seed=4, **settings)  # type: ignore[arg-type]
    return CircuitJob(execution=execution, items=(item,))


def share(store: Store, jobs: Sequence[CircuitJob]) -> CircuitJob:
    execution = jobs[0].execution.model_copy(update={"options": (), "seed": 9})
    whole = CircuitJob(job_id="shared-1", execution=execution, items=shared_items(jobs))
    for each in (*jobs, whole):
        Jobs(store).create(each)
    with store.write() as connection:
        for place, each in enumerate(jobs):
            row = {"job_id": each.job_id, "submission_id": whole.job_id, "place": place}
            connection.execute(SHARED.insert().values(**row))
    return whole


@contextmanager
def process(store: Store, whole: CircuitJob, device: Device) -> Iterator[SharedSubmission]:
    with Ledger(store, whole.job_id, guards=tuple) as ledger:
        journal = Journal(whole.job_id, Results(store), ledger)
        patience = Patience(threading.Event(), give_up_after_s=0.0)
        backend = JournalledDevice(device, journal, ledger, whole.execution, patience)
        yield SharedSubmission(whole, backend, store, tuple)


def run(store: Store, whole: CircuitJob, device: Device) -> int:
    with process(store, whole, device) as submission:
        call = submission.begin()
        planned = submission.plan(call)
        submission.let_go(planned)
        return submission.give_answers(planned, submission.execute(planned, call), call)


def test_jobs_on_an_ideal_device_get_their_exact_answers(store: Store) -> None:
    jobs = [job(ghz(), "statevector", exact=True), job(pair(), "statevector", exact=True)]
    assert run(store, share(store, jobs), Device.open("statevector", store)) == 2
    first, second = (Results(store).load(each.job_id).value for each in jobs)
    assert isinstance(first, list)
    assert isinstance(second, list)
    counts = first[0]["counts"][0]["meas"]
    assert {bits for bits, p in counts.items() if p > 1e-9} == {"000", "111"}
    assert counts["000"] == pytest.approx(0.5)
    expected = [[1.0, np.sin(angle)] for angle in ANGLES]
    assert second[0]["expectation_values"] == [pytest.approx(row) for row in expected]


def test_a_twin_answers_jobs_side_by_side_as_alone(store: Store) -> None:
    options = "ZeroNoiseExtrapolation(scale_factors=[1, 3])"
    jobs = [
        job(ghz(), "FakeKolkata", exact=True),
        job(pair(), "FakeKolkata", options, exact=True),
    ]
    device = Device.open("FakeKolkata", store)
    whole = share(store, jobs)
    assert run(store, whole, device) == 2
    results = [Results(store).load(each.job_id) for each in jobs]
    places = [frozenset(result.manifest.calibrations[0].physical_qubits) for result in results]
    couplers = device.snapshot().layout.couplers
    assert not with_neighbours(places[0], couplers) & places[1]  # an unused qubit lies between
    shared = [result.manifest.shared for result in results]
    assert all(one is not None and one.partners == 1 for one in shared)
    assert shared[0] is not None
    assert shared[0].log_fidelity_loss == 0.0
    assert all(
        one is not None and one.log_fidelity_loss <= -np.log1p(-LARGEST_LOSS) for one in shared
    )
    # Alone at the same place: the partner makes no difference, exact probabilities tell.
    alone = job(ghz(), "FakeKolkata", exact=True)
    solo = CircuitJob(job_id="shared-2", execution=alone.execution, items=alone.items)
    for each in (alone, solo):
        Jobs(store).create(each)
    with store.write() as connection:
        row = {"job_id": alone.job_id, "submission_id": solo.job_id, "place": 0}
        connection.execute(SHARED.insert().values(**row))
    run(store, solo, device)
    by_itself = Results(store).load(alone.job_id)
    assert by_itself.manifest.calibrations[0].physical_qubits == tuple(
        results[0].manifest.calibrations[0].physical_qubits
    )
    together, apart = results[0].value, by_itself.value
    assert isinstance(together, list)
    assert isinstance(apart, list)
    one, other = (value[0]["counts"][0]["meas"] for value in (together, apart))
    for bits in {*one, *other}:
        assert one.get(bits, 0.0) == pytest.approx(other.get(bits, 0.0), abs=2e-3)


def test_nobody_learns_what_the_others_ran(store: Store) -> None:
    jobs = [job(ghz("a secret"), "FakeKolkata", shots=200), job(pair(), "FakeKolkata", shots=200)]
    whole = share(store, jobs)
    run(store, whole, Device.open("FakeKolkata", store))
    results = [Results(store).load(each.job_id) for each in jobs]
    told = results[1].model_dump_json()
    assert whole.job_id in told
    assert jobs[0].job_id not in told
    assert "a secret" not in told
    taken = set(results[0].manifest.calibrations[0].physical_qubits)
    assert not taken & set(results[1].manifest.calibrations[0].physical_qubits)
    for record in results[1].manifest.executions:
        assert {len(bits) for point in record.counts for counts in point for bits in counts} == {2}
    # Everybody pays a part, and together they pay for all of it.
    parts = [result.manifest.spent_qpu_s for result in results]
    shared = results[0].manifest.shared
    assert shared is not None
    assert sum(parts) == pytest.approx(shared.qpu_s)
    assert all(part > 0 for part in parts)


def test_a_cancelled_job_is_dropped_from_the_answers_alone(store: Store) -> None:
    jobs = [job(ghz(), "statevector", shots=50), job(pair(), "statevector", shots=50)]
    whole = share(store, jobs)
    with process(store, whole, Device.open("statevector", store)) as submission:
        call = submission.begin()
        planned = submission.plan(call)
        outcomes = submission.execute(planned, call)
        Jobs(store).finish(jobs[0].job_id, JobState.CANCELLED)
        assert submission.give_answers(planned, outcomes, call) == 1
    assert Jobs(store).get(jobs[0].job_id).state is JobState.CANCELLED
    assert Jobs(store).get(jobs[1].job_id).state is JobState.COMPLETED
    with Ledger(store, jobs[0].job_id, guards=tuple) as ledger:
        assert ledger.submissions(0) == []


def test_a_job_that_cannot_run_is_let_go_and_the_others_run(store: Store) -> None:
    jobs = [job(ghz(), "statevector", shots=50), job(pair(), "statevector", "nothing", shots=50)]
    whole = share(store, jobs)
    assert run(store, whole, Device.open("statevector", store)) == 1
    assert Shared(store).submission_of(jobs[1].job_id) is None
    assert Jobs(store).get(jobs[1].job_id).state is JobState.QUEUED


@pytest.mark.parametrize("dies", ["before the answer", "before the second is answered"])
def test_a_killed_process_is_continued_without_a_second_device_job(
    store: Store, keeping: DeviceAdapter, dies: str
) -> None:
    jobs = [job(ghz(), "keeping", shots=50), job(pair(), "keeping", shots=50)]
    device = Device("keeping", keeping, store)
    whole = share(store, jobs)
    with process(store, whole, device) as submission:
        call = submission.begin()
        planned = submission.plan(call)
        if dies == "before the answer":
            keeping.results.append(KeyboardInterrupt())  # type: ignore[attr-defined]
            with pytest.raises(KeyboardInterrupt):
                submission.execute(planned, call)
        else:
            outcomes = submission.execute(planned, call)
            checks = iter([None, KeyboardInterrupt()])

            def check() -> None:
                error = next(checks)
                if error is not None:
                    raise error

            with pytest.raises(KeyboardInterrupt):
                submission.give_answers(planned, outcomes, call, check)
    assert run(store, whole, device) in {1, 2}
    assert len(keeping.accepted) == 1  # type: ignore[attr-defined]
    for each in jobs:
        assert Jobs(store).get(each.job_id).state is JobState.COMPLETED
        assert Results(store).load(each.job_id).manifest.execution_count == 1
