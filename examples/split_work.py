"""One circuit cut in two: half of it on a simulator, half on a device.

Run it:  qcpaas run examples/split_work.py --backend FakeKolkata

Six spins of an Ising chain evolve after a quench. The one gate between the halves of every step is
cut, so that no part needs more than three qubits and one for the outcomes at each cut; the left
half runs on an ideal simulator (name a GPU's simulator here where there is one), the right half on
the job's device, side by side. Both give expectation values, to which the job's other options
apply where they can. What the cuts cost in shots is said before anything runs.
"""

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector

from qcpaas import OptionSpec, RuntimeWorkerBase

SPINS = 6
COUPLING, FIELD, STEP = 1.0, 0.8, 0.35


def quench(steps: int) -> QuantumCircuit:
    """Trotter steps of the transverse-field Ising chain, from all spins up."""
    circuit = QuantumCircuit(SPINS, name="quench")
    for _ in range(steps):
        for first in (*range(0, SPINS - 1, 2), *range(1, SPINS - 1, 2)):
            circuit.rzz(-2 * COUPLING * STEP, first, first + 1)
        circuit.rx(-2 * FIELD * STEP, range(SPINS))
    return circuit


def observables() -> list[SparsePauliOp]:
    """Magnetisation of the chain, and the correlation of its ends across the cut."""
    single = [("Z", [spin], 1 / SPINS) for spin in range(SPINS)]
    return [
        SparsePauliOp.from_sparse_list(single, SPINS),
        SparsePauliOp.from_sparse_list([("ZZ", [0, SPINS - 1], 1.0)], SPINS),
    ]


class SplitWork(RuntimeWorkerBase):
    """Values of the cut circuit beside the exact ones."""

    backend_name = "FakeKolkata"
    options = (
        OptionSpec(
            name="CircuitCutting",
            settings={"partition": "AAABBB", "devices": {"A": "statevector"}, "exact": ["A"]},
        ),
    )
    shots = 20_000

    def run(self, steps: int = 2) -> dict[str, object]:
        circuit, wanted = quench(steps), observables()
        found = self.estimator.run([(circuit, wanted)]).result()[0].data
        state = Statevector(circuit)
        return {
            "exact": np.array([state.expectation_value(each).real for each in wanted]),
            "values": found.evs,
            "std_errors": found.stds,
        }
