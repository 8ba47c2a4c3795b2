from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import DensityMatrix, SparsePauliOp, Statevector

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from adapters.twins import TwinProvider
from pipeline.stack import build_stack
from pipeline.symmetry import SymmetryContext, SymmetryVerification
from qcpaas.errors import CircuitError, ObservableError, OptionError
from qcpaas.execution import (
    Binding,
    Counts,
    Distribution,
    ExecutionBackend,
    ExpectationValues,
    Experiment,
    Plan,
)
from qcpaas.schemas import OptionSpec

PARITY = "ZZZ"
OBSERVABLES = (SparsePauliOp(["ZZI", "XXI", "III"], [0.7, 0.4, 0.2]), SparsePauliOp("ZIZ"))


class Below(ExecutionBackend):
    """The place below an option that is planned and combined, and never run."""

    def plan(self, experiments):
        return Plan(tuple(experiments))

    def execute(self, experiments):
        raise AssertionError("nothing is executed here")

    def combine(self, plan, outcomes):
        return tuple(outcomes)


def option(*symmetries, **settings):
    return SymmetryVerification(
        Below(), SymmetryVerification.Settings(symmetries=symmetries, **settings)
    )


def specs(**settings):
    return [OptionSpec(name="SymmetryVerification", settings=settings)]


def odd_state(angle=0.7):
    """One excitation, shared by three qubits: the parity is odd."""
    circuit = QuantumCircuit(3)
    circuit.x(0)
    for target in (1, 2):
        circuit.cry(angle, target - 1, target)
        circuit.cx(target, target - 1)
    return circuit


def flipped(state, probability):
    """Each qubit flipped with a probability: errors that show in the parity."""
    for qubit in range(3):
        kick = SparsePauliOp.from_sparse_list([("X", [qubit], 1.0)], 3).to_matrix()
        mixed = (1 - probability) * state.data + probability * kick @ state.data @ kick
        state = DensityMatrix(mixed)
    return state


def test_projected_values_are_those_of_the_projected_state():
    state = flipped(DensityMatrix(odd_state()), 0.1)
    verify = option(f"-{PARITY}")
    asked = Experiment(odd_state(), np.zeros((1, 0)), OBSERVABLES)
    (planned,), context = verify.expand([asked])
    exact = [[state.expectation_value(each).real for each in planned.observables]]
    values = ExpectationValues(np.array(exact), np.zeros((1, len(exact[0]))))
    (outcome,) = verify.reduce(context, [values])
    parity = SparsePauliOp(PARITY).to_matrix()
    keep = (np.eye(8) - parity) / 2
    projected = keep @ state.data @ keep
    projected = DensityMatrix(projected / np.trace(projected))
    expected = [projected.expectation_value(each).real for each in OBSERVABLES]
    raw = [state.expectation_value(each).real for each in OBSERVABLES]
    assert outcome.values[0] == pytest.approx(expected)
    assert outcome.raw_values[0] == pytest.approx(raw)
    ideal = [Statevector(odd_state()).expectation_value(each).real for each in OBSERVABLES]
    assert (np.abs(outcome.values[0] - ideal) < 0.5 * np.abs(np.subtract(raw, ideal))).all()
    weight = np.trace(keep @ state.data).real
    assert outcome.diagnostics[-1].figures["symmetric_weight"] == pytest.approx(weight)
    assert SymmetryContext.model_validate_json(context.model_dump_json()) == context


def test_two_symmetries_project_on_both():
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    state = flipped(DensityMatrix(circuit), 0.15)
    verify = option("ZZI", "IZZ")
    asked = Experiment(circuit, np.zeros((1, 0)), (SparsePauliOp("XXX"),))
    (planned,), context = verify.expand([asked])
    exact = [[state.expectation_value(each).real for each in planned.observables]]
    values = ExpectationValues(np.array(exact), np.zeros((1, len(exact[0]))))
    (outcome,) = verify.reduce(context, [values])
    assert outcome.diagnostics[-1].figures["symmetric_weight"] == pytest.approx(0.85**3 + 0.15**3)
    assert outcome.values == pytest.approx(1.0)


