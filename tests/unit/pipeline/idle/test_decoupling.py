import math
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Delay, Parameter
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Operator

from adapters.fake_backends import read_snapshot
from adapters.schedule import schedule_alap, snapshot_durations
from adapters.target import build_target, restrict
from pipeline.idle.decoupling import NOTHING_DONE, decouple
from qcpaas.calibration import Quantity
from store.snapshot import Reading, Snapshot

AT = datetime(2026, 11, 1, tzinfo=UTC)
NS, US = 1e-9, 1e-6
PULSE_ERROR = 1e-4
BASES = {
    "x": ("rz", "sx", "x", "cx"),
    "sx": ("rz", "sx", "cx"),
    "r": ("r", "cz"),
    "rx": ("rz", "rx", "cz"),
}


def device(basis="x", ramsey_s=30 * US, echo_s=100 * US, dt_s=1 * NS, **known):
    """Five qubits in a row; 1-qubit gates take 32 ns, 2-qubit gates 400 ns, readout 1 us."""
    readings = []
    for qubit in range(5):
        of_qubit = {
            Quantity.T1_S: 120 * US,
            Quantity.T2_ECHO_S: echo_s,
            Quantity.T2_RAMSEY_S: ramsey_s,
            Quantity.READOUT_DURATION_S: 1 * US,
            Quantity.READOUT_ERROR: 0.01,
        }
        readings += [
            Reading(quantity, (qubit,), value, AT, std_error=known.get(quantity.value))
            for quantity, value in of_qubit.items()
            if value is not None
        ]
    for gate in BASES[basis]:
        places = (
            [(q,) for q in range(5)]
            if len(gate) < 2 or gate in {"rz", "sx", "rx"}
            else [place for a, b in pairwise(range(5)) for place in ((a, b), (b, a))]
        )
        error = {1: 0.0 if gate == "rz" else PULSE_ERROR, 2: 0.005}[len(places[0])]
        lasts = {1: 0.0 if gate == "rz" else 32 * NS, 2: 400 * NS}[len(places[0])]
        for place in places:
            readings.append(Reading(Quantity.GATE_ERROR, place, error, AT, gate))
            readings.append(Reading(Quantity.GATE_DURATION_S, place, lasts, AT, gate))
    return Snapshot.of("row", 5, readings, AT, dt_s)


def waiting(pairs=12, last="cx"):
    """Qubit 0 is entangled, waits for ``pairs`` gates of the others, and is used again."""
    circuit = QuantumCircuit(3, 3)
    circuit.sx(0)
    circuit.cx(0, 1)
    for _ in range(pairs):
        circuit.cx(1, 2)
    if last == "cx":
        circuit.cx(0, 1)
    elif last == "measure":
        circuit.rz(0.3, 0)
        circuit.barrier()
        circuit.measure(range(3), range(3))
    return circuit


def without_delays(circuit):
    plain = circuit.copy_empty_like()
    for step in circuit.data:
        if step.name not in {"delay", "barrier"}:
            plain.append(step)
    return plain


@pytest.mark.parametrize(
    "snapshot",
    [
        read_snapshot("FakeLima"),
        device(ramsey_s=None),
        device(ramsey_s=100 * US),
        device(ramsey_s=85 * US),
        device(t2_ramsey_s=35 * US, t2_echo_s=5 * US),
        device(echo_s=None),
    ],
    ids=["a twin", "no T2*", "T2* is T2", "T2* is hardly below", "within errors", "no echo"],
)
def test_where_the_calibration_shows_no_use_of_an_echo_the_circuit_is_the_same_object(snapshot):
    circuit = waiting(40)
    assert decouple(circuit, (0, 1, 2), snapshot) == (circuit, NOTHING_DONE)


def test_timing_that_is_not_known_beforehand_is_left_alone():
    branching, symbolic = waiting(), waiting()
    with branching.if_test((branching.clbits[0], 1)):
        branching.x(0)
    symbolic.delay(Parameter("t"), 2)
    for circuit in (branching, symbolic):
        filled, done = decouple(circuit, (0, 1, 2), device())
        assert filled is circuit
        assert done.problem


