from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Instruction
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from pipeline.measuring.bases import MeasuredBasis
from pipeline.readout.bit_flips import Flips, Untwirled
from pipeline.readout.twirled import TwirledContext, TwirledReadout
from pipeline.stack import build_stack
from qcpaas.errors import OptionError
from qcpaas.execution import Counts, Distribution, Experiment
from qcpaas.schemas import OptionSpec

OBSERVABLES = (
    SparsePauliOp(["ZZI", "IZZ", "XXX", "III"], [1.0, -0.7, 0.5, 0.2]),
    SparsePauliOp(["ZZZ", "IIZ"], [1.0, 0.3]),
)
TREX = OptionSpec.parse("TwirledReadout")


class BadlyRead(DeviceBackend):
    """An ideal device whose readout errors of all bits hang together.

    ``assignment`` is a column-stochastic matrix over the bit strings of three qubits, clbit 0 the
    lowest bit.
    """

    assignment = np.eye(8)

    def execute(self, experiments):
        exact = super().execute([replace(e, shots=None) for e in experiments])
        rng = np.random.default_rng(self._seed_source())
        return tuple(self._read(c, e.shots, rng) for c, e in zip(exact, experiments, strict=True))

    def _read(self, counts, shots, rng):
        points = []
        for point in counts.points:
            dense = np.zeros(8)
            for key, weight in point.to_dict().items():
                dense[int(key, 2)] = weight
            read = self.assignment @ dense
            if shots is not None:
                read = rng.multinomial(shots, read / read.sum())
            kept = {f"{i:03b}": w for i, w in enumerate(read) if w}
            points.append(Distribution.from_dict(kept, 3, shots))
        return Counts(tuple(points), counts.registers)


@pytest.fixture
def device():
    seeds = iter(range(10_000))
    backend = BadlyRead(open_device("statevector"), lambda: next(seeds))
    rng = np.random.default_rng(4)
    noise = rng.dirichlet(np.full(8, 0.7), size=8).T
    backend.assignment = 0.85 * np.eye(8) + 0.15 * noise  # any bits flip together, state by state
    return backend


