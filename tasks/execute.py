"""Stage 5: one submission for everything, recorded."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from adapters.backend import DeviceBackend, Sent
from qcpaas.errors import JobCancelled
from qcpaas.execution import Experiment
from qcpaas.schemas import ExecutionSettings
from tasks.device import Device
from tasks.journal import Journal


class JournalledDevice(DeviceBackend):
    """The innermost execution backend of every stack: a device whose submissions are recorded.

    Args:
        settings: Gives the seed and the noise model.
        cancelled: Set by whoever wants the job to end; the next submission raises.
    """

    def __init__(
        self,
        device: Device,
        journal: Journal,
        settings: ExecutionSettings,
        cancelled: threading.Event | None = None,
    ) -> None:
        super().__init__(device.adapter, self._next_seed, settings.noise_model)
        self.device = device
        self.journal = journal
        self.settings = settings
        self.cancelled = cancelled or threading.Event()

    def submit(self, experiments: Sequence[Experiment]) -> Sent:
        """Check everything, send it as one device job, wait for it, record it.

        Raises:
            JobCancelled: The job was cancelled meanwhile.
            InputError: The device cannot run what is asked.
            AdapterError: The device refused it, failed, or cannot be reached.
        """
        self.check(experiments)
        return self.record(experiments, self.journal.keys(experiments))

    def record(self, experiments: Sequence[Experiment], keys: Sequence[str]) -> Sent:
        """Send and record what has been checked; a loop checks its circuits once.

        Args:
            keys: Of the circuits, from `Journal.keys`.
        """
        if self.cancelled.is_set():
            raise JobCancelled(f"job {self.journal.job_id} was cancelled.")
        submitted_at = datetime.now(UTC)
        sent = self.send(experiments)
        self.journal.executed(keys, sent, submitted_at)
        return sent

    def _next_seed(self) -> int:
        return self.seed_of(self.journal.count)

    def seed_of(self, index: int) -> int:
        """The simulator's seed of a job's submission, the same whenever the job is repeated."""
        sequence = np.random.SeedSequence(self.settings.seed, spawn_key=(1, index))
        return int(sequence.generate_state(1)[0] >> 1)
