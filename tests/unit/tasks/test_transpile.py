"""Compiling for a device: from the cache, around faults, in parts, and with a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from sqlalchemy import select, update

from adapters.contract import Capabilities
from qcpaas.circuits import circuit_key
from qcpaas.errors import CircuitError
from qcpaas.parts import has_parts, next_part
from store.database import Store
from store.tables import Compiled, table
from tasks.device import Device
from tasks.transpile import transpile_around, transpile_circuit

COMPILED = table(Compiled)


@pytest.fixture
def device(store: Store) -> Device:
    return Device.open("FakeKolkata", store)


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was really compiled, by name."""
    from calibration import portfolio

    names: list[str] = []
    route: Callable[..., object] = portfolio.route

    def noted(circuit: QuantumCircuit, *rest: object, **more: object) -> object:
        names.append(circuit.name)
        return route(circuit, *rest, **more)

    monkeypatch.setattr("calibration.portfolio.route", noted)
    monkeypatch.setattr("calibration.parts.route", noted)
    return names


def chain(angle: str = "a", name: str = "chain") -> QuantumCircuit:
    circuit = QuantumCircuit(4, 4, name=name)
    circuit.ry(Parameter(angle), 0)
    for qubit in range(3):
        circuit.cx(qubit, qubit + 1)
    circuit.measure(range(4), range(4))
    return circuit


def test_a_structure_is_compiled_once_for_all_jobs(
    device: Device, store: Store, compilations: list[str]
) -> None:
    first = transpile_circuit(chain(name="one"), device)
    again = transpile_circuit(chain(name="two"), device)
    assert again.templates is first.templates  # from memory: nothing was read
    elsewhere = transpile_circuit(chain(name="three"), Device.open("FakeKolkata", store))
    assert circuit_key(elsewhere.templates[0].circuit) == circuit_key(first.templates[0].circuit)
    assert compilations == ["one"]


def test_another_topology_or_compiler_means_another_compilation(
    device: Device, store: Store, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    transpile_circuit(chain(), device)
    transpile_circuit(chain(), Device.open("FakeMontreal", store))
    assert len(compilations) == 1 + int(
        Device.open("FakeMontreal", store).snapshot().topology_id != device.snapshot().topology_id
    )
    transpile_circuit(chain(), Device.open("FakeTorino", store))
    before = len(compilations)
    monkeypatch.setattr("qiskit.__version__", "9.9.9")
    transpile_circuit(chain(), device)
    assert len(compilations) == before + 1


def test_a_newer_calibration_of_the_same_topology_compiles_nothing(
    device: Device, compilations: list[str]
) -> None:
    transpile_circuit(chain(), device)
    snapshot = device.snapshot()
    device.pinned = replace(snapshot, values=snapshot.values * 0.9)
    assert device.snapshot().content_id != snapshot.content_id
    transpile_circuit(chain(), device)
    assert len(compilations) == 1


def test_a_damaged_entry_is_compiled_anew(
    device: Device, store: Store, compilations: list[str]
) -> None:
    first = transpile_circuit(chain(), device)
    with store.write() as connection:
        payload = bytearray(connection.scalars(select(COMPILED.c.payload)).one())
        payload[len(payload) // 2] ^= 255
        connection.execute(update(COMPILED).values(payload=bytes(payload)))
    again = transpile_circuit(chain(), Device.open("FakeKolkata", store))
    assert circuit_key(again.templates[0].circuit) == circuit_key(first.templates[0].circuit)
    assert len(compilations) == 2


def test_only_the_changing_part_is_compiled(device: Device, compilations: list[str]) -> None:
    def probed(axis: str) -> QuantumCircuit:
        circuit = QuantumCircuit(4, 4, name=axis)
        circuit.ry(Parameter("a"), 0)
        for qubit in range(3):
            circuit.cx(qubit, qubit + 1)
        next_part(circuit)
        if axis == "x":
            circuit.h(range(4))
        circuit.measure(range(4), range(4))
        return circuit

    portfolio = transpile_circuit(probed("z"), device)
    assert not has_parts(portfolio.templates[0].circuit)
    assert compilations == ["z", "z"]
    transpile_circuit(probed("x"), device)
    assert compilations == ["z", "z", "x"]
    assert transpile_circuit(probed("z"), device).templates is portfolio.templates
    assert len(compilations) == 3


def test_parts_that_share_a_variable_are_compiled_as_one(device: Device) -> None:
    circuit = QuantumCircuit(2, 2)
    seen = circuit.add_var("seen", False)
    circuit.measure(0, 0)
    circuit.store(seen, circuit.clbits[0])
    next_part(circuit)
    with circuit.if_test(seen):
        circuit.x(1)
    circuit.measure(1, 1)
    portfolio = transpile_circuit(circuit, device)
    assert "share classical variables" in portfolio.note
    assert not has_parts(portfolio.templates[0].circuit)


def test_what_the_device_lacks_is_refused_or_rewritten_with_a_note(device: Device) -> None:
    circuit = QuantumCircuit(1, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.measure(0, 1)
    gates = tuple(gate for gate in device.capabilities.basis_gates if gate != "reset")
    device.capabilities = replace(device.capabilities, basis_gates=gates)
    portfolio = transpile_circuit(circuit, device)
    assert portfolio.note == "resets written as measurement and conditional X"
    assert "reset" not in portfolio.templates[0].circuit.count_ops()
    device.capabilities = Capabilities(27, gates, control_flow=frozenset())
    with pytest.raises(CircuitError, match="uses reset, which FakeKolkata does not have"):
        transpile_circuit(circuit, device)


def test_around_faults_the_routing_uses_nothing_that_is_out_of_order(
    device: Device, compilations: list[str]
) -> None:
    snapshot = device.snapshot()
    values = snapshot.values.copy()
    for row, (quantity, gate, qubits) in enumerate(snapshot.keys):
        if quantity == "gate_error" and gate == "cx" and 12 in qubits:
            values[row] = 1.0
    faulty = replace(snapshot, values=values)
    portfolio = transpile_around(chain(), device, faulty)
    assert portfolio.note == "compiled around what is out of order"
    for template in portfolio.templates:
        for first, second, _ in template.interactions:
            assert 12 not in {template.home[first], template.home[second]}
    transpile_around(chain(), device, replace(faulty, values=np.where(values == 1, 1, values / 2)))
    assert len(compilations) == 1  # the same faults
    transpile_around(chain(), device, snapshot)
    assert len(compilations) == 2