def test_the_gain_is_what_the_echo_saves_less_what_its_pulses_cost():
    circuit = waiting(12)
    filled, done = decouple(circuit, (0, 1, 2), device(ramsey_s=30 * US, echo_s=100 * US))
    t = 12 * 400 * NS
    echo = math.exp(-t / (100 * US))
    free = echo * math.exp(-(1 - 0.3) * (t / (30 * US)) ** 2)
    kept, left = (0.5 + math.exp(-t / (120 * US)) / 6 + c / 3 for c in (echo, free))
    pulses = filled.count_ops()["x"]
    assert (done.windows, done.pulses) == (1, pulses)
    expected = math.log(kept / left) + pulses * math.log(1 - PULSE_ERROR)
    assert done.predicted_gain == pytest.approx(expected, rel=1e-9)


def test_a_short_window_is_not_worth_its_pulses_and_a_long_one_takes_more_of_them():
    pulses = []
    for pairs in range(1, 40):
        circuit = waiting(pairs)
        filled, done = decouple(circuit, (0, 1, 2), device())
        pulses.append(done.pulses)
        assert (filled is circuit) == (done.windows == 0)
    assert pulses == sorted(pulses)
    assert set(pulses) == {0, 2, 4}


def test_noisier_pulses_are_used_more_rarely():
    def shortest(snapshot):
        return next(n for n in range(1, 99) if decouple(waiting(n), (0, 1, 2), snapshot)[1].windows)

    assert shortest(device(ramsey_s=20 * US)) < shortest(device(ramsey_s=60 * US))


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize(("echo_s", "pulses"), [(230 * US, 2), (60 * US, 4)])
def test_the_unitary_the_gates_and_the_duration_stay(basis, echo_s, pulses):
    snapshot, place = device(basis, echo_s=echo_s), (3, 2, 1)
    target = restrict(build_target(snapshot), place)
    circuit = transpile(
        waiting(30).remove_final_measurements(inplace=False),
        target=target,
        optimization_level=0,
    )
    filled, done = decouple(circuit, place, snapshot)
    assert (done.windows, done.pulses) == (1, pulses)
    assert np.allclose(Operator(without_delays(filled)), Operator(circuit), atol=1e-12)
    for step in filled.data:
        where = tuple(filled.find_bit(qubit).index for qubit in step.qubits)
        assert target.instruction_supported(step.name, where, parameters=step.operation.params)
    lasts = [
        schedule_alap(c, snapshot_durations(snapshot, place), snapshot.dt_s).duration_s
        for c in (circuit, filled)
    ]
    assert lasts[1] == pytest.approx(lasts[0], abs=1e-15)


@pytest.mark.parametrize("seed", range(6))
def test_random_circuits_keep_their_unitary_and_their_parameters(seed):
    snapshot, place = device(ramsey_s=8 * US, echo_s=90 * US), (0, 1, 2, 3)
    circuit = random_circuit(4, 8, max_operands=2, seed=seed)
    theta = Parameter("theta")
    circuit.rz(2 * theta, 1)
    circuit.barrier(0, 1)
    circuit.cx(1, 0)
    compiled = transpile(
        circuit, target=restrict(build_target(snapshot), place), optimization_level=1
    )
    filled, done = decouple(compiled, place, snapshot)
    assert done.windows > 0
    assert set(filled.parameters) == {theta}
    unitaries = [
        Operator(without_delays(c.assign_parameters({theta: 0.4}))) for c in (compiled, filled)
    ]
    assert np.allclose(*unitaries, atol=1e-10)


def test_barriers_and_everything_else_keep_their_order():
    circuit = QuantumCircuit(3)
    circuit.sx([0, 1])
    circuit.barrier()
    for _ in range(20):
        circuit.cx(1, 2)
    circuit.barrier()
    circuit.cx(0, 1)
    filled, done = decouple(circuit, (0, 1, 2), device())
    assert done.windows == 1
    kept = [step for step in filled.data if step in circuit.data]
    assert kept == list(circuit.data)
    names = [step.name for step in filled.data if filled.qubits[0] in step.qubits]
    first = names.index("barrier")
    assert names[:2] == ["sx", "barrier"]
    assert names[-2:] == ["barrier", "cx"]
    assert set(names[first + 1 : -2]) == {"delay", "x", "rz"}


