"""Mitiq's own README example, with ours in its place.

Randomised benchmarking of one qubit, 50 Cliffords, a depolarising channel after every gate, exact
expectation values: https://github.com/unitaryfoundation/mitiq, "Quickstart".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit.library import UGate
from qiskit.quantum_info import SparsePauliOp
from qiskit.synthesis import OneQubitEulerDecomposer

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from benchmarks.report import Report, ratio_of_sums
from pipeline.mitiq_plugin.loading import load_mitiq
from pipeline.stack import build_stack
from qcpaas.execution import ExpectationValues, Experiment
from qcpaas.schemas import OptionSpec

PEER = "mitiq 1.1.0, execute_with_zne with its defaults"
NOISE = 0.005
GROUND = SparsePauliOp(["I", "Z"], [0.5, 0.5])  # the projector onto 0, what the example returns
OURS = {
    "same_fit": "ZeroNoiseExtrapolation(gates=all, scale_factors=[1, 2, 3], fit=richardson)",
    "exponential": "ZeroNoiseExtrapolation(gates=all, scale_factors=[1, 2, 3], fit=exponential)",
}


def measure_readme(
    report: Report, *, quick: bool, seed: int, circuits: int = 0, cliffords: int = 50
) -> None:
    """The example's circuit and noise over several random circuits, by both."""
    load_mitiq()
    from mitiq import benchmarks, zne

    count = circuits or (4 if quick else 20)
    device = DeviceBackend(open_device("aer"), lambda: seed, noise_model())
    errors: dict[str, list[float]] = {name: [] for name in ("noisy", "mitiq", *OURS)}
    differences = []
    for number in range(count):
        (circuit,) = benchmarks.generate_rb_circuits(1, cliffords, seed=seed + number)
        noisy = execute(circuit)
        differences.append(abs(noisy - ours(device, circuit, [])))
        errors["noisy"].append(noisy - 1.0)
        errors["mitiq"].append(zne.execute_with_zne(circuit, execute) - 1.0)
        for name, option in OURS.items():
            errors[name].append(ours(device, circuit, [option]) - 1.0)
    squares = {name: np.square(values) for name, values in errors.items()}
    _add(report, squares, seed)
    note = "largest difference of the unmitigated values: the same circuit under the same noise"
    report.add("readme_same_noise", max(differences), "probability", aim=1e-6, note=note)


def _add(report: Report, squares: dict[str, NDArray[np.float64]], seed: int) -> None:
    count = len(squares["noisy"])
    for name in ("noisy", "mitiq", *OURS):
        value = float(np.sqrt(squares[name].mean()))
        report.add(f"readme_error_{name}", value, "probability, RMS", note=f"{count} circuits")
    for name, option in OURS.items():
        found = ratio_of_sums(squares[name].tolist(), squares["mitiq"].tolist(), seed)
        report.add(
            f"readme_error_vs_mitiq_{name}",
            found.value**0.5,
            "ratio of RMS errors",
            aim=1.1 if name == "same_fit" else None,
            peer=PEER,
            note=f"95 % CI {found.low**0.5:.3g} to {found.high**0.5:.3g}; {option}",
        )


def execute(circuit: Any) -> float:
    """The example's executor, on Mitiq's own circuit."""
    import cirq

    noisy = circuit.with_noise(cirq.depolarize(p=NOISE))
    state = cirq.DensityMatrixSimulator().simulate(noisy).final_density_matrix
    return float(state[0, 0].real)


def ours(device: DeviceBackend, circuit: Any, options: list[str]) -> float:
    specs = [OptionSpec.parse(option) for option in options]
    stack = build_stack(specs, device, "expectation")
    experiment = Experiment(one_gate_each(circuit), np.empty((1, 0)), (GROUND,), None)
    (outcome,) = stack.run([experiment])
    assert isinstance(outcome, ExpectationValues)
    return float(outcome.values[0, 0])


def one_gate_each(circuit: Any) -> QuantumCircuit:
    """Each of its gates as one U gate, so that noise falls on as many gates."""
    import cirq

    angles = OneQubitEulerDecomposer("U").angles
    converted = QuantumCircuit(1)
    for operation in circuit.all_operations():
        converted.append(UGate(*angles(cirq.unitary(operation))), [0])
    return converted


def noise_model() -> dict[str, Any]:
    """Cirq's channel after every U gate; it counts errors, Qiskit's counts replacements."""
    from qiskit_aer.noise import NoiseModel, depolarizing_error

    model = NoiseModel(basis_gates=["u"])
    model.add_all_qubit_quantum_error(depolarizing_error(4 * NOISE / 3, 1), ["u"])
    serialised: dict[str, Any] = model.to_dict(serializable=True)
    return serialised
