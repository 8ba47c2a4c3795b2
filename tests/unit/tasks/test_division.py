"""Options that see circuits before they are compiled, and send parts to other devices."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qcpaas.errors import OptionError
from qcpaas.execution import (
    EnrichedExecutionBackend,
    ExpectationValues,
    Experiment,
    OptionSettings,
    PlanContext,
)
from qcpaas.schemas import OptionSpec
from store.ledger import LedgerReader
from tasks.batch import Batch
from tasks.device import Device
from tasks.division import OWN, divide
from tasks.execute import JournalledDevice
from tasks.session import Session

Z = SparsePauliOp("Z")


class SecondOpinion(EnrichedExecutionBackend):
    """Means of what the job's device and another one say."""

    rank = -5
    logical = True
    levels = frozenset({"expectation"})

    class Settings(OptionSettings):
        device: str = "statevector"

    def expand(self, experiments):
        pairs = [
            each
            for experiment in experiments
            for each in (experiment, replace(experiment, device=self.settings.device))
        ]
        return pairs, PlanContext(announcement=f"half of it runs on {self.settings.device}")

    def reduce(self, context, outcomes):
        return tuple(
            ExpectationValues(
                (one.values + other.values) / 2, (one.variances + other.variances) / 4
            )
            for one, other in zip(outcomes[::2], outcomes[1::2], strict=True)
        )


def turned(angle, shots=20_000):
    circuit = QuantumCircuit(1, name="turned")
    circuit.rx(Parameter("a"), 0)
    return Experiment(circuit, np.array([[angle]]), (Z,), shots)


@pytest.fixture
def divided(store):
    """A session that may reach other devices, and what it has reached."""

    def of(run, *options):
        reached = []

        @contextmanager
        def elsewhere(name):
            reached.append(name)
            own = run.backend
            yield JournalledDevice(
                Device.open(name, store),
                own.journal,
                own.ledger,
                own.settings,
                own.patience,
                calls=own.calls,
            )

        specs = tuple(map(OptionSpec.parse, options))
        return Session(run.backend, specs, elsewhere), reached

    return of


def test_parts_run_on_their_devices_and_the_answer_is_of_both(start, divided, store):
    run = start("FakeLima")
    session, reached = divided(run, "SecondOpinion")
    for angle in (0.3, 1.1):
        (outcome,) = session.run([turned(angle)])
        # FakeLima's readout errors are a few per cent: half of that, and shot noise.
        assert outcome.values[0, 0] == pytest.approx(np.cos(angle), abs=0.06)
        assert outcome.spent == (2, 40_000)
    assert reached == ["statevector"] * 2
    run.ledger.flush()
    executed = LedgerReader(store).executions(run.job.job_id, run.journal.calibrations)
    assert sorted(record.calibration is None for record in executed) == [False, False, True, True]


def test_an_interrupted_divided_loop_is_answered_from_the_ledger(start, divided, store):
    first = start("FakeLima")
    session, _ = divided(first, "SecondOpinion")
    (before,) = session.run([turned(0.3)])
    first.ledger.flush()
    second = start(job=first.job)
    again, _ = divided(second, "SecondOpinion")
    (after,) = again.run([turned(0.3)])
    assert after.values.tolist() == before.values.tolist()
    second.ledger.flush()
    assert len(LedgerReader(store).executions(first.job.job_id, ())) == 2


def test_inner_options_that_cannot_work_on_the_parts_are_refused(start):
    class Sampled(SecondOpinion):
        def expand(self, experiments):
            return [replace(each, observables=None) for each in experiments], PlanContext()

    specs = tuple(map(OptionSpec.parse, ("Sampled", "ZeroNoiseExtrapolation")))
    batch = Batch((turned(0.1),), (specs,))
    with pytest.raises(OptionError, match=r"ZeroNoiseExtrapolation .* Sampled asks .* counts"):
        divide(batch, start().backend)


def test_a_batch_without_such_options_is_one_share(start):
    batch = Batch((turned(0.1),), ((),))
    division = divide(batch, start().backend)
    assert list(division.shares) == [OWN]
    assert division.shares[OWN] is batch


class Drawing(EnrichedExecutionBackend):
    """Runs at points of its own that it draws anew."""

    rank = 10
    reusable_plan = False

    def expand(self, experiments):
        rng = np.random.default_rng(self.services.seed)
        bound = [
            replace(
                experiment,
                circuit=experiment.circuit.assign_parameters(experiment.parameter_values[0]),
                parameter_values=np.empty((1, 0)),
                shots=int(rng.integers(100, 10_000)),
            )
            for experiment in experiments
        ]
        return bound, PlanContext()

    def reduce(self, context, outcomes):
        return outcomes


def test_an_option_that_draws_plans_every_call_at_its_points_and_draws_the_same_when_resumed(start):
    def drawn(run):
        session = run.session("Drawing")
        outcomes = [session.run([turned(angle)])[0] for angle in (0.0, np.pi, np.pi)]
        return [(outcome.values[0, 0], outcome.spent.shots) for outcome in outcomes]

    first = drawn(start("FakeLima", seed=5))
    assert first[0][0] > 0.8 > -0.8 > first[1][0]
    assert len({shots for _, shots in first}) == 3
    assert drawn(start("FakeLima", seed=5)) == first
    assert drawn(start("FakeLima", seed=6)) != first


def test_what_the_platform_asks_aside_has_no_place_in_the_order_of_calls(start, store):
    first = start("FakeLima")
    measured = QuantumCircuit(1)
    measured.sx(0)
    measured.measure_all()
    aside = Experiment(measured, np.empty((1, 0)), shots=100)
    session = first.session()
    (before,) = session.run([turned(0.3)])
    (told,) = first.backend.execute_aside([aside])
    first.ledger.flush()

    second = start(job=first.job)
    resumed = second.session()
    (after,) = resumed.run([turned(0.3)])
    (fresh,) = resumed.run([turned(0.4)])
    (known,) = second.backend.execute_aside([aside])
    assert after.values.tolist() == before.values.tolist()
    assert known.points[0].to_dict() == told.points[0].to_dict()
    assert fresh.values[0, 0] == pytest.approx(np.cos(0.4), abs=0.1)
    second.ledger.flush()
    assert len(LedgerReader(store).executions(first.job.job_id, ())) == 3
