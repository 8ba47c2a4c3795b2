"""Echoes end where they began, on every kind of device, and leave the answer alone."""

import math
from math import pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Gate, Parameter, Qubit
from qiskit.quantum_info import SparsePauliOp, Statevector

from adapters.backend import DeviceBackend
from adapters.simulators import SimulatorAdapter
from pipeline.echoes.echo import MIN_SHOTS, EchoCheck, log_survival
from pipeline.echoes.echo_circuit import echo_of
from pipeline.stack import build_stack
from qcpaas.errors import MitigationError
from qcpaas.execution import Binding, Experiment
from qcpaas.schemas import OptionSpec

QUBITS = 3
PAIRS = [(0, 1), (1, 2), (2, 0)]
THETA, PHI = Parameter("theta"), Parameter("phi")
VALUES = {THETA: 0.7, PHI: -1.3}
ANGLES = st.one_of(st.floats(-4, 4), st.sampled_from([THETA, 2 * THETA + PHI, PHI]))
DEVICES = {
    "ecr": {"one": ("sx", "x", "rz"), "two": ("ecr",), "basis": ("ecr", "sx", "x", "rz")},
    "cz and fractional": {
        "one": ("sx", "x", "rz", "rx"),
        "two": ("cz", "rzz"),
        "basis": ("cz", "rzz", "sx", "x", "rz", "rx", "id"),
    },
    "iqm": {"one": ("r",), "two": ("cz",), "basis": ("cz", "r")},
    "any": {"one": ("h", "ry", "u"), "two": ("cx", "swap", "cp"), "basis": ()},
}
COUNTS = {"rz": 1, "ry": 1, "r": 2, "rx": 1, "rzz": 1, "u": 3, "cp": 1}


@st.composite
def compiled(draw, device):
    gates = DEVICES[device]
    circuit = QuantumCircuit(QUBITS)
    for _ in range(draw(st.integers(0, 12))):
        name = draw(st.sampled_from((*gates["one"], *gates["two"], "barrier", "delay")))
        if name == "barrier":
            circuit.barrier()
            continue
        if name == "delay":
            circuit.delay(100, draw(st.integers(0, 2)), unit="ns")
            continue
        qubits = (
            draw(st.sampled_from(PAIRS)) if name in gates["two"] else (draw(st.integers(0, 2)),)
        )
        angles = [draw(ANGLES) for _ in range(COUNTS.get(name, 0))]
        if name == "rzz":
            angles = [draw(st.floats(0, pi / 2))]
        getattr(circuit, name)(*angles, *qubits)
    if draw(st.booleans()):
        circuit.measure_all()
    return circuit


def ends_in(echo):
    """The bit string that the echo leaves, and how surely."""
    bare = echo.circuit.remove_final_measurements(inplace=False)
    bound = bare.assign_parameters({p: VALUES[p] for p in bare.parameters})
    shares = Statevector(bound).probabilities(list(echo.qubits) or None)
    return int(np.argmax(shares)), float(shares.max())


@pytest.mark.parametrize("device", DEVICES)
def test_echo_ends_where_it_began_in_the_devices_own_gates(device):
    @settings(max_examples=30, deadline=None)
    @given(compiled(device), st.integers(0, 99))
    def check(circuit, seed):
        basis = DEVICES[device]["basis"]
        echo = echo_of(circuit, basis, seed)
        assert echo.circuit.parameters == circuit.parameters
        if echo.qubits:
            place, share = ends_in(echo)
            assert share == pytest.approx(1, abs=1e-9)
            assert place == sum(bit << k for k, bit in enumerate(echo.expected))
        if basis:
            assert set(echo.circuit.count_ops()) <= {*basis, "measure", "barrier", "delay"}
        angles = [step.operation.params[0] for step in echo.circuit.data if step.name == "rzz"]
        assert all(0 <= float(angle) <= pi / 2 for angle in angles)

    check()


def test_bits_differ_from_seed_to_seed_and_repeat_with_it():
    circuit = QuantumCircuit(8)
    circuit.sx(range(8))
    found = {echo_of(circuit, ("sx", "x", "rz"), seed).expected for seed in range(20)}
    assert len(found) > 15
    assert echo_of(circuit, ("sx", "x", "rz"), 4).expected in found
    mean = np.mean([echo_of(circuit, ("sx", "x", "rz"), seed).expected for seed in range(100)])
    assert mean == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(800))


def test_only_what_is_used_or_read_is_measured():
    circuit = QuantumCircuit(QuantumRegister(2, "a"), [Qubit(), Qubit()], ClassicalRegister(1, "m"))
    circuit.x(0)
    circuit.delay(10, 1, unit="ns")
    circuit.measure(3, 0)
    echo = echo_of(circuit, ("x",), 0)
    assert echo.qubits == (0, 3)
    assert [register.name for register in echo.circuit.cregs] == ["echo"]


def mid_circuit():
    circuit = QuantumCircuit(2, 1)
    circuit.measure(0, 0)
    circuit.x(0)
    return circuit


def reset():
    circuit = QuantumCircuit(1)
    circuit.reset(0)
    return circuit


def control_flow():
    circuit = QuantumCircuit(2, 1)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)
    return circuit


def unknown_gate():
    circuit = QuantumCircuit(1)
    circuit.append(Gate("mystery", 1, []), [0])
    return circuit


