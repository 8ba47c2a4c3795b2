"""The same loop through prefect-qiskit, and the simulator calls that lie under it."""

from __future__ import annotations

import asyncio
import time
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import flow
from prefect_qiskit.runtime import QuantumRuntime
from prefect_qiskit.vendors.qiskit_aer.credentials import NOISE_SEED, QiskitAerCredentials
from qiskit import QuantumCircuit, transpile
from qiskit.primitives import BackendEstimatorV2
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import CouplingMap

BASIS_GATES = ["rz", "sx", "x", "cz"]


class PrefectQiskitLoop:
    """A `QuantumRuntime` block over prefect-qiskit's own Aer client, noise included.

    Its artifact a job is switched off, so that both contenders publish nothing a step.
    """

    def __init__(self, circuit: QuantumCircuit, observable: SparsePauliOp, shots: int) -> None:
        width = circuit.num_qubits
        self._runtime = QuantumRuntime(
            resource_name="aer_simulator",
            credentials=QiskitAerCredentials(
                num_qubits=width, basis_gates=list(BASIS_GATES), noise=True
            ),
            enable_job_analytics=False,
        )
        # As the credentials block builds it; the bare steps run on the same.
        backend = GenericBackendV2(
            num_qubits=width,
            basis_gates=list(BASIS_GATES),
            coupling_map=CouplingMap.from_line(width, bidirectional=True),
            noise_info=True,
            seed=NOISE_SEED,
        )
        self._circuit = transpile(circuit, backend, optimization_level=3, seed_transpiler=11)
        self._observable = observable.apply_layout(self._circuit.layout)
        self._options = {"default_precision": 1 / sqrt(shots), "seed_simulator": NOISE_SEED}
        self._bare = BackendEstimatorV2(backend=backend, options=dict(self._options))

    def bare_step_s(self, angles: NDArray[np.float64]) -> float:
        """Seconds of the primitive by itself."""
        started = time.perf_counter()
        self._bare.run([self._pub(angles)]).result()
        return time.perf_counter() - started

    def steps_s(self, angles: NDArray[np.float64]) -> list[float]:
        """Seconds of each step of a flow over ``angles``, shape ``(steps, parameters)``."""
        seconds: list[float] = asyncio.run(_peer_flow(self, angles))
        return seconds

    async def step(self, angles: NDArray[np.float64]) -> float:
        started = time.perf_counter()
        await self._runtime.async_estimator([self._pub(angles)], options=self._options)
        return time.perf_counter() - started

    def _pub(self, angles: NDArray[np.float64]) -> tuple[Any, ...]:
        return (self._circuit, self._observable, angles)


@flow(name="prefect-qiskit-loop", validate_parameters=False)
async def _peer_flow(loop: PrefectQiskitLoop, angles: NDArray[np.float64]) -> list[float]:
    return [await loop.step(point) for point in angles]
