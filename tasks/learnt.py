"""What observed fidelities say about one device's calibrated errors, as the store keeps it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from calibration.elements import NO_CORRECTIONS, Corrections, Element
from calibration.factors import Seen
from calibration.feedback import USER, Evidence, marks_of
from qcpaas.binding import FeedbackReport, LearntFactor, Observation
from store.database import Store
from store.feedback import Feedbacks
from store.snapshot import Snapshot

NEWEST = 50  # observations in a report

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Lesson:
    """One observed fidelity, ready to be learnt.

    Attributes:
        marks: Which calibration of each element it is about.
    """

    seen: Seen
    marks: Mapping[Element, str]
    job_id: str

    def observation(self, known: Evidence) -> Observation:
        """As reports show it, beside what was promised before it."""
        factors = known.corrections(self.marks, 0).log_factors
        worse = np.exp([factors.get(element, 0.0) for element in self.seen.elements])
        return Observation(
            job_id=self.job_id,
            observed_at=datetime.now(UTC),
            log_fidelity=self.seen.log_fidelity,
            std_error=math.sqrt(self.seen.variance),
            predicted=float(self.seen.contributions @ worse),
            source="user" if self.seen.source == USER else "echo",
        )


@dataclass(eq=False)
class DeviceFeedback:
    """What was learnt of one device, read again only when somebody has learnt more."""

    device: str
    store: Store
    _version: int = 0
    _evidence: Evidence = field(default_factory=Evidence)
    _corrections: tuple[str, Corrections] = ("", NO_CORRECTIONS)

    def __post_init__(self) -> None:
        self._feedbacks = Feedbacks(self.store)

    def corrections(self, snapshot: Snapshot) -> Corrections:
        """What to multiply a calibration's errors by; costs one small query where nothing is new.

        Of an element that was calibrated again since, nothing is known.
        """
        evidence = self.evidence()
        if not evidence.factors:
            return NO_CORRECTIONS
        if self._corrections[0] != snapshot.content_id:
            marks = marks_of(snapshot, evidence.factors)
            self._corrections = snapshot.content_id, evidence.corrections(marks, self._version)
        return self._corrections[1]

    def evidence(self) -> Evidence:
        version = self._feedbacks.version(self.device)
        if version != self._version:
            stored = self._feedbacks.read(self.device)
            self._version, self._evidence = stored.version, self._read(stored.payload)
            self._corrections = ("", NO_CORRECTIONS)
        return self._evidence

    def learn(self, lessons: Sequence[Lesson]) -> tuple[Observation, ...]:
        """Learn from observations, also while others do; answers what is kept of each."""
        known = self.evidence()
        observations = tuple(lesson.observation(known) for lesson in lessons)

        def change(payload: bytes) -> bytes:
            evidence = self._read(payload)
            for lesson in lessons:
                evidence = evidence.with_seen(lesson.seen, lesson.marks)
            return evidence.to_bytes()

        if lessons:
            self._feedbacks.update(self.device, change, observations)
        return observations

    def report(self) -> FeedbackReport:
        """The most surprising factor first: by how many of its standard errors it is off."""
        stored = self._feedbacks.read(self.device)
        factors = self._read(stored.payload).factors
        ordered = sorted(factors.items(), key=lambda kv: -abs(kv[1].log) / kv[1].std_error)
        return FeedbackReport(
            device=self.device,
            observations=self._feedbacks.observation_count(self.device),
            updated_at=stored.updated_at,
            factors=tuple(
                LearntFactor(
                    kind=element.kind,
                    qubits=element.qubits,
                    factor=math.exp(factor.log),
                    log_std_error=factor.std_error,
                )
                for element, factor in ordered
            ),
            newest=tuple(self._feedbacks.observations(self.device, NEWEST)),
        )

    def reset(self) -> None:
        """Forget what was observed and learnt."""
        self._feedbacks.reset(self.device)

    def _read(self, payload: bytes) -> Evidence:
        evidence = Evidence.from_bytes(payload) if payload else Evidence()
        if evidence is None:
            log.warning(
                "what was learnt of %s cannot be read (damaged, or of another version of this "
                "platform) and counts as nothing.",
                self.device,
            )
            return Evidence()
        return evidence
