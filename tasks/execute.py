"""Stage 5: a call's circuits on the device, every submission in the ledger."""

from __future__ import annotations

import hashlib
import json
import pickle
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from adapters.backend import DeviceBackend
from adapters.batches import join, split
from pipeline.echoes.echo import EchoCheck
from qcpaas.errors import OptionError, PlatformUnavailable
from qcpaas.execution import (
    Binding,
    ExecutionBackend,
    Experiment,
    Outcome,
    Plan,
    PlanningServices,
)
from qcpaas.schemas import ExecutionSettings
from store.ledger import Ledger, NewCall, RecordedSubmission
from store.records import Observables, encode_outcomes, encode_request
from tasks.bind import calibration_uses
from tasks.calls import Call, Calls, Request
from tasks.device import Device
from tasks.feedback import echo_placer, learn_from
from tasks.journal import Journal
from tasks.patience import Patience
from tasks.planning import DeviceServices
from tasks.scope import SessionScope
from tasks.submissions import Answered, Part, Sent, Submissions
from tasks.watch import Watch

Placement = tuple[str, tuple[int, ...]]


class JournalledDevice(DeviceBackend):
    """The innermost execution backend of every stack: a device whose submissions are recorded.

    What an earlier process of the same job has executed is answered from the ledger.

    Args:
        settings: Gives the seed, the noise model, and the decisions for going on.
        sessions: Submit in the device's sessions, where it has them.

    Attributes:
        watch: Compares bindings with the newest calibration.
    """

    def __init__(
        self,
        device: Device,
        journal: Journal,
        ledger: Ledger,
        settings: ExecutionSettings,
        patience: Patience,
        *,
        sessions: bool = False,
        calls: Calls | None = None,
    ) -> None:
        super().__init__(device.adapter, lambda: settings.seed, settings.noise_model)
        self.device = device
        self.journal = journal
        self.ledger = ledger
        self.settings = settings
        self.patience = patience
        self.calls = calls or Calls(ledger, patience, settings.recovery.divergence)
        earlier = patience.through(ledger.last_session) if sessions else None
        self.scope = SessionScope(device.adapter, sessions, earlier)
        self.watch = Watch(device, journal, settings.binding, always=not sessions)
        self._submissions = Submissions(
            self, ledger, self.scope, patience, settings.recovery, self.watch.newest_id
        )
        self._placements: dict[str, dict[Placement, int]] = {}
        self._planning = threading.local()
        self._asides: dict[str, Call] = {}

    @property
    def services(self) -> PlanningServices:
        now = self._planning
        return DeviceServices(
            self.device, lambda: getattr(now, "seed", 0), getattr(now, "estimating", False)
        )

    @contextmanager
    def planning(self, what: str, *, estimating: bool = False) -> Iterator[None]:
        """Let options draw from a seed that follows from the job's and what is planned.

        Args:
            estimating: Nothing of it will be executed.
        """
        text = f"{self.settings.seed} {what} plan"
        self._planning.seed, self._planning.estimating = _number(text) >> 1, estimating
        try:
            yield
        finally:
            self._planning.seed, self._planning.estimating = 0, False

    @contextmanager
    def taking_turns(self, make_way: Callable[[float], None]) -> Iterator[None]:
        """Ask before each new submission of the block whether somebody else is to go first.

        Args:
            make_way: Told for how many seconds the device will be busy; returns when it may be.
        """
        before, self._submissions.make_way = self._submissions.make_way, make_way
        try:
            yield
        finally:
            self._submissions.make_way = before

    def execute(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        """Check everything, run it, wait for it, record it.

        Raises:
            JobCancelled: The job was cancelled meanwhile.
            InputError: The device cannot run what is asked.
            AdapterError: The device refused it, or failed.
            ReplayDiverged: An earlier process of this job ran something else at this place.
        """
        return self._executed(experiments, aside=False)

    def execute_aside(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        """Run what the platform itself wants to know; errors as in `execute`.

        An interrupted job that goes on may find it known, and not ask again.
        """
        return self._executed(experiments, aside=True)

    def _executed(self, experiments: Sequence[Experiment], *, aside: bool) -> tuple[Outcome, ...]:
        keys = self.journal.keys(experiments)
        request = Request(experiments, keys, "as planned", aside)
        call = self._asides.get(request.key) or self.calls.next(request)
        if call.outcomes is not None:
            return call.outcomes
        self.check(experiments)
        if aside:  # a try after this one takes it up where it stood
            self._asides[request.key] = call
        outcomes = self.perform(call, Plan(tuple(experiments)), experiments, keys)
        self.finish(call, outcomes)
        self._asides.pop(request.key, None)
        return outcomes

    def perform(
        self,
        call: Call,
        plan: Plan,
        experiments: Sequence[Experiment],
        keys: Sequence[str],
        plan_key: str = "",
    ) -> tuple[Outcome, ...]:
        """The raw outcomes of a call: of what is left of it, where it was begun before.

        Args:
            plan: Kept, so that the call can be finished after an interruption.
            experiments: The plan's, at the call's points, checked.
            keys: Of their circuits, from `Journal.keys`.
            plan_key: The plan's content, where it serves many calls.
        """
        before = self._begun(call)
        pieces = split(experiments, self.capabilities)
        if not plan_key and (self.capabilities.keeps_jobs or len(pieces) > 1):
            plan_key = str(call.index)  # a plan of this call alone
        self._keep_plan(plan_key, plan)
        parts = [
            self._part(
                call,
                plan_key,
                number,
                [piece.of(experiments) for piece in placed],
                [keys[piece.experiment] for piece in placed],
            )
            for number, placed in enumerate(pieces)
        ]
        self.patience.through(self.journal.keep_circuits)
        call.begun, call.plan = True, plan
        answers = self._send_all(parts, before)
        return join(pieces, [answer.outcomes for answer in answers])

    def finish(self, call: Call, outcomes: Sequence[Outcome]) -> None:
        """Keep a call's answer; an interrupted run is given it again."""
        self.ledger.finished(call.index, encode_outcomes(tuple(outcomes)))
        self.journal.passed()

    def innermost(self, call_index: int) -> ExecutionBackend:
        """What a call's stacks stand on: this device, and around it an echo now and then.

        The job's seed decides which calls carry one, so that a call that is taken up again is
        planned and combined as it was.
        """
        rate = self.settings.binding.echo_rate
        if not self.capabilities.compiles or self.settings.gate_for_gate or not rate:
            return self
        drawn = _number(f"{self.settings.seed} {call_index} echo")
        if drawn >= rate * 2**64:
            return self
        seed = drawn >> 32
        settings = EchoCheck.Settings(seed=seed)
        return EchoCheck(self, settings, echo_placer(self.device, seed))

    def learn(self, planned: Sequence[Experiment], outcomes: Sequence[Outcome]) -> None:
        """Learn from the echo that a call carried along, if any; never a reason to fail."""
        try:
            learn_from(self.device, self.ledger.job_id, planned, outcomes)
        except PlatformUnavailable as error:
            self.patience.log.warning("an echo teaches nothing: %s", error)

    def made_again(self, call: Call) -> Call | None:
        """The call that an earlier process made in this one's place; ``None`` where it did not."""
        again = call.request.again()
        return self.calls.next(again) if self.calls.recorded(again) else None

    def recorded_plan(self, call: Call) -> Plan | None:
        """The plan that was sent for a call which an earlier process began."""
        key = call.plan_key
        payload = self.patience.through(lambda: self.ledger.plan(key)) if key else None
        if payload is None:
            return None
        plan = pickle.loads(zlib.decompress(payload))  # noqa: S301 - written below, by this job
        assert isinstance(plan, Plan)
        return plan

    def _begun(self, call: Call) -> dict[int, RecordedSubmission]:
        """The newest submission of each part of a call that was begun before."""
        if not call.begun:
            return {}
        found = self.patience.through(lambda: self.ledger.submissions(call.index))
        return {submission.part: submission for submission in found}

    def _send_all(
        self, parts: Sequence[Part], before: dict[int, RecordedSubmission]
    ) -> list[Answered]:
        """Keep as many device jobs open as the device takes side by side."""
        answers: list[Answered] = []
        open_jobs: deque[Sent | Answered] = deque()
        for part in parts:
            if len(open_jobs) >= self.capabilities.concurrent_jobs:
                answers.append(self._collect(open_jobs.popleft()))
            open_jobs.append(self._submissions.begin(part, before.get(part.number)))
        answers.extend(self._collect(job) for job in open_jobs)
        return answers

    def _collect(self, job: Sent | Answered) -> Answered:
        answer = self._submissions.finish(job) if isinstance(job, Sent) else job
        self.journal.spent(answer.qpu_s)
        return answer

    def _part(
        self,
        call: Call,
        plan_key: str,
        number: int,
        experiments: Sequence[Experiment],
        keys: Sequence[str],
    ) -> Part:
        values = [experiment.parameter_values for experiment in experiments]
        shots = [experiment.shots for experiment in experiments]
        observables = [asked for asked in map(_told, experiments) if asked]
        calibration = self._calibration(plan_key, experiments[0].binding)
        new = None
        if number == 0 and not call.begun:
            new = NewCall(call.index, call.request.key, plan_key, call.request.encoded())
        return Part(
            index=call.index,
            number=number,
            experiments=tuple(experiments),
            content=content_of(keys, values, shots, observables),
            seed=call.seed(self.settings.seed, number),
            request=encode_request(keys, values, shots, calibration, observables),
            call=new,
        )

    def _keep_plan(self, key: str, plan: Plan) -> None:
        """Once a job; a call on a device that forgets its jobs is made anew without it."""
        if not key or key in self._placements:
            return
        uses = calibration_uses(plan.experiments, self.device)
        try:
            payload = zlib.compress(pickle.dumps(plan))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise OptionError(
                f"the plan of call {key} cannot be kept: {error}. What an option remembers between "
                "its two halves must be of a class at the top level of a module."
            ) from error
        placements = json.dumps([use.model_dump(mode="json") for use in uses])
        self.patience.through(lambda: self.ledger.keep_plan(key, payload, placements))
        self._placements[key] = {
            (use.snapshot_id, use.physical_qubits): place for place, use in enumerate(uses)
        }

    def _calibration(self, plan_key: str, binding: Binding | None) -> int | None:
        """Where a placement stands among the plan's; without a plan, in the manifest."""
        if binding is None:
            return None
        if plan_key in self._placements:
            return self._placements[plan_key].get((binding.snapshot_id, binding.physical_qubits))
        return self.journal.calibration_index(binding)


def _number(text: str) -> int:
    """One of 64 bits that follows from a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def content_of(
    keys: Sequence[str],
    values: Sequence[NDArray[np.float64]],
    shots: Sequence[int | None],
    observables: Sequence[Observables] = (),
) -> str:
    """Hash of what a submission carries."""
    digest = hashlib.blake2b(digest_size=16)
    for key, rows, count in zip(keys, values, shots, strict=True):
        digest.update(f"{key} {rows.shape} {count}\x1e".encode())
        digest.update(rows.tobytes())
    if observables:
        digest.update(repr(observables).encode())
    return digest.hexdigest()


def _told(experiment: Experiment) -> Observables:
    """The observables that the device itself is asked for."""
    return tuple(
        tuple((label, float(weight.real)) for label, weight in observable.to_list())
        for observable in experiment.observables or ()
    )
