"""An execution option of one's own: symmetric readout by flipping half of the shots.

Run it:  qcpaas run examples/own_option.py

Every circuit is also measured with all measured qubits flipped just before readout; the counts of
both halves are joined with the flip undone, so that reading 0 as 1 and 1 as 0 become equally
likely. The option travels with the workload, since the workload's module defines it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit.library import XGate

from qcpaas import (
    Cost,
    Counts,
    Distribution,
    EnrichedExecutionBackend,
    Experiment,
    PlanContext,
    RuntimeWorkerBase,
)


class FlippedReadout(EnrichedExecutionBackend):
    """Makes readout errors symmetric by flipping the measured qubits in half of the shots."""

    rank = 60  # inside the measurement basis (50): it sees circuits with measurements

    def expand(self, experiments: Sequence[Experiment]) -> tuple[list[Experiment], PlanContext]:
        pairs = []
        for experiment in experiments:
            half = None if experiment.shots is None else max(1, experiment.shots // 2)
            pairs += [
                replace(experiment, shots=half),
                replace(experiment, shots=half, circuit=flipped(experiment.circuit)),
            ]
        return pairs, PlanContext()

    def reduce(self, context: PlanContext, outcomes: Sequence[Counts]) -> tuple[Counts, ...]:
        plain, turned = outcomes[::2], outcomes[1::2]
        return tuple(map(joined, plain, turned))

    def cost(self, experiment: Experiment) -> Cost:
        return Cost(circuits=2)


def flipped(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with an X before every measurement."""
    turned = circuit.copy_empty_like()
    for step in circuit.data:
        if step.operation.name == "measure":
            turned.append(XGate(), step.qubits)
        turned.append(step)
    return turned


def joined(plain: Counts, turned: Counts) -> Counts:
    """Counts of both halves, bits of the second turned back."""
    points = []
    for first, second in zip(plain.points, turned.points, strict=True):
        if first.shots is None or second.shots is None:  # probabilities of two halves
            share, shots = 0.5, None
        else:
            share, shots = 1.0, first.shots + second.shots
        weights = {bits: share * weight for bits, weight in first.to_dict().items()}
        for bits, weight in second.to_dict().items():
            back = bits.translate(str.maketrans("01", "10"))
            weights[back] = weights.get(back, 0.0) + share * weight
        points.append(Distribution.from_dict(weights, first.num_bits, shots))
    return replace(plain, points=tuple(points))


class PreparedOne(RuntimeWorkerBase):
    """How often a qubit prepared in 0, and in 1, is read wrong: raw and flipped."""

    backend_name = "FakeKolkata"
    options = ("FlippedReadout",)
    shots = 20_000

    def run(self) -> dict[str, float]:
        circuits = []
        for state in (0, 1):
            circuit = QuantumCircuit(1, name=f"prepared_{state}")
            if state:
                circuit.x(0)
            circuit.measure_all()
            circuits.append(circuit)
        answers = {}
        for name, sampler in (("raw", self.sampler_with([])), ("flipped", self.sampler)):
            results = sampler.run(circuits).result()
            for state, result in enumerate(results):
                counts = result.data.meas.get_counts()
                wrong = counts.get(str(1 - state), 0) / sum(counts.values())
                answers[f"{name}_{state}_read_wrong"] = float(np.round(wrong, 5))
        return answers
