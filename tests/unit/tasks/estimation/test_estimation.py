"""Estimates of jobs on twins, against figures reckoned apart from them."""

import base64
from datetime import UTC, datetime
from math import prod

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from adapters.contract import Capabilities
from qcpaas.circuits import to_payload
from qcpaas.devices import DeviceInfo, DeviceRegistration
from qcpaas.scheduling import JobEstimate
from qcpaas.schemas import (
    Bundle,
    CircuitItem,
    CircuitJob,
    CircuitPayload,
    ExecutionSettings,
    Observable,
    ObservableTerm,
    OptionSpec,
    WorkloadJob,
)
from store.calibrations import Calibrations
from store.devices import Devices
from store.timings import DeviceTimings, Observed, Timings
from tasks.batch import read_batch
from tasks.bind import bind_experiments
from tasks.device import Device
from tasks.estimate import estimate_plan
from tasks.estimation import Estimation, estimate_job
from tasks.estimation import estimator as interface
from tasks.estimation.timing import submissions_of
from tasks.transpile import transpile_experiments

DELAY_S = 250e-6  # of twins, between two shots
ZZ = Observable(terms=(ObservableTerm(pauli="ZZI"), ObservableTerm(pauli="XXI")))


def chain(qubits=3, measured=True):
    circuit = QuantumCircuit(qubits, name="chain")
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    if measured:
        circuit.measure_all()
    return circuit


def job_of(*circuits, shots=1000, options=(), **item):
    asked = [OptionSpec.parse(option) for option in options]
    return CircuitJob(
        items=tuple(CircuitItem(circuit=to_payload(one), **item) for one in circuits),
        execution=ExecutionSettings(backend="FakeLima", shots=shots, options=tuple(asked)),
    )


def test_seconds_are_the_schedule_and_the_waiting_between_shots(store):
    (found,) = estimate_job(job_of(chain()), ["FakeLima"], store)
    assert not found.problems
    assert (found.circuits, found.shots) == (1, 1000)
    assert found.qpu_s == pytest.approx(1000 * (found.duration_s + DELAY_S), rel=1e-9)
    assert found.qpu_s_lo < found.qpu_s < found.qpu_s_hi
    assert found.cost is None


def test_success_of_a_circuit_as_given_is_the_product_of_what_its_gates_and_readouts_promise(store):
    snapshot = Device.open("FakeLima", store).snapshot()
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    job = job_of(circuit)
    execution = job.execution.model_copy(update={"gate_for_gate": True})
    (found,) = estimate_job(job.model_copy(update={"execution": execution}), ["FakeLima"], store)
    target = Device.open("FakeLima", store).target(snapshot)
    gates = [target["x"][(0,)], target["cx"][(0, 1)], target["measure"][(0,)]]
    gates.append(target["measure"][(1,)])
    without_idling = prod(1 - gate.error for gate in gates)
    # Qubit 1 idles before its first gate only, and nothing decays there.
    assert np.exp(found.log_esp) == pytest.approx(without_idling, rel=0.02)
    seconds = [target["x"][(0,)].duration, target["cx"][(0, 1)].duration]
    read_s = max(target["measure"][(qubit,)].duration for qubit in (0, 1))
    assert found.duration_s == pytest.approx(sum(seconds) + read_s)


def test_a_circuit_that_ran_before_is_judged_where_it_would_be_bound(store):
    device, job = Device.open("FakeLima", store), job_of(chain(4))
    quick = estimate_job(job, ["FakeLima"], store)[0]
    batch = read_batch(job)
    portfolios = transpile_experiments(batch.experiments, device, job.execution)
    placed = bind_experiments(batch.experiments, portfolios, device, job.execution.binding)
    found = estimate_job(job, ["FakeLima"], store)[0]
    planned = estimate_plan([one.experiment for one in placed], device)
    assert found.log_esp == pytest.approx(placed[0].experiment.binding.log_fidelity)
    assert found.duration_s == pytest.approx(planned.duration_s)
    assert found.qpu_s == pytest.approx(planned.qpu_s)
    assert "one quick routing" in " ".join(quick.methods)
    assert quick.log_esp == pytest.approx(found.log_esp, abs=0.5)


