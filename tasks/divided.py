"""A loop's calls under options that see circuits before they are compiled."""

from __future__ import annotations

import contextvars
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from pipeline.stack import build_logical_stack, options_of
from qcpaas.circuits import circuit_key
from qcpaas.errors import OptionError
from qcpaas.execution import ExecutionBackend, Experiment, Level, Outcome
from tasks.batch import Batch, check_asked
from tasks.calls import Request, observable_bytes, options_text
from tasks.division import OWN, Division, divide
from tasks.execute import JournalledDevice

if TYPE_CHECKING:
    from tasks.session import Session

Elsewhere = Callable[[str], AbstractContextManager[JournalledDevice]]

KEPT_DIVISIONS = 64


class Divided:
    """Divides a session's calls, runs every share where it belongs, and combines.

    Args:
        session: Runs what stays on the job's own device.
        elsewhere: Gives another device; without it nothing can run elsewhere.
    """

    def __init__(self, session: Session, elsewhere: Elsewhere | None) -> None:
        self._session = session
        self._elsewhere = elsewhere
        self._divisions: OrderedDict[str, Division] = OrderedDict()
        self._calls: Counter[str] = Counter()
        self._others: dict[str, Session] = {}
        self._stacks: dict[str, ExecutionBackend] = {}
        self._reusable: dict[Level, bool] = {}

    def run(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        division = self._division(experiments)
        self._session.say(division.announcements)
        others = {name: share for name, share in division.shares.items() if name != OWN}
        found: dict[str, Sequence[Outcome]] = {}
        with ThreadPoolExecutor(max(len(others), 1)) as threads:
            running = {
                name: threads.submit(contextvars.copy_context().run, self._run_on, name, share)
                for name, share in others.items()
            }
            if OWN in division.shares:
                found[OWN] = self._session.run_compiled(division.shares[OWN].experiments)
            found |= {name: future.result() for name, future in running.items()}
        outcomes = division.combined(found)
        self._session.device.journal.diagnosed(outcomes)
        return outcomes

    def _division(self, experiments: Sequence[Experiment]) -> Division:
        """Planned once for circuits, and anew at every call by options that draw."""
        session = self._session
        keys = [circuit_key(experiment.circuit) for experiment in experiments]
        text = options_text(session.options)
        if all(map(self._is_reusable, {experiment.level for experiment in experiments})):
            structure = repr([text, *map(_structure, keys, experiments)])
            known = self._divisions.get(structure)
            if known is None:
                known = self._divisions[structure] = self._divide(experiments, structure)
                if len(self._divisions) > KEPT_DIVISIONS:
                    self._divisions.popitem(last=False)
            self._divisions.move_to_end(structure)
            return known.at(experiments)
        asked = Request(experiments, keys, text).key
        self._calls[asked] += 1
        return self._divide(experiments, f"{asked} {self._calls[asked]}")

    def _divide(self, experiments: Sequence[Experiment], drawn: str) -> Division:
        session = self._session
        checked = tuple(map(check_asked, experiments))
        batch = Batch(checked, (session.options,) * len(checked))
        with session.device.planning(drawn):
            return divide(batch, session.device, self._stacks)

    def _is_reusable(self, level: Level) -> bool:
        """Whether one plan serves every parameter point."""
        if level not in self._reusable:
            stack = build_logical_stack(self._session.options, self._session.device, level)
            self._reusable[level] = all(option.reusable_plan for option in options_of(stack))
        return self._reusable[level]

    def _run_on(self, name: str, share: Batch) -> tuple[Outcome, ...]:
        if self._elsewhere is None:
            raise OptionError(f"nothing here can run circuits on {name}. Send it as a job.")
        with self._elsewhere(name) as device:
            if name not in self._others:
                options = share.elsewhere(device.device).options[0]
                self._others[name] = self._session.on(device, options)
            return self._others[name].run_compiled(share.experiments)


def _structure(key: str, experiment: Experiment) -> tuple[object, ...]:
    observables = experiment.observables
    return (
        key,
        experiment.shots,
        None if observables is None else tuple(map(observable_bytes, observables)),
    )
