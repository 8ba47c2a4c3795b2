"""What Mitiq's sampling techniques draw from: gates in terms of noisy gates, by the calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from adapters.gate_errors import relaxation_fidelity
from pipeline.mitiq_plugin.circuits import Handed
from pipeline.noise.calibrated import times_s
from qcpaas.calibration import Quantity
from qcpaas.errors import MitigationError, OptionError
from qcpaas.execution import CalibrationValues

NoiseModel = Literal["global_depolarizing", "local_depolarizing"]


def representations_of(
    handed: Handed, calibration: CalibrationValues | None, model: NoiseModel, option: str
) -> list[Any]:
    """One of Mitiq's representations for each distinct two-qubit gate of the circuit.

    Single-qubit gates are taken as perfect: their errors are a tenth as large, and representing
    them all would multiply the circuits to run.

    Raises:
        OptionError: The device is ideal.
        MitigationError: The calibration has no error of a gate that the circuit uses.
    """
    from mitiq.pec import representations

    if calibration is None or handed.binding is None:
        raise OptionError(
            f"{option} needs a device with calibrated gate errors; an ideal simulator has none. "
            f"Leave {option} out."
        )
    represent = getattr(representations, f"represent_operation_with_{model}_noise")
    place = dict(zip(sorted(handed.circuit.all_qubits()), handed.qubits, strict=True))
    found = {}
    for operation in handed.circuit.all_operations():
        if len(operation.qubits) == 2 and operation not in found:
            pair = tuple(handed.binding.physical_qubits[place[q]] for q in operation.qubits)
            level = _noise_level(_gate_error(calibration, pair, option), model)
            found[operation] = represent(type(handed.circuit)(operation), level)
    return list(found.values())


def relaxation_share(calibration: CalibrationValues, qubits: Sequence[int]) -> float:
    """Part of the errors of two-qubit gates among these qubits that is relaxation meanwhile."""
    errors = relaxed = 0.0
    for gate, places in calibration.gates.items():
        for place in places:
            if len(place) != 2 or not set(place) <= set(qubits):
                continue
            error = calibration.get(Quantity.GATE_ERROR, *place, gate=gate) or 0.0
            seconds = calibration.get(Quantity.GATE_DURATION_S, *place, gate=gate) or 0.0
            times = [times_s(calibration, qubit) for qubit in place]
            decays = [(math.exp(-seconds / t1), math.exp(-seconds / t2)) for t1, t2 in times]
            errors += error
            relaxed += min(error, 1 - relaxation_fidelity(decays))
    return relaxed / errors if errors else 0.0


def _gate_error(calibration: CalibrationValues, pair: tuple[int, ...], option: str) -> float:
    """Average infidelity of the pair's best two-qubit gate, in whichever direction it has one."""
    known = [
        error
        for gate, places in calibration.gates.items()
        for place in (pair, pair[::-1])
        if place in places
        and (error := calibration.get(Quantity.GATE_ERROR, *place, gate=gate)) is not None
    ]
    if not known:
        raise MitigationError(
            f"{option}: the calibration has no gate error of qubits {pair[0]} and {pair[1]}. "
            f"Refresh the calibration, or leave {option} out."
        )
    return min(known)


def _noise_level(infidelity: float, model: NoiseModel) -> float:
    """Mitiq's noise level: the probability of any Pauli error, of the pair or of each qubit.

    The average infidelity of a depolarising channel in dimension d is d / (d + 1) of it.
    """
    process = infidelity * 5 / 4
    return process if model == "global_depolarizing" else 1 - math.sqrt(max(1 - process, 0.0))
