"""Mitigation on the platform: a batch of different stacks, and a loop with one inside."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from qiskit.quantum_info import Statevector

from benchmarks.mitigation_circuits import problems_of
from benchmarks.mitigation_stacks import installed
from benchmarks.report import Report
from examples.h2_vqe import HAMILTONIAN, ansatz
from qcpaas import RuntimeProvider, RuntimeWorkerBase

MIXED = ("readout", "zne", "zne_readout", "trex", "twirled_readout", "pec_readout", "lre_readout")
STACK = ("ZeroNoiseExtrapolation", "ReadoutMitigation")
TWIN = "FakeKolkata"


class GivenAngles(RuntimeWorkerBase):
    """Energies of H2 at angles that are fixed beforehand, one call a step."""

    backend_name = TWIN
    shots = 4096

    def run(self, steps: int = 500) -> dict[str, Any]:
        circuit = ansatz()
        angles = np.random.default_rng(1).uniform(-0.3, 0.3, (steps, circuit.num_parameters))
        self.energy(circuit, angles[0])
        began = time.perf_counter()
        energies = [self.energy(circuit, point) for point in angles]
        return {"seconds": time.perf_counter() - began, "energies": energies}

    def energy(self, circuit: Any, point: Any) -> float:
        (result,) = self.estimator.run([(circuit, HAMILTONIAN, point)]).result()
        return float(result.data.evs)


def measure_platform(report: Report, *, quick: bool, seed: int, steps: int = 0) -> None:
    """Both on one embedded platform in a folder of its own."""
    from deployments.embedded import EmbeddedTransport
    from qcpaas.settings import Settings

    with tempfile.TemporaryDirectory(prefix="qcpaas-mitigation-") as folder:
        transport = EmbeddedTransport(Settings(data_dir=Path(folder)))
        with RuntimeProvider(transport=transport) as provider:
            add_batch(report, provider, seed)
            add_loop(report, provider, seed, steps or (50 if quick else 500))


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
    """The same steps plain and mitigated."""
    found = {}
    for name, options in (("plain", ()), ("mitigated", STACK)):
        job = provider.run(GivenAngles, {"steps": steps}, options=options, seed=seed)
        found[name] = (job.result(), job.manifest())
    (plain, plain_manifest), (answer, manifest) = found["plain"], found["mitigated"]
    own = {
        name: manifest.stage_seconds.get(name, 0.0) - plain_manifest.stage_seconds.get(name, 0.0)
        for name in ("plan", "mitigate")
    }
    what = f"{steps} steps of H2 with {' and '.join(STACK)}"
    report.add("loop_seconds", answer["seconds"], "s", note=f"{what}, {TWIN}")
    report.add("loop_seconds_plain", plain["seconds"], "s", note="the same without options")
    submissions = manifest.execution_count
    report.add(
        "loop_submissions",
        submissions,
        "submissions",
        aim=steps + 1,
        better="equal",
        note="one a step, and one to warm up",
    )
    report.add(
        "loop_mitigation_overhead",
        1e3 * sum(own.values()) / steps,
        "ms a step",
        aim=10.0,
        note=f"beside the executions, and beside what the plain loop takes: planning "
        f"{1e3 * own['plan'] / steps:.2f}, combining {1e3 * own['mitigate'] / steps:.2f}",
    )
    errors = {name: _rms(result["energies"], steps) for name, (result, _) in found.items()}
    report.add(
        "loop_error_reduction",
        errors["plain"] / errors["mitigated"],
        "ratio of RMS errors",
        better="higher",
        note=f"energies, {errors['plain']:.4f} to {errors['mitigated']:.4f} hartree",
    )


def _rms(energies: list[float], steps: int) -> float:
    circuit = ansatz()
    angles = np.random.default_rng(1).uniform(-0.3, 0.3, (steps, circuit.num_parameters))
    exact = [
        Statevector(circuit.assign_parameters(point)).expectation_value(HAMILTONIAN).real
        for point in angles
    ]
    return float(np.sqrt(np.mean((np.array(energies) - exact) ** 2)))
