from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from adapters.schedule import delay_s, schedule_alap, snapshot_durations
from adapters.twins import TwinProvider
from calibration.binding import bind_in_place
from pipeline.idle.decoupling import decouple
from pipeline.idle.echo_sequences import SEQUENCES, EchoPolicy
from pipeline.idle.option import DecouplingContext, DynamicalDecoupling
from pipeline.stack import build_stack
from qcpaas.calibration import Quantity
from qcpaas.errors import MitigationError, OptionError
from qcpaas.execution import Experiment
from qcpaas.schemas import OptionSpec
from store.snapshot import Snapshot

PLACE = (0, 1, 2, 3, 4)
THETA = Parameter("theta")


@pytest.fixture(scope="module")
def lima():
    return DeviceBackend(TwinProvider().open("FakeLima"), lambda: 7)


@pytest.fixture(scope="module")
def snapshot(lima):
    return lima.adapter.calibration()


def waiting(pairs=6):
    """Qubit 0 is entangled, waits while 1 and 3 work, and is used again; 0-1-3-4 are in a row."""
    circuit = QuantumCircuit(5)
    circuit.sx(0)
    circuit.rz(THETA, 0)
    circuit.cx(0, 1)
    for _ in range(pairs):
        circuit.cx(1, 3)
        circuit.sx(3)
        circuit.cx(1, 3)
    circuit.cx(0, 1)
    circuit.sx(0)
    return circuit


def detuned(circuit, snapshot, frequency):
    """Each qubit's phase runs on while it waits, in delays and between gates."""
    shifted = circuit.copy_empty_like()
    schedule = schedule_alap(circuit, snapshot_durations(snapshot, PLACE), snapshot.dt_s)
    for step, idle in zip(circuit.data, schedule.idle_s, strict=True):
        shifted.append(step)
        own = delay_s(step, snapshot.dt_s) if step.name == "delay" else 0.0
        for qubit, seconds in zip(step.qubits, idle, strict=True):
            shifted.rz(frequency * (seconds + own), qubit)
    return shifted


def overlap(one, other):
    return abs(Statevector(one).inner(Statevector(other))) ** 2


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("kind", ["named", "by the calibration"])
def test_dephasing_that_stays_the_same_is_undone(snapshot, name, kind):
    policy = EchoPolicy(name) if kind == "named" else EchoPolicy(ramsey_ratio=0.3)
    filled, done = decouple(waiting(), PLACE, snapshot, policy)
    assert done.windows >= 1
    at = [0.7]
    plain, echoed = (c.assign_parameters(at) for c in (waiting(), filled))
    frequency = 2 * np.pi * 80e3  # some radians over the 6 us of waiting
    assert overlap(plain, detuned(plain, snapshot, frequency)) < 0.8
    # What is left runs on in windows too short for an echo, and on qubits that start late.
    assert overlap(plain, detuned(echoed, snapshot, frequency)) > 0.97


@pytest.mark.parametrize("name", SEQUENCES)
def test_unitary_and_duration_stay_and_parameters_stay_symbolic(snapshot, name):
    circuit = waiting()
    filled, done = decouple(circuit, PLACE, snapshot, EchoPolicy(name))
    assert list(filled.parameters) == [THETA]
    one, other = (Operator(without_delays(c.assign_parameters([0.7]))) for c in (circuit, filled))
    assert np.allclose(one.data, other.data, atol=1e-9)  # the global phase as well
    durations = snapshot_durations(snapshot, PLACE)
    before, after = (schedule_alap(c, durations, snapshot.dt_s) for c in (circuit, filled))
    assert after.duration_s == pytest.approx(before.duration_s, rel=1e-9)
    assert done.pulses == len(SEQUENCES[name]) * done.windows
    assert not filled.count_ops().keys() - {"sx", "rz", "cx", "x", "delay"}
    assert all(step.name != "delay" for step in filled.data if step.qubits[0] in idle(filled))


def without_delays(circuit):
    plain = circuit.copy_empty_like()
    for step in circuit.data:
        if step.name != "delay":
            plain.append(step)
    return plain


def idle(circuit):
    """Qubits outside the circuit."""
    used = {qubit for step in circuit.data if step.name == "cx" for qubit in step.qubits}
    return set(circuit.qubits) - used