def prepared():
    circuit = QuantumCircuit(3)
    circuit.ry(0.8, 0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.ry(0.3, 2)
    return circuit


def experiment(shots=4096, points=1):
    return Experiment(prepared(), np.zeros((points, 0)), OBSERVABLES, shots)


def truth():
    state = Statevector(prepared())
    return np.array([state.expectation_value(observable).real for observable in OBSERVABLES])


def test_correlated_readout_errors_are_divided_out_exactly(device):
    stack = build_stack([TREX], device, "expectation")
    (outcome,) = stack.run([experiment(None)])
    assert outcome.values[0] == pytest.approx(truth(), abs=1e-9)
    assert np.abs(outcome.raw_values[0] - truth()).max() > 0.05
    assert outcome.variances == pytest.approx(0.0)


def test_independent_inverses_do_not_undo_correlated_errors(device):
    """So that the test above tests what it says."""
    stack = build_stack(
        [OptionSpec.parse("ReadoutMitigation(source=measured)")], device, "expectation"
    )
    (outcome,) = stack.run([experiment(None)])
    assert np.abs(outcome.values[0] - truth()).max() > 0.01


def test_error_bars_cover_the_truth(device, repeat):
    outcomes = repeat(build_stack([TREX], device, "expectation"), experiment(512), 1, 400)
    values = np.array([outcome.values[0] for outcome in outcomes])
    predicted = np.mean([outcome.variances[0] for outcome in outcomes], axis=0)
    # Relative standard error of a variance: sqrt(2 / 400) = 7 %.
    assert values.var(axis=0, ddof=1) == pytest.approx(predicted, rel=0.25)
    assert np.all(np.abs(values.mean(axis=0) - truth()) < 4 * np.sqrt(predicted / 400))


def test_what_flips_leave_to_chance_is_in_the_error_bar():
    """Eight bits in a known state, whose readout errors are all from 0 to 1."""
    rng, shots, state = np.random.default_rng(8), 100_000, np.array([1, 0, 0, 1, 0, 1, 1, 0])
    basis = MeasuredBasis(
        qubits=tuple(range(8)), supports=((0, 3), (1, 2, 5), (4,)), coefficients=()
    )
    found = []
    for _ in range(300):
        flips = Flips.drawn(8, 8, shots, rng)
        counts = []
        for pattern, share in zip(flips.patterns, flips.shots(shots), strict=True):
            before = state.copy()
            before[list(pattern)] ^= 1
            marginals = np.where(before, 1.0, 0.2)
            bits = (rng.random((share // 100, 8)) < marginals).astype(np.uint8)
            rows, weights = np.unique(bits, axis=0, return_counts=True)
            packed = np.packbits(rows[:, ::-1], axis=1)
            counts.append(
                Counts((Distribution(packed, weights * 1.0, 8, share // 100),), (("meas", 8),))
            )
        mean, variance = Untwirled.of(flips, basis, counts).average(np.eye(3))
        found.append((mean[0], variance[0]))
    means, variances = np.array(found).transpose(1, 0, 2)
    assert means.mean(axis=0) == pytest.approx([0.8**2, -(0.8**3), 0.8], abs=0.01)
    # At least what is seen: of within and between, the larger is taken.
    seen = means.var(axis=0, ddof=1)
    assert np.all(variances.mean(axis=0) > 0.85 * seen)
    assert np.all(variances.mean(axis=0) < 2 * seen)


def test_every_basis_and_the_calibration_have_flips_of_their_own(device):
    option = TwirledReadout(device)
    planned, context = option.expand([experiment(1000), experiment(1000)])
    assert len(planned) == 2 * 2 * 8 + 8  # three bits have eight patterns; both share a calibration
    assert all(flips.exhaustive for flips in context.calibrations)
    assert [sum(e.shots for e in planned[i : i + 8]) for i in range(0, 40, 8)] == [1000] * 5
    for pattern, circuit in zip(context.calibrations[0].patterns, planned[-8:], strict=True):
        assert circuit.circuit.count_ops().get("x", 0) == len(pattern)
    read = TwirledContext.model_validate_json(context.model_dump_json())
    assert read == context


@pytest.mark.parametrize(("shots", "points"), [(1000, 1), (1000, 4), (None, 1), (5, 1)])
def test_the_cost_is_what_is_planned(device, shots, points):
    asked = experiment(shots, points)
    option = TwirledReadout(device, TwirledReadout.Settings(calibration_shots=2000))
    planned, _ = option.expand([asked])
    cost, bases = option.cost(asked), 2
    assert cost.circuits == pytest.approx(sum(e.points for e in planned) / (bases * points))
    if shots:
        total = sum(e.points * e.shots for e in planned)
        assert cost.shots == pytest.approx(total / (bases * points * shots))


def test_a_few_of_many_patterns_come_in_pairs_and_none_twice():
    for width in (5, 40):
        flips = Flips.drawn(width, 16, 1000, np.random.default_rng(1))
        assert len(set(flips.patterns)) == 16
        assert not flips.exhaustive
        for first, second in zip(flips.patterns[::2], flips.patterns[1::2], strict=True):
            assert sorted((*first, *second)) == list(range(width))


def test_points_are_answered_one_by_one_and_share_the_calibration(device):
    stack = build_stack([TREX], device, "expectation")
    (outcome,) = stack.run([experiment(None, points=3)])
    assert outcome.values == pytest.approx(np.array([truth()] * 3), abs=1e-9)


def test_a_single_shot_gives_a_value_with_its_largest_variance(device):
    stack = build_stack([TREX], device, "expectation")
    (outcome,) = stack.run([replace(experiment(1), observables=(SparsePauliOp("ZII"),))])
    assert np.isfinite(outcome.values).all()
    assert outcome.variances[0, 0] >= 1.0


def test_a_multiple_of_the_identity_is_exact(device):
    stack = build_stack([TREX], device, "expectation")
    (outcome,) = stack.run([replace(experiment(10), observables=(SparsePauliOp("III", 2.5),))])
    assert (outcome.values.tolist(), outcome.variances.tolist()) == ([[2.5]], [[0.0]])


def test_strings_that_readout_erases_are_left_alone_and_said_to_be(device):
    device.assignment = np.full((8, 8), 1 / 8)
    stack = build_stack([TREX], device, "expectation")
    (outcome,) = stack.run([experiment(400)])
    (note,) = outcome.diagnostics
    assert "cannot be told from 0" in note.warning
    assert outcome.values == pytest.approx(outcome.raw_values)


def test_two_corrections_of_readout_are_refused(device):
    with pytest.raises(OptionError, match="both correct the readout"):
        build_stack([TREX, OptionSpec.parse("ReadoutMitigation")], device, "expectation")


def test_the_factors_are_plotted_by_weight(device):
    stack = build_stack([TREX], device, "expectation")
    (outcome,) = stack.run([experiment(None)])
    (plot,) = TwirledReadout.plots(outcome.diagnostics[-1].figures)
    (series,) = plot.series
    walsh = np.array([[(-1) ** bin(i & j).count("1") for j in range(8)] for i in range(8)])
    diagonal = np.diag(walsh @ device.assignment @ walsh) / 8
    assert sorted(series.y) == pytest.approx(sorted(diagonal[[0b110, 0b011, 0b111, 0b111, 0b001]]))


class AerReadingTogether(DeviceBackend):
    """Aer, whose readout errors of several qubits act on measurements that name them all."""

    noise = NoiseModel()

    def execute(self, experiments):
        simulator = AerSimulator(noise_model=self.noise, seed_simulator=11)
        found = []
        for experiment in experiments:
            circuit = experiment.circuit.copy_empty_like()
            for step in experiment.circuit.data:
                if step.name != "measure":
                    circuit.append(step)
            circuit.append(Instruction("measure", 2, 2, []), [0, 1], [0, 1])
            counts = simulator.run(circuit, shots=experiment.shots).result().get_counts()
            point = Distribution.from_dict(counts, 2, experiment.shots)
            found.append(Counts((point,), (("meas", 2),)))
        return tuple(found)


def test_a_correlated_readout_error_of_aer_is_undone():
    device = AerReadingTogether(open_device("statevector"), lambda: 5)
    assignment = [[0.9, 0.02, 0.03, 0.05], [0.05, 0.8, 0.05, 0.1], [0.1, 0.05, 0.8, 0.05]]
    device.noise.add_readout_error(ReadoutError([*assignment, [0.02, 0.03, 0.15, 0.8]]), [0, 1])
    circuit = QuantumCircuit(2)
    circuit.ry(0.8, 0)
    circuit.cx(0, 1)
    observables = (SparsePauliOp("ZZ"), SparsePauliOp(["ZI", "XX"]))
    stack = build_stack([TREX], device, "expectation")
    (outcome,) = stack.run([Experiment(circuit, np.zeros((1, 0)), observables, 40_000)])
    truth = [Statevector(circuit).expectation_value(o).real for o in observables]
    assert np.all(np.abs(outcome.values[0] - truth) < 4 * np.sqrt(outcome.variances[0]))
    assert np.all(np.abs(outcome.raw_values[0] - truth) > 10 * np.sqrt(outcome.variances[0]))