def test_mitigation_multiplies_what_its_settings_say(store):
    plain, zne = (
        estimate_job(
            job_of(chain(measured=False), observables=(ZZ,), options=given), ["FakeLima"], store
        )[0]
        for given in ((), ("ZeroNoiseExtrapolation(scale_factors=[1, 2, 3, 4])",))
    )
    assert (plain.circuits, plain.shots) == (2, 2000)  # two bases
    assert (zne.circuits, zne.shots) == (8, 8000)
    assert (zne.circuit_factor, zne.shot_factor) == (4.0, 4.0)
    assert zne.qpu_s == pytest.approx(4 * plain.qpu_s)


def test_points_and_circuits_add_up(store):
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("a"), 0)
    circuit.measure_all()
    points = ((0.1,), (0.2,), (0.3,))
    job = job_of(circuit, circuit, parameter_values=points, shots=100)
    (found,) = estimate_job(job, ["FakeLima"], store)
    assert (found.circuits, found.shots) == (6, 600)


def test_devices_are_told_apart_and_an_ideal_simulator_takes_no_device_seconds(store):
    lima, kolkata, ideal = estimate_job(
        job_of(chain(7)), ["FakeLima", "FakeKolkata", "statevector"], store
    )
    assert "needs 7 qubits; FakeLima has 5" in lima.problems[0]
    assert kolkata.log_esp < 0.0
    assert (ideal.qpu_s, ideal.log_esp, ideal.problems) == (0.0, None, ())


def test_every_device_that_is_wide_enough_is_compared_and_no_ideal_one(store):
    infos = [
        DeviceInfo(name="FakeLima", adapter="twins", num_qubits=5, simulator=True),
        DeviceInfo(name="FakeKolkata", adapter="twins", num_qubits=27, simulator=True),
        DeviceInfo(name="statevector", adapter="simulators", num_qubits=28, simulator=True),
    ]
    estimation = Estimation(store)
    assert [one.device for one in estimation.compare(job_of(chain(3)), infos)] == [
        "FakeLima",
        "FakeKolkata",
    ]
    assert [one.device for one in estimation.compare(job_of(chain(7)), infos)] == ["FakeKolkata"]


