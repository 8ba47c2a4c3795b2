"""IQM's circuits as Qiskit's, for the loopback server's simulator: written from IQM's definitions.

``PRX(angle, phase)`` is ``exp(-i angle (X cos(phase) + Y sin(phase)) / 2)``; MOVE swaps a qubit and
a resonator up to a phase that a second MOVE undoes.
"""

import cmath

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit.library import UnitaryGate

MOVE_PHASE = cmath.exp(0.83j)
# On 11, where MOVE is not defined, something that shows.
MOVE = np.array(
    [[1, 0, 0, 0], [0, 0, MOVE_PHASE.conjugate(), 0], [0, MOVE_PHASE, 0, 0], [0, 0, 0, -1]]
)


def prx(angle, phase):
    cos, sin = np.cos(angle / 2), np.sin(angle / 2)
    return np.array([[cos, -1j * sin * np.exp(-1j * phase)], [-1j * sin * np.exp(1j * phase), cos]])


def components_of(circuit):
    return sorted({name for step in circuit["instructions"] for name in step["locus"]})


def keys_of(circuit):
    """Measurement keys in an order of the server's own."""
    found = [s["args"]["key"] for s in circuit["instructions"] if s["name"] == "measure"]
    return sorted(found, reverse=True)


def as_qiskit(circuit, components=None):
    """Clbit ``i`` is the measurement of ``keys_of(circuit)[i]``."""
    components = components or components_of(circuit)
    keys = keys_of(circuit)
    found = QuantumCircuit(QuantumRegister(len(components), "q"), ClassicalRegister(len(keys), "c"))
    feedback = {}
    for step in circuit["instructions"]:
        qubits = [components.index(name) for name in step["locus"]]
        args = step["args"]
        if step["name"] == "measure":
            clbit = keys.index(args["key"])
            found.measure(qubits[0], clbit)
            feedback[args.get("feedback_key"), step["locus"][0]] = clbit
        elif step["name"] == "cc_prx":
            clbit = feedback[args["feedback_key"], args["feedback_qubit"]]
            with found.if_test((found.clbits[clbit], 1)):
                found.append(UnitaryGate(prx(args["angle"], args["phase"])), qubits)
        else:
            _put(found, step["name"], qubits, args)
    return found


def _put(circuit, name, qubits, args):
    if name == "prx":
        circuit.append(UnitaryGate(prx(args["angle"], args["phase"]), label="prx"), qubits)
    elif name == "cz":
        circuit.cz(*qubits)
    elif name == "move":
        circuit.append(UnitaryGate(MOVE, label="move"), qubits)
    elif name == "reset":
        circuit.reset(qubits)
    elif name == "delay":
        circuit.delay(args["duration"], qubits, unit="s")
    elif name == "barrier":
        circuit.barrier(qubits)
    else:
        raise ValueError(f"Unknown quantum operation '{name}'.")
