"""Feedback: how much of what a wrong calibration costs is won back by observed fidelities.

A twin keeps its true noise, which is not log-linear, and reports a calibration in which a fifth of
the elements are two to eight times better or worse than they are. Circuits of 4 to 8 qubits are
bound by the report; each call carries an echo of 1,024 shots, which is learnt from. What the
final bindings are worth is simulated: state fidelity under the true noise times readout.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector

from adapters.fake_backends import read_snapshot
from adapters.noise import DeviceErrors, local_noise_model
from adapters.prepare import prepare_noisy
from adapters.target import topology_target
from benchmarks.report import Interval, Report, ratio_of_sums
from calibration.binding import Binder, Bound
from calibration.elements import NO_CORRECTIONS, Corrections, Element
from calibration.factors import Seen
from calibration.feedback import Evidence, elements_of, kinds_of, marks_of
from calibration.placement import Placer
from calibration.portfolio import Portfolio, compile_portfolio
from pipeline.echoes.echo import log_survival
from pipeline.echoes.echo_circuit import Echo, echo_of
from qcpaas.calibration import Quantity
from store.snapshot import Snapshot
from tasks.feedback import expected_losses

DEVICE = "FakeKolkata"
LAYERS = 2
SHOTS = 1024
SHARE = 0.2
LEAST, MOST = 2.0, 8.0  # by what factor a misreported element is misreported
LARGEST = {"two_qubit": 0.5, "one_qubit": 0.2, "readout": 0.45}  # errors that can be reported
ECHOES = 60


@dataclass(eq=False)
class Laboratory:
    """A device whose truth is known, and circuits to run on it."""

    truth: Snapshot
    portfolios: tuple[Portfolio, ...]
    binder: Binder
    _noise: DeviceErrors = field(init=False)
    _survivals: dict[tuple[int, tuple[int, ...]], float] = field(default_factory=dict)
    _fidelities: dict[tuple[int, tuple[int, ...]], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from qiskit_aer import AerSimulator

        self._noise = DeviceErrors(self.truth)
        self._simulator = AerSimulator(method="density_matrix", max_parallel_threads=1)

    @classmethod
    def of(cls, device: str, widths: Sequence[int], seed: int) -> Laboratory:
        truth = read_snapshot(device)
        target = topology_target(truth, control_flow=())
        rng = np.random.default_rng(seed)
        circuits = [ansatz(width, LAYERS, rng) for width in widths]
        portfolios = tuple(compile_portfolio(circuit, target) for circuit in circuits)
        return cls(truth, portfolios, Binder((*truth.gates, "measure"), Placer()))

    def bind(
        self, index: int, report: Snapshot, corrections: Corrections = NO_CORRECTIONS
    ) -> Bound:
        return self.binder.bind(self.portfolios[index], report, corrections)

    def worth(self, report: Snapshot, corrections: Corrections = NO_CORRECTIONS) -> float:
        """Mean log fidelity, as it truly is, of all circuits bound by what is believed."""
        bound = [self.bind(i, report, corrections) for i in range(len(self.portfolios))]
        return float(np.mean([self._fidelity(i, one) for i, one in enumerate(bound)]))

    def observe(
        self, index: int, report: Snapshot, corrections: Corrections, rng: np.random.Generator
    ) -> Seen:
        """Run the echo of a circuit where it is bound."""
        bound = self.bind(index, report, corrections)
        place = bound.binding.physical_qubits
        echo = echo_of(bound.circuit, bound.binding.basis_gates, seed=index)
        kept = rng.binomial(SHOTS, self._survival(index, echo, place))
        log_seen, error = log_survival(kept, SHOTS, SHOTS)
        losses = expected_losses(echo.circuit, place, report, echo.expected)
        return Seen.of(f"{index} {place}", losses, log_seen, error)

    def _survival(self, index: int, echo: Echo, place: tuple[int, ...]) -> float:
        """Probability of the expected bit string under the true noise, readout included."""
        if (index, place) not in self._survivals:
            circuit, physical = self._run(echo.circuit, place, "save_probabilities")
            width = len(physical)
            shares = np.asarray(circuit["probabilities"]).reshape((2,) * width)
            for qubit, device_qubit in enumerate(physical):
                p10, p01 = self.truth.readout_error(device_qubit) or (0.0, 0.0)
                read = np.array([[1 - p10, p01], [p10, 1 - p01]])
                axis = width - 1 - qubit
                shares = np.moveaxis(np.tensordot(read, shares, axes=(1, axis)), 0, axis)
            self._survivals[index, place] = float(shares[tuple(reversed(echo.expected))])
        return self._survivals[index, place]

    def _fidelity(self, index: int, bound: Bound) -> float:
        """Log of state fidelity times mean readout fidelities."""
        place = bound.binding.physical_qubits
        if (index, place) not in self._fidelities:
            measured = bound.circuit.copy()
            measured.measure_all()
            data, physical = self._run(measured, place, "save_density_matrix")
            ideal = Statevector(bound.circuit).data
            fidelity = np.vdot(ideal, np.asarray(data["density_matrix"]) @ ideal).real
            errors = [np.mean(self.truth.readout_error(q) or (0.0, 0.0)) for q in physical]
            total = math.log(fidelity) + float(np.log1p(-np.array(errors)).sum())
            self._fidelities[index, place] = total
        return self._fidelities[index, place]

    def _run(
        self, circuit: QuantumCircuit, place: tuple[int, ...], save: str
    ) -> tuple[dict[str, NDArray[np.float64]], tuple[int, ...]]:
        """Simulate under the true noise up to the measurements, which are left out."""
        prepared = prepare_noisy(circuit, place, self._noise)
        model = local_noise_model(prepared.errors or {}, {})
        evolved = prepared.circuit.remove_final_measurements(inplace=False)
        qubits = [list(range(evolved.num_qubits))] if save == "save_probabilities" else []
        getattr(evolved, save)(*qubits)
        result = self._simulator.run(evolved, noise_model=model, shots=1).result()
        return result.data(), prepared.physical_qubits


@dataclass(frozen=True)
class Outcome:
    """Mean log fidelities of all circuits, bound by different beliefs."""

    reported: float
    learnt: float
    truth: float


def ansatz(width: int, layers: int, rng: np.random.Generator) -> QuantumCircuit:
    """Brickwork with random angles."""
    circuit = QuantumCircuit(width, name=f"brickwork-{width}")
    for _ in range(layers):
        for qubit in range(width):
            circuit.ry(rng.uniform(0.3, 2.8), qubit)
            circuit.rz(rng.uniform(0.3, 2.8), qubit)
        for start in (0, 1):
            for qubit in range(start, width - 1, 2):
                circuit.cx(qubit, qubit + 1)
    for qubit in range(width):
        circuit.ry(rng.uniform(0.3, 2.8), qubit)
    return circuit


def misreported(truth: Snapshot, share: float, rng: np.random.Generator) -> Snapshot:
    """The calibration as reported: a share of the elements better or worse than they are."""
    factors: dict[Element, float] = {}
    readings = []
    for reading in truth.readings():
        value = reading.value
        for kind in kinds_of(reading.quantity.value, len(reading.qubits)):
            element = Element(kind, tuple(sorted(reading.qubits)))
            if element not in factors:
                size = rng.uniform(math.log(LEAST), math.log(MOST)) * rng.choice([-1, 1])
                factors[element] = math.exp(size) if rng.random() < share else 1.0
            factor = factors[element]
            if kind == "idle":
                value *= factor
            elif reading.quantity is not Quantity.OPERATIONAL:
                value = min(value / factor, max(LARGEST[kind], value))
        readings.append(replace(reading, value=float(value)))
    return Snapshot.of(truth.device, truth.num_qubits, readings, truth.taken_at, truth.dt_s)


def learn(
    laboratory: Laboratory, share: float, echoes: int, seed: int, *, in_place: bool = False
) -> Outcome:
    """Bind, observe and learn, call by call.

    Args:
        in_place: Run each echo where its circuit is bound, and nowhere else.
    """
    rng = np.random.default_rng(seed)
    report = misreported(laboratory.truth, share, rng)
    elements = elements_of(report)
    marks = marks_of(report, elements)
    evidence = Evidence()
    for call in range(echoes):
        believed = evidence.corrections(marks, call)
        place = believed if in_place else evidence.drawn(elements, seed * echoes + call)
        index = call % len(laboratory.portfolios)
        seen = laboratory.observe(index, report, place, rng)
        evidence = evidence.with_seen(seen, {e: marks[e] for e in seen.elements})
    return Outcome(
        reported=laboratory.worth(report),
        learnt=laboratory.worth(report, evidence.corrections(marks, echoes)),
        truth=laboratory.worth(laboratory.truth),
    )


def recovered(outcomes: Sequence[Outcome], seed: int) -> Interval:
    """Share of the gap between the report and the truth."""
    gained = [outcome.learnt - outcome.reported for outcome in outcomes]
    return ratio_of_sums(gained, [outcome.truth - outcome.reported for outcome in outcomes], seed)


def cost(outcomes: Sequence[Outcome], seed: int) -> Interval:
    """What learning loses against the report alone, nats."""
    lost = [outcome.reported - outcome.learnt for outcome in outcomes]
    return ratio_of_sums(lost, [1.0] * len(lost), seed)


def measure(report: Report, *, quick: bool, seed: int) -> None:
    """Add the rows of what feedback wins back, and of what it costs."""
    widths = (4, 5, 6) if quick else (4, 5, 6, 7, 8)
    reports, echoes = (6, 40) if quick else (16, ECHOES)
    laboratory = Laboratory.of(DEVICE, widths, seed)
    conditions = (
        f"{reports} reports of {DEVICE}, {echoes} echoes of {SHOTS} shots each, circuits of "
        f"{widths[0]} to {widths[-1]} qubits"
    )
    seeds = [seed * 1000 + index for index in range(reports)]
    started = time.perf_counter()
    wrong = [learn(laboratory, SHARE, echoes, one) for one in seeds]
    share = recovered(wrong, seed)
    gap = float(np.mean([outcome.truth - outcome.reported for outcome in wrong]))
    report.add(
        "feedback_gap_recovered",
        share.value,
        "share",
        aim=0.5,
        better="higher",
        peer="binding by the report",
        note=f"{share}; a fifth of the elements misreported, mean gap {gap:.4f} nats; {conditions}",
    )
    if not quick:
        near = recovered([learn(laboratory, SHARE, echoes, s, in_place=True) for s in seeds], seed)
        report.add(
            "feedback_gap_recovered_in_place",
            near.value,
            "share",
            better="higher",
            note=f"{near}; every echo where its circuit is bound",
        )
    honest = cost([learn(laboratory, 0.0, echoes, one) for one in seeds[: reports // 2]], seed)
    report.add(
        "feedback_cost_honest",
        honest.value,
        "nats",
        aim=0.01,
        peer="binding by the report",
        note=f"{honest}; {reports // 2} honest reports, else as above; "
        f"{time.perf_counter() - started:.0f} s in all",
    )
