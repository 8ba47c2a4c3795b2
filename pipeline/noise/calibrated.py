"""Pauli noise that a calibration promises: gate errors and relaxation, as twirling leaves them.

A gate's error is made up of the relaxation of its qubits over the gate's duration and, before it,
as much depolarising noise as makes up the calibrated error. Pauli twirling keeps of the relaxation
what it multiplies each Pauli string by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from qiskit.circuit import Instruction

from adapters.gate_errors import depolarising_parameter, relaxation_fidelity
from adapters.target import VIRTUAL, operation_named
from pipeline.pauli.algebra import all_labels, conjugate
from qcpaas.calibration import Quantity
from qcpaas.errors import MitigationError
from qcpaas.execution import CalibrationValues
from qcpaas.noise import GateLayer, LayerNoise
from store.snapshot import T2_KINDS

Rates = dict[str, float]


def noise_from_calibration(calibration: CalibrationValues, layer: GateLayer) -> LayerNoise:
    """The noise of a layer as the calibration has it, gate by gate.

    The noise of a Clifford gate is carried to before the gate; that of another gate is taken as if
    it acted there.

    Raises:
        MitigationError: A gate has no calibrated error, or one that leaves nothing to correct.
    """
    qubits = layer.qubits
    rates: Rates = {}
    for gate in layer.gates:
        operation = operation_named(gate.name, len(gate.qubits))
        after = gate_rates(calibration, gate.name, gate.qubits)
        places = [qubits.index(qubit) for qubit in gate.qubits]
        for label, rate in _before(operation, after).items():
            rates[_spread(label, places, len(qubits))] = rate
    return LayerNoise(
        layer=layer,
        qubits=qubits,
        paulis=tuple(rates),
        rates=tuple(rates.values()),
        method="calibration",
        device=calibration.device,
        snapshot_id=calibration.content_id,
    )


def gate_rates(calibration: CalibrationValues, name: str, qubits: Sequence[int]) -> Rates:
    """Rate of each Pauli string that acts just after a gate; empty where it is perfect.

    Raises:
        MitigationError: It has no calibrated error, or one that leaves nothing to correct.
    """
    if name in VIRTUAL:
        return {}
    place = tuple(qubits)
    error = calibration.get(Quantity.GATE_ERROR, *place, gate=name)
    where = f"{name} on {'qubit' if len(place) == 1 else 'qubits'} {', '.join(map(str, place))}"
    if error is None:
        raise MitigationError(
            f"gate {where} of {calibration.device} has no calibrated error, so its noise is not "
            "known. Learn the noise of its layers, or choose other qubits."
        )
    duration = calibration.get(Quantity.GATE_DURATION_S, *place, gate=name) or 0.0
    decays = [_decays(calibration, qubit, duration) for qubit in place]
    depolarising = depolarising_parameter(error, relaxation_fidelity(decays), len(place))
    if depolarising >= 1:
        raise MitigationError(
            f"gate {where} of {calibration.device} has the calibrated error {error:.3g}: nothing "
            "of its input is left. Choose other qubits."
        )
    rates: Rates = {}
    if depolarising > 0:
        each = -math.log1p(-depolarising) / 4 ** len(place)
        rates = dict.fromkeys(all_labels(len(place)), each)
    for number, (qubit, _) in enumerate(zip(place, decays, strict=True)):
        for letter, rate in relaxation_rates(calibration, qubit, duration).items():
            label = _spread(letter, [number], len(place))
            rates[label] = rates.get(label, 0.0) + rate
    return rates


def relaxation_rates(calibration: CalibrationValues, qubit: int, duration_s: float) -> Rates:
    """Rates of X, Y and Z of a qubit that waits; empty where nothing is known of its relaxation."""
    t1, t2 = times_s(calibration, qubit)
    flips = duration_s / (4 * t1)
    phases = max(duration_s / (2 * t2) - flips, 0.0)
    rates = {"X": flips, "Y": flips, "Z": phases}
    return {letter: rate for letter, rate in rates.items() if rate > 0}


def times_s(calibration: CalibrationValues, qubit: int) -> tuple[float, float]:
    """T1 and a T2 that is physical with it; infinite where not known."""
    t1 = calibration.get(Quantity.T1_S, qubit) or math.inf
    known = (calibration.get(kind, qubit) for kind in T2_KINDS)
    t2 = next((value for value in known if value), 2 * t1)
    return t1, min(t2, 2 * t1)


def _decays(calibration: CalibrationValues, qubit: int, duration_s: float) -> tuple[float, float]:
    t1, t2 = times_s(calibration, qubit)
    return math.exp(-duration_s / t1), math.exp(-duration_s / t2)


def _before(operation: Instruction, after: Mapping[str, float]) -> Rates:
    """Noise that acts after a gate as noise before it: ``P`` after ``G`` is ``G† P G`` before."""
    try:
        carried = {
            conjugate(operation, label)[1]: label for label in all_labels(operation.num_qubits)
        }
    except ValueError:
        return dict(after)
    return {label: after[image] for image, label in carried.items() if image in after}


def _spread(label: str, places: Sequence[int], width: int) -> str:
    """A gate's label among the qubits of a layer; its rightmost letter is for ``places[0]``."""
    letters = ["I"] * width
    for letter, place in zip(reversed(label), places, strict=True):
        letters[width - 1 - place] = letter
    return "".join(letters)