def test_the_error_bar_is_that_of_many_repetitions():
    state = flipped(DensityMatrix(odd_state()), 0.1)
    circuit = QuantumCircuit(3)
    binding = Binding((0, 1, 2), "", None, ())
    asked = Experiment(circuit, np.zeros((1, 0)), (OBSERVABLES[1],), 500, binding)
    stack = build_stack(specs(symmetries=[f"-{PARITY}"]), Below(), "expectation")
    plan = stack.plan([asked])
    assert len(plan.experiments) == 1  # parity and observable share the measurement of Z
    rng, found = np.random.default_rng(1), []
    for _ in range(400):
        counts = rng.multinomial(500, state.probabilities())
        weights = {f"{i:03b}": n for i, n in enumerate(counts) if n}
        drawn = Counts((Distribution.from_dict(weights, 3, 500),), (("meas", 3),))
        (outcome,) = stack.combine(plan, [drawn])
        found.append((outcome.values[0, 0], outcome.variances[0, 0]))
    values, variances = np.array(found).T
    # A variance from 400 samples is known to sqrt(2 / 400) = 7 %.
    assert variances.mean() == pytest.approx(values.var(), rel=0.28)


def test_symmetries_follow_the_qubits_to_where_the_compiler_put_them():
    circuit = QuantumCircuit(4)
    binding = Binding((7, 6, 5, 4), "s", None, (), positions=(2, 0, 3))
    asked = Experiment(circuit, np.zeros((1, 0)), (SparsePauliOp("IIII"),), 100, binding)
    (planned,), _ = option("ZXY").expand([asked])
    projector = planned.observables[1]
    # Qubit 0 has Y and is now 2, qubit 1 has X and is now 0, qubit 2 has Z and is now 3.
    assert set(projector.paulis.to_labels()) == {"IIII", "ZYIX"}


def test_a_twins_value_comes_nearer_to_the_exact_one():
    device = DeviceBackend(TwinProvider().open("FakeLima"), lambda: 7)
    angle = Parameter("angle")
    circuit = QuantumCircuit(3)
    circuit.x(0)
    for _ in range(6):
        circuit.cx(0, 1)
        circuit.cx(1, 2)
    circuit.rz(angle, 0)
    binding = Binding((0, 1, 2), "", None, device.capabilities.basis_gates)
    asked = Experiment(circuit, np.array([[0.1], [0.9]]), OBSERVABLES[1:], 4000, binding)
    ideal = Statevector(circuit.assign_parameters([0.1])).expectation_value(OBSERVABLES[1]).real
    parity = Statevector(circuit.assign_parameters([0.1])).expectation_value(SparsePauliOp(PARITY))
    settings = {"symmetries": [PARITY], "eigenvalues": [round(parity.real)]}
    (outcome,) = build_stack(specs(**settings), device, "expectation").run([asked])
    wrong, raw = np.abs(outcome.values - ideal), np.abs(outcome.raw_values - ideal)
    assert (wrong < 0.7 * raw).all()
    assert outcome.values.shape == (2, 1)


def measured(clbits=(0, 1, 2)):
    circuit = QuantumCircuit(3, 3)
    for qubit, clbit in enumerate(clbits):
        circuit.measure(qubit, clbit)
    return circuit


def test_counts_keep_the_shots_with_the_right_parity():
    weights = {"000": 50, "001": 10, "011": 30, "111": 5, "110": 5}
    asked = Experiment(measured(), np.zeros((1, 0)))
    counts = Counts((Distribution.from_dict(weights, 3, 100),), (("c", 3),))
    verify = option("IZZ")
    (planned,), context = verify.expand([asked])
    assert planned is asked
    (outcome,) = verify.reduce(context, [counts])
    assert outcome.points[0].to_dict() == {"000": 50, "011": 30, "111": 5}
    assert outcome.points[0].shots == 85
    assert outcome.diagnostics[-1].figures["symmetric_weight"] == pytest.approx(0.85)


