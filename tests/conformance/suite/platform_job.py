"""A job of the platform on a device, its ledger on disk."""

import threading
from contextlib import ExitStack

import numpy as np

from qcpaas.execution import Experiment
from qcpaas.schemas import Bundle, ExecutionSettings, WorkloadJob
from store.jobs import Jobs
from store.ledger import Ledger
from store.results import Results
from tasks.device import Device
from tasks.execute import JournalledDevice
from tasks.journal import Journal
from tasks.patience import Patience
from tasks.session import Session


class PlatformJob:
    """One job, which any number of processes take up one after another."""

    def __init__(self, store):
        self._store = store
        self._opened = ExitStack()
        self._job = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._opened.close()

    def process(self, name):
        """What runs a circuit as the job's next call, and answers its counts."""
        store = self._store
        device = Device.open(name, store)
        if self._job is None:
            settings = ExecutionSettings(backend=name, seed=3)
            self._job = WorkloadJob(execution=settings, bundle=Bundle(entry="a:B", modules={}))
            Jobs(store).create(self._job)
        job = self._job
        ledger = self._opened.enter_context(Ledger(store, job.job_id, guards=tuple))
        backend = JournalledDevice(
            device,
            Journal(job.job_id, Results(store), ledger),
            ledger,
            job.execution,
            Patience(threading.Event()),
            sessions=False,
        )
        session = Session(backend, ())

        def run(circuit):
            (counts,) = session.run([Experiment(circuit, np.zeros((1, 0)), shots=100)])
            ledger.flush()
            return counts

        return run
