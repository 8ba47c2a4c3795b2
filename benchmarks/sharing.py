"""Small jobs side by side on one device: what a place beside others costs, and what it saves.

    python -m benchmarks.sharing            some two minutes
    python -m benchmarks.sharing --quick    under one minute

Random groups of two or three small jobs run on digital twins (gate, idle and readout errors by
recorded calibrations), each job alone and all together in one submission, with exact
probabilities. Twins have no crosstalk: the unused qubits between jobs are there for real devices,
and what they cost is measured here; what they are good for is not.
"""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.report import Options, Report, ratio_of_sums, run_benchmark

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit

    from qcpaas.execution import Counts, Experiment
    from qcpaas.schemas import CircuitJob
    from tasks.execute import JournalledDevice

DEVICES = ("FakeKolkata", "FakeBrisbane")
GROUPS, QUICK_GROUPS = 20, 6
SHOTS = 4096


@dataclass(frozen=True)
class Member:
    """One job alone and beside others: Hellinger fidelities with the ideal, and device seconds."""

    alone: float
    together: float
    foretold: float  # of the ratio, by the calibration


@dataclass(frozen=True)
class Group:
    """A group of jobs.

    Attributes:
        refused: Jobs that were let go because their places would have cost too much.
        used_alone, used_together: Qubit-seconds in use over all of the device's.
    """

    members: tuple[Member, ...]
    refused: int
    alone_s: float
    together_s: float
    used_alone: float
    used_together: float


def measure(options: Options, report: Report) -> None:
    """Fidelity, device time and utilisation of jobs that share a device, against alone."""
    from adapters.compiler_stages import defer_vendor_stages

    defer_vendor_stages()
    for number, device in enumerate(DEVICES):
        groups = _groups(device, QUICK_GROUPS if options.quick else GROUPS, options.seed + number)
        _add(report, device, groups, options.seed)


def _groups(device: str, count: int, seed: int) -> list[Group]:
    import numpy as np

    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder, _opened(device, folder) as backend:
            size = 2 + number % 2
            # Exact probabilities of a noisy circuit end at 13 qubits on a twin.
            circuits = [_circuit(rng, 5 if size == 2 else 4) for _ in range(size)]
            found.append(_group(circuits, backend))
    return found


@contextmanager
def _opened(device: str, folder: str) -> Iterator[JournalledDevice]:
    """A twin behind a ledger of its own, exact."""
    from qcpaas.schemas import CircuitItem, CircuitJob, CircuitPayload, ExecutionSettings
    from store.database import open_store
    from store.jobs import Jobs
    from store.ledger import Ledger
    from store.results import Results
    from tasks.device import Device
    from tasks.execute import JournalledDevice
    from tasks.journal import Journal
    from tasks.patience import Patience

    settings = ExecutionSettings(backend=device, shots=SHOTS, seed=1, exact=True)
    item = CircuitItem(circuit=CircuitPayload(format="qasm3", text="OPENQASM 3.0;"))
    job = CircuitJob(job_id="benchmark", execution=settings, items=(item,))
    with open_store(f"sqlite:///{folder}/store.db") as store:
        Jobs(store).create(job)
        with Ledger(store, job.job_id, guards=tuple) as ledger:
            journal = Journal(job.job_id, Results(store), ledger)
            opened = Device.open(device, store)
            yield JournalledDevice(opened, journal, ledger, settings, Patience(threading.Event()))


def _circuit(rng: np.random.Generator, widest: int) -> QuantumCircuit:
    """A GHZ state, a random brickwork or a QAOA layer on two qubits or more."""
    from qiskit import QuantumCircuit

    width, kind = int(rng.integers(2, widest + 1)), int(rng.integers(3))
    circuit = QuantumCircuit(width, name=("ghz", "brickwork", "qaoa")[kind])
    pairs = [(n, n + 1) for n in range(width - 1)]
    if kind == 0:
        circuit.h(0)
        for a, b in pairs:
            circuit.cx(a, b)
    for _ in range(0 if kind == 0 else int(rng.integers(1, 4))):
        for qubit in range(width):
            circuit.ry(float(rng.uniform(0, 3)), qubit)
        for a, b in pairs:
            if kind == 1:
                circuit.cx(a, b)
            else:
                circuit.rzz(float(rng.uniform(0.3, 1.5)), a, b)
    circuit.measure_all()
    return circuit


