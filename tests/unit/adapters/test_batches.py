"""A batch within a device's limits, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from adapters.aer import AerRunner
from adapters.backend import DeviceBackend
from adapters.batches import Piece, join, split
from adapters.contract import Capabilities, DeviceResult, JobHandle
from adapters.registry import open_device
from adapters.simulated import SimulatedAdapter
from qcpaas.execution import Counts, Distribution, Experiment

CIRCUIT = QuantumCircuit(1)
CIRCUIT.rx(Parameter("a"), 0)
CIRCUIT.measure_all()


def experiment(points, shots=10):
    return Experiment(CIRCUIT, np.arange(float(points))[:, None], shots=shots)


def answer(one):
    """Counts that say of which points and shots they are."""
    points = [
        Distribution.from_dict({"1": value}, 1, one.shots) for (value,) in one.parameter_values
    ]
    return Counts(tuple(points), (("meas", 1),))


@given(
    st.lists(st.tuples(st.integers(1, 7), st.sampled_from([10, 20, 30])), min_size=1, max_size=8),
    st.integers(1, 4),
    st.one_of(st.none(), st.integers(1, 5)),
    st.one_of(st.none(), st.integers(30, 100)),
    st.booleans(),
)
def test_every_submission_keeps_the_limits_and_nothing_is_lost(
    batch, circuits, points, shots, equal
):
    limits = Capabilities(
        1, max_circuits=circuits, max_points=points, max_total_shots=shots, equal_shots=equal
    )
    experiments = [experiment(*each) for each in batch]
    pieces = split(experiments, limits)
    for placed in pieces:
        sent = [piece.of(experiments) for piece in placed]
        assert len(sent) <= circuits
        assert points is None or sum(one.points for one in sent) <= points
        assert shots is None or sum(one.points * one.shots for one in sent) <= shots
        assert not equal or len({one.shots for one in sent}) == 1
    back = join(pieces, [[answer(piece.of(experiments)) for piece in placed] for placed in pieces])
    for one, counts in zip(experiments, back, strict=True):
        assert [point.weights[0] for point in counts.points] == one.parameter_values[:, 0].tolist()
        assert {point.shots for point in counts.points} == {one.shots}


def test_what_fits_goes_as_it_is():
    experiments = [experiment(3), experiment(1)]
    (placed,) = split(experiments, Capabilities(1))
    assert placed == (Piece(0, 0, 3), Piece(1, 0, 1))
    assert placed[0].of(experiments) is experiments[0]


class Narrow(SimulatedAdapter):
    """Takes one circuit at one point."""

    def __init__(self):
        super().__init__("narrow", AerRunner("narrow"))
        self.submissions = 0

    def capabilities(self):
        return Capabilities(5, max_circuits=1, max_points=1)

    def calibration(self, at=None):
        return open_device("statevector").calibration()

    def submit(self, submission, token) -> JobHandle:
        assert [one.points for one in submission.experiments] == [1]
        self.submissions += 1
        return super().submit(submission, token)

    def result(self, handle, timeout_s=None) -> DeviceResult:
        return super().result(handle, timeout_s)


def test_a_narrow_device_runs_a_batch_point_by_point():
    adapter = Narrow()
    angles = np.array([[0.0], [np.pi], [0.0]])
    batch = [Experiment(CIRCUIT, angles, shots=50), Experiment(CIRCUIT, angles[1:2], shots=20)]
    first, second = DeviceBackend(adapter, lambda: 3).execute(batch)
    assert [point.to_dict() for point in first.points] == [{"0": 50}, {"1": 50}, {"0": 50}]
    assert [point.to_dict() for point in second.points] == [{"1": 20}]
    assert adapter.submissions == 4


@pytest.mark.parametrize("name", ["statevector"])
def test_a_device_without_limits_runs_it_at_once(name):
    batch = [experiment(2), experiment(3)]
    counts = DeviceBackend(open_device(name), lambda: 1).execute(batch)
    assert [len(each.points) for each in counts] == [2, 3]