def test_windows_that_are_filled_already_are_not_filled_again(snapshot):
    filled, done = decouple(waiting(), PLACE, snapshot, EchoPolicy("XY4"))
    again, more = decouple(filled, PLACE, snapshot, EchoPolicy("XX", min_idle_s=1e-6))
    assert done.windows >= 1
    assert (again is filled, more.windows) == (True, 0)


def test_short_windows_are_left_alone_where_that_is_asked(snapshot):
    every = decouple(waiting(), PLACE, snapshot, EchoPolicy("XX"))[1]
    long = decouple(waiting(), PLACE, snapshot, EchoPolicy("XX", min_idle_s=3e-6))[1]
    assert 0 < long.windows < every.windows
    assert long.left + long.windows == every.left + every.windows


def test_a_sequence_that_a_qubit_cannot_do_is_refused_by_name(snapshot):
    slow_frames = [
        replace(reading, value=1e-8)
        if reading.gate == "rz" and reading.quantity == Quantity.GATE_DURATION_S
        else reading
        for reading in snapshot.readings()
    ]
    without = Snapshot.of("slow", 5, slow_frames, snapshot.taken_at, snapshot.dt_s)
    with pytest.raises(MitigationError, match="XY4 needs rotations about y, and qubit 0 has only"):
        decouple(waiting(), PLACE, without, EchoPolicy("XY4"))
    assert decouple(waiting(), PLACE, without, EchoPolicy("XX"))[1].windows


def on_lima(lima, circuit=None, shots=None):
    circuit = waiting() if circuit is None else circuit
    snapshot = lima.adapter.calibration()
    binding = bind_in_place(circuit, snapshot, lima.capabilities.basis_gates)
    observables = (SparsePauliOp("IIIIZ"), SparsePauliOp("IZIZZ"))
    return Experiment(circuit, np.array([[0.3], [1.1]]), observables, shots, binding)


@pytest.mark.parametrize(
    "text", ["sequence=auto", "sequence=XY4", "sequence=auto, t2_ramsey_ratio=none"]
)
def test_under_noise_without_memory_pulses_cost_what_was_said(lima, text):
    """A twin has relaxation alone: whatever an echo is expected to save, it does not."""
    stack = build_stack([OptionSpec.parse(f"DynamicalDecoupling({text})")], lima, "expectation")
    (echoed,) = stack.run([on_lima(lima)])
    (plain,) = build_stack([], lima, "expectation").run([on_lima(lima)])
    figures = echoed.diagnostics[-1].figures
    error = max(lima.adapter.calibration().get(Quantity.GATE_ERROR, q, gate="x") for q in PLACE)
    # A pulse of average error e moves a Pauli's value by at most 3 e.
    assert np.abs(echoed.values - plain.values).max() <= 3 * error * figures["pulses"] + 1e-3
    assert (figures["windows"] == 0) == ("none" in text)
    assert figures["windows_with_assumed_t2_ramsey"] == (
        0 if "none" in text else figures["windows"]
    )


def test_pulses_that_cost_more_than_they_save_are_warned_of(lima):
    spec = OptionSpec.parse("DynamicalDecoupling(sequence=XY8, t2_ramsey_ratio=none)")
    option = DynamicalDecoupling(lima, DynamicalDecoupling.Settings.model_validate(spec.settings))
    _, context = option.expand([on_lima(lima)])
    (note,) = context.notes
    assert note.figures["predicted_gain_nats"] < 0
    assert "cost more than their echoes save" in note.warning
    assert DecouplingContext.model_validate_json(context.model_dump_json()) == context


def test_a_circuit_whose_timing_is_open_is_left_alone_and_said_to_be(lima):
    circuit = waiting()
    circuit.delay(Parameter("t"), 2)
    experiment = replace(on_lima(lima, circuit), parameter_values=np.zeros((1, 2)))
    option = DynamicalDecoupling(lima, DynamicalDecoupling.Settings())
    (kept,), context = option.expand([experiment])
    assert kept.circuit is circuit
    assert "length of a delay is not known" in context.notes[0].warning


def test_an_ideal_simulator_is_refused():
    simulator = DeviceBackend(open_device("statevector"), lambda: 3)
    with pytest.raises(OptionError, match="needs a device whose calibration"):
        build_stack([OptionSpec.parse("DynamicalDecoupling")], simulator, "counts").plan(
            [Experiment(waiting(), np.zeros((1, 1)))]
        )
