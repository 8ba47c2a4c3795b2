"""Where in a compiled circuit which Pauli errors happen, learnt or by the calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Gate

from pipeline.noise.calibrated import Rates, gate_rates, noise_from_calibration
from pipeline.noise.idle_noise import idle_rates
from pipeline.pauli.algebra import Codes, codes_of
from pipeline.pauli.frames import PauliFrames, Place
from pipeline.pauli.gates import pauli_steps
from pipeline.pauli.layers import CircuitLayer, layers_of
from qcpaas.errors import MitigationError
from qcpaas.execution import Binding, CalibrationValues, Experiment, PlanningServices
from qcpaas.noise import GateLayer, LayerNoise

NoiseSource = Literal["auto", "calibration", "learnt"]

_NO_GATES = frozenset({"barrier", "delay", "measure", "reset"})


@dataclass(frozen=True, eq=False)
class NoiseSite:
    """Pauli errors that happen together, of the sparse Pauli-Lindblad form.

    Attributes:
        places: What each of them acts on, and before which instruction.
        codes: Shape ``(generators, places)``.
        rates: Shape ``(generators,)``, all above 0.
    """

    places: tuple[Place, ...]
    codes: Codes
    rates: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CircuitNoise:
    """Every site of a circuit, and how many of its layers are ``learnt`` and ``calibrated``."""

    sites: tuple[NoiseSite, ...]
    learnt: int
    calibrated: int


def noisy_layers(experiment: Experiment) -> list[CircuitLayer]:
    """The layers of a bound circuit whose errors can be dealt with.

    Raises:
        MitigationError: It is not bound to a device, or has an instruction whose errors cannot.
    """
    if experiment.binding is None:
        raise MitigationError(
            f"circuit {experiment.circuit.name} is not bound to a device with noise. Leave out the "
            "options that cancel or amplify errors."
        )
    for step in experiment.circuit.data:
        if not isinstance(step.operation, Gate) and step.name not in _NO_GATES:
            raise MitigationError(
                f"circuit {experiment.circuit.name} has {step.name!r}, and the errors inside it "
                "can neither be cancelled nor amplified. Leave out that instruction, or the option."
            )
    return layers_of(experiment.circuit, experiment.binding.physical_qubits)


def wanted_layers(experiments: Sequence[Experiment], source: NoiseSource) -> tuple[GateLayer, ...]:
    """What is to be learnt first, each layer once."""
    if source != "learnt":
        return ()
    layers = (layer.gate_layer for e in experiments for layer in noisy_layers(e))
    return tuple(dict.fromkeys(layers))


def circuit_noise(
    experiment: Experiment,
    frames: PauliFrames,
    services: PlanningServices,
    source: NoiseSource,
    *,
    twirled: bool = True,
) -> CircuitNoise:
    """Errors of layers, of gates on one qubit, and of qubits that wait.

    What was learnt of a layer has the gates on single qubits before it in it. Relaxation of idle
    qubits is always the calibration's.

    Args:
        twirled: Whether gates are twirled, which executes half a pulse where a frame changes.

    Raises:
        MitigationError: The noise of a gate or layer is not known.
    """
    layers, binding = noisy_layers(experiment), experiment.binding
    assert binding is not None
    calibration = services.calibration(binding)
    found = _learnt(services, binding, layers, source)
    if calibration is None and not (layers and all(found)):
        raise MitigationError(
            f"circuit {experiment.circuit.name} runs on a device without calibration, so the noise "
            "of its gates is not known. Learn it, or leave out the options that need it."
        )
    sites: list[NoiseSite] = []
    learnt_gates: set[int] = set()
    for layer, noise in zip(layers, found, strict=True):
        if noise is None:
            assert calibration is not None
            noise = noise_from_calibration(calibration, layer.gate_layer)  # noqa: PLW2901
        else:
            learnt_gates.update(layer.instructions)
        sites.append(_layer_site(layer, noise, experiment.circuit, binding))
    if calibration is not None:
        covered = _before_learnt(experiment.circuit, learnt_gates)
        changes = frames.changes if twirled else ()
        sites += _pulse_sites(experiment, calibration, changes, covered)
        waits = idle_rates(experiment, frames, calibration, twirled=twirled)
        sites += (_site((place,), rates) for place, rates in waits)
    kept = tuple(site for site in sites if len(site.rates))
    learnt = sum(noise is not None for noise in found)
    return CircuitNoise(kept, learnt, len(layers) - learnt)


def _learnt(
    services: PlanningServices,
    binding: Binding,
    layers: Sequence[CircuitLayer],
    source: NoiseSource,
) -> list[LayerNoise | None]:
    if source == "calibration":
        return [None] * len(layers)
    distinct = tuple(dict.fromkeys(layer.gate_layer for layer in layers))
    known = dict(zip(distinct, services.learnt_noise(binding, distinct), strict=True))
    missing = [layer for layer, noise in known.items() if noise is None]
    if source == "learnt" and missing:
        gates = ", ".join(f"{g.name} on {', '.join(map(str, g.qubits))}" for g in missing[0].gates)
        raise MitigationError(
            f"the noise of {len(missing)} layers was not learnt, such as that of {gates}. Learn "
            "it first, or give noise=calibration."
        )
    return [known[layer.gate_layer] for layer in layers]


def _layer_site(
    layer: CircuitLayer, noise: LayerNoise, circuit: QuantumCircuit, binding: Binding
) -> NoiseSite:
    """Before the layer's gates, qubit by qubit."""
    before = {
        binding.physical_qubits[circuit.find_bit(qubit).index]: (
            index,
            circuit.find_bit(qubit).index,
        )
        for index in layer.instructions
        for qubit in circuit.data[index].qubits
    }
    outside = [qubit for qubit in noise.qubits if qubit not in before]
    if outside:
        raise MitigationError(
            f"the noise of a layer acts on the qubits {outside} too, where the layer has no gate. "
            "Give noise=calibration, or learn the layer's own qubits only."
        )
    rates = dict(zip(noise.paulis, noise.rates, strict=True))
    return _site(tuple(before[qubit] for qubit in noise.qubits), rates)


