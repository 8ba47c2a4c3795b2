"""What Braket's own SDK makes of the adapter's programs, simulators and tasks."""

import json
import warnings

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Parameter, ParameterVector
from qiskit.quantum_info import DensityMatrix, Operator, Statevector
from vendors.braket_devices import ANKAA, FORTE, GARNET, properties, text
from vendors.braket_subject import environment
from vendors.process import VendorServer

from adapters.braket.circuits import Dialect, write_program
from adapters.braket.gates import BRAKET
from adapters.braket.properties import Facts, read_properties
from adapters.contract import Submission
from adapters.registry import open_device
from adapters.target import build_target
from qcpaas.errors import SubmissionRefused
from qcpaas.execution import Binding, Experiment


def facts_of(machine):
    return Facts(machine.name, machine.provider, True, read_properties(text(machine), machine.arn))


def placed(circuit, physical, points=None, shots=100):
    values = np.zeros((1, 0)) if points is None else np.asarray(points, dtype=float)
    binding = Binding(tuple(physical), "", None, ())
    return Experiment(circuit, values, shots=shots, binding=binding)


def random_circuit(gates, pairs, qubits, rng, parameters=()):
    """Fifty gates by their Qiskit names, each qubit used."""
    circuit = QuantumCircuit(qubits)
    angles = {"r": 2, "rx": 1, "ry": 1, "rz": 1}
    single = [name for name in gates if name in {"r", "rx", "ry", "rz", "sx", "sxdg", "x"}]
    for step in range(50):
        if step >= qubits and rng.random() < 0.4:
            name = rng.choice([name for name in gates if name not in single])
            getattr(circuit, name)(*pairs[rng.integers(len(pairs))])
            continue
        name = rng.choice(single)
        values = list(rng.uniform(-np.pi, np.pi, angles.get(name, 0)))
        if values and parameters and rng.random() < 0.5:
            chosen = parameters[rng.integers(len(parameters))]
            values[0] = values[0] - rng.normal() * chosen + chosen * chosen / 3
        getattr(circuit, name)(*values, step if step < qubits else int(rng.integers(qubits)))
    return circuit


def unitary_in_braket(source, inputs=None):
    """Of the program, its lowest qubit as the most significant bit."""
    from braket.circuits import Circuit

    return Circuit.from_ir(source, inputs=inputs or {}).to_unitary()


def unitary_in_qiskit(circuit, labels):
    """The same, of a circuit whose qubits have the given labels."""
    order = sorted(range(len(labels)), key=labels.__getitem__)
    sorted_circuit = QuantumCircuit(len(labels))
    sorted_circuit.compose(circuit, [order.index(q) for q in range(len(labels))], inplace=True)
    return Operator(sorted_circuit.reverse_bits()).data


