"""Circuits of other frameworks: handed in as they are, answered in their own terms.

Run it:  python -m examples.other_frameworks
"""

import cirq
import sympy
from braket.circuits import Circuit, FreeParameter

from qcpaas import RuntimeProvider


def cirq_circuit() -> cirq.Circuit:
    first, second = cirq.LineQubit.range(2)
    turn = cirq.X(first) ** sympy.Symbol("turn")
    return cirq.Circuit(turn, cirq.CX(first, second), cirq.measure(first, second, key="pair"))


def braket_circuit() -> Circuit:
    return Circuit().rx(0, FreeParameter("turn")).cnot(0, 1)


def main(provider: RuntimeProvider) -> tuple[list[cirq.Result], list[object]]:
    """One job; each circuit at two points of its symbol."""
    job = provider.run_circuits(
        [cirq_circuit(), braket_circuit()],
        parameter_values=[[[0.0], [0.5]], [[0.0], [3.14159]]],
        backend="FakeKolkata",
        shots=1000,
        seed=3,
    )
    sweeps, tasks = job.native(0), job.native(1)
    for result in sweeps:
        print("Cirq  ", result.params.param_dict, result.histogram(key="pair"))
    for task in tasks:
        print("Braket", dict(task.measurement_counts))
    return sweeps, tasks


if __name__ == "__main__":
    with RuntimeProvider() as platform:
        main(platform)
