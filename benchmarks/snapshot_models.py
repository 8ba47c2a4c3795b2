"""What turning a snapshot into a compiler's target and a noise model takes."""

from __future__ import annotations

import time

import numpy as np
from qiskit.providers import BackendV2
from qiskit.quantum_info import SuperOp
from qiskit.transpiler import Target

from adapters.device_noise import device_noise_model
from adapters.fake_backends import read_snapshot
from adapters.target import build_target, snapshot_of_target
from benchmarks.report import Options, Report, median
from store.snapshot import Snapshot

SAMPLED = 30  # channels that are compared


class Told(BackendV2):  # type: ignore[misc]
    """What Aer's `from_backend` wants of a device: its target."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target

    @property
    def target(self) -> Target:
        return self._target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> None:
        return None

    def run(self, run_input: object, **options: object) -> None:
        raise NotImplementedError


def measure_models(options: Options, report: Report) -> None:
    """Targets and noise models of a real device's whole snapshot."""
    snapshot = read_snapshot("FakeSherbrooke")
    note = f"{snapshot.num_qubits} qubits, {len(snapshot.keys)} readings"
    to_target, back, noise = [], [], []
    for _ in range(10):
        began = time.perf_counter()
        target = build_target(snapshot, control_flow=())
        to_target.append(1e3 * (time.perf_counter() - began))
        began = time.perf_counter()
        snapshot_of_target(target, snapshot.device, snapshot.taken_at, "benchmark")
        back.append(1e3 * (time.perf_counter() - began))
        began = time.perf_counter()
        device_noise_model(snapshot)
        noise.append(time.perf_counter() - began)
    report.add("target_127q", median(to_target, options.seed).value, "ms", note=note)
    report.add("snapshot_of_target_127q", median(back, options.seed).value, "ms", note=note)
    peer = "" if options.quick else beside_aer(snapshot, target, options.seed, report)
    found = median(noise, options.seed)
    report.add("noise_model_127q", found.value, "s", aim=1.0, peer=peer, note=f"{found}; {note}")


def beside_aer(snapshot: Snapshot, target: Target, seed: int, report: Report) -> str:
    """What Aer takes for the same model; adds how many of its channels are not ours."""
    from qiskit_aer.noise import NoiseModel

    began = time.perf_counter()
    theirs = NoiseModel.from_backend(Told(target))._local_quantum_errors  # noqa: SLF001
    took = time.perf_counter() - began
    ours = device_noise_model(snapshot)._local_quantum_errors  # noqa: SLF001
    places = [(name, place) for name, errors in theirs.items() for place in errors]
    chosen = np.random.default_rng(seed).choice(len(places), size=SAMPLED, replace=False)
    differ = sum(
        not np.allclose(SuperOp(theirs[name][place]), SuperOp(ours[name][place]), atol=1e-10)
        for name, place in (places[index] for index in chosen)
    )
    places_apart = {(name, place) for name, errors in ours.items() for place in errors} ^ set(
        places
    )
    report.add(
        "channels_that_differ",
        differ + len(places_apart),
        "count",
        aim=0,
        better="equal",
        note=f"of {SAMPLED} sampled of {len(places)}, and places that one has alone",
    )
    return f"NoiseModel.from_backend: {took:.1f} s"
