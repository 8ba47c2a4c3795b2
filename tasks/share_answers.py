"""What each job of a shared submission gets: its part in its own ledger, its answer, its manifest.

A job's ledger then looks as if it had run alone, with its own circuits, counts and share of the
device's time. So a job that has to go on by itself after this finds its call answered, and pays
nothing twice.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qcpaas.execution import Counts, Experiment, Plan
from qcpaas.manifest import JobResult, SharedRun
from qcpaas.schemas import CircuitJob
from qcpaas.values import encode
from store.database import Store
from store.leases import Lease
from store.ledger import Intent, Ledger, NewCall, RecordedSubmission
from store.records import encode_outcomes, encode_request
from store.results import Results
from tasks.batch import read_batch
from tasks.bind import calibration_uses
from tasks.calls import Call
from tasks.estimate import compared, estimate_plan
from tasks.execute import JournalledDevice, content_of
from tasks.journal import Journal
from tasks.mitigate import answers, mitigate_outcomes
from tasks.share_plan import Guest, SharedPlan

CALL = 0  # a circuit job makes one


@dataclass(frozen=True, eq=False)
class Bill:
    """A shared submission as its own ledger has it.

    Attributes:
        sent: Every part that was answered.
        parts: Of the whole, what each guest's circuits would have taken alone; sums to 1.
    """

    submission_id: str
    sent: tuple[RecordedSubmission, ...]
    parts: tuple[float, ...]

    @property
    def qpu_s(self) -> float:
        return sum(one.qpu_s or 0.0 for one in self.sent)

    @property
    def seconds(self) -> float:
        return sum(one.seconds or 0.0 for one in self.sent)


def bill(submission_id: str, plan: SharedPlan, backend: JournalledDevice, call: Call) -> Bill:
    """What a shared submission took, and how that is divided."""
    alone = [
        estimate_plan(guest.plan.experiments, backend.device).qpu_s
        or sum(one.points * (one.shots or 1) for one in guest.plan.experiments)
        for guest in plan.guests
    ]
    sent = backend.patience.through(lambda: backend.ledger.submissions(call.index))
    answered = tuple(one for one in sent if one.answer is not None)
    return Bill(submission_id, answered, tuple(own / sum(alone) for own in alone))


def answer(
    job: CircuitJob,
    guest: Guest,
    counts: Sequence[Counts],
    *,
    part: float,
    whole: Bill,
    backend: JournalledDevice,
    guards: Callable[[], Sequence[Lease]],
    store: Store,
) -> JobResult:
    """A guest's part recorded in its ledger, and its result; saving that is the caller's.

    Args:
        counts: Of the experiments of the guest's plan.
        part: The guest's, of what the submission took.
        backend: The submission's.
        guards: Leases under which the submission is worked on.

    Raises:
        MitigationError: The data do not support a correction that was asked.
    """
    batch = read_batch(job).checked(backend.device)
    plan = guest.plan
    with Ledger(store, job.job_id, guards) as ledger:
        journal = Journal(job.job_id, Results(store), ledger)
        uses = calibration_uses(plan.experiments, backend.device)
        journal.placed(uses)
        keys = journal.keys(plan.experiments)
        journal.keep_circuits()
        request = batch.request()
        call = NewCall(CALL, request.key, str(CALL), request.encoded())
        ledger.keep_plan(call.plan_key, *_packed(plan, journal))
        _record(ledger, call, plan.experiments, keys, counts, whole=whole, part=part)
        journal.spent_qpu_s, journal.count = part * whole.qpu_s, 1
        estimate = estimate_plan(plan.experiments, backend.device)
        journal.estimate = compared(estimate, batch.experiments)
        outcomes = mitigate_outcomes(batch, plan, counts, backend)
        journal.diagnosed(outcomes)
        manifest = journal.manifest(job)
    shared = SharedRun(
        submission=whole.submission_id,
        partners=len(whole.parts) - 1,
        log_fidelity_loss=guest.loss,
        qpu_s=whole.qpu_s,
    )
    manifest = manifest.model_copy(update={"shared": shared})
    value = encode(answers(batch, outcomes))
    return JobResult(job_id=job.job_id, value=value, manifest=manifest)


def _packed(plan: Plan, journal: Journal) -> tuple[bytes, str]:
    placements = json.dumps([use.model_dump(mode="json") for use in journal.calibrations])
    return zlib.compress(pickle.dumps(plan)), placements


def _record(
    ledger: Ledger,
    call: NewCall,
    experiments: Sequence[Experiment],
    keys: Sequence[str],
    counts: Sequence[Counts],
    *,
    whole: Bill,
    part: float,
) -> None:
    values = [one.parameter_values for one in experiments]
    shots = [one.shots for one in experiments]
    first = whole.sent[0]
    token = _token(whole.submission_id, ledger.job_id)
    bound = experiments[0].binding is not None
    intent = Intent(
        call=call.index,
        part=0,
        attempt=0,
        token=token,
        device=first.device,
        session_id=None,
        content_key=content_of(keys, values, shots),
        seed=first.seed,
        request=encode_request(keys, values, shots, 0 if bound else None),
        submitted_at=first.submitted_at,
    )
    ledger.intend(intent, call)
    # The device's own id would lead whoever has an account there to the others' circuits.
    ledger.accepted(token, whole.submission_id)
    outcomes = encode_outcomes(tuple(counts))
    spent_s = part * whole.qpu_s
    ledger.answered(token, outcomes, whole.seconds, spent_s, first.snapshot_id)
    ledger.finished(call.index, outcomes)
    ledger.flush()


def _token(submission_id: str, job_id: str) -> str:
    """The same each time that a part is recorded, so that it is recorded once."""
    return hashlib.blake2b(f"{submission_id} {job_id}".encode(), digest_size=16).hexdigest()
