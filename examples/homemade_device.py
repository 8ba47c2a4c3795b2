"""A quantum computer of one's own, in one class: gates that nobody else has, and a calibration.

Serve it:   qcpaas device serve examples/homemade_device.py:Trio
Use it:     qcpaas run examples/bell.qasm --backend qpu:http://127.0.0.1:8400
Or here:    qcpaas run examples/bell.qasm --backend module:examples/homemade_device.py:Trio

Three qubits in a row. A pulse turns a qubit by 90 degrees about an axis in the equator
(``r90``), neighbours swap by half (``siswap``), and frames turn for free (``rz``). The definitions
say what these do, and how a compiler makes sx, x and cx of them. Where a laboratory would play
pulses, ``run`` simulates them, with readout errors.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator, Statevector

from adapters.module_device import HomemadeDevice
from qcpaas.calibration import Quantity
from store.snapshot import Reading

Matrix = NDArray[np.complex128]

MEASURED_AT = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
READOUT_ERROR = (0.010, 0.015, 0.012)


def r90(phi: float) -> Matrix:
    """A quarter turn about (cos phi, sin phi, 0)."""
    return np.array([[1, -1j * np.exp(-1j * phi)], [-1j * np.exp(1j * phi), 1]]) / np.sqrt(2)


def rz(phi: float) -> Matrix:
    return np.diag([np.exp(-0.5j * phi), np.exp(0.5j * phi)])


def siswap() -> Matrix:
    half = np.sqrt(0.5)
    return np.array([[1, 0, 0, 0], [0, half, 1j * half, 0], [0, 1j * half, half, 0], [0, 0, 0, 1]])


PULSES = {"r90": r90, "rz": rz, "siswap": siswap}


class Trio(HomemadeDevice):
    name = "trio"
    num_qubits = 3
    simulator = True
    gate_definitions = """
        gate r90(phi) q { rz(-phi) q; rx(pi/2) q; rz(phi) q; }
        gate siswap a, b { cx a, b; crx(-pi/2) b, a; cx a, b; }
        gate sx q { r90(0) q; }
        gate x q { r90(0) q; r90(0) q; }
        gate cx a, b {
            r90(pi/2) a; r90(0) a; r90(0) b;
            siswap a, b; r90(0) a; r90(0) a; siswap a, b; r90(0) a; r90(0) a;
            r90(-pi/2) a;
        }
    """

    def readings(self) -> Iterator[Reading]:
        for qubit, error in enumerate(READOUT_ERROR):
            for quantity, value in (
                (Quantity.T1_S, 45e-6),
                (Quantity.T2_ECHO_S, 30e-6),
                (Quantity.READOUT_ERROR, error),
                (Quantity.READOUT_DURATION_S, 2e-6),
            ):
                yield Reading(quantity, (qubit,), value, MEASURED_AT)
            yield from self.gate("r90", (qubit,), 4e-4, 30e-9, MEASURED_AT)
            yield from self.gate("rz", (qubit,), 0.0, 0.0, MEASURED_AT)
        for pair in ((0, 1), (1, 0), (1, 2), (2, 1)):
            yield from self.gate("siswap", pair, 6e-3, 25e-9, MEASURED_AT)

    def run(
        self, circuit: QuantumCircuit, qubits: tuple[int, ...], shots: int, seed: int
    ) -> Counter[str]:
        state, read = Statevector.from_int(0, 2**circuit.num_qubits), {}
        for step in circuit.data:
            places = [circuit.find_bit(qubit).index for qubit in step.qubits]
            if step.name == "measure":
                read[circuit.find_bit(step.clbits[0]).index] = places[0]
            elif step.name in PULSES:
                state = state.evolve(Operator(PULSES[step.name](*map(float, step.params))), places)
        rng = np.random.default_rng(seed)
        samples = rng.choice(state.dim, size=shots, p=state.probabilities())
        bits = np.zeros((shots, circuit.num_clbits), dtype=int)
        for bit, place in read.items():
            flipped = rng.random(shots) < READOUT_ERROR[qubits[place]]
            bits[:, bit] = (samples >> place & 1) ^ flipped
        return Counter("".join(map(str, row[::-1])) for row in bits)
