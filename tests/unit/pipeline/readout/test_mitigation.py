import itertools

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector, random_statevector

from pipeline.measuring.bases import choose_bases
from pipeline.measuring.measurement import evaluate
from pipeline.readout.mitigation import ReadoutMitigation, readout_errors_by_clbit
from pipeline.readout.model import inverse_assignment
from qcpaas.errors import MitigationError, OptionError
from qcpaas.execution import Binding, Counts, Distribution, ExecutionBackend, Experiment, Plan

OBSERVABLE = SparsePauliOp(["IIZ", "ZZI", "ZZZ", "III"], [0.3, -0.7, 1.1, 0.4])


class Nothing(ExecutionBackend):
    """The place below an option that is planned and combined, and never run."""

    def plan(self, experiments):
        return Plan(tuple(experiments))

    def execute(self, experiments):
        raise AssertionError("nothing is executed here")

    def combine(self, plan, outcomes):
        return tuple(outcomes)


def bound(circuit, errors, physical=None):
    binding = Binding(
        physical_qubits=tuple(physical or range(circuit.num_qubits)),
        snapshot_id="s",
        readout_errors=None if errors is None else np.array(errors, dtype=float),
        basis_gates=(),
    )
    return Experiment(circuit, np.zeros((1, 0)), binding=binding)


def measured(clbits=(0, 1, 2)):
    circuit = QuantumCircuit(3, max(clbits) + 1)
    for qubit, clbit in enumerate(clbits):
        circuit.measure(qubit, clbit)
    return circuit


def distorted(probabilities, errors):
    """Read each bit wrongly on its own, by an explicit sum over true and read bit strings."""
    bits = len(errors)
    read = np.zeros(2**bits)
    for true, seen in itertools.product(range(2**bits), repeat=2):
        chance = 1.0
        for bit, (p10, p01) in enumerate(errors):
            t, s = true >> bit & 1, seen >> bit & 1
            wrong = p01 if t else p10
            chance *= wrong if t != s else 1 - wrong
        read[seen] += chance * probabilities[true]
    return read


def counts_of(probabilities, bits=3):
    weights = {f"{i:0{bits}b}": p for i, p in enumerate(probabilities)}
    return Counts((Distribution.from_dict(weights, bits, None),), (("meas", bits),))


@pytest.mark.parametrize("seed", range(5))
def test_independent_readout_errors_are_undone_exactly(seed):
    rng = np.random.default_rng(seed)
    errors = rng.uniform(0, 0.3, (3, 2))
    state = Statevector(random_statevector(8, seed=seed))
    entry, _ = choose_bases([OBSERVABLE])
    option = ReadoutMitigation(Nothing())
    _, context = option.expand([bound(measured(), errors)])
    (corrected,) = option.reduce(context, [counts_of(distorted(state.probabilities(), errors))])
    outcome = evaluate(entry, [corrected])
    truth = state.expectation_value(OBSERVABLE).real
    assert outcome.values[0, 0] == pytest.approx(truth, abs=1e-12)
    raw = evaluate(entry, [counts_of(distorted(state.probabilities(), errors))])
    assert outcome.raw_values[0, 0] == pytest.approx(raw.values[0, 0], abs=1e-12)
    assert abs(raw.values[0, 0] - truth) > 1e-3


def test_the_error_follows_the_qubit_into_its_clbit():
    errors = [(0.01, 0.02), (0.03, 0.04), (0.05, 0.06)]
    found = readout_errors_by_clbit(bound(measured((4, 0, 2)), errors))
    assert found == ((0.03, 0.04), (0.0, 0.0), (0.05, 0.06), (0.0, 0.0), (0.01, 0.02))


def test_inverse_assignment_inverts_the_assignment_matrix():
    (inverse,) = inverse_assignment([(0.1, 0.2)])
    assert inverse @ np.array([[0.9, 0.2], [0.1, 0.8]]) == pytest.approx(np.eye(2))


def test_the_diagnostic_says_by_how_much_the_errors_grow():
    option = ReadoutMitigation(Nothing())
    _, context = option.expand([bound(measured(), [(0.1, 0.1), (0.0, 0.2), (0.0, 0.0)])])
    (corrected,) = option.reduce(context, [counts_of(np.full(8, 1 / 8))])
    assert corrected.diagnostics[0].figures["norm"] == pytest.approx(1 / (0.8 * 0.8))


def test_a_qubit_without_readout_calibration_is_named():
    errors = [(0.1, 0.1), (np.nan, 0.1), (0.1, 0.1)]
    with pytest.raises(MitigationError, match="qubit 17 has no readout calibration"):
        readout_errors_by_clbit(bound(measured(), errors, physical=(3, 17, 5)))


def test_a_qubit_that_reads_no_information_is_named():
    with pytest.raises(MitigationError, match="qubit 2 reads no information"):
        readout_errors_by_clbit(bound(measured(), [(0.1, 0.1), (0.1, 0.1), (0.6, 0.5)]))


@pytest.mark.parametrize("binding", ["none", "without errors"])
def test_an_ideal_simulator_has_nothing_to_correct(binding):
    experiment = (
        Experiment(measured(), np.zeros((1, 0))) if binding == "none" else bound(measured(), None)
    )
    with pytest.raises(OptionError, match="ideal simulator"):
        readout_errors_by_clbit(experiment)


def test_mid_circuit_readings_are_left_as_they_are_and_said_to_be():
    circuit = QuantumCircuit(2, 3)
    circuit.measure(0, 0)  # its qubit goes on
    circuit.x(0)
    circuit.measure(0, 1)
    with circuit.if_test((circuit.clbits[1], 1)):  # acts on the reading
        circuit.x(1)
    circuit.measure(1, 2)
    experiment = bound(circuit, [(0.1, 0.2), (0.03, 0.04)])
    assert readout_errors_by_clbit(experiment) == ((0.0, 0.0), (0.0, 0.0), (0.03, 0.04))
    option = ReadoutMitigation(Nothing())
    _, context = option.expand([experiment])
    (corrected,) = option.reduce(context, [counts_of(np.full(8, 1 / 8))])
    assert corrected.diagnostics[0].figures["uncorrected_readings"] == 2


def test_a_circuit_with_nothing_but_mid_circuit_readings_is_refused():
    circuit = QuantumCircuit(1, 1, name="early")
    circuit.measure(0, 0)
    circuit.x(0)
    with pytest.raises(MitigationError, match="early measures clbit 0 in mid-circuit"):
        ReadoutMitigation(Nothing()).expand([bound(circuit, [(0.1, 0.1)])])


def test_shots_of_calibration_circuits_need_calibration_circuits():
    with pytest.raises(ValueError, match="source='measured'"):
        ReadoutMitigation.Settings(shots=100)


def test_a_correction_that_doubles_errors_for_nothing_says_so():
    option = ReadoutMitigation(Nothing())
    entry, _ = choose_bases([SparsePauliOp("ZZZ")])
    _, context = option.expand([bound(measured(), [(0.15, 0.15)] * 3)])
    sampled = Counts(
        (Distribution.from_dict({f"{i:03b}": 25 for i in range(8)}, 3, 200),), (("meas", 3),)
    )
    (corrected,) = option.reduce(context, [sampled])
    (note,) = evaluate(entry, [corrected]).diagnostics
    assert "more than doubled" in note.warning
    assert note.figures["norm"] == pytest.approx(0.7**-3)
