"""What is too much, or makes no sense, is refused before anything is sent."""

from dataclasses import replace

import numpy as np
import pytest
from conformance.suite import circuits
from conformance.suite.statistics import likeliest
from qiskit import QuantumCircuit

from qcpaas.errors import InputError, QCPaaSError, SubmissionRefused

REFUSED = (SubmissionRefused, InputError)


class TestLimits:
    def test_too_many_shots_are_refused_with_both_numbers(self, device, refused):
        most = device.capabilities.max_shots
        refused(device.bound(circuits.coin(), shots=most + 1), numbers=(most + 1, most))

    def test_no_shots_are_refused(self, device, refused):
        refused(device.bound(circuits.coin(), shots=0), numbers=(0,))

    def test_too_many_circuits_are_refused_with_both_numbers(self, device, refused):
        most = device.capabilities.max_circuits
        experiment = device.bound(circuits.coin(), shots=10)
        refused(*[experiment] * (most + 1), numbers=(most + 1, most))

    def test_no_circuits_are_refused(self, refused):
        refused()

    def test_too_many_points_are_refused_with_both_numbers(self, device, refused):
        most = device.capabilities.max_points
        if most is None:
            pytest.skip("points are not limited")
        points = np.zeros((most + 1, 1))
        refused(device.bound(circuits.rotation(), points, 10), numbers=(most + 1, most))

    def test_points_of_several_circuits_count_together(self, device, refused):
        most = device.capabilities.max_points
        if most is None or most < 2 or device.capabilities.max_circuits < 2:
            pytest.skip("nothing to add up")
        half = device.bound(circuits.rotation(), np.zeros((most // 2 + 1, 1)), 10)
        refused(half, half, numbers=(most,))

    def test_a_circuit_that_is_too_wide_is_refused_with_both_numbers(self, device, refused):
        width = device.capabilities.num_qubits
        wide = QuantumCircuit(width + 1, 1, name="wide")
        wide.measure(0, 0)
        experiment = replace(device.bound(circuits.coin(), shots=10), circuit=wide, binding=None)
        refused(experiment, numbers=(width + 1, width))

    def test_a_gate_that_the_device_does_not_have_is_refused_or_performed(self, device):
        experiment = device.bound(circuits.reversed_bits())
        foreign = experiment.circuit.copy_empty_like()
        for instruction in experiment.circuit.data:
            if instruction.name == "measure":
                foreign.append(instruction)
        foreign.rccx(0, 1, 2)
        foreign.data.insert(0, foreign.data.pop())
        try:
            (counts,) = device.run(replace(experiment, circuit=foreign))
        except QCPaaSError:
            return
        assert likeliest(counts.points[0]) == "000"