def assert_equal_up_to_phase(found, expected):
    overlap = abs(np.trace(found.conj().T @ expected)) / len(expected)
    assert overlap == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(
    ("machine", "physical"),
    [
        (GARNET, (1, 6, 0)),
        (ANKAA, (8, 1, 2)),  # by the vendor's numbers 9, 1 and 2: 8 is not in use
        (FORTE, (3, 7, 5)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_random_compiled_circuits_keep_their_unitaries(machine, physical):
    facts = facts_of(machine)
    dialect = Dialect.of(machine.name, facts)
    labels = [facts.labels[q] for q in physical] if facts.verbatim else [0, 1, 2]
    rng = np.random.default_rng(11)
    for _ in range(5):
        circuit = random_circuit(facts.gates, [(0, 1), (2, 0)], 3, rng)
        program = write_program(placed(circuit, physical), 0, dialect)
        assert_equal_up_to_phase(
            unitary_in_braket(program.gates), unitary_in_qiskit(circuit, labels)
        )


def test_every_gate_with_a_name_on_braket_is_the_same_gate_there():
    from qiskit.circuit.library import get_standard_gate_name_mapping

    known = get_standard_gate_name_mapping()
    dialect = Dialect("any", any_gate=True)
    for name in BRAKET:
        gate = known[name].to_mutable()
        gate.params = list(np.linspace(0.3, 1.1, len(gate.params)))
        circuit = QuantumCircuit(gate.num_qubits)
        circuit.append(gate, range(gate.num_qubits))
        source = write_program(placed(circuit, range(gate.num_qubits)), 0, dialect).gates
        assert f"{BRAKET[name]}" in source
        expected = unitary_in_qiskit(circuit, list(range(gate.num_qubits)))
        assert_equal_up_to_phase(unitary_in_braket(source), expected)


def test_one_program_with_inputs_serves_every_point():
    vector = ParameterVector("θ", 2)
    extra = Parameter("a b")
    rng = np.random.default_rng(5)
    circuit = random_circuit(("r", "cz"), [(0, 1)], 2, rng, [*vector, extra])
    points = rng.uniform(-2, 2, (4, circuit.num_parameters))
    dialect = Dialect.of("Garnet", facts_of(GARNET))
    program = write_program(placed(circuit, (4, 9), points), 0, dialect)
    assert {len(values) for values in program.inputs.values()} == {4}
    for number, point in enumerate(points):
        inputs = {name: values[number] for name, values in program.inputs.items()}
        expected = unitary_in_qiskit(circuit.assign_parameters(point), [4, 9])
        assert_equal_up_to_phase(unitary_in_braket(program.gates, inputs), expected)


def test_a_compiled_circuit_stands_on_its_physical_qubits_in_a_verbatim_box():
    circuit = QuantumCircuit(2, 2)
    circuit.r(0.5, 0.25, 0)
    circuit.barrier()
    circuit.cz(0, 1)
    circuit.barrier()
    circuit.measure([0, 1], [1, 0])
    program = write_program(placed(circuit, (6, 1)), 3, Dialect.of("Garnet", facts_of(GARNET)))
    assert program.source == (
        'OPENQASM 3.0;\n// qcpaas [3,2,[["c",2]]]\nbit[2] b;\n#pragma braket verbatim\nbox {\n'
        "prx(0.5, 0.25) $7;\nbarrier $7, $2;\ncz $7, $2;\n}\n"
        "b[0] = measure $2;\nb[1] = measure $7;\n"
    )


def test_what_a_program_cannot_say_is_refused_with_a_reason():
    dialect = Dialect.of("Garnet", facts_of(GARNET))
    again = QuantumCircuit(1, 2)
    again.measure(0, 0)
    again.r(1, 0, 0)
    again.measure(0, 1)
    waiting = QuantumCircuit(1)
    waiting.delay(1e-6, 0, unit="s")
    branching = QuantumCircuit(1, 1)
    with branching.if_test((branching.clbits[0], 1)):
        branching.x(0)
    foreign = QuantumCircuit(2)
    foreign.dcx(0, 1)
    for circuit, word in (
        (again, "measured"),
        (waiting, "delay"),
        (branching, "if_else"),
        (foreign, "dcx"),
    ):
        with pytest.raises(SubmissionRefused, match=word):
            write_program(placed(circuit, range(circuit.num_qubits)), 0, dialect)


# --- simulators and emulators -----------------------------------------------------------------


def bell_with_angle():
    low, high = ClassicalRegister(2, "low"), ClassicalRegister(9, "high")
    circuit = QuantumCircuit(QuantumRegister(3), low, high)
    circuit.ry(Parameter("t"), 1)
    circuit.append(QuantumCircuit(2, name="inner").to_gate(), [0, 2])
    circuit.crz(0.4, 1, 0)  # has no name on Braket
    circuit.cx(1, 2)
    circuit.measure([1, 2], [10, 0])
    return circuit


def test_a_local_simulator_gives_exact_and_seeded_answers():
    device = open_device("braket:local:braket_dm")
    circuit = bell_with_angle()
    exact = Experiment(circuit, np.array([[0.4], [2.0]]), shots=None)
    sampled = Experiment(circuit, np.array([[0.4]]), shots=1000)
    submission = Submission((exact, sampled), seed=7)
    found, drawn = device.result(device.submit(submission, "token")).counts
    for angle, point in zip((0.4, 2.0), found.points, strict=True):
        one = np.sin(angle / 2) ** 2
        expected = {"00000000000": 1 - one, "10000000001": one}
        assert point.to_dict() == pytest.approx(expected, abs=1e-9)
    assert found.registers == (("low", 2), ("high", 9))
    again = device.result(device.submit(submission, "other")).counts[1]
    assert again.points[0].to_dict() == drawn.points[0].to_dict()
    assert drawn.points[0].weights.sum() == 1000


def test_an_emulator_adds_the_noise_of_the_devices_properties(tmp_path):
    file = tmp_path / "Garnet.json"
    file.write_text(text(GARNET))
    device = open_device(f"braket:emulator:{file}")
    snapshot = device.calibration()
    theta = Parameter("theta")
    circuit = QuantumCircuit(2)
    circuit.rx(theta, 0)
    circuit.cx(0, 1)
    circuit.measure_all()
    compiled = transpile(
        circuit, target=build_target(snapshot), initial_layout=[2, 7], seed_transpiler=3
    )
    assert set(compiled.count_ops()) <= {"r", "cz", "measure", "barrier"}
    compact = QuantumCircuit(QuantumRegister(2), *compiled.cregs)
    for item in compiled.data:
        qubits = [{2: 0, 7: 1}[q] for q in map(compiled.qubits.index, item.qubits) if q in {2, 7}]
        if item.name != "barrier":
            compact.append(item.operation, qubits, item.clbits)
    submission = Submission((placed(compact, (2, 7), [[0.7]], shots=None),), 1)
    (counts,) = device.result(device.submit(submission, "t")).counts
    found = counts.points[0].to_dict()
    expected = emulated_here(compact.assign_parameters([0.7]), ("3", "8"))
    assert found == pytest.approx(expected, abs=1e-9)
    ideal = Statevector(circuit.assign_parameters([0.7]).remove_final_measurements(inplace=False))
    distance = sum(abs(found[k] - ideal.probabilities_dict().get(k, 0)) for k in found) / 2
    assert 0.01 < distance < 0.2


def emulated_here(circuit, labels):
    """Outcomes with the noise that the SDK documents: depolarising after gates, flips when read."""
    told = properties(GARNET)["standardized"]
    state = DensityMatrix.from_label("00")
    flips = []
    for label in labels:
        benchmark, _, readout = told["oneQubitProperties"][label]["oneQubitFidelity"]
        flips.append((1 - benchmark["fidelity"], 1 - readout["fidelity"]))
    pair = told["twoQubitProperties"]["-".join(labels)]["twoQubitGateFidelity"][0]
    for item in circuit.data:
        if item.name == "measure":
            continue
        qubits = [circuit.find_bit(q).index for q in item.qubits]
        state = state.evolve(Operator(item.operation), qubits)
        if len(qubits) == 1:
            rate = flips[qubits[0]][0] * 3 / 2
            terms = [Operator.from_label(p) for p in "XYZ"]
        else:
            rate = (1 - pair["fidelity"]) * 5 / 4
            terms = [Operator.from_label(a + b) for a in "IXYZ" for b in "IXYZ"][1:]
        noisy = sum((state.evolve(term, qubits).data for term in terms), np.zeros((4, 4)))
        state = DensityMatrix((1 - rate) * state.data + rate * noisy / len(terms))
    reading = [np.array([[1 - e, e], [e, 1 - e]]) for _, e in flips]
    mixed = np.kron(reading[1], reading[0]) @ state.probabilities()
    return {f"{outcome:02b}": value for outcome, value in enumerate(mixed)}


# --- the SDK's own client -----------------------------------------------------------------------


def test_the_sdks_client_reads_the_loopback_servers_devices_and_tasks(tmp_path, monkeypatch):
    """The server is good enough for the unmodified client, and our tasks are tasks to it."""
    with VendorServer("braket", tmp_path / "jobs.db") as server:
        for name, value in environment(server.url).items():
            monkeypatch.setenv(name, value)
        from braket.aws import AwsDevice, AwsQuantumTask, AwsSession
        from braket.circuits import Circuit

        device = AwsDevice(GARNET.arn)
        assert device.properties.paradigm.qubitCount == 20
        assert device.is_available
        assert set(device.queue_depth().quantum_tasks.values()) == {"0"}
        theirs = device.run(Circuit().add_verbatim_box(Circuit().prx(3, np.pi, 0)), shots=10)
        assert theirs.result().measurement_counts == {"1": 10}

        ours = open_device(f"braket:{GARNET.arn}")
        circuit = QuantumCircuit(2)
        circuit.r(Parameter("t"), 0.0, 1)
        circuit.measure_all()
        experiment = placed(circuit, (3, 8), [[0.0], [np.pi]], shots=10)
        handle = ours.submit(Submission((experiment, experiment), 1), "ours")
        counts = ours.result(handle, timeout_s=60).counts
        session = AwsSession(device.aws_session.boto_session)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = AwsQuantumTask(handle.device_job_id, session).result()
        # Braket's columns are the circuit's qubits here; Qiskit writes clbit 0 last.
        seen = [[dict(point.counts) for point in program] for program in read.entries]
        assert seen == [[{"00": 10}, {"01": 10}]] * 2
        for each in counts:
            assert [point.to_dict() for point in each.points] == [{"00": 10.0}, {"10": 10.0}]
        assert json.loads(json.dumps(ours.result(handle).details))["shots"] == 40
