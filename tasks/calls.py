"""A job's calls in their order: first those of an earlier process, from the ledger, then new ones.

An ordinary loop that starts again asks for the same things in the same order, and is answered
what it was answered before; so it arrives at the iteration where it was interrupted, and goes on.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from qcpaas.errors import ReplayDiverged
from qcpaas.execution import Experiment, Outcome, Plan
from qcpaas.schemas import OptionSpec
from store.ledger import Ledger, RecordedCall
from store.records import decode_asked, decode_outcomes, encode_asked
from tasks.divergence import difference
from tasks.patience import Patience

ASIDE = "aside-"  # begins the keys of calls that stand outside of the order
READ_AHEAD = 256  # recorded answers read at once


@dataclass(frozen=True, eq=False)
class Request:
    """What a call asks for, in the caller's words, before anything was compiled.

    Attributes:
        circuit_keys: Content of the circuits, from `qcpaas.circuits.circuit_key`.
        options: Every option that decides about the answer, as text.
        aside: The platform's own question, which a replay may find answered elsewhere: it has no
            place in the order of the job's calls.
    """

    experiments: Sequence[Experiment]
    circuit_keys: Sequence[str]
    options: str
    aside: bool = False

    @cached_property
    def key(self) -> str:
        """Hash of circuits, values, observables, shots and options, the same in every process."""
        digest = hashlib.blake2b(self.options.encode(), digest_size=16)
        for key, experiment in zip(self.circuit_keys, self.experiments, strict=True):
            values = np.ascontiguousarray(experiment.parameter_values, dtype="<f8")
            digest.update(f"\x1e{key} {values.shape} {experiment.shots}".encode())
            digest.update(values.tobytes())
            for observable in experiment.observables or ():
                digest.update(observable_bytes(observable))
            digest.update(b"counts" if experiment.observables is None else b"values")
        return f"{ASIDE if self.aside else ''}{digest.hexdigest()}"

    def again(self) -> Request:
        """The same, made once more because the calibration moved while it ran."""
        return replace(self, options=f"{self.options} (again)")

    def encoded(self) -> bytes:
        """For the ledger: what reports and partial results show of it."""
        return encode_asked(
            names=[experiment.circuit.name for experiment in self.experiments],
            values=[experiment.parameter_values for experiment in self.experiments],
            shots=[experiment.shots for experiment in self.experiments],
            options=self.options,
        )


def options_text(options: Sequence[OptionSpec]) -> str:
    """Options and their settings in one line, the same for the same options."""
    return " ".join(option.model_dump_json() for option in options)


def observable_bytes(observable: object) -> bytes:
    """An observable's content: its Pauli strings and coefficients."""
    from qiskit.quantum_info import SparsePauliOp

    assert isinstance(observable, SparsePauliOp)
    paulis = observable.paulis
    return b"\x1d".join(
        (
            str(observable.num_qubits).encode(),
            paulis.z.tobytes(),
            paulis.x.tobytes(),
            observable.coeffs.tobytes(),
        )
    )


@dataclass(eq=False)
class Call:
    """One call of this run.

    Attributes:
        occurrence: How many calls of the same content came before it.
        begun: Whether the ledger knows it: an earlier process, or an earlier try, has begun it.
        outcomes: The recorded answer.
        plan_key: Of the plan that was sent for it, where it is recorded.
        plan: What this process has sent for it.
    """

    index: int
    request: Request
    occurrence: int
    begun: bool = False
    outcomes: tuple[Outcome, ...] | None = None
    plan_key: str = ""
    plan: Plan | None = None

    def seed(self, root: int, part: int) -> int:
        """A simulator's seed: it follows from the job's seed and what is asked, nothing else."""
        text = f"{root} {self.request.key} {self.occurrence} {part}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


