import pickle
from dataclasses import replace
from math import exp

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from adapters.twins import TwinProvider
from calibration.binding import readout_errors
from pipeline.automatic import AutomaticOptions
from pipeline.predicted_error import Losses, candidates
from pipeline.stack import build_stack
from qcpaas.errors import OptionError
from qcpaas.execution import Binding, ExpectationValues, Experiment
from qcpaas.schemas import OptionSpec

AUTO = [OptionSpec(name="auto", settings={"samples": 20})]
ZZ = SparsePauliOp("ZZ")


@pytest.fixture(scope="module")
def twin():
    return DeviceBackend(TwinProvider().open("FakeLima"), lambda: 7)


def bound(twin, circuit, observables=(ZZ,), shots=4096, points=None):
    snapshot = twin.adapter.calibration()
    qubits = tuple(range(circuit.num_qubits))
    binding = Binding(
        qubits,
        snapshot.content_id,
        readout_errors(snapshot, qubits),
        twin.capabilities.basis_gates,
    )
    values = np.zeros((1, 0)) if points is None else np.array(points)
    return Experiment(circuit, values, observables, shots, binding)


def bell(repeats=1):
    circuit = QuantumCircuit(2)
    circuit.sx(0)
    for _ in range(2 * repeats - 1):
        circuit.cx(0, 1)
        circuit.barrier()
    return circuit


def chosen(outcome):
    note = outcome.diagnostics[-1]
    assert note.option == "auto"
    return [option["name"] for option in note.figures["options"]], note.figures["reason"]


def test_an_ideal_simulator_gets_nothing_and_is_told_so():
    device = DeviceBackend(open_device("statevector"), lambda: 3)
    asked = Experiment(bell(), np.zeros((1, 0)), (ZZ,), None)
    (outcome,) = build_stack(AUTO, device, "expectation").run([asked])
    assert outcome.values == pytest.approx(Statevector(bell()).expectation_value(ZZ).real)
    names, reason = chosen(outcome)
    assert names == []
    assert "no noise that is known" in reason


def test_a_noisy_device_gets_what_brings_its_value_nearer(twin):
    asked = bound(twin, bell(8), shots=8192)
    (outcome,) = build_stack(AUTO, twin, "expectation").run([asked])
    ideal = Statevector(bell(8)).expectation_value(ZZ).real
    names, reason = chosen(outcome)
    assert names[-1] == "ReadoutMitigation"
    assert len(names) == 2
    assert "2-qubit errors sum to" in reason
    assert "errors to expect" in reason
    wrong, raw = abs(outcome.values[0, 0] - ideal), abs(outcome.raw_values[0, 0] - ideal)
    assert wrong < 0.5 * raw


def test_one_batch_has_a_choice_for_each_circuit(twin):
    counted = bell()
    counted.measure_all()
    experiments = [
        bound(twin, bell(10), shots=20_000),
        bound(twin, bell(), (ZZ, SparsePauliOp("XX")), shots=5),
    ]
    stack = build_stack(AUTO, twin, "expectation")
    plan = stack.plan(experiments)
    plan = pickle.loads(pickle.dumps(plan.contexts)), plan  # contexts travel to another task
    contexts, plan = plan
    outcomes = stack.combine(replace(plan, contexts=contexts), stack.execute(plan.experiments))
    (many, _), (few, _) = map(chosen, outcomes)
    assert len(many) == 2
    assert few == []  # 5 shots pay for nothing
    assert outcomes[0].values.shape == (1, 1)
    assert outcomes[1].values.shape == (1, 2)
    assert all(text.startswith("auto: ") for text in contexts[0].announcement.splitlines())


def test_counts_are_corrected_where_readout_errors_are_worth_it(twin):
    circuit = bell()
    circuit.measure_all()
    asked = bound(twin, circuit, None)
    (outcome,) = build_stack(AUTO, twin, "counts").run([asked])
    assert chosen(outcome)[0] == ["ReadoutMitigation"]
    assert outcome.points[0].num_bits == 2


