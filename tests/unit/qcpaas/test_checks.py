"""Bad requests are refused from what the workers say of themselves."""

import platform as python

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qcpaas import RuntimeWorkerBase
from qcpaas.checks import (
    check_circuits,
    check_device,
    check_inputs,
    check_job,
    check_options,
    check_shots,
    missing,
)
from qcpaas.circuit_items import circuit_items
from qcpaas.devices import DeviceInfo
from qcpaas.errors import (
    CircuitError,
    InputError,
    ObservableError,
    OptionError,
    PackingError,
    ShotsError,
    UnknownDevice,
)
from qcpaas.schemas import (
    MAX_SHOTS,
    Bundle,
    CircuitJob,
    Environment,
    ExecutionSettings,
    OptionInfo,
    OptionSpec,
    Requirement,
    WorkloadJob,
)


class Work(RuntimeWorkerBase):
    def run(self, steps: int, rate: float = 0.1):
        return steps


class Open(RuntimeWorkerBase):
    def run(self, **inputs):
        return inputs


@pytest.fixture
def environment(platform):
    return platform.environment()


def test_unknown_device_is_answered_with_the_nearest(environment):
    with pytest.raises(UnknownDevice, match="Did you mean FakeKolkata"):
        check_device("fakekolkta", environment.devices)


def test_no_device_is_answered_with_what_there_is(environment):
    with pytest.raises(UnknownDevice, match=r"no device was named.*FakeSherbrooke"):
        check_device("", environment.devices)


@pytest.mark.parametrize("shots", [0, -1, MAX_SHOTS + 1])
def test_absurd_shots_are_refused(shots):
    with pytest.raises(ShotsError, match="between 1 and 10,000,000"):
        check_shots(shots)


@pytest.mark.parametrize("shots", [1, MAX_SHOTS])
def test_shots_at_the_ends_of_the_range_are_taken(shots):
    check_shots(shots)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["ZeroNoiseExtrapolaton"], "Did you mean ZeroNoiseExtrapolation"),
        (["ReadoutMitigation", "ZeroNoiseExtrapolation"], "outer option has the lower rank"),
        (["ZeroNoiseExtrapolation(ordr=2)"], "no setting 'ordr'. Did you mean order"),
        (["ZeroNoiseExtrapolation(order=a)"], "order is 'a'; it must be a whole number"),
        (["ZeroNoiseExtrapolation(order=true)"], "order is True; it must be a whole number"),
        (["ZeroNoiseExtrapolation(fit=cubic)"], "'cubic'; it must be 'linear' or 'exponential'"),
        (["ZeroNoiseExtrapolation(scale_factors=3)"], "it must be a list in brackets"),
        (["ZeroNoiseExtrapolation(scale_factors=[1, x])"], "it must be a list in brackets"),
        (["ZeroNoiseExtrapolation(scale_factors=atuo)"], "a list in brackets or 'auto'"),
        (['ZeroNoiseExtrapolation(scale_factors=["1"])'], "a list in brackets, each of them a num"),
        (["ReadoutMitigation", "ReadoutMitigation"], "named twice"),
        (["ReadoutMitigation(x=2)"], "has no settings; 'x' was given"),
        (["Learned"], "needs absent-package"),
    ],
)
def test_bad_option_is_refused(environment, options, message):
    with pytest.raises(OptionError, match=message):
        check_options([OptionSpec.parse(option) for option in options], environment)


def test_good_stack_and_options_of_the_users_own_are_taken(environment):
    stack = [
        "ZeroNoiseExtrapolation(order=1, scale_factors=auto)",
        "Mine(x=1)",
        "ReadoutMitigation",
    ]
    check_options([OptionSpec.parse(option) for option in stack], environment, own={"Mine"})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"Work.run\(\) needs 'steps'"),
        ({"steps": 1, "rte": 2}, "no input 'rte'. Did you mean rate"),
        ({"steps": np.arange(3)}, "'steps' is of type ndarray.*tolist"),
        ({"steps": {"a": [1, object()]}}, r"'steps'\['a'\]\[1\] is of type object"),
        ({"steps": {1: 2}}, "keys that are not strings"),
        ({"steps": float("nan")}, "is nan"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs, message):
    with pytest.raises(InputError, match=message):
        check_inputs(Work, inputs)


