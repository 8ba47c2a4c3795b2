"""Many repetitions of a measurement, for what error bars say."""

from dataclasses import replace

import numpy as np
import pytest
from qiskit.circuit.library import CXGate
from qiskit.quantum_info import Kraus, Pauli, Statevector, SuperOp

from qcpaas.execution import (
    Counts,
    Distribution,
    ExecutionBackend,
    ExpectationValues,
    Plan,
    PlanningServices,
)
from qcpaas.noise import LayerNoise


@pytest.fixture
def repeat():
    """Outcomes of one experiment, drawn again and again from its exact probabilities.

    Each of ``plans`` plans is executed once, without shots; what a device would have counted is
    then drawn from it ``draws`` times, and combined by the stack.
    """

    def run(stack, experiment, plans, draws, seed=5):
        rng = np.random.default_rng(seed)
        outcomes = []
        for _ in range(plans):
            plan = stack.plan([experiment])
            exact = stack.execute([replace(e, shots=None) for e in plan.experiments])
            for _ in range(draws):
                counted = [
                    drawn(counts, planned.shots, rng)
                    for counts, planned in zip(exact, plan.experiments, strict=True)
                ]
                outcomes.append(stack.combine(plan, counted)[0])
        return outcomes

    return run


@pytest.fixture
def exact_values():
    """Expectation values at each row of parameter values, from state vectors."""

    def values(circuit, rows, observables):
        states = [Statevector(circuit.assign_parameters(row)) for row in rows]
        return np.array([[s.expectation_value(o).real for o in observables] for s in states])

    return values


def drawn(counts, shots, rng):
    return Counts(tuple(_drawn(point, shots, rng) for point in counts.points), counts.registers)


def _drawn(point, shots, rng):
    counted = rng.multinomial(shots, np.clip(point.weights, 0, 1) / point.weights.sum())
    seen = counted > 0
    return Distribution(
        point.outcomes[seen], counted[seen].astype(np.float64), point.num_bits, shots
    )


@pytest.fixture
def pauli_device():
    """A device of a few qubits that runs circuits exactly, with a noise that is known."""
    return PauliDevice


class PauliDevice(ExecutionBackend):
    """Density matrices, with Pauli noise before each joint gate; and shots, where asked.

    Args:
        noise: Of each joint gate, by its qubits.
        damping: Chance of each of a joint gate's qubits to relax after it: not a Pauli error.
        seed: Of the shots, and of what options draw.
    """

    def __init__(self, noise, damping=0.0, seed=1):
        self.noise, self.damping, self.seed = noise, damping, seed
        self.rng = np.random.default_rng(seed)
        self.steps, self.matrices = {}, {}

    @property
    def services(self):
        return KnownNoise(self)

    def plan(self, experiments):
        return Plan(tuple(experiments))

    def combine(self, plan, outcomes):
        return tuple(outcomes)

    def execute(self, experiments):
        return tuple(map(self.run_one, experiments))

    def run_one(self, experiment):
        key = id(experiment.observables)
        if key not in self.matrices:
            self.matrices[key] = np.array([o.to_matrix() for o in experiment.observables])
        states = [
            self.state(experiment.circuit.assign_parameters(row))
            for row in experiment.parameter_values
        ]
        values = np.einsum("pij,oji->po", np.array(states), self.matrices[key]).real
        if experiment.shots is None:
            return ExpectationValues(values, np.zeros_like(values))
        ones = self.rng.binomial(experiment.shots, np.clip((1 + values) / 2, 0, 1))
        seen = 2 * ones / experiment.shots - 1
        return ExpectationValues(seen, (1 - seen**2) / max(experiment.shots - 1, 1))

    def state(self, circuit):
        state = np.zeros(4**circuit.num_qubits, dtype=complex)
        state[0] = 1.0
        number = {qubit: index for index, qubit in enumerate(circuit.qubits)}
        for step in circuit.data:
            if step.name != "barrier":
                qubits = tuple(number[qubit] for qubit in step.qubits)
                state = self.step(step, qubits, len(number)) @ state
        return state.reshape(2**circuit.num_qubits, -1).T  # columns are stacked

    def step(self, step, qubits, width):
        key = (step.name, *step.params, qubits, width)
        if key not in self.steps:
            whole = SuperOp(np.eye(4**width))
            if len(qubits) > 1:
                whole = whole.compose(self.pauli_noise(qubits), sorted(qubits))
            whole = whole.compose(SuperOp(step.operation), list(qubits))
            if len(qubits) > 1 and self.damping:
                kept = np.diag([1.0, np.sqrt(1 - self.damping)])
                lost = np.array([[0, np.sqrt(self.damping)], [0, 0]])
                for qubit in qubits:
                    whole = whole.compose(SuperOp(Kraus([kept, lost])), [qubit])
            self.steps[key] = whole.data
        return self.steps[key]

    def pauli_noise(self, qubits):
        known = self.noise[tuple(sorted(qubits))]
        channel = SuperOp(np.eye(16))
        for label, rate in known.items():
            kept = (1 + np.exp(-2 * rate)) / 2
            flip = SuperOp(Pauli(label))
            channel = channel.compose(kept * SuperOp(np.eye(16)) + (1 - kept) * flip)
        return channel


class KnownNoise(PlanningServices):
    """What a `PauliDevice` is, as if it had been learnt; physical qubits are the circuit's."""

    def __init__(self, device):
        self.device = device

    @property
    def seed(self):
        return self.device.seed

    def learnt_noise(self, binding, layers):
        return tuple(map(self.of_layer, layers))

    def of_layer(self, layer):
        rates = {}
        for gate in layer.gates:
            places = [layer.qubits.index(qubit) for qubit in gate.qubits]
            for label, rate in self.of_gate(gate):
                letters = ["I"] * len(layer.qubits)
                for letter, place in zip(reversed(label), places, strict=True):
                    letters[-1 - place] = letter
                whole = "".join(letters)
                rates[whole] = rates.get(whole, 0.0) + rate
        paulis, values = tuple(rates), tuple(rates.values())
        return LayerNoise(layer=layer, qubits=layer.qubits, paulis=paulis, rates=values)

    def of_gate(self, gate):
        """Rates before a gate; the first qubit's letter rightmost."""
        turned = gate.qubits[0] > gate.qubits[1]
        for label, rate in self.device.noise[tuple(sorted(gate.qubits))].items():
            yield (label[::-1] if turned else label), rate
        if self.device.damping:  # what twirling leaves of it, carried to before the gate
            for label in ("IX", "IY", "XI", "YI"):
                before = Pauli(label).evolve(CXGate(), frame="h")
                yield before.to_label()[-2:], -np.log(1 - self.device.damping) / 4
