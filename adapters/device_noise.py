"""Aer's noise model of a whole device, in closed form: 127 qubits in under a second.

The channels are those of Aer's ``NoiseModel.from_backend`` at zero temperature. That computes each
from matrices and expands it into up to 144 terms, minutes for a large device; here a gate's error
is a random Pauli followed by the relaxation of each qubit. Importing this module imports Aer.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import (
    CircuitInstruction,
    Delay,
    Gate,
    Instruction,
    QuantumCircuit,
    QuantumRegister,
    Qubit,
)
from qiskit.circuit.library import IGate, PauliGate
from qiskit_aer.noise import NoiseModel, QuantumError, RelaxationNoisePass

from adapters.gate_errors import depolarising_parameter, relaxation_fidelity
from adapters.noise import Readout, local_noise_model
from adapters.target import gate_error, is_usable, operation_named, readout_error
from qcpaas.calibration import Quantity
from store.snapshot import Snapshot

Place = tuple[int, ...]
Matrices = NDArray[np.complex128]


class GateError(QuantumError):  # type: ignore[misc]
    """The error of a gate that is not perfect."""

    def ideal(self) -> bool:
        """Known beforehand; Aer would look into every term of every error, 7 ms each."""
        return False


def device_noise_model(snapshot: Snapshot) -> NoiseModel:
    """Every usable gate's error, relaxation in delays, and readout errors.

    A gate has the depolarising error that together with T1/T2 relaxation over its duration gives
    the calibrated error, or the relaxation alone where that is worse already. Qubits are numbered
    as the device's.
    """
    model = local_noise_model(dict(_gate_channels(snapshot)), dict(_readouts(snapshot)))
    times = [_times_s(snapshot, qubit) for qubit in range(snapshot.num_qubits)]
    # As `from_backend` does: a pass is the only way to let a delay's noise follow its length.
    model._custom_noise_passes.append(  # noqa: SLF001
        RelaxationNoisePass(
            t1s=[t1 for t1, _ in times],
            t2s=[t2 for _, t2 in times],
            dt=snapshot.dt_s,
            op_types=Delay,
        )
    )
    return model


def relaxation_kraus(e1: float, e2: float) -> list[Matrices]:
    """Amplitude and phase damping at zero temperature, as Kraus operators.

    Args:
        e1: ``exp(-t/T1)``.
        e2: ``exp(-t/T2)``, at most ``sqrt(e1)``.
    """
    kept = np.diag([1.0, e2]).astype(complex)
    dephased = np.diag([0.0, math.sqrt(max(0.0, e1 - e2**2))]).astype(complex)
    decayed = np.array([[0, math.sqrt(max(0.0, 1 - e1))], [0, 0]], dtype=complex)
    return [kept, *(operator for operator in (dephased, decayed) if operator.any())]


def _gate_channels(snapshot: Snapshot) -> Iterator[tuple[tuple[str, Place], QuantumError]]:
    """One channel for gates that are alike in duration and error, such as X and SX."""
    known: dict[tuple[Place, float, float], QuantumError | None] = {}
    for name, places in snapshot.gates.items():
        is_gate = isinstance(operation_named(name, len(places[0])), Gate)
        for place in places:
            if not is_usable(snapshot, name, place):
                continue
            duration = snapshot.get(Quantity.GATE_DURATION_S, *place, gate=name) or 0.0
            error = (gate_error(snapshot, name, place) or 0.0) if is_gate else 0.0
            key = (place, duration, error)
            if key not in known:
                known[key] = _channel(snapshot, *key)
            channel = known[key]
            if channel is not None:
                yield (name, place), channel


def _channel(
    snapshot: Snapshot, place: Place, duration_s: float, error: float
) -> QuantumError | None:
    """``None`` where nothing goes wrong."""
    times = [_times_s(snapshot, qubit) for qubit in place]
    decays = [(math.exp(-duration_s / t1), math.exp(-duration_s / t2)) for t1, t2 in times]
    depolarising = depolarising_parameter(error, relaxation_fidelity(decays), len(place))
    qubits = list(QuantumRegister(len(place), "q"))
    relaxing = [
        CircuitInstruction(Instruction("kraus", 1, 0, relaxation_kraus(e1, e2)), [qubit])
        for qubit, (e1, e2) in zip(qubits, decays, strict=True)
        if (e1, e2) != (1.0, 1.0)
    ]
    if depolarising == 0.0:
        return GateError([(_term(qubits, relaxing), 1.0)]) if relaxing else None
    each = depolarising / 4 ** len(place)
    paulis = [CircuitInstruction(pauli, qubits) for pauli in _paulis(len(place))]
    unharmed = relaxing or [CircuitInstruction(IGate(), qubits[:1])]
    return GateError(
        [
            (_term(qubits, unharmed), 1 - each * len(paulis)),
            *((_term(qubits, [pauli, *relaxing]), each) for pauli in paulis),
        ]
    )


@functools.cache
def _paulis(num_qubits: int) -> list[PauliGate]:
    """All but the identity."""
    labels = itertools.product("IXYZ", repeat=num_qubits)
    return [PauliGate("".join(letters)) for letters in labels][1:]


def _term(qubits: Sequence[Qubit], steps: Sequence[CircuitInstruction]) -> QuantumCircuit:
    return QuantumCircuit.from_instructions(steps, qubits=qubits)


def _times_s(snapshot: Snapshot, qubit: int) -> tuple[float, float]:
    """T1 and a T2 that is physical with it; infinite where not known, as Aer takes them."""
    t1, t2 = snapshot.get(Quantity.T1_S, qubit), snapshot.t2_s(qubit)
    known_t1 = math.inf if t1 is None else t1
    return known_t1, 2 * known_t1 if t2 is None else min(t2[0], 2 * known_t1)


def _readouts(snapshot: Snapshot) -> Iterator[tuple[int, Readout]]:
    for qubit in range(snapshot.num_qubits):
        errors = readout_error(snapshot, qubit)
        if errors is not None:
            yield qubit, errors
