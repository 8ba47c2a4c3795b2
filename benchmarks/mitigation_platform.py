"""Mitigation on the platform: a batch of different stacks, and a loop with one inside."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from qiskit.quantum_info import Statevector

from adapters.backend import DeviceBackend
from benchmarks.mitigation_circuits import problems_of
from benchmarks.mitigation_scene import Scene
from benchmarks.mitigation_stacks import installed
from benchmarks.report import Report
from examples.h2_vqe import HAMILTONIAN, ansatz
from pipeline.stack import build_stack
from qcpaas import RuntimeProvider, RuntimeWorkerBase
from qcpaas.execution import Experiment
from qcpaas.schemas import OptionSpec
from tasks.session import Session

MIXED = ("readout", "zne", "zne_readout", "trex", "twirled_readout", "pec_readout", "lre_readout")
STACK = ("ZeroNoiseExtrapolation", "ReadoutMitigation")
TWIN = "FakeKolkata"
STAGES = ("plan", "estimate", "mitigate")  # what a step does beside its execution


class GivenAngles(RuntimeWorkerBase):
    """Energies of H2 at angles that are fixed beforehand, one call a step, plain and mitigated."""

    backend_name = TWIN
    shots = 4096

    def run(self, steps: int = 500, block: int = 10) -> dict[str, Any]:
        """Blocks of both in turn; seconds of the wall, and of the stages beside executions."""
        circuit, angles = ansatz(), given_angles(steps)
        estimators = {"plain": self.estimator_with([]), "mitigated": self.estimator_with(STACK)}
        answer: dict[str, Any] = {
            name: {"energies": [], "seconds": 0.0, **dict.fromkeys(STAGES, 0.0)}
            for name in estimators
        }
        for estimator in estimators.values():
            _energy(estimator, circuit, angles[0])
        for start in range(0, steps, block):
            for name, estimator in estimators.items():
                own = answer[name]
                session = estimator.backend
                assert isinstance(session, Session)
                stages = session.device.journal.stage_seconds
                before, began = dict(stages), time.perf_counter()
                own["energies"] += [
                    _energy(estimator, circuit, point) for point in angles[start : start + block]
                ]
                own["seconds"] += time.perf_counter() - began
                for stage in STAGES:
                    own[stage] += stages.get(stage, 0.0) - before.get(stage, 0.0)
        return answer


def given_angles(steps: int) -> Any:
    return np.random.default_rng(1).uniform(-0.3, 0.3, (steps, ansatz().num_parameters))


def _energy(estimator: Any, circuit: Any, point: Any) -> float:
    (result,) = estimator.run([(circuit, HAMILTONIAN, point)]).result()
    return float(result.data.evs)


def measure_platform(report: Report, *, quick: bool, seed: int, steps: int = 0) -> None:
    """Both on one embedded platform in a folder of its own; the combining also by itself."""
    from deployments.embedded import EmbeddedTransport
    from qcpaas.settings import Settings

    add_combining(report, 10 if quick else 100)
    with tempfile.TemporaryDirectory(prefix="qcpaas-mitigation-") as folder:
        transport = EmbeddedTransport(Settings(data_dir=Path(folder)))
        with RuntimeProvider(transport=transport) as provider:
            add_batch(report, provider, seed)
            add_loop(report, provider, seed, steps or (20 if quick else 500))


def add_combining(report: Report, repeats: int) -> None:
    """Processor time of a step's combining, which other load on the machine does not move."""
    scene = Scene.open(TWIN)
    point = given_angles(1)
    asked = scene.place(Experiment(ansatz(), point, (HAMILTONIAN,), 4096))
    device = DeviceBackend(scene.adapter, lambda: 3)
    spent = {}
    for name, options in (("plain", ()), ("mitigated", STACK)):
        stack = build_stack([OptionSpec(name=one) for one in options], device, "expectation")
        plan = stack.plan([asked])
        outcomes = device.execute(plan.experiments)
        stack.combine(plan, outcomes)  # what it imports and tabulates is there
        began = time.process_time()
        for _ in range(repeats):
            stack.combine(plan, outcomes)
        spent[name] = 1e3 * (time.process_time() - began) / repeats
    report.add(
        "combining_cpu_h2",
        spent["mitigated"] - spent["plain"],
        "ms of processor time a step",
        aim=10.0,
        peer="no options",
        note=f"{' and '.join(STACK)}; without options {spent['plain']:.2f}",
    )


def add_batch(report: Report, provider: RuntimeProvider, seed: int) -> None:
    """Different circuits, each with a stack of its own."""
    stacks = list(installed(MIXED).values())
    families = ("tfim", "ghz", "mirror", "rb", "qaoa")
    problems = [
        problems_of(families[n % len(families)], 4, 1, seed + n)[0] for n in range(len(stacks))
    ]
    job = provider.run_circuits(
        [one.circuit.assign_parameters(one.point) for one in problems],
        [list(one.observables) for one in problems],
        backend=TWIN,
        circuit_options=[list(options) for options in stacks],
        seed=seed,
    )
    answers = job.result()
    manifest = job.manifest()
    circuits = sum(answer["circuit_executions"] for answer in answers)
    report.add(
        "submissions_mixed_batch",
        manifest.execution_count,
        "submissions",
        aim=1,
        better="equal",
        note=f"{len(stacks)} circuits, each with another stack; {circuits} circuits executed",
    )


def add_loop(report: Report, provider: RuntimeProvider, seed: int, steps: int) -> None:
    """The same steps plain and mitigated, interleaved."""
    job = provider.run(GivenAngles, {"steps": steps}, seed=seed)
    answer, manifest = job.result(), job.manifest()
    plain, mitigated = answer["plain"], answer["mitigated"]
    own = {stage: 1e3 * (mitigated[stage] - plain[stage]) / steps for stage in STAGES}
    what = f"{steps} steps of H2 with {' and '.join(STACK)}, {TWIN}"
    report.add("loop_seconds", mitigated["seconds"], "s", note=what)
    report.add("loop_seconds_plain", plain["seconds"], "s", note="the same without options")
    report.add(
        "loop_submissions",
        manifest.execution_count / 2,
        "submissions",
        aim=steps + 1,
        better="equal",
        note="one a step, and one to warm up",
    )
    report.add(
        "loop_mitigation_overhead",
        sum(own.values()),
        "ms a step",
        aim=10.0,
        peer="the plain loop",
        note="beside executions: "
        + ", ".join(f"{stage} {value:.2f}" for stage, value in own.items()),
    )
    errors = {name: _rms(one["energies"]) for name, one in answer.items()}
    report.add(
        "loop_error_reduction",
        errors["plain"] / errors["mitigated"],
        "ratio of RMS errors",
        better="higher",
        note=f"energies, {errors['plain']:.4f} to {errors['mitigated']:.4f} hartree",
    )


def _rms(energies: list[float]) -> float:
    circuit = ansatz()
    exact = [
        Statevector(circuit.assign_parameters(point)).expectation_value(HAMILTONIAN).real
        for point in given_angles(len(energies))
    ]
    return float(np.sqrt(np.mean((np.array(energies) - exact) ** 2)))