REFUSED = [
    (mid_circuit, "measures before its end"),
    (reset, "'reset', which cannot be run backwards"),
    (control_flow, "'if_else', which cannot be run backwards"),
    (unknown_gate, "'mystery' has no inverse"),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED)
def test_circuit_that_cannot_go_back_is_refused_with_the_reason(make, reason):
    with pytest.raises(MitigationError, match=reason):
        echo_of(make(), ("x", "sx", "rz"), 0)


@pytest.fixture
def device():
    return DeviceBackend(SimulatorAdapter("statevector", "statevector"), lambda: 5)


def bell(measured=True):
    circuit = QuantumCircuit(2)
    circuit.ry(THETA, 0)
    circuit.cx(0, 1)
    if measured:
        circuit.measure_all()
    return circuit


BINDING = Binding((4, 7), "s", np.array([[0.01, 0.02], [0.03, 0.04]]), ("cx", "ry", "x", "measure"))


def experiment(circuit, points=1, shots=400, **more):
    values = np.linspace(0.1, 3, points * circuit.num_parameters).reshape(points, -1)
    return Experiment(circuit, values, shots=shots, **more)


def test_answer_of_the_call_is_as_without_the_echo(device):
    asked = [experiment(bell(), 3, binding=BINDING), experiment(bell(), 2, binding=BINDING)]
    plan = EchoCheck(device).plan(asked)
    assert len(plan.experiments) == 3
    answer = EchoCheck(device).combine(plan, device.execute(plan.experiments))
    alone = device.execute(asked)
    assert [len(outcome.points) for outcome in answer] == [3, 2]
    assert [outcome.registers for outcome in answer] == [o.registers for o in alone]
    (note,) = answer[0].diagnostics
    assert answer[1].diagnostics == ()
    assert note.option == "EchoCheck"
    figures = note.figures
    assert figures["survival"] == 1.0
    assert figures["shots"] == 3 * 342  # 1,024 shared by three points
    assert figures["log_survival"] == pytest.approx(-0.5 / 1026, rel=1e-2)
    read = sum(  # what is lost in readout, as calibrated, of the bits that should be read
        math.log(1 - BINDING.readout_errors[place][int(bit)])
        for place, bit in enumerate(reversed(figures["expected"]))
    )
    fair = min((figures["log_survival"] - read) / 2, 0)
    assert figures["log_fidelity"] == pytest.approx(fair)


def test_loop_with_many_points_pays_few_shots_a_point(device):
    plan = EchoCheck(device).plan([experiment(bell(), 500, shots=4096)])
    assert plan.experiments[1].shots == MIN_SHOTS
    plan = EchoCheck(device).plan([experiment(bell(), 1, shots=100)])
    assert plan.experiments[1].shots == 100


def test_exact_call_has_an_exact_echo(device):
    option = EchoCheck(device)
    plan = option.plan([experiment(bell(), shots=None)])
    (answer,) = option.combine(plan, device.execute(plan.experiments))
    figures = answer.diagnostics[0].figures
    assert figures["shots"] is None
    assert figures["log_survival"] == pytest.approx(0, abs=1e-12)
    assert figures["std_error"] == 0.0


@pytest.mark.parametrize("make", [mid_circuit, reset])
def test_diagnostic_says_why_there_is_no_echo(device, make):
    circuit = make()
    circuit.measure_all()
    option = EchoCheck(device)
    plan = option.plan([experiment(circuit)])
    assert len(plan.experiments) == 1
    (answer,) = option.combine(plan, device.execute(plan.experiments))
    assert "problem" in answer.diagnostics[0].figures


def test_nothing_asked_is_nothing_answered(device):
    option = EchoCheck(device)
    plan = option.plan([])
    assert option.combine(plan, ()) == ()


def test_echo_runs_where_it_is_told(device):
    def elsewhere(circuit, binding):
        return circuit, Binding((1, 2), "s", binding.readout_errors, binding.basis_gates)

    plan = EchoCheck(device, elsewhere=elsewhere).plan([experiment(bell(), binding=BINDING)])
    assert [e.binding.physical_qubits for e in plan.experiments] == [(4, 7), (1, 2)]


def test_diagnostic_comes_through_every_option_around(device):
    specs = [OptionSpec.parse("ZeroNoiseExtrapolation"), OptionSpec.parse("ReadoutMitigation")]
    stack = build_stack(specs, EchoCheck(device), "expectation")
    observable = SparsePauliOp("ZZ")
    asked = [experiment(bell(measured=False), binding=BINDING, observables=(observable,))]
    (answer,) = stack.run(asked)
    names = [note.option for note in answer.diagnostics]
    assert "EchoCheck" in names
    assert answer.values.shape == (1, 1)


@pytest.mark.parametrize(("kept", "shots"), [(0, 200), (50, 200), (200, 200), (1, 1), (0, 1)])
def test_log_survival_and_its_error_are_finite_for_every_count(kept, shots):
    value, error = log_survival(kept, shots, shots)
    assert math.isfinite(value)
    assert error > 0
    if kept == 50:  # binomial: sqrt((1 - p) / (p n))
        assert value == pytest.approx(math.log(0.25), abs=0.01)
        assert error == pytest.approx(math.sqrt(3 / 200), rel=0.02)


def test_exact_survival_of_nothing_has_no_logarithm():
    with pytest.raises(MitigationError, match="nothing survived"):
        log_survival(0.0, 1.0, None)
