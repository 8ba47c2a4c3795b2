"""What was measured."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conformance.suite import circuits
from conformance.suite.device import SHOTS
from conformance.suite.statistics import likeliest, sampling_error, total_variation
from qiskit.quantum_info import SparsePauliOp

from adapters.contract import DeviceResult
from qcpaas.errors import QCPaaSError

ANGLES = np.linspace(0, np.pi / 2, 5)[:, None]


class TestOutcomes:
    def test_a_ghz_state_is_measured_in_two_outcomes(self, device):
        (counts,) = device.run(device.bound(circuits.ghz()))
        (point,) = counts.points
        assert point.weights.sum() == point.shots == SHOTS
        assert total_variation(point, circuits.GHZ) < device.slack + sampling_error(2)

    def test_points_of_a_batch_come_back_in_order(self, device):
        circuit = circuits.rotation()
        answers = device.run(device.bound(circuit, ANGLES), device.bound(circuit, ANGLES[::-1]))
        for counts, angles in zip(answers, (ANGLES, ANGLES[::-1]), strict=True):
            for point, (angle,) in zip(counts.points, angles, strict=True):
                one = np.sin(angle) ** 2
                ideal = {"0": 1 - one, "1": one}
                assert total_variation(point, ideal) < device.slack + sampling_error(2)

    def test_values_belong_to_the_parameters_in_their_order(self, device):
        points = np.array([[0.2, 1.1], [-0.9, 0.4], [1.3, 2.8]])  # of a, then of b
        (counts,) = device.run(device.bound(circuits.two_rotations(), points))
        for point, (a, b) in zip(counts.points, points, strict=True):
            ideal = circuits.two_rotations_outcomes(a, b)
            assert total_variation(point, ideal) < device.slack + sampling_error(4)

    def test_parametrised_and_plain_circuits_share_a_submission(self, device):
        answers = device.run(
            device.bound(circuits.ghz()),
            device.bound(circuits.rotation(), [[np.pi / 2], [0.0]]),
            device.bound(circuits.reversed_bits()),
        )
        assert [len(counts.points) for counts in answers] == [1, 2, 1]
        assert total_variation(answers[0].points[0], circuits.GHZ) < (
            device.slack + sampling_error(2)
        )
        assert [likeliest(point) for point in answers[1].points] == ["1", "0"]
        assert likeliest(answers[2].points[0]) == "100"

    def test_registers_and_bits_are_in_the_circuits_order(self, device):
        (counts,) = device.run(device.bound(circuits.registers()))
        assert counts.registers == (("low", 2), ("high", 3))
        assert counts.points[0].num_bits == 5
        assert likeliest(counts.points[0]) == "01010"

    def test_a_qubit_is_read_into_the_bit_that_the_circuit_says(self, device):
        (counts,) = device.run(device.bound(circuits.reversed_bits()))
        assert likeliest(counts.points[0]) == "100"

    def test_a_qubit_is_read_twice_or_the_circuit_is_refused(self, device):
        if device.capabilities.mid_circuit_measurement:
            (counts,) = device.run(device.bound(circuits.measured_twice()))
            assert likeliest(counts.points[0]) == "10"
        else:
            with pytest.raises(QCPaaSError):
                device.run(device.bound(circuits.measured_twice()))

    def test_a_gate_depends_on_an_outcome_or_the_circuit_is_refused(self, device):
        if "if_else" in device.capabilities.control_flow:
            (counts,) = device.run(device.bound(circuits.conditioned()))
            assert likeliest(counts.points[0]) == "11"
        else:
            with pytest.raises(QCPaaSError):
                device.submit(with_a_condition(device.bound(circuits.reversed_bits())))

    def test_outcomes_are_sorted_and_distinct(self, device):
        (counts,) = device.run(device.bound(circuits.ghz()))
        keys = [int.from_bytes(row.tobytes(), "big") for row in counts.points[0].outcomes]
        assert keys == sorted(set(keys))
        assert (counts.points[0].weights > 0).all()

    def test_one_shot_gives_one_outcome(self, device):
        (counts,) = device.run(device.bound(circuits.ghz(), shots=1))
        assert counts.points[0].weights.tolist() == [1.0]

    def test_circuits_of_one_submission_differ_in_shots_or_are_refused(self, device):
        asked = (100, 7, 100)
        experiments = [device.bound(circuits.ghz(), shots=shots) for shots in asked]
        if device.capabilities.equal_shots and device.capabilities.max_circuits >= len(asked):
            with pytest.raises(QCPaaSError, match=r"7.*100|100.*7"):
                device.submit(*experiments)
            return
        answers = device.run(*experiments)
        assert tuple(counts.points[0].weights.sum() for counts in answers) == asked
        assert tuple(counts.points[0].shots for counts in answers) == asked

    def test_equal_circuits_of_one_submission_are_independent_samples(self, device):
        answers = device.run(*(device.bound(circuits.ghz()) for _ in range(4)))
        assert len({tuple(counts.points[0].weights) for counts in answers}) > 1

    def test_a_seed_repeats_on_a_simulator(self, device):
        if not device.capabilities.simulator:
            pytest.skip("a QPU ignores the seed")
        experiment = device.bound(circuits.ghz())
        first, again, other = (device.run(experiment, seed=seed)[0].points[0] for seed in (3, 3, 4))
        assert first.to_dict() == again.to_dict()
        assert first.to_dict() != other.to_dict()

    def test_exact_probabilities_are_given_or_refused(self, device):
        experiment = device.bound(circuits.ghz(), shots=None)
        if not device.capabilities.exact:
            with pytest.raises(QCPaaSError):
                device.submit(experiment)
            return
        (point,) = device.run(experiment)[0].points
        assert point.shots is None
        assert point.weights.sum() == pytest.approx(1.0, abs=1e-9)
        assert total_variation(point, circuits.GHZ) <= device.slack + 1e-9

    def test_a_result_tells_a_time_and_plain_details(self, device):
        result = device.result(device.submit(device.bound(circuits.coin(), shots=10)))
        assert isinstance(result, DeviceResult)
        assert np.isfinite(result.qpu_s)
        assert result.qpu_s >= 0
        json.dumps(dict(result.details), allow_nan=False)


def with_a_condition(experiment):
    """A gate of the circuit again, where a bit was read as 1."""
    circuit = experiment.circuit.copy()
    again = circuit.data[0]
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.append(again.operation, again.qubits)
    return replace(experiment, circuit=circuit)


class TestEstimates:
    observables = tuple(SparsePauliOp([name]) for name in ("ZZ", "XX", "IZ"))
    points = np.array([[0.4], [2.1], [-0.7]])

    def test_expectation_values_are_those_of_the_state_or_refused(self, device):
        experiment = device.bound(
            circuits.unmeasured_pair(), self.points, observables=self.observables
        )
        if not device.capabilities.estimates:
            with pytest.raises(QCPaaSError):
                device.submit(experiment)
            return
        result = device.result(device.submit(experiment))
        (found,) = result.values
        angle = self.points[:, 0]
        ideal = np.stack([np.ones(3), np.sin(angle), np.cos(angle)], axis=1)
        assert found.values.shape == found.variances.shape == ideal.shape
        assert (found.variances >= 0).all()
        # A distance of the distributions moves a Pauli's value by twice as much.
        allowed = 2 * device.slack + 5 / np.sqrt(SHOTS)
        assert np.abs(found.values - ideal).max() < allowed
        assert result.counts == ()

    def test_counts_and_values_do_not_share_a_submission(self, device):
        if not device.capabilities.estimates:
            pytest.skip("takes no observables")
        values = device.bound(circuits.unmeasured_pair(), self.points, observables=self.observables)
        with pytest.raises(QCPaaSError):
            device.submit(values, device.bound(circuits.ghz()))
