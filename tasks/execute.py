"""Stage 5: one submission for everything, recorded."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from adapters.contract import Submission
from qcpaas.errors import JobCancelled
from qcpaas.execution import Counts, ExecutionBackend, Experiment, Outcome, Plan
from qcpaas.schemas import ExecutionSettings
from tasks.device import Device
from tasks.journal import Journal


@dataclass(eq=False)
class JournalledDevice(ExecutionBackend):
    """The innermost execution backend of every stack: a device whose submissions are recorded.

    Attributes:
        settings: Gives the seed and the noise model.
        cancelled: Set by whoever wants the job to end; the next submission raises.
    """

    device: Device
    journal: Journal
    settings: ExecutionSettings
    cancelled: threading.Event = field(default_factory=threading.Event)

    def plan(self, experiments: Sequence[Experiment]) -> Plan:
        return Plan(tuple(experiments))

    def combine(self, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        return tuple(outcomes)

    def execute(self, experiments: Sequence[Experiment]) -> tuple[Counts, ...]:
        return self.submit(experiments, self.journal.keys(experiments))

    def submit(self, experiments: Sequence[Experiment], keys: Sequence[str]) -> tuple[Counts, ...]:
        """Send one device job, wait for it, record it.

        Args:
            keys: From `Journal.keys`, so that a loop computes them once.

        Raises:
            JobCancelled: The job was cancelled meanwhile.
            AdapterError: The device refused it, failed, or cannot be reached.
        """
        if self.cancelled.is_set():
            raise JobCancelled(f"job {self.journal.job_id} was cancelled.")
        seed = self.seed_of(self.journal.count)
        submission = Submission(tuple(experiments), seed, self.settings.noise_model)
        submitted_at = datetime.now(UTC)
        handle = self.device.adapter.submit(submission, token=secrets.token_hex(16))
        result = self.device.adapter.result(handle)
        self.journal.executed(
            keys, experiments, result, handle=handle, seed=seed, submitted_at=submitted_at
        )
        return result.counts

    def seed_of(self, index: int) -> int:
        """The simulator's seed of a job's submission, the same whenever the job is repeated."""
        sequence = np.random.SeedSequence(self.settings.seed, spawn_key=(1, index))
        return int(sequence.generate_state(1)[0] >> 1)
