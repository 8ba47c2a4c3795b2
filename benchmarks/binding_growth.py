"""How time and memory grow with the device and with the number of circuits."""

from __future__ import annotations

import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from adapters.fake_backends import read_snapshot
from adapters.target import topology_target
from benchmarks.binding_circuits import FAMILIES
from benchmarks.binding_drift import DriftingDevice
from benchmarks.binding_latency import binder_of, seconds
from benchmarks.binding_maps import device_of, heavy_hex, square
from benchmarks.binding_product import judge
from benchmarks.report import Report
from calibration.portfolio import compile_portfolio

MAPS = {
    "heavy-hex": ((7, 115), (13, 409), (19, 883)),
    "square": ((10, 100), (20, 400), (31, 961)),
}
CIRCUITS = (("chain", 20), ("qaoa", 12))
ROUTED_UP_TO = 500  # qubits; to route for 900 takes two minutes, as `docs/benchmarks.md` has it
DAYS = 8


@dataclass(frozen=True)
class Cost:
    """Of placing one circuit on one device.

    Attributes:
        first_s: The first binding, which looks for the places.
        later_s: Binding to a new calibration, median.
        grown_mb: Of the process's largest resident memory, by all bindings.
        gain: Log fidelity above the place where the compiler put the circuit, nats.
    """

    compile_s: float
    first_s: float
    later_s: float
    grown_mb: float
    considered: int
    complete: bool
    gain: float


def measure_growth(report: Report, *, quick: bool, seed: int) -> None:
    """100 to 1,000 qubits, each in a process of its own; then distinct circuits by the hundred."""
    for kind, sizes in MAPS.items():
        for size, qubits in sizes[:2] if quick else sizes:
            for family, width in CIRCUITS[:1] if quick or qubits > ROUTED_UP_TO else CIRCUITS:
                cost = _apart(kind, size, family, width, seed)
                _add_cost(report, f"{family}-{width}, {kind} of {qubits}", cost)
    _add_circuits(report, 60 if quick else 1000, seed)


def _apart(kind: str, size: int, family: str, width: int, seed: int) -> Cost:
    context = get_context("spawn")  # so that the peak of memory is of this one alone
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(cost_of, kind, size, family, width, seed).result()


def cost_of(kind: str, size: int, family: str, width: int, seed: int) -> Cost:
    coupling = heavy_hex(size) if kind == "heavy-hex" else square(size)
    first = device_of(coupling, f"{kind} {size}", seed)
    circuit, target = FAMILIES[family](width), topology_target(first, control_flow=())
    began = time.perf_counter()
    portfolio = compile_portfolio(circuit, target)
    compiled = time.perf_counter() - began
    binder, days = binder_of(first), DriftingDevice(first, seed).days(DAYS + 1)
    before = _peak_mb()
    began = time.perf_counter()
    bound = binder.bind(portfolio, days[0])
    cold = time.perf_counter() - began
    later = [seconds(partial(binder.bind, portfolio, day)) for day in days[1:]]
    placement = binder.placer.choose(portfolio, days[0])
    home = max(
        judge(template.circuit, template.home, days[0]).with_idle
        for template in portfolio.templates
    )
    here = judge(bound.circuit, bound.binding.physical_qubits, days[0]).with_idle
    return Cost(
        compiled,
        cold,
        float(np.median(later)),
        _peak_mb() - before,
        placement.considered,
        placement.complete,
        here - home,
    )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _add_cost(report: Report, name: str, cost: Cost) -> None:
    how = "all of them" if cost.complete else "by a search: there are too many"
    report.add(f"bind: {name}", 1e3 * cost.later_s, "ms", note=f"median of {DAYS} calibrations")
    report.add(
        f"bind_first: {name}",
        cost.first_s,
        "s",
        note=f"{cost.considered:,} placements, {how}; {cost.gain:+.3f} nats above the compiler's",
    )
    report.add(f"bind_memory: {name}", cost.grown_mb, "MB", note="growth of the peak, resident")
    report.add(f"compile: {name}", cost.compile_s, "s", note="all seeds, once a topology")


def _add_circuits(report: Report, count: int, seed: int) -> None:
    """Distinct random circuits on one device and one binder."""
    first = read_snapshot("FakeKolkata")
    target, binder = topology_target(first, control_flow=()), binder_of(first)
    today, tomorrow = DriftingDevice(first, seed).days(2)
    rng = np.random.default_rng(seed)
    began = time.perf_counter()
    portfolios = [compile_portfolio(random_chain(number, rng), target) for number in range(count)]
    compiled = time.perf_counter() - began
    sizes = [len(portfolio.to_bytes()) for portfolio in portfolios]
    before = _peak_mb()
    new = [seconds(partial(binder.bind, portfolio, today)) for portfolio in portfolios]
    grown = _peak_mb() - before
    again = [seconds(partial(binder.bind, portfolio, tomorrow)) for portfolio in portfolios]
    told = f"{count} distinct circuits of 4 to 8 qubits on 27"
    report.add("circuits_compile", 1e3 * compiled / count, "ms a circuit", note=told)
    report.add(
        "circuits_cache_bytes",
        float(np.mean(sizes)),
        "bytes a circuit",
        note=f"{told}; {sum(sizes) / 1e6:.2f} MB in all",
    )
    for metric, times, note in (
        ("circuits_bind_first", new, "one calibration"),
        ("circuits_bind_again", again, "the next calibration"),
    ):
        report.add(metric, 1e3 * float(np.median(times)), "ms", note=f"{told}; median, {note}")
    report.add(
        "circuits_memory", 1e3 * grown / count, "kB a circuit", note=f"{told}; growth of the peak"
    )


def random_chain(number: int, rng: np.random.Generator) -> QuantumCircuit:
    """Rotations and CX between neighbours in an order of its own."""
    qubits = int(rng.integers(4, 9))
    circuit = QuantumCircuit(qubits, name=f"random-{number}")
    angles = ParameterVector("a", 3 * qubits)
    for angle in angles:
        circuit.ry(angle, int(rng.integers(qubits)))
        first = int(rng.integers(qubits - 1))
        circuit.cx(first, first + 1)
    circuit.measure_all()
    return circuit