@dataclass(eq=False)
class Calls:
    """Numbers the calls of a run, and answers those that the ledger has.

    Made in the thread that runs the job's code. Calls from other threads may come in any order:
    they are found by content alone.

    Args:
        patience: Waits through outages of the store.
        divergence: What to do when the code asks for something else than before.
    """

    ledger: Ledger
    patience: Patience
    divergence: Literal["fail", "continue"] = "fail"
    _recorded: list[RecordedCall] = field(init=False)
    _aside: dict[str, deque[RecordedCall]] = field(init=False)
    _left: dict[str, deque[int]] = field(init=False)
    _answers: dict[int, bytes] = field(init=False, default_factory=dict)
    _consumed: set[int] = field(init=False, default_factory=set)
    _first: int = field(init=False, default=0)
    _position: int = field(init=False, default=0)
    _occurrences: Counter[str] = field(init=False, default_factory=Counter)
    _concurrent: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = threading.get_ident()
        recorded = self.patience.through(self.ledger.calls)
        self._next = recorded[-1].index + 1 if recorded else 0
        self._recorded = [call for call in recorded if not call.key.startswith(ASIDE)]
        self._aside = defaultdict(deque)
        for call in recorded:
            if call.key.startswith(ASIDE):
                self._aside[call.key].append(call)
        self._index_by_content()

    @property
    def replaying(self) -> bool:
        """Whether recorded calls are left."""
        return self._first < len(self._recorded)

    @property
    def position(self) -> int:
        """The number of calls that came before this moment, as `skip_to` takes it."""
        return self._position

    def next(self, request: Request) -> Call:
        """The call that the job's code makes now.

        Raises:
            ReplayDiverged: An earlier process made another one at this place.
        """
        with self._lock:
            occurrence = self._occurrences[request.key]
            self._occurrences[request.key] += 1
            if request.aside:
                before = self._aside[request.key]
                if not before:
                    return self._new(request, occurrence)
                return self._known(before.popleft(), request, occurrence)
            self._concurrent |= threading.get_ident() != self._thread
            place = self._match(request)
            if place is None:
                return self._new(request, occurrence)
            recorded = self._consume(place)
            self._position = max(self._position, recorded.index + 1)
            return self._known(recorded, request, occurrence)

    def recorded(self, request: Request) -> bool:
        """Whether an earlier process made this call next."""
        with self._lock:
            if not self.replaying:
                return False
            if self._concurrent:
                return bool(self._left.get(request.key))
            return self._recorded[self._first].key == request.key

    def skip_to(self, position: int) -> None:
        """Go on after the calls before a position; they are not made again."""
        with self._lock:
            while self.replaying and self._recorded[self._first].index < position:
                skipped = self._consume(self._first)
                self._occurrences[skipped.key] += 1
            self._position = max(self._position, position)
            self._next = max(self._next, position)

    def _known(self, recorded: RecordedCall, request: Request, occurrence: int) -> Call:
        call = Call(recorded.index, request, occurrence, True, None, recorded.plan_key)
        if recorded.done:
            call.outcomes = decode_outcomes(self._answer(recorded.index))
        return call

    def _new(self, request: Request, occurrence: int) -> Call:
        call = Call(self._next, request, occurrence)
        self._next += 1
        self._position = self._next
        return call

    def _match(self, request: Request) -> int | None:
        """Where the ledger has this call; ``None`` for one that was never made."""
        if not self.replaying:
            return None
        if self._recorded[self._first].key == request.key:
            return self._first
        if self._concurrent:
            places = self._left.get(request.key)
            return places[0] if places else None
        self._diverged(request)
        return None

    def _consume(self, place: int) -> RecordedCall:
        recorded = self._recorded[place]
        self._left[recorded.key].remove(place)
        self._consumed.add(place)
        while self._first in self._consumed:
            self._consumed.discard(self._first)
            self._first += 1
        if not self.replaying:  # a long run need not keep it
            self._recorded, self._left, self._first = [], {}, 0
        return recorded

    def _answer(self, index: int) -> bytes:
        if index not in self._answers:
            last = index + READ_AHEAD - 1
            self._answers = self.patience.through(lambda: self.ledger.outcomes(index, last))
        return self._answers.pop(index)

    def _diverged(self, request: Request) -> None:
        """Report both sides; then end, or set the rest of the record aside."""
        expected = self._recorded[self._first]
        before = decode_asked(self.patience.through(lambda: self.ledger.asked(expected.index)))
        now = decode_asked(request.encoded())
        message = (
            f"call {expected.index} differs from the one before the interruption. "
            f"{difference(before, now)} "
            "Either the code has changed, or it draws unseeded random numbers: use self.rng, which "
            "repeats itself. Resume with the earlier code, or drop what no longer fits and go on "
            "from here (qcpaas resume --diverged continue)."
        )
        if self.divergence == "fail":
            raise ReplayDiverged(message)
        places = range(self._first, len(self._recorded))
        dropped = [self._recorded[place].index for place in places if place not in self._consumed]
        self.patience.log.warning("%s %d recorded calls are set aside.", message, len(dropped))
        self.patience.through(lambda: self.ledger.set_aside(dropped))
        self._recorded, self._left, self._first = [], {}, 0
        self._consumed.clear()

    def _index_by_content(self) -> None:
        self._left = defaultdict(deque)
        for place, recorded in enumerate(self._recorded):
            self._left[recorded.key].append(place)
