"""A device under test, and circuits made ready for it."""

import secrets
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, QuantumRegister, transpile
from vendors.subjects import Subject

from adapters.batches import join, split
from adapters.contract import DeviceAdapter, DeviceJobState, Submission, Unsupported
from adapters.registry import open_device
from adapters.target import build_target
from qcpaas.circuit_key import circuit_key
from qcpaas.execution import Binding, Experiment

SHOTS = 4000
LONG_S = 60.0  # a delay that no test waits for
ENDED = (DeviceJobState.COMPLETED, DeviceJobState.FAILED, DeviceJobState.CANCELLED)


@dataclass(eq=False)
class Device:
    """One device, opened once for all tests of a module.

    Attributes:
        wait_s: How long a result may take.
    """

    subject: Subject
    adapter: DeviceAdapter
    wait_s: float = 60.0

    @property
    def server(self) -> Any:
        return self.subject.server

    @property
    def slack(self) -> float:
        return self.subject.slack

    @cached_property
    def capabilities(self):
        return self.adapter.capabilities()

    @cached_property
    def target(self):
        """What circuits are compiled for; without places where the device reports none."""
        snapshot = self.adapter.calibration()
        if isinstance(snapshot, Unsupported):
            return None
        return build_target(snapshot, control_flow=sorted(self.capabilities.control_flow))

    @cached_property
    def compiled(self):
        """Compact circuit, its device qubits, and where the circuit's qubits went, by content."""
        return {}

    def reopened(self) -> DeviceAdapter:
        """The same device, as a process opens it that knows nothing yet."""
        return open_device(self.subject.name)

    # --- submissions --------------------------------------------------------------------------

    def bound(self, circuit, points=None, shots=SHOTS, observables=None):
        """An experiment as the platform would submit it: compiled, on its used qubits, bound."""
        values = np.zeros((1, 0)) if points is None else np.asarray(points, dtype=float)
        if not self.capabilities.compiles:
            return Experiment(circuit, values, observables, shots)
        key = circuit_key(circuit)
        if key not in self.compiled:
            self.compiled[key] = self._compile(circuit)
        compact, used, wires = self.compiled[key]
        if observables is not None:
            observables = tuple(each.apply_layout(wires, len(used)) for each in observables)
        binding = Binding(used, "", None, self.capabilities.basis_gates)
        return Experiment(compact, values, observables, shots, binding)

    def submit(self, *experiments, seed=5, token=None, session=None):
        """Send experiments as one device job."""
        submission = self.submission(*experiments, seed=seed, session=session)
        return self.adapter.submit(submission, token or new_token())

    def submission(self, *experiments, seed=5, session=None):
        return Submission(experiments, seed, session=session)

    def result(self, handle):
        return self.adapter.result(handle, timeout_s=self.wait_s)

    def run(self, *experiments, seed=5):
        """Counts of experiments that are sent together, as far as the device's limits go."""
        pieces = split(experiments, self.capabilities)
        handles = [
            self.submit(*(piece.of(experiments) for piece in placed), seed=seed)
            for placed in pieces
        ]
        return join(pieces, [self.result(handle).counts for handle in handles])

    def await_state(self, handle, *states):
        """Ask until the job is in one of the states, or has ended."""
        deadline = time.monotonic() + self.wait_s
        while (found := self.adapter.status(handle)) not in {*states, *ENDED}:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        assert found in states
        return found

    def _compile(self, circuit):
        if self.target is None:
            names = set(self.capabilities.basis_gates) | self.capabilities.control_flow
            isa = transpile(circuit, basis_gates=sorted(names), seed_transpiler=11)
        else:
            isa = transpile(circuit, target=self.target, optimization_level=3, seed_transpiler=11)
        layout = isa.layout.final_index_layout() if isa.layout else list(range(isa.num_qubits))
        touched = {q for i in isa.data if i.name != "barrier" for q in i.qubits}
        used = tuple(sorted({isa.find_bit(q).index for q in touched} | set(layout)))
        compact = QuantumCircuit(QuantumRegister(len(used), "q"), *isa.cregs, name=circuit.name)
        for instruction in isa.data:
            if touched.issuperset(instruction.qubits):
                qubits = [used.index(isa.find_bit(q).index) for q in instruction.qubits]
                compact.append(instruction.operation, qubits, instruction.clbits)
        return compact, used, [used.index(q) for q in layout]


def new_token():
    """As the platform makes them."""
    return secrets.token_hex(16)