def test_qubits_in_a_basis_state_get_nothing():
    starting = QuantumCircuit(3)
    starting.rz(0.2, 0)
    starting.barrier()
    for _ in range(40):
        starting.cx(1, 2)
    starting.cx(0, 1)
    assert decouple(starting, (0, 1, 2), device())[1].windows == 0
    read = waiting(40, last="measure")
    assert decouple(read, (0, 1, 2), device())[1].windows == 0
    unread = waiting(40, last="nothing")
    assert decouple(unread, (0, 1, 2), device())[1].windows == 1


def test_a_delay_of_the_circuits_own_is_left_to_it():
    circuit = QuantumCircuit(1)
    circuit.sx(0)
    circuit.delay(40_000, 0, "dt")
    circuit.sx(0)
    assert decouple(circuit, (0,), device()) == (circuit, NOTHING_DONE)


@pytest.mark.parametrize("dt_s", [1 * NS, 4 * NS, None])
@pytest.mark.parametrize("pairs", [8, 60])
def test_the_phases_before_and_after_the_pulses_cancel(dt_s, pairs):
    snapshot = device(dt_s=dt_s)
    filled, done = decouple(waiting(pairs), (0, 1, 2), snapshot)
    qubit = filled.qubits[0]
    inserted = [s.operation for s in filled.data if s.qubits == (qubit,)][1:]
    sign, phase, lasts = 1.0, 0.0, 0.0
    for operation in inserted:
        if isinstance(operation, Delay):
            assert operation.unit == ("dt" if dt_s else "s")
            if dt_s:
                assert operation.duration % math.gcd(16, round(32 * NS / dt_s)) == 0
            length = operation.duration * (dt_s or 1.0)
            phase, lasts = phase + sign * length, lasts + length
        elif operation.name == "x":  # its halves lie on either side of the flip
            sign, lasts = -sign, lasts + 32 * NS
    assert phase == pytest.approx(0.0, abs=1e-15)
    assert sign == 1.0
    assert (
        pairs * 400 * NS - 2 * done.pulses * 16 * (dt_s or NS) < lasts <= pairs * 400 * NS + 1e-15
    )


def test_a_device_that_cannot_wait_or_has_no_calibrated_pulse_is_left_alone():
    for quantity, gate in ((Quantity.OPERATIONAL, "delay"), (Quantity.OPERATIONAL, "x")):
        known = device()
        readings = [*known.readings(), Reading(quantity, (0,), 0.0, AT, gate)]
        if gate == "x":
            readings = [r for r in readings if r.gate != "sx"]
        broken = Snapshot.of("row", 5, readings, AT, known.dt_s)
        assert decouple(waiting(40), (0, 1, 2), broken)[1].windows == 0


def test_a_rotation_error_that_all_pulses_share_adds_up_in_xx_and_cancels_in_xy4():
    too_far = 0.02
    lost = {}
    for echo_s, pulses in ((230 * US, 2), (60 * US, 4)):
        filled, done = decouple(waiting(30), (0, 1, 2), device(echo_s=echo_s))
        qubit = filled.qubits[0]
        alone = QuantumCircuit(1)
        for step in [s for s in filled.data if s.qubits == (qubit,)][1:]:
            if step.name in {"x", "rz"}:
                alone.append(step.operation, [0])
            if step.name == "x":
                alone.rx(too_far, 0)
        assert done.pulses == pulses
        overlap = abs(np.trace(Operator(alone).data)) / 2
        lost[pulses] = 1 - overlap**2
    assert lost[2] == pytest.approx(math.sin(too_far) ** 2, rel=1e-6)
    assert lost[4] < 1e-3 * lost[2]