HOSTILE = {
    "no base64": "%%%",
    "no QPY": base64.b64encode(b"QISKIT" + bytes(200)).decode(),
    "truncated": to_payload(chain()).text[:100],
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_damaged_or_hostile_circuit_is_a_problem_and_no_exception(store, text):
    payload = CircuitPayload(format="qpy", text=text)
    job = job_of(chain()).model_copy(update={"items": (CircuitItem(circuit=payload),)})
    for found in estimate_job(job, ["FakeLima", "nowhere"], store):
        assert found.problems
        assert found.qpu_s == 0.0


def test_what_cannot_run_says_why(store):
    unknown = estimate_job(job_of(chain(), options=["NoSuchOption"]), ["FakeLima"], store)[0]
    assert "there is no option 'NoSuchOption'" in unknown.problems[0]
    nowhere = estimate_job(job_of(chain()), ["FakeNowhere"], store)[0]
    assert "there is no device 'FakeNowhere'" in nowhere.problems[0]
    unmeasured = estimate_job(job_of(chain(measured=False)), ["FakeLima"], store)[0]
    assert "no measurement" in unmeasured.problems[0]


def test_a_registered_device_is_reckoned_by_the_store_alone(store):
    """Its vendor's address leads nowhere: whoever asked it would fail."""
    twin = Device.open("FakeLima", store).snapshot()
    info = DeviceInfo(name="lab", adapter="ibm", address="ibm_lab", num_qubits=5)
    Devices(store).register(
        info, DeviceRegistration(name="lab", adapter="ibm", address="ibm_lab", credentials="none")
    )
    blank = estimate_job(job_of(chain()), ["lab"], store)[0]
    assert (blank.log_esp, blank.problems) == (None, ())
    Calibrations(store).record(twin.of_device("lab"))
    known = estimate_job(job_of(chain()), ["lab"], store)[0]
    like = estimate_job(job_of(chain()), ["FakeLima"], store)[0]
    assert known.log_esp == pytest.approx(like.log_esp)
    # A second a submission, 5 ms a circuit, and the schedule with IBM's usual waiting.
    assert known.qpu_s == pytest.approx(1.0 + 0.005 + 1000 * (known.duration_s + DELAY_S))
    assert known.cost.amount == pytest.approx(1.6 * known.qpu_s)


def test_an_address_is_never_opened(store):
    (found,) = estimate_job(job_of(chain()), ["qpu:http://127.0.0.1:9/device"], store)
    assert (found.log_esp, found.problems) == (None, ())


SPY = """
import pathlib
pathlib.Path({file!r}).write_text("ran")
class Work: ...
"""


def workload(file="", backend="FakeLima", **inputs):
    bundle = Bundle(entry="work:Work", modules={"work": SPY.format(file=str(file))})
    execution = ExecutionSettings(backend=backend, shots=500)
    return WorkloadJob(execution=execution, bundle=bundle, inputs=inputs)


def test_a_workload_is_reckoned_by_its_declared_steps_and_never_imported(store, tmp_path):
    file = tmp_path / "spy"
    few, many, unsaid = (
        estimate_job(workload(file, **inputs), ["FakeLima"], store)[0]
        for inputs in ({"steps": 10}, {"steps": 1000}, {"angle": 0.1})
    )
    assert not file.exists()
    assert (few.circuits, few.shots) == (20, 10_000)  # two circuits a step
    assert many.qpu_s == pytest.approx(100 * few.qpu_s)
    assert few.qpu_s_hi > 5 * few.qpu_s > 25 * few.qpu_s_lo  # nobody knows
    assert "nothing says" in " ".join(unsaid.methods)


def test_an_installed_estimator_is_asked_after_those_that_it_builds_on(
    store, tmp_path, monkeypatch
):
    metadata = tmp_path / "carbon-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: carbon\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[qcpaas.estimators]\ncarbon = carbon:Carbon\nbroken = carbon:Broken\n"
    )
    (tmp_path / "carbon.py").write_text(
        "from tasks.estimation import Estimator\n"
        "class Carbon(Estimator):\n"
        "    rank = 70\n"
        "    def estimate(self, case, so_far):\n"
        "        said = f'carbon: {so_far.shots} shots on {case.device.name}'\n"
        "        return so_far.model_copy(update={'methods': (*so_far.methods, said)})\n"
        "class Broken(Estimator):\n"
        "    def estimate(self, case, so_far):\n"
        "        raise ZeroDivisionError('of its own')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = estimate_job(job_of(chain()), ["FakeLima"], store)
    assert "carbon: 1000 shots on FakeLima" in found.methods
    assert "Broken: failed (ZeroDivisionError: of its own)" in found.methods
    assert found.qpu_s > 0.0
    assert [one.rank for one in interface.find_estimators()] == sorted(
        one.rank for one in interface.find_estimators()
    )


def test_a_device_job_is_counted_for_each_that_the_limits_make():
    asked = JobEstimate(device="d", circuits=250, shots=250_000)
    assert submissions_of(asked, Capabilities(5, max_circuits=100)) == 3
    assert submissions_of(asked, Capabilities(5, max_circuits=1000, max_points=50)) == 5
    assert submissions_of(asked, Capabilities(5, max_total_shots=100_000)) == 3
    assert submissions_of(asked, Capabilities(5)) == 1


def test_learnt_times_change_the_next_estimate_at_once(store):
    estimation = Estimation(store)
    before = estimation.estimate(job_of(chain()), ["FakeLima"])[0]
    slow = tuple(Observed(1, 1000, 0.005, 0.5 + 1e-4 * step, 0.2) for step in range(40))
    assert Timings(store).keep("FakeLima", DeviceTimings(observed=slow), None)
    after = estimation.estimate(job_of(chain()), ["FakeLima"])[0]
    assert before.qpu_s == pytest.approx(0.255, rel=0.01)
    assert after.qpu_s == pytest.approx(0.502, rel=0.02)
    assert Timings(store).read("FakeLima")[1] < datetime.now(UTC)
