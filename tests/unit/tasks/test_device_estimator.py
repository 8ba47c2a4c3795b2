"""Expectation values that the device itself finds, in place of counts."""

from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector

from adapters.contract import DeviceResult
from pipeline.stack import build_stack
from qcpaas.errors import OptionError
from qcpaas.execution import Counts, ExpectationValues, Experiment
from qcpaas.schemas import OptionSpec

THETA = Parameter("theta")
OBSERVABLES = (SparsePauliOp(["ZI", "IX"], [0.5, 2.0]), SparsePauliOp("ZZ"))
STD_ERROR = 0.125


def circuit():
    tilted = QuantumCircuit(2, name="tilted")
    tilted.ry(THETA, 0)
    tilted.cx(0, 1)
    return tilted


def exact(angle):
    state = Statevector(circuit().assign_parameters([angle]))
    return [state.expectation_value(observable).real for observable in OBSERVABLES]


@pytest.fixture
def estimating(keeping):
    """A device that answers exact values, and says that they are uncertain."""

    class Estimating(type(keeping)):
        name = "estimating"

        def capabilities(self):
            return replace(super().capabilities(), estimates=True, max_points=2)

        def result(self, handle, timeout_s=None):
            submission, _ = self._known(handle)
            asked = [experiment.observables for experiment in submission.experiments]
            if not any(asked):
                return super().result(handle, timeout_s)
            return DeviceResult((), 0.5, tuple(map(estimated, submission.experiments)))

    return Estimating()


def estimated(experiment):
    values = [
        [
            Statevector(experiment.circuit.assign_parameters(row)).expectation_value(each).real
            for each in experiment.observables
        ]
        for row in experiment.parameter_values
    ]
    return ExpectationValues(np.array(values), np.full(np.shape(values), STD_ERROR**2))


def test_the_devices_values_come_back_and_are_kept(start, estimating, store):
    run = start(adapter=estimating)
    angles = np.array([[0.3], [1.1], [-0.4]])
    asked = Experiment(circuit(), angles, OBSERVABLES, shots=100)
    (found,) = run.session("DeviceEstimator").run([asked])
    assert isinstance(found, ExpectationValues)
    np.testing.assert_allclose(found.values, [exact(angle) for (angle,) in angles], atol=1e-12)
    np.testing.assert_allclose(np.sqrt(found.variances), STD_ERROR)
    assert len(estimating.accepted) == 2  # three points, two at once

    again = start(job=run.job, adapter=estimating)
    (replayed,) = again.session("DeviceEstimator").run([asked])
    np.testing.assert_array_equal(replayed.values, found.values)
    assert len(estimating.accepted) == 2

    run.ledger.flush()
    executions = _executions(run, store)
    assert [record.counts for record in executions] == [(), ()]
    assert executions[0].observables[0][0] == (("ZI", 0.5), ("IX", 2.0))
    first = np.array(executions[0].estimates[0])
    np.testing.assert_allclose(first[..., 0], [exact(0.3), exact(1.1)], atol=1e-12)
    np.testing.assert_allclose(first[..., 1], STD_ERROR)


def _executions(run, store):
    from store.ledger_reader import executions_of

    with store.read() as connection:
        return executions_of(connection, run.job.job_id, ())


def test_zero_noise_extrapolation_stands_around_it(start, estimating):
    run = start(adapter=estimating)
    asked = Experiment(circuit(), np.array([[0.3]]), OBSERVABLES, shots=100)
    (found,) = run.session(
        "ZeroNoiseExtrapolation(scale_factors=[1,3],fit=linear)", "DeviceEstimator"
    ).run([asked])
    np.testing.assert_allclose(found.values[0], exact(0.3), atol=1e-9)


def test_counts_of_the_same_session_are_counted(start, estimating):
    run = start(adapter=estimating)
    measured = circuit()
    measured.measure_all()
    both = [
        Experiment(measured, np.array([[0.0]]), shots=50),
        Experiment(circuit(), np.array([[0.0]]), OBSERVABLES, shots=50),
    ]
    counts, values = run.session("DeviceEstimator").run(both)
    assert isinstance(counts, Counts)
    assert counts.points[0].to_dict() == {"00": 50}
    np.testing.assert_allclose(values.values[0], exact(0.0), atol=1e-12)


def test_a_device_without_an_estimator_refuses_before_anything_is_sent(start, keeping):
    run = start(adapter=keeping)
    asked = Experiment(circuit(), np.array([[0.3]]), OBSERVABLES, shots=100)
    with pytest.raises(OptionError, match="keeping has no estimator of its own"):
        run.session("DeviceEstimator").run([asked])
    assert keeping.accepted == []


def test_what_corrects_counts_does_not_go_inside_it(start, estimating):
    specs = [OptionSpec.parse("DeviceEstimator"), OptionSpec.parse("ReadoutMitigation")]
    with pytest.raises(OptionError, match="ReadoutMitigation corrects counts"):
        build_stack(specs, start(adapter=estimating).backend, "expectation")