def test_the_parity_is_of_the_clbits_that_the_qubits_are_read_into():
    asked = Experiment(measured((2, 0, 1)), np.zeros((1, 0)))
    _, context = option("-IZZ").expand([asked])  # qubits 0 and 1 are read into clbits 2 and 0
    (parity,) = context.parities[0]
    assert (parity.clbits, parity.odd) == ((0, 2), True)


def test_counts_without_the_symmetry_stay_as_they_were_with_a_warning():
    asked = Experiment(measured(), np.zeros((1, 0)))
    counts = Counts((Distribution.from_dict({"000": 100}, 3, 100),), (("c", 3),))
    verify = option("-ZZZ")
    _, context = verify.expand([asked])
    (outcome,) = verify.reduce(context, [counts])
    assert outcome.points[0].to_dict() == {"000": 100}
    assert "Is the eigenvalue right?" in outcome.diagnostics[-1].warning


def test_a_small_symmetric_weight_is_warned_of():
    verify = option("ZZZ")
    asked = Experiment(QuantumCircuit(3), np.zeros((1, 0)), (OBSERVABLES[1],))
    _, context = verify.expand([asked])
    for weight, warning in ((0.1, "only 10%"), (0.001, "hardly anything"), (0.9, "")):
        values = np.array([[0.05, weight, 0.05 + weight, 0.3]])
        (outcome,) = verify.reduce(context, [ExpectationValues(values, np.full((1, 4), 1e-4))])
        assert warning in outcome.diagnostics[-1].warning
        assert bool(warning) == bool(outcome.diagnostics[-1].warning)
        if weight == 0.001:
            assert outcome.values[0, 0] == pytest.approx(0.3)  # as measured
    (plot,) = verify.plots(outcome.diagnostics[-1].figures)
    assert [series.label for series in plot.series] == ["measured", "verified"]


@pytest.mark.parametrize(
    ("symmetries", "settings", "error", "message"),
    [
        (("ZII",), {}, ObservableError, "XXI .*does not commute with the symmetry ZII"),
        (("ZZ",), {}, OptionError, "symmetry ZZ is on 2 qubits, and the circuit on 3"),
        (("ZZZ", "IZZ", "ZII"), {"eigenvalues": (1,)}, OptionError, "Give one each"),
        (("ZZI", "-ZZI"), {}, OptionError, "contradict each other"),
        (("ZZZ",), {"method": "post_selection"}, ObservableError, "of Z alone; found"),
    ],
)
def test_what_cannot_be_verified_is_refused_before_anything_is_spent(
    symmetries, settings, error, message
):
    asked = Experiment(QuantumCircuit(3), np.zeros((1, 0)), OBSERVABLES)
    with pytest.raises(error, match=message):
        option(*symmetries, **settings).expand([asked])


def test_counts_of_unmeasured_qubits_or_of_other_bases_are_refused():
    circuit = QuantumCircuit(3, 3)
    circuit.measure(0, 0)
    asked = Experiment(circuit, np.zeros((1, 0)))
    with pytest.raises(CircuitError, match=r"qubit 1 .* is not measured at the end"):
        option("IZZ").expand([asked])
    with pytest.raises(CircuitError, match="symmetries of Z alone"):
        option("XXX").expand([replace(asked, circuit=measured())])


@pytest.mark.parametrize("symmetry", ["ZZQ", "", "--ZZ", "III"])
def test_what_is_no_symmetry_is_refused(symmetry):
    with pytest.raises(ValueError, match=r"Pauli string|every state"):
        option(symmetry)


def test_an_ideal_simulators_values_stay():
    device = DeviceBackend(open_device("aer"), lambda: 5)
    asked = Experiment(odd_state(), np.zeros((1, 0)), OBSERVABLES, None)
    stack = build_stack(specs(symmetries=["ZZZ"], eigenvalues=[-1]), device, "expectation")
    (outcome,) = stack.run([asked])
    ideal = [Statevector(odd_state()).expectation_value(each).real for each in OBSERVABLES]
    assert outcome.values[0] == pytest.approx(ideal, abs=1e-9)
