"""The primitives against Qiskit's own, over an exact in-memory backend."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.circuit.library import real_amplitudes
from qiskit.primitives import StatevectorEstimator, StatevectorSampler
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.providers import JobStatus
from qiskit.quantum_info import Pauli, SparsePauliOp, Statevector

from qcpaas.errors import (
    CircuitError,
    DeviceUnavailable,
    InputError,
    MitigationError,
    ObservableError,
    ShotsError,
)
from qcpaas.execution import (
    Counts,
    Distribution,
    ExecutionBackend,
    ExpectationValues,
    Plan,
)
from qcpaas.manifest import Diagnostic
from qcpaas.primitives import Estimator, Sampler


class Exact(ExecutionBackend):
    """State vectors; keeps what it was asked."""

    def __init__(self):
        self.submissions = []
        self.rng = np.random.default_rng(11)

    def plan(self, experiments):
        return Plan(tuple(experiments))

    def execute(self, experiments):
        self.submissions.append(list(experiments))
        return tuple(
            self._counts(one) if one.level == "counts" else self._values(one) for one in experiments
        )

    def combine(self, plan, outcomes):
        return tuple(outcomes)

    def _values(self, experiment):
        values = np.empty((experiment.points, len(experiment.observables)))
        variances = np.zeros_like(values)
        for row, parameters in enumerate(experiment.parameter_values):
            state = Statevector(experiment.circuit.assign_parameters(parameters))
            for column, operator in enumerate(experiment.observables):
                values[row, column] = state.expectation_value(operator).real
                if experiment.shots:
                    square = state.expectation_value(operator @ operator).real
                    variances[row, column] = (square - values[row, column] ** 2) / experiment.shots
        return ExpectationValues(values, variances)

    def _counts(self, experiment):
        circuit = experiment.circuit
        points = []
        for parameters in experiment.parameter_values:
            bound = circuit.assign_parameters(parameters)
            where = {
                bound.find_bit(item.clbits[0]).index: bound.find_bit(item.qubits[0]).index
                for item in bound.data
                if item.name == "measure"
            }
            state = Statevector(bound.remove_final_measurements(inplace=False))
            outcomes, numbers = np.unique(
                self.rng.choice(len(state), experiment.shots, p=state.probabilities()),
                return_counts=True,
            )
            found = {}
            for outcome, number in zip(outcomes.tolist(), numbers.tolist(), strict=True):
                key = "".join(
                    str(outcome >> where[bit] & 1) if bit in where else "0"
                    for bit in reversed(range(circuit.num_clbits))
                )
                found[key] = found.get(key, 0) + number
            points.append(Distribution.from_dict(found, circuit.num_clbits, experiment.shots))
        return Counts(tuple(points), tuple((r.name, r.size) for r in circuit.cregs))


class Fixed(Exact):
    """Answers everything with one outcome."""

    def __init__(self, outcome):
        super().__init__()
        self.outcome = outcome

    def execute(self, experiments):
        return tuple(self.outcome for _ in experiments)


def ansatz():
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(2)
    circuit.ry(a, 0)
    circuit.cx(0, 1)
    circuit.rx(a - 2 * b, 1)
    return circuit


OPERATORS = ["ZZ", "XI", SparsePauliOp(["IY", "ZX"], [0.3, -1.2]), {"XX": 0.5, "YY": -0.25}, "II"]


def assert_same_values(pubs):
    ours = Estimator(Exact(), exact=True).run(pubs).result()
    theirs = StatevectorEstimator().run(pubs).result()
    assert len(ours) == len(theirs)
    for mine, reference in zip(ours, theirs, strict=True):
        assert mine.data.shape == reference.data.shape
        assert mine.data.evs.shape == np.shape(reference.data.evs)
        np.testing.assert_allclose(mine.data.evs, reference.data.evs, atol=1e-12)
        assert not np.any(mine.data.stds)


# Two shapes that broadcast: each axis of a target is kept, set to 1, or (leading) dropped.
@st.composite
def broadcastable(draw):
    target = draw(st.lists(st.integers(1, 3), max_size=3))

    def part():
        kept = [draw(st.sampled_from([1, size])) for size in target]
        return tuple(kept[draw(st.integers(0, len(kept))) :])

    return part(), part()


@settings(deadline=None, max_examples=40)
@given(shapes=broadcastable(), data=st.data())
def test_values_and_shapes_follow_qiskits_broadcasting(shapes, data):
    points, observables = shapes
    size = int(np.prod(observables, dtype=int))
    chosen = data.draw(st.lists(st.sampled_from(OPERATORS), min_size=size, max_size=size))
    array = np.empty(observables, dtype=object)
    for place, operator in zip(np.ndindex(observables), chosen, strict=True):
        array[place] = operator
    values = np.random.default_rng(3).uniform(-3, 3, (*points, 2))
    assert_same_values([(ansatz(), ObservablesArray(array), values)])


def test_parameters_by_name_and_in_parts_bind_like_qiskits():
    circuit = ansatz()
    grid = np.linspace(0, 1, 6).reshape(2, 3)
    assert_same_values(
        [
            (circuit, "ZZ", {"b": grid, "a": grid + 1}),
            (circuit, "ZX", {("b", "a"): np.stack([grid, 2 * grid], axis=-1)}),
            EstimatorPub.coerce((circuit, ["ZZ", "XX"], BindingsArray({("a", "b"): [1.0, 2.0]}))),
            (circuit.assign_parameters([0.1, 0.2]), "ZZ"),
            (circuit.assign_parameters([0.1, 0.2]), [["ZZ"], ["XY"]], None),
            (circuit.assign_parameters([0.1, 0.2]), Pauli("ZI"), []),
        ]
    )


@pytest.mark.parametrize("values", [0.4, [0.4], [[0.4]], [0.1, 0.2, 0.3], [[0.1], [0.2]]])
def test_one_parameter_may_leave_out_the_last_axis_as_in_qiskit(values):
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("t"), 0)
    assert_same_values([(circuit, "Z", values)])


def test_an_empty_array_of_points_gives_an_empty_answer_and_runs_nothing():
    backend = Exact()
    result = Estimator(backend).run([(ansatz(), "ZZ", np.empty((0, 2)))]).result()
    assert result[0].data.evs.shape == (0,)
    measured = ansatz()
    measured.measure_all()
    bits = Sampler(backend).run([(measured, np.empty((0, 2)))]).result()[0].data.meas
    assert bits.shape == (0,)
    assert not backend.submissions


def test_zero_and_projector_observables_are_estimated():
    circuit = ansatz().assign_parameters([0.3, 1.0])
    estimator = Estimator(Exact(), exact=True)
    zero = SparsePauliOp(["ZZ", "XX"], [0.0, 0.0])  # Qiskit's own estimator fails on it
    assert estimator.run([(circuit, zero)]).result()[0].data.evs == 0
    value = estimator.run([(circuit, "0I")]).result()[0].data.evs
    # |0><0| on qubit 1 is (1 + Z) / 2.
    z = Statevector(circuit).expectation_value(SparsePauliOp("ZI")).real
    assert value == pytest.approx((1 + z) / 2)


def test_a_call_is_one_submission_and_an_outer_product_one_experiment():
    backend = Exact()
    values = np.linspace(0, 1, 8).reshape(4, 2)
    pubs = [
        (ansatz(), [["ZZ"], ["XX"], ["ZZ"]], values),
        (ansatz(), "ZZ", values),
        (ansatz(), ["ZZ", "XX", "ZZ", "XX"], values),
    ]
    Estimator(backend).run(pubs).result()
    (submission,) = backend.submissions
    assert [(one.points, len(one.observables)) for one in submission] == [
        (4, 2),  # ZZ stands twice, and is measured once
        (4, 1),
        (2, 1),  # points 0 and 2 want ZZ, 1 and 3 want XX
        (2, 1),
    ]
    assert [one.source for one in submission] == [0, 1, 2, 3]


def test_a_precision_sets_the_shots_and_is_kept_in_the_metadata():
    backend = Exact()
    circuit = ansatz().assign_parameters([0.5, 0.1])
    circuit.metadata = {"mine": 1}
    estimator = Estimator(backend, default_shots=400)
    pubs = [(circuit, "XX"), (circuit, "XX", None, 0.02)]
    results = [*estimator.run(pubs).result(), *estimator.run(pubs, precision=0.1).result()]
    assert [r.metadata["shots"] for r in results] == [400, 2500, 100, 2500]
    assert [r.metadata["target_precision"] for r in results] == [0.05, 0.02, 0.1, 0.02]
    assert [one.shots for one in backend.submissions[1]] == [100, 2500]
    assert results[0].metadata["circuit_metadata"] == {"mine": 1}
    exact = float(Statevector(circuit).expectation_value(SparsePauliOp("XX")).real)
    assert results[1].data.stds == pytest.approx(np.sqrt((1 - exact**2) / 2500))


def test_a_default_precision_takes_the_place_of_default_shots():
    result = Estimator(Exact(), default_precision=0.5).run([(ansatz(), "ZZ", [1, 2])]).result()
    assert result[0].metadata["shots"] == 4


@pytest.mark.parametrize("precision", [0, -0.1, float("nan"), float("inf"), 1e-9, 1e-300, "fine"])
def test_a_precision_that_no_shots_reach_is_refused(precision):
    backend = Exact()
    with pytest.raises(ShotsError):
        Estimator(backend).run([(ansatz(), "ZZ", [0, 0], precision)])
    assert not backend.submissions


@pytest.mark.parametrize("shots", [0, -1, 1.5, True, 10**9, "many"])
def test_zero_and_absurd_shots_are_refused(shots):
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with pytest.raises(ShotsError):
        Sampler(Exact(), default_shots=shots)
    with pytest.raises(ShotsError):
        Estimator(Exact(), default_shots=shots)
    with pytest.raises(ShotsError):
        Sampler(Exact()).run([circuit], shots=shots)
    with pytest.raises(ShotsError):
        Sampler(Exact()).run([(circuit, None, shots)])


@pytest.mark.parametrize(
    ("pub", "error", "words"),
    [
        ((ansatz(), "ZZZ", [0, 0]), ObservableError, "acts on 3 qubits"),
        ((ansatz(), SparsePauliOp("ZZ", 1j), [0, 0]), ObservableError, "real coefficients"),
        ((ansatz(), ["ZZ", "X"], [0, 0]), ObservableError, "no observables"),
        ((ansatz(), "QQ", [0, 0]), ObservableError, "no observables"),
        ((ansatz(), ["ZZ", "XX"], np.zeros((3, 2))), ObservableError, "do not broadcast"),
        ((ansatz(), "ZZ"), CircuitError, r"2 parameters \(a, b\); no values"),
        ((ansatz(), "ZZ", [0, 0, 0]), CircuitError, "2 parameters"),
        ((ansatz(), "ZZ", {"a": 1}), CircuitError, "2 parameters"),
        ((ansatz(), "ZZ", {"a": 1, "c": 1}), CircuitError, "'c'"),
        ((ansatz(), "ZZ", ["x", "y"]), CircuitError, "not an array of numbers"),
        ((ansatz(),), InputError, "2 to 4 parts"),
        (ansatz(), InputError, "is a QuantumCircuit"),
        (("ZZ", "ZZ"), CircuitError, "starts with a circuit"),
    ],
)
def test_a_wrong_pub_is_refused_before_anything_is_sent(pub, error, words):
    backend = Exact()
    with pytest.raises(error, match=words):
        Estimator(backend).run([pub])
    assert not backend.submissions


def test_a_circuit_in_place_of_a_list_is_refused():
    with pytest.raises(InputError, match="list of PUBs"):
        Sampler(Exact()).run(ansatz())


def test_final_measurements_are_left_out_of_an_expectation_value_and_mid_circuit_ones_refused():
    circuit = ansatz().assign_parameters([0.4, 0.2])
    expected = Statevector(circuit).expectation_value(SparsePauliOp("XX")).real
    measured = circuit.copy()
    measured.measure_all()
    value = Estimator(Exact(), exact=True).run([(measured, "XX")]).result()[0].data.evs
    assert value == pytest.approx(expected)
    measured.x(0)
    with pytest.raises(CircuitError, match="before its end"):
        Estimator(Exact()).run([(measured, "XX")])


def test_sampling_without_a_measurement_is_refused():
    with pytest.raises(CircuitError, match="no measurement"):
        Sampler(Exact()).run([QuantumCircuit(1, 1)])


def test_uncorrected_values_and_diagnostics_travel_in_the_metadata():
    diagnostic = Diagnostic(option="ZNE", figures={"order": 1})
    outcome = ExpectationValues(
        np.array([[1.0]]),
        np.array([[0.04]]),
        np.array([[0.8]]),
        np.array([[0.01]]),
        (diagnostic,),
    )
    result = Estimator(Fixed(outcome)).run([(ansatz(), ["ZZ"], [0, 0])]).result()[0]
    assert result.data.evs.tolist() == [1.0]
    assert result.data.stds.tolist() == [0.2]
    assert result.metadata["raw_evs"].tolist() == [0.8]
    assert result.metadata["raw_stds"].tolist() == [0.1]
    assert result.metadata["diagnostics"] == [diagnostic]


def test_an_error_of_the_device_surfaces_in_the_jobs_result():
    class Down(Exact):
        def execute(self, experiments):
            raise DeviceUnavailable("the device is away")

    job = Estimator(Down()).run([(ansatz(), "ZZ", [0, 0])])
    assert job.status() is JobStatus.ERROR
    assert job.in_final_state()
    assert not job.done()
    with pytest.raises(DeviceUnavailable):
        job.result()


def test_a_job_has_the_whole_interface():
    job = Estimator(Exact()).run([(ansatz(), "ZZ", [0, 0])])
    assert job.status() is JobStatus.DONE
    assert (job.done(), job.running(), job.cancelled(), job.in_final_state()) == (1, 0, 0, 1)
    assert job.cancel() is False
    assert job.job_id() != Estimator(Exact()).run([]).job_id()
    assert job.result() is job.result()


def wide_circuit():
    """Two random-looking bits among registers of 0, 3, 9 and 70 clbits, two of them split."""
    qubits = QuantumRegister(4, "q")
    registers = [
        ClassicalRegister(n, name) for n, name in ((3, "a"), (0, "e"), (9, "b"), (70, "w"))
    ]
    circuit = QuantumCircuit(qubits, *registers)
    circuit.ry(0.7, 0)
    circuit.h(1)
    circuit.x(2)
    circuit.measure(0, registers[0][2])
    circuit.measure(1, registers[2][8])
    circuit.measure(2, registers[3][69])
    circuit.measure(3, registers[3][0])
    return circuit


def test_registers_of_any_size_come_apart_as_in_qiskits_sampler():
    shots = 4000
    ours = Sampler(Exact()).run([wide_circuit()], shots=shots).result()[0]
    theirs = StatevectorSampler(seed=5).run([wide_circuit()], shots=shots).result()[0]
    assert set(ours.data) == set(theirs.data) == {"a", "e", "b", "w"}
    for name in ours.data:
        mine, reference = ours.data[name], theirs.data[name]
        assert mine.array.shape == reference.array.shape
        assert mine.num_bits == reference.num_bits
        assert mine.num_shots == shots
        if name == "e":
            continue  # Qiskit counts nothing in a register without bits
        assert set(mine.get_counts()) == set(reference.get_counts())
        for key, number in reference.get_counts().items():
            # Five standard deviations of the difference of two binomial counts.
            assert abs(mine.get_counts()[key] - number) <= 5 * np.sqrt(shots / 2)
    assert ours.data.w.get_counts() == {"1" + 69 * "0": shots}
    assert ours.metadata["shots"] == shots


def test_shots_of_registers_stay_together_and_are_in_random_order():
    circuit = QuantumCircuit(
        QuantumRegister(1), ClassicalRegister(1, "a"), ClassicalRegister(9, "b")
    )
    circuit.h(0)
    circuit.measure([0, 0], [0, 9])
    data = Sampler(Exact()).run([circuit], shots=2000).result()[0].data
    first, second = (bits.get_int_counts for bits in (data.a, data.b))
    assert second()[256] == first()[1]
    np.testing.assert_array_equal(data.a.array[:, 0], data.b.array[:, 0])
    half = data.a.slice_shots(range(1000)).get_int_counts()
    assert abs(half[1] - 500) < 5 * np.sqrt(250)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 1)])
def test_a_bit_array_has_the_shape_of_the_parameter_values(shape):
    circuit = ansatz()
    circuit.measure_all()
    values = np.random.default_rng(1).uniform(0, 3, (*shape, 2))
    ours = Sampler(Exact()).run([(circuit, values)], shots=5000).result()[0].data.meas
    theirs = StatevectorSampler(seed=1).run([(circuit, values)], shots=5000).result()[0].data.meas
    assert ours.shape == theirs.shape == shape
    for place in np.ndindex(shape):
        mine, reference = ours.get_counts(place), theirs.get_counts(place)
        for key in mine.keys() | reference.keys():
            assert abs(mine.get(key, 0) - reference.get(key, 0)) < 5 * np.sqrt(5000 / 2)


def one_bit(weights, shots):
    return Counts((Distribution.from_dict(weights, 1, shots),), (("meas", 1),))


@pytest.mark.parametrize(
    ("outcome", "error", "words"),
    [
        (one_bit({"0": 0.5, "1": 0.5}, None), ShotsError, "exact probabilities"),
        (one_bit({"0": 90.5, "1": 9.5}, 100), MitigationError, "quasi-probabilities"),
        (one_bit({"0": 101, "1": -1}, 100), MitigationError, "quasi-probabilities"),
        (one_bit({"0": 90, "1": 9}, 100), ShotsError, "counted 99"),
        (ExpectationValues(np.ones((1, 1)), np.ones((1, 1))), InputError, "expectation values"),
    ],
)
def test_what_is_no_list_of_single_shots_is_refused_by_the_sampler(outcome, error, words):
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    with pytest.raises(error, match=words):
        Sampler(Fixed(outcome)).run([circuit], shots=100).result()


def test_a_changed_operator_is_not_answered_from_the_cache():
    operator = SparsePauliOp(["ZZ"], [1.0])
    estimator = Estimator(Exact(), exact=True)
    circuit = QuantumCircuit(2)
    assert estimator.run([(circuit, operator)]).result()[0].data.evs == 1
    operator.coeffs[0] = 3.0
    assert estimator.run([(circuit, operator)]).result()[0].data.evs == 3


H2 = SparsePauliOp(
    ["II", "IZ", "ZI", "ZZ", "XX"],
    [-1.052373245772859, 0.39793742484318045, -0.39793742484318045, -0.01128010425623538,
     0.18093119978423156],
)  # fmt: skip


def test_qiskits_vqe_finds_the_ground_state():
    from qiskit_algorithms import VQE
    from qiskit_algorithms.optimizers import SLSQP

    start = np.full(4, 0.1)
    vqe = VQE(
        Estimator(Exact(), exact=True),
        real_amplitudes(2, reps=1),
        SLSQP(maxiter=60),
        initial_point=start,
    )
    energy = vqe.compute_minimum_eigenvalue(H2).eigenvalue
    assert energy.real == pytest.approx(np.linalg.eigvalsh(H2.to_matrix())[0], abs=1e-5)


def test_qiskits_sampling_vqe_finds_the_lowest_string():
    from qiskit_algorithms import SamplingVQE
    from qiskit_algorithms.optimizers import COBYLA

    operator = SparsePauliOp(["ZZ", "IZ", "ZI"], [1.0, -0.8, 0.5])
    vqe = SamplingVQE(
        Sampler(Exact(), default_shots=2000),
        real_amplitudes(2, reps=1),
        COBYLA(maxiter=80),
        initial_point=np.full(4, 0.3),
    )
    result = vqe.compute_minimum_eigenvalue(operator)
    diagonal = np.diag(operator.to_matrix()).real
    assert int(result.best_measurement["bitstring"], 2) == int(np.argmin(diagonal))