def test_inputs_travel_as_json():
    assert check_inputs(Open, {"a": (1, 2.5), "b": {"c": None}}) == {
        "a": [1, 2.5],
        "b": {"c": None},
    }


def test_worker_that_lacks_nothing_is_fine(environment):
    bundle = Bundle(
        entry="w:W",
        modules={"w": ""},
        requirements=(Requirement(name="NumPy", version=np.__version__),),
        python=python.python_version(),
    )
    assert missing(bundle, environment) == []


def test_what_the_worker_lacks_is_named_with_both_versions():
    bundle = Bundle(
        entry="w:W",
        modules={"w": ""},
        requirements=(
            Requirement(name="numpy", version="1.26.4"),
            Requirement(name="my_lab-tools", version="3.0"),
            Requirement(name="scipy", version="1.14.1"),
        ),
        python="3.12.1",
    )
    worker = Environment(python="3.11.7", distributions={"numpy": "2.1.0", "SciPy": "1.14.0"})
    lacking = missing(bundle, worker)
    assert len(lacking) == 3
    assert "Python 3.12; the worker runs 3.11" in lacking[0]
    assert "numpy 1.26.4; the worker has 2.1.0" in lacking[1]
    assert "my_lab-tools 3.0, which the worker does not have" in lacking[2]


def test_workload_that_the_worker_cannot_import_is_refused(environment):
    bundle = Bundle(
        entry="w:W", modules={"w": ""}, requirements=(Requirement(name="absent", version="1"),)
    )
    job = WorkloadJob(execution=ExecutionSettings(backend="FakeKolkata"), bundle=bundle)
    with pytest.raises(PackingError, match="absent 1, which the worker does not have"):
        check_job(job, environment)


def bell():
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


def job_of(circuit, observables=None, values=None, **execution):
    items = circuit_items(circuit, observables, values)
    return CircuitJob(
        execution=ExecutionSettings(**{"backend": "FakeKolkata", **execution}), items=items
    )


def test_circuit_without_measurement_is_refused_where_counts_are_asked(environment):
    with pytest.raises(CircuitError, match="no measurement"):
        check_job(job_of(bell()), environment)
    check_job(job_of(bell(), "ZZ"), environment)


def test_too_wide_a_circuit_is_refused_with_both_numbers():
    device = DeviceInfo(name="Tiny", adapter="twins", num_qubits=1)
    with pytest.raises(CircuitError, match="needs 2 qubits; Tiny has 1"):
        check_circuits(job_of(bell(), "ZZ"), device)


def test_a_circuit_that_will_be_cut_may_be_wider_than_the_device():
    device = DeviceInfo(name="Tiny", adapter="twins", num_qubits=1)
    cutting = OptionInfo(name="Cutting", rank=-20, summary="cuts", logical=True)
    check_circuits(job_of(bell(), "ZZ", options=(OptionSpec(name="Cutting"),)), device, [cutting])


def test_observable_of_the_wrong_size_is_refused(environment):
    with pytest.raises(ObservableError):
        check_job(job_of(bell(), "ZZZ"), environment)


def test_unbound_parameters_are_refused(environment):
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("a"), 0)
    with pytest.raises(CircuitError, match="1 unbound parameter"):
        check_job(job_of(circuit, "Z"), environment)
    check_job(job_of(circuit, "Z", [[0.1], [0.2]]), environment)


def test_shots_are_not_looked_at_where_exact_values_are_asked(environment):
    with pytest.raises(ShotsError):
        check_job(job_of(bell(), "ZZ", shots=0), environment)
    check_job(job_of(bell(), "ZZ", shots=0, exact=True), environment)
