"""What a job would take on an error-corrected machine, by Microsoft's open resource estimator.

The circuit goes to it as OpenQASM 3, which it counts T gates, rotations and measurements of; its
default machine has superconducting-like qubits with gates of 100 ns and errors of 1e-3 under the
surface code (Beverland et al., arXiv:2211.07629).
"""

from __future__ import annotations

import os
import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from qiskit import QuantumCircuit, qasm3, transpile
from qiskit.exceptions import QiskitError

from adapters.compiler_stages import compiling
from qcpaas.execution import Experiment
from qcpaas.scheduling import JobEstimate
from tasks.estimation.case import Case
from tasks.estimation.circuits import runs_of
from tasks.estimation.estimator import Estimator, found

KEPT = 64
LARGEST = 20_000  # instructions; it takes 1.5 s for 5,000
# The gates of OpenQASM's standard file that the estimator knows by name.
BASIS = ["x", "y", "z", "h", "s", "sdg", "t", "tdg", "rx", "ry", "rz", "cx", "cz", "swap", "ccx"]


@dataclass(frozen=True)
class Corrected:
    """One shot of a circuit on an error-corrected machine."""

    physical_qubits: int
    runtime_s: float


class FaultTolerant(Estimator):
    """Physical qubits and runtime of the plain circuits; only where it was asked for."""

    rank = 60

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Corrected | str] = OrderedDict()
        self._lock = threading.Lock()  # the estimator's interpreter is one a process

    def estimate(self, case: Case, so_far: JobEstimate) -> JobEstimate:
        if not case.fault_tolerant or case.asked is None:
            return so_far
        qubits, seconds = 0, 0.0
        pairs = zip(case.asked.batch.experiments, case.asked.keys, runs_of(case), strict=True)
        for experiment, key, runs in pairs:
            one = self._of(key, experiment)
            if isinstance(one, str):
                return found(so_far, f"error-corrected: unknown, {one}")
            qubits = max(qubits, one.physical_qubits)
            seconds += one.runtime_s * (runs.plain_shots or runs.plain)
        return found(
            so_far,
            "error-corrected: surface code, qubits of 100 ns and errors of 1e-3, by qdk",
            physical_qubits=qubits,
            fault_tolerant_s=seconds,
        )

    def _of(self, key: str, experiment: Experiment) -> Corrected | str:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = error_corrected(at_first_point(experiment))
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]


def error_corrected(circuit: QuantumCircuit) -> Corrected | str:
    """What a circuit without parameters takes, or why that is unknown."""
    if circuit.size() > LARGEST:
        return f"{circuit.size():,} instructions are too many"
    # It reports its use to its maker unless told otherwise before it is imported.
    os.environ.setdefault("QDK_PYTHON_TELEMETRY", "none")
    os.environ.setdefault("QSHARP_PYTHON_TELEMETRY", "none")
    try:
        from qdk import openqasm  # type: ignore[import-untyped]
        from qdk.qsharp import QSharpError  # type: ignore[import-untyped]
    except ImportError:
        return "qdk is not installed here (pip install qdk)"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            counted = openqasm.estimate(as_text(circuit))["physicalCounts"]
    except (QiskitError, QSharpError, openqasm.QasmError) as error:
        return f"the estimator cannot read the circuit: {str(error)[:200]}"
    return Corrected(int(counted["physicalQubits"]), float(counted["runtime"]) * 1e-9)


def as_text(circuit: QuantumCircuit) -> str:
    """A circuit as OpenQASM 3 in gates that the estimator counts."""
    with compiling():
        plain = transpile(circuit, basis_gates=[*BASIS, "measure", "reset"], optimization_level=0)
    text: str = qasm3.dumps(plain)
    return text


def at_first_point(experiment: Experiment) -> QuantumCircuit:
    """The circuit at its first parameter point."""
    circuit = experiment.circuit
    if not circuit.num_parameters:
        return circuit
    values = np.asarray(experiment.parameter_values[0], dtype=np.float64)
    return circuit.assign_parameters(values.tolist())
