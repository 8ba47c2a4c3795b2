from itertools import count

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import Operator, Pauli, SparsePauliOp
from scipy.optimize import minimize

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from pipeline.measuring.physical_states import matrices_of, nearest_probabilities
from pipeline.measuring.state_tomography import StateTomography
from pipeline.measuring.subsystems import choose_subsystems, entangled_blocks, joint_bases
from pipeline.stack import build_stack
from qcpaas.errors import MitigationError
from qcpaas.execution import Binding, Experiment
from qcpaas.schemas import OptionSpec

GHZ_STRINGS = (SparsePauliOp("XXX"), SparsePauliOp(["ZZI", "IZZ", "III"], [1.0, 0.5, 0.25]))


def stacked(*options, device="statevector", **settings):
    seeds = count(900)
    specs = [OptionSpec(name="StateTomography", settings=settings), *map(OptionSpec.parse, options)]
    return build_stack(
        specs, DeviceBackend(open_device(device), lambda: next(seeds)), "expectation"
    )


def ansatz(num_qubits=3, points=1):
    circuit = efficient_su2(num_qubits, reps=1)
    rows = np.random.default_rng(8).uniform(-3, 3, (points, circuit.num_parameters))
    return circuit, rows


def ghz(gates=()):
    """In a device's gates: ``h`` is rz sx rz."""
    circuit = QuantumCircuit(3)
    circuit.rz(np.pi / 2, 0)
    circuit.sx(0)
    circuit.rz(np.pi / 2, 0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    return circuit


def on_lima(shots, observables=GHZ_STRINGS):
    twin = open_device("FakeLima")
    snapshot = twin.calibration()
    readout = np.array([snapshot.readout_error(qubit) for qubit in (0, 1, 2)])
    placed = Binding((0, 1, 2), snapshot.content_id, readout, twin.capabilities().basis_gates)
    return Experiment(ghz(), np.zeros((1, 0)), observables, shots, placed)


@pytest.mark.parametrize("correction", ["purify", "project"])
def test_exact_probabilities_give_exact_values_at_every_point(correction, exact_values):
    circuit, rows = ansatz(points=3)
    observables = (SparsePauliOp(["ZZI", "IXY", "III"], [1.0, -2.0, 0.5]), SparsePauliOp("YZX"))
    asked = Experiment(circuit, rows, observables, None)
    (outcome,) = stacked(correction=correction).run([asked])
    assert outcome.values == pytest.approx(exact_values(circuit, rows, observables), abs=1e-6)
    assert outcome.raw_values == pytest.approx(outcome.values, abs=1e-6)
    assert np.all(outcome.variances == 0)
    assert outcome.diagnostics[-1].warning == ""


@pytest.mark.parametrize("correction", ["purify", "project"])
def test_error_bars_hold_as_often_as_they_say_under_noise(correction, repeat):
    # The reference is what the noisy device's state gives when it is known exactly.
    stack = stacked("ReadoutMitigation", device="FakeLima", correction=correction)
    slanted = (SparsePauliOp(["XXZ", "IXI"], [1.0, 0.7]), SparsePauliOp(["ZXY", "XIZ"]))
    (infinite,) = stack.run([on_lima(None, slanted)])
    outcomes = repeat(stack, on_lima(27 * 300, slanted), plans=1, draws=150)
    deviations = np.array([o.values[0] for o in outcomes]) - infinite.values[0]
    errors = np.sqrt([o.variances[0] for o in outcomes])
    coverage = (np.abs(deviations) < errors).mean(axis=0)  # standard error 4 %
    assert np.all((coverage > 0.56) & (coverage < 0.80)), coverage
    assert np.all(np.abs(deviations.mean(axis=0)) < 0.35 * errors.mean(axis=0))


def test_error_bars_are_wide_rather_than_narrow_at_the_largest_value(repeat):
    stack = stacked("ReadoutMitigation", device="FakeLima")
    (infinite,) = stack.run([on_lima(None)])
    outcomes = repeat(stack, on_lima(27 * 400), plans=1, draws=60)
    deviations = np.array([o.values[0] for o in outcomes]) - infinite.values[0]
    errors = np.sqrt([o.variances[0] for o in outcomes])
    assert np.all((np.abs(deviations) < errors).mean(axis=0) > 0.6)
    assert np.all(errors.mean(axis=0) < 2.5 * deviations.std(axis=0))


def test_purification_takes_away_most_of_a_devices_noise():
    (outcome,) = stacked("ReadoutMitigation", device="FakeLima").run([on_lima(None)])
    truth = np.array([1.0, 1.75])
    assert np.all(np.abs(outcome.values[0] - truth) < 0.25 * np.abs(outcome.raw_values[0] - truth))
    figures = outcome.diagnostics[-1].figures
    assert 0.8 < figures["eigenvalues"]["0 1 2"][0] < 1.0
    (plot,) = StateTomography.plots(figures)
    assert plot.series[0].y[0] == figures["eigenvalues"]["0 1 2"][0]


def test_a_state_that_noise_has_mixed_too_far_is_told():
    lost = Experiment(QuantumCircuit(1), np.zeros((1, 0)), (SparsePauliOp("Z"),), 3)
    with pytest.raises(MitigationError, match="3 bases needs at least 6 shots"):
        stacked().plan([lost])
    few = Experiment(ansatz()[0], ansatz()[1], (SparsePauliOp("XYZ"),), 54)
    (outcome,) = stacked().run([few])
    assert "shots are too few" in outcome.diagnostics[-1].warning


def test_the_shots_are_shared_by_all_bases_and_the_cost_is_known_before():
    circuit, rows = ansatz(4, points=2)
    asked = Experiment(circuit, rows, (SparsePauliOp("ZZII"), SparsePauliOp("IIXX")), 1000)
    for correction, bases in (("purify", 81), ("project", 9)):
        stack = stacked(correction=correction)
        planned = stack.plan([asked]).experiments
        assert len(planned) == bases
        assert sum(experiment.shots for experiment in planned) == 1000
        assert stack.cost(asked) == (bases, 1.0)


def test_subsystems_that_are_too_large_are_refused_with_their_size():
    circuit, rows = ansatz(6)
    asked = Experiment(circuit, rows, (SparsePauliOp("ZIIIII"),), None)
    with pytest.raises(MitigationError, match=r"6 qubits \[0, 1, 2, 3, 4, 5\].*3\^6 = 729 bases"):
        stacked().plan([asked])
    assert len(stacked(correction="project").plan([asked]).experiments) == 3


def test_a_circuit_that_resets_is_not_pure_by_design():
    circuit = QuantumCircuit(1)
    circuit.reset(0)
    with pytest.raises(MitigationError, match="has a reset"):
        stacked().plan([Experiment(circuit, np.zeros((1, 0)), (SparsePauliOp("Z"),), None)])


def test_blocks_are_what_gates_connect_and_a_string_takes_whole_ones():
    circuit = QuantumCircuit(5)
    circuit.cx(0, 2)
    circuit.barrier()
    circuit.cx(3, 4)
    assert entangled_blocks(circuit) == ((0, 2), (1,), (3, 4))
    blocks = entangled_blocks(circuit)
    assert choose_subsystems(["IIIIZ", "ZIIXI"], blocks) == ((0, 2), (1, 3, 4))
    assert choose_subsystems(["ZZIII", "ZIIII", "IIXXI"], None) == ((1, 2), (3, 4))


def test_overlapping_subsystems_share_bases_in_which_each_sees_all_of_its_own():
    chain = ((0, 1), (1, 2), (2, 3))
    qubits, words = joint_bases(chain, 5)
    assert len(words) == 9
    for subsystem in chain:
        places = [qubits.index(qubit) for qubit in subsystem]
        assert len({tuple(word[place] for place in places) for word in words}) == 9
    everything = tuple((a, b) for a in range(6) for b in range(a))
    with pytest.raises(MitigationError, match=r"3\^6 = 729 bases"):
        joint_bases(everything, 5)


def test_components_and_matrices_are_what_pauli_strings_add_up_to():
    components = np.random.default_rng(1).normal(size=64)
    labels = ["".join("IXYZ"[number // 4**q % 4] for q in (2, 1, 0)) for number in range(64)]
    matrix = sum(
        c * Operator(Pauli(label)).data for c, label in zip(components, labels, strict=True)
    )
    assert np.allclose(matrices_of(np.stack([components, -components])), [matrix, -matrix])


def test_the_nearest_probabilities_are_those_that_an_optimiser_finds():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        eigenvalues = np.sort(rng.normal(0.25, 0.4, 4))
        eigenvalues += (1 - eigenvalues.sum()) / 4
        found = minimize(
            lambda p, target=eigenvalues: ((p - target) ** 2).sum(),
            np.full(4, 0.25),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        )
        assert nearest_probabilities(eigenvalues) == pytest.approx(found.x, abs=1e-4)
