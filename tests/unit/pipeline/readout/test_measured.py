from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from adapters.twins import TwinProvider
from calibration.binding import bind_in_place
from pipeline.readout.measured import MeasuredReadoutContext
from pipeline.readout.mitigation import ReadoutMitigation
from pipeline.stack import build_stack, combine_together, plan_together
from qcpaas.execution import Binding, Experiment
from qcpaas.schemas import OptionSpec

MEASURED = OptionSpec.parse("ReadoutMitigation(source=measured)")
OBSERVABLES = (SparsePauliOp(["IZZ", "ZIZ", "XII"], [1.0, 0.5, 0.7]), SparsePauliOp("ZZZ"))


@pytest.fixture(scope="module")
def lima():
    return DeviceBackend(TwinProvider().open("FakeLima"), lambda: 7)


def on_lima(lima, shots=2000):
    """Virtual rotations and X gates only: what is prepared is known, what is read is not."""
    circuit = QuantumCircuit(3)
    circuit.x(0)
    circuit.x(2)
    binding = bind_in_place(circuit, lima.adapter.calibration(), lima.capabilities.basis_gates)
    return Experiment(circuit, np.zeros((1, 0)), OBSERVABLES, shots, binding)


def wrongly_calibrated(experiment):
    """The calibration says that readout is near perfect; it is not."""
    errors = np.full((experiment.circuit.num_qubits, 2), 0.001)
    return replace(experiment, binding=replace(experiment.binding, readout_errors=errors))


def test_what_the_snapshot_does_not_know_is_measured(lima):
    experiment = wrongly_calibrated(on_lima(lima))
    truth = np.array([-1.0 + 0.5, 1.0])  # qubits 0 and 2 are 1
    stack = build_stack([MEASURED], lima, "expectation")
    (exact,) = stack.run([replace(experiment, shots=None)])
    # X gates of FakeLima err by 3e-4, and relax for 35 ns: they are in the calibration as well.
    assert exact.values[0] == pytest.approx(truth, abs=2e-3)
    assert np.all(np.abs(exact.raw_values[0] - truth) > 0.05)
    assert np.all(exact.variances == 0)
    known = build_stack([OptionSpec.parse("ReadoutMitigation")], lima, "expectation")
    (trusting,) = known.run([replace(experiment, shots=None)])
    assert np.all(np.abs(trusting.values[0] - truth) > 0.04)


def test_error_bars_hold_what_the_calibration_adds(lima, repeat):
    experiment = on_lima(lima)
    spec = OptionSpec.parse("ReadoutMitigation(source=measured, shots=400)")
    outcomes = repeat(build_stack([spec], lima, "expectation"), experiment, 1, 500)
    values = np.array([outcome.values[0] for outcome in outcomes])
    predicted = np.mean([outcome.variances[0] for outcome in outcomes], axis=0)
    # Relative standard error of a variance: sqrt(2 / 500) = 6.3 %.
    assert values.var(axis=0, ddof=1) == pytest.approx(predicted, rel=0.2)
    given = repeat(
        build_stack([OptionSpec.parse("ReadoutMitigation")], lima, "expectation"),
        experiment,
        1,
        10,
    )
    without = np.mean([outcome.variances[0] for outcome in given], axis=0)
    assert np.all(predicted > 1.5 * without)


def test_circuits_on_the_same_qubits_share_two_calibration_circuits(lima):
    experiments = [on_lima(lima), on_lima(lima, shots=500)]
    stack = build_stack([MEASURED], lima, "expectation")
    plan = stack.plan(experiments)
    bases = 2 * 2
    assert len(plan.experiments) == bases + 2
    zeros, ones = plan.experiments[-2:]
    assert (zeros.shots, ones.shots) == (2000, 2000)
    assert ones.circuit.count_ops()["x"] == ones.circuit.count_ops()["measure"] == 3
    assert "x" not in zeros.circuit.count_ops()
    context = plan.contexts[-1]
    assert MeasuredReadoutContext.model_validate_json(context.model_dump_json()) == context


def test_the_points_of_an_experiment_share_the_shots_of_its_calibration(lima):
    experiment = replace(on_lima(lima, shots=100), parameter_values=np.zeros((8, 0)))
    option = ReadoutMitigation(lima, ReadoutMitigation.Settings(source="measured", shots=90))
    measured = measured_at_the_end(experiment)
    planned, _ = option.expand([measured])
    assert [e.points * e.shots for e in planned] == [800, 96, 96]
    cost = option.cost(measured)
    assert cost.circuits == sum(e.points for e in planned) / measured.points
    assert cost.shots == sum(e.points * e.shots for e in planned) / (measured.points * 100)


