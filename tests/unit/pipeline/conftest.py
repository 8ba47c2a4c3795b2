"""Many repetitions of a measurement, for what error bars say."""

from dataclasses import replace

import numpy as np
import pytest
from qiskit.quantum_info import Statevector

from qcpaas.execution import Counts, Distribution


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