def _site(places: tuple[Place, ...], rates: Rates) -> NoiseSite:
    kept = {label: rate for label, rate in rates.items() if rate > 0}
    codes = codes_of(list(kept)).reshape(len(kept), len(places))
    return NoiseSite(places, codes, np.array(list(kept.values()), dtype=np.float64))


def _before_learnt(circuit: QuantumCircuit, learnt: set[int]) -> set[Place]:
    """Instructions and their qubits whose next joint gate belongs to a learnt layer."""
    covered: set[Place] = set()
    ahead: set[int] = set()
    number = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    for index, step in reversed(list(enumerate(circuit.data))):
        qubits = [number[qubit] for qubit in step.qubits]
        if len(qubits) > 1 and step.name != "barrier":
            (ahead.update if index in learnt else ahead.difference_update)(qubits)
        covered.update((index, qubit) for qubit in qubits if qubit in ahead)
    return covered


def _pulse_sites(
    experiment: Experiment,
    calibration: CalibrationValues,
    changes: Sequence[Place],
    covered: set[Place],
) -> Iterator[NoiseSite]:
    """After each gate on one qubit, and where a twirl adds a pulse every second time."""
    binding, circuit = experiment.binding, experiment.circuit
    assert binding is not None
    for index, step in enumerate(circuit.data):
        if isinstance(step.operation, Gate) and len(step.qubits) == 1:
            qubit = circuit.find_bit(step.qubits[0]).index
            if (index, qubit) not in covered:
                physical = binding.physical_qubits[qubit]
                rates = gate_rates(calibration, step.name, (physical,))
                yield _site(((index + 1, qubit),), rates)
    for index, qubit in changes:
        if (index, qubit) not in covered:
            physical = binding.physical_qubits[qubit]
            yield _site(((index, qubit),), _mean_pulse(calibration, physical, binding))


def _mean_pulse(calibration: CalibrationValues, physical: int, binding: Binding) -> Rates:
    """Mean noise of a uniformly random Pauli gate."""
    total: Rates = {}
    qubit = QuantumCircuit(1).qubits[0]
    for letter in "XYZ":
        for step in pauli_steps(letter, qubit, binding.basis_gates):
            for label, rate in gate_rates(calibration, step.name, (physical,)).items():
                total[label] = total.get(label, 0.0) + rate / 4
    return total