def measured_at_the_end(experiment):
    circuit = experiment.circuit.copy()
    circuit.measure_all()
    return replace(experiment, circuit=circuit, observables=None)


def test_circuits_elsewhere_share_a_calibration_only_if_it_stays_as_narrow_as_they_are(lima):
    def at(*physical):
        circuit = QuantumCircuit(len(physical))
        circuit.sx(range(len(physical)))
        circuit.measure_all()
        binding = Binding(physical, "s", None, ("sx", "x", "rz"))
        return Experiment(circuit, np.zeros((1, 0)), shots=10, binding=binding)

    option = ReadoutMitigation(lima, ReadoutMitigation.Settings(source="measured"))
    planned, context = option.expand([at(0, 1), at(1, 2, 3), at(2, 3), at(0, 4)])
    assert len(planned) == 4 + 2 * 2
    assert context.groups[context.group_of[1]].qubits == (1, 2, 3)
    assert context.group_of[2] == context.group_of[1]
    assert set(context.groups[context.group_of[0]].qubits) == {0, 1, 4}


def test_without_a_binding_qubits_are_the_simulators_own():
    circuit = QuantumCircuit(3, 1)
    circuit.x(2)
    circuit.measure(2, 0)
    simulator = DeviceBackend(open_device("statevector"), lambda: 3)
    stack = build_stack([MEASURED], simulator, "counts")
    (counts,) = stack.run([Experiment(circuit, np.zeros((1, 0)), shots=50)])
    assert counts.points[0].to_dict() == {"1": 50.0}


def test_a_qubit_that_reads_nothing_is_named_and_left_alone(lima):
    experiment = measured_at_the_end(on_lima(lima))
    option = ReadoutMitigation(lima, ReadoutMitigation.Settings(source="measured"))
    planned, context = option.expand([experiment])
    own, zeros, ones = lima.execute([replace(e, shots=None) for e in planned])
    (corrected,) = option.reduce(context, [own, ones, zeros])  # every qubit reads the wrong way
    assert "qubit 0, 1, 2 reads no information" in corrected.diagnostics[-1].warning
    assert corrected.readout == pytest.approx(np.array([np.eye(2)] * 3))


def test_the_diagnostic_shows_what_moved_since_the_calibration(lima, repeat):
    experiment = wrongly_calibrated(on_lima(lima))
    (outcome,) = repeat(build_stack([MEASURED], lima, "expectation"), experiment, 1, 1)
    figures = outcome.diagnostics[-1].figures
    assert figures["largest_drift_sigmas"] > 5
    (plot,) = ReadoutMitigation.plots(figures)
    assert [series.label for series in plot.series][:2] == ["p(1|0) measured", "p(1|0) calibrated"]
    true = lima.adapter.calibration().readout_error(0)
    place = figures["qubits"].index(0)
    sigmas = np.subtract(figures["measured"][place], true) / figures["std_errors"][place]
    assert np.all(np.abs(sigmas) < 4)


@pytest.mark.parametrize(
    "option", ["ReadoutMitigation(source=measured)", "TwirledReadout", "DynamicalDecoupling"]
)
def test_a_plan_made_at_one_point_serves_others(lima, option):
    circuit = on_lima(lima).circuit.copy()
    theta = Parameter("theta")
    circuit.sx(1)
    circuit.rz(theta, 1)
    circuit.sx(1)  # rotates qubit 1 by pi - theta
    first = replace(on_lima(lima), circuit=circuit, shots=None, parameter_values=np.array([[0.1]]))
    stack = build_stack([OptionSpec.parse(option)], lima, "expectation")
    others = replace(first, parameter_values=np.array([[0.4], [1.2], [2.0]]))
    plan = plan_together([stack], [first]).at([others])
    (outcome,) = combine_together([stack], plan, lima.execute(plan.experiments))
    (fresh,) = stack.run([others])
    assert outcome.values == pytest.approx(fresh.values, abs=1e-9)
    if option != "DynamicalDecoupling":
        cosines = -np.cos(others.parameter_values[:, 0])  # of qubit 1
        assert outcome.values[:, 1] == pytest.approx(cosines, abs=5e-3)
