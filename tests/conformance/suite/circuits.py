"""Circuits whose outcomes are known without simulating them."""

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter

GHZ = {"000": 0.5, "111": 0.5}


def ghz():
    circuit = QuantumCircuit(3, name="ghz")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.measure_all()
    return circuit


def coin():
    """One fair bit."""
    circuit = QuantumCircuit(1, name="coin")
    circuit.h(0)
    circuit.measure_all()
    return circuit


def rotation():
    """Reads 1 with probability ``sin(theta)**2``."""
    circuit = QuantumCircuit(1, name="rotation")
    circuit.rx(2 * Parameter("theta"), 0)
    circuit.measure_all()
    return circuit


def two_rotations():
    """Bit 0 turned by ``b``, bit 1 by ``0.3 - 2 a``: neither the circuit's order nor plain."""
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(2, name="two-rotations")
    circuit.ry(b, 0)
    circuit.ry(0.3 - 2 * a, 1)
    circuit.measure_all()
    return circuit


def two_rotations_outcomes(a, b):
    """Probability of each of its outcomes."""
    one = {"0": np.sin(b / 2) ** 2, "1": np.sin((0.3 - 2 * a) / 2) ** 2}
    low, high = one["0"], one["1"]
    return {
        "00": (1 - high) * (1 - low),
        "01": (1 - high) * low,
        "10": high * (1 - low),
        "11": high * low,
    }


def registers():
    """Two registers, read crosswise, two bits never written: ``01010``."""
    low, high = ClassicalRegister(2, "low"), ClassicalRegister(3, "high")
    circuit = QuantumCircuit(QuantumRegister(3), low, high, name="registers")
    circuit.x([0, 2])
    circuit.measure(0, high[1])  # clbit 3
    circuit.measure(1, low[0])
    circuit.measure(2, low[1])
    return circuit


def reversed_bits():
    """Qubit 0 alone is 1, and is read last: ``100``."""
    circuit = QuantumCircuit(3, 3, name="reversed")
    circuit.x(0)
    circuit.measure([0, 1, 2], [2, 1, 0])
    return circuit


def measured_twice():
    """A qubit that is read, turned over, and read again: ``10``."""
    circuit = QuantumCircuit(1, 2, name="measured-twice")
    circuit.measure(0, 0)
    circuit.x(0)
    circuit.measure(0, 1)
    return circuit


def conditioned():
    """Qubit 1 turned over because qubit 0 was read as 1: ``11``."""
    circuit = QuantumCircuit(2, 2, name="conditioned")
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    return circuit


def unmeasured_pair():
    """``cos(t/2)|00> + sin(t/2)|11>``: ZZ is 1, XX is ``sin(t)``, ZI is ``cos(t)``."""
    circuit = QuantumCircuit(2, name="pair")
    circuit.ry(Parameter("t"), 0)
    circuit.cx(0, 1)
    return circuit