def test_the_cost_is_what_is_planned(twin):
    for asked in (bound(twin, bell(8)), bound(twin, bell(), shots=20)):
        auto = AutomaticOptions(twin, AutomaticOptions.Settings(samples=20))
        planned, context = auto.expand([asked])
        cost = auto.cost(asked)
        assert cost.shots == pytest.approx(sum(e.shots for e in planned) / asked.shots, rel=0.01)
        if "ProbabilisticErrorCancellation" not in str(context.choices[0].options):
            assert cost.circuits == len(planned)  # equal random circuits run as one


def test_parameters_stay_symbolic_and_sources_are_kept(twin):
    circuit = bell(4)
    circuit.rz(Parameter("angle"), 1)
    asked = replace(bound(twin, circuit, points=[[0.2], [0.4]]), source=5)
    planned, _ = AutomaticOptions(twin).expand([asked])
    assert all(each.source == 5 for each in planned)
    assert all(len(each.circuit.parameters) == 1 for each in planned)


def test_a_circuit_that_cannot_be_folded_or_cancelled_gets_the_next_best(twin):
    circuit = bell(8)
    circuit.measure_all()
    circuit.barrier()
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    asked = bound(twin, circuit)
    _, context = AutomaticOptions(twin).expand([asked])
    (choice,) = context.choices
    assert all("Extrapolation" not in option.name for option in choice.options)
    assert "not extrapolation: instruction 'if_else'" in choice.reason


def test_auto_stands_alone(twin):
    specs = [*AUTO, OptionSpec(name="ReadoutMitigation")]
    with pytest.raises(OptionError, match=r"auto.*ReadoutMitigation"):
        build_stack(specs, twin, "expectation").plan([bound(twin, bell())])


def losses(rate, readout=0.1, norm=None):
    norm = exp(2 * rate) if norm is None else norm
    return Losses(rate, readout, rate, 0.05, norm)


def best(lost, shots, points=1, samples=1900):
    asked = Experiment(bell(), np.zeros((points, 0)), (ZZ,), shots)
    return candidates(asked, lost, 3.0, samples)[0].name


def test_the_choice_weighs_bias_against_shots():
    assert best(losses(0.02), 10) == "nothing"
    assert best(losses(0.001), 2000) == "readout"
    assert best(losses(0.1), 10**5) == "cancellation"
    assert best(losses(0.1), 10**5, points=500) == "extrapolation"  # too many random circuits
    assert best(losses(0.1), 10**5, samples=20) == "extrapolation"  # too few say too little
    assert best(losses(0.3, norm=1e3), 10**5) == "extrapolation"
    assert best(losses(8.0), 4096) in {"readout", "nothing"}  # nothing is left to extrapolate


def test_exact_probabilities_are_never_sampled():
    assert best(losses(0.1), None) == "extrapolation"


def test_a_small_overhead_leaves_out_what_costs_more():
    asked = Experiment(bell(), np.zeros((1, 0)), (ZZ,), 10**5)
    names = {each.name for each in candidates(asked, losses(0.1), 1.0, 200)}
    assert names == {"nothing", "readout", "cancellation"}
    assert all(each.shots <= 1.0 for each in candidates(asked, losses(0.1), 1.0, 200))


def test_a_loop_reads_its_values_from_one_plan(twin):
    circuit = bell(4)
    circuit.rz(Parameter("angle"), 1)
    stack = build_stack(AUTO, twin, "expectation")
    plan = stack.plan([bound(twin, circuit, points=[[0.2]])])
    outcomes = stack.execute(plan.experiments)
    for _ in range(3):
        (outcome,) = stack.combine(plan, outcomes)
        assert isinstance(outcome, ExpectationValues)
    assert AutomaticOptions.reusable_plan