def _group(circuits: Sequence[QuantumCircuit], backend: JournalledDevice) -> Group:
    from tasks.share_plan import plan_together

    jobs = [_job(circuit, number, backend) for number, circuit in enumerate(circuits)]
    shared = plan_together(jobs, backend)
    stay = [number for number, job in enumerate(jobs) if job.job_id not in shared.released]
    together = shared.apart(backend.execute(shared.experiments))
    alone = [plan_together([jobs[number]], backend) for number in stay]
    apart = [one.apart(backend.execute(one.experiments))[0] for one in alone]
    fidelity = [_ideal(circuits[number]) for number in stay]
    members = tuple(
        Member(own(before[0]), own(after[0]), math.exp(-guest.loss))
        for own, before, after, guest in zip(fidelity, apart, together, shared.guests, strict=True)
    )
    alone_s = sum(_seconds(one.experiments, backend) for one in alone)
    together_s = _seconds(shared.experiments, backend)
    size = backend.capabilities.num_qubits or 1
    busy = sum(
        len(experiment.binding.physical_qubits) * _seconds([experiment], backend)
        for one in alone
        for experiment in one.experiments
        if experiment.binding
    )
    beside = sum(
        len(experiment.binding.physical_qubits) * _seconds([experiment], backend)
        for experiment in shared.experiments
        if experiment.binding
    )
    return Group(
        members,
        len(shared.released),
        alone_s,
        together_s,
        busy / (size * alone_s),
        beside / (size * together_s),
    )


def _job(circuit: QuantumCircuit, number: int, backend: JournalledDevice) -> CircuitJob:
    from qcpaas.circuits import to_payload
    from qcpaas.schemas import CircuitItem, CircuitJob

    item = CircuitItem(circuit=to_payload(circuit))
    return CircuitJob(job_id=f"job-{number}", execution=backend.settings, items=(item,))


def _ideal(circuit: QuantumCircuit) -> Callable[[Counts], float]:
    """Hellinger fidelity of counts with the state vector's probabilities."""
    from qiskit.quantum_info import Statevector, hellinger_fidelity

    ideal = Statevector(circuit.remove_final_measurements(inplace=False)).probabilities_dict()

    def fidelity(counts: Counts) -> float:
        return float(hellinger_fidelity(ideal, counts.points[0].to_dict()))

    return fidelity


def _seconds(experiments: Sequence[Experiment], backend: JournalledDevice) -> float:
    """Device seconds of the shots that would be taken."""
    from dataclasses import replace

    from tasks.estimate import estimate_plan

    sampled = [replace(experiment, shots=SHOTS) for experiment in experiments]
    return estimate_plan(sampled, backend.device).qpu_s


def _add(report: Report, device: str, groups: Sequence[Group], seed: int) -> None:
    import numpy as np

    members = [member for group in groups for member in group.members]
    ratio = ratio_of_sums([m.together for m in members], [m.alone for m in members], seed)
    worst = min(m.together / m.alone for m in members)
    beyond = [m for m in members if m.together / m.alone < m.foretold - 0.01]
    saved = ratio_of_sums(
        [group.together_s for group in groups], [group.alone_s for group in groups], seed
    )
    used = ratio_of_sums(
        [group.used_together for group in groups], [group.used_alone for group in groups], seed
    )
    refused = sum(group.refused for group in groups)
    jobs = len(members)
    report.add(
        f"{device}: fidelity together over alone",
        ratio.value,
        "",
        aim=0.98,
        better="higher",
        peer="alone",
        note=f"{ratio}; {jobs} jobs in {len(groups)} groups",
    )
    foretold = float(np.mean([m.foretold for m in members]))
    report.add(f"{device}: as foretold", foretold, "", note="mean, by the calibration")
    report.add(f"{device}: worst job", worst, "", aim=0.95, better="higher")
    report.add(
        f"{device}: jobs that lost over 0.01 more than foretold",
        len(beyond),
        "jobs",
        aim=0,
        better="equal",
    )
    report.add(
        f"{device}: submissions",
        sum(1 + group.refused for group in groups),
        "",
        peer=f"{jobs + refused} alone",
        note=f"{refused} jobs found no good place and ran by themselves",
    )
    report.add(
        f"{device}: device seconds over one after the other", saved.value, "", note=str(saved)
    )
    report.add(
        f"{device}: qubit-seconds in use over alone",
        used.value,
        "times",
        aim=1.5,
        better="higher",
        note=f"{used}; {100 * np.mean([g.used_together for g in groups]):.1f} % of all of them",
    )


if __name__ == "__main__":
    run_benchmark("sharing", measure)
