"""A job on a real twin, its store on disk."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from qcpaas.schemas import Bundle, ExecutionSettings, OptionSpec, WorkloadJob
from store.database import Store, open_store
from store.jobs import Jobs
from store.results import Results
from tasks.device import Device
from tasks.execute import JournalledDevice
from tasks.journal import Journal
from tasks.session import Session


@dataclass(frozen=True)
class Run:
    """One job: what it records, and sessions on its device."""

    job: WorkloadJob
    backend: JournalledDevice

    @property
    def journal(self) -> Journal:
        return self.backend.journal

    @property
    def device(self) -> Device:
        return self.backend.device

    def session(self, *options: str) -> Session:
        return Session(self.backend, tuple(OptionSpec.parse(option) for option in options))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


@pytest.fixture
def start(store: Store) -> Callable[..., Run]:
    """Start a job: ``start("FakeKolkata", seed=3)``."""

    def begin(device: str = "FakeKolkata", seed: int = 3, **settings: object) -> Run:
        execution = ExecutionSettings(backend=device, seed=seed, **settings)  # type: ignore[arg-type]
        job = WorkloadJob(execution=execution, bundle=Bundle(entry="a:B", modules={}))
        Jobs(store).create(job)
        opened = Device.open(device, store, execution.snapshot_id)
        journal = Journal(job.job_id, Results(store))
        return Run(job, JournalledDevice(opened, journal, execution))

    return begin
