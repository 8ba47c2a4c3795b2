"""Noise of gate layers as it is learnt, stored and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, NonNegativeFloat

from qcpaas.wire import Wire

NoiseMethod = Literal["cycle_benchmarking", "process_tomography", "calibration"]


class LayerGate(Wire):
    """One gate of a layer, on physical qubits in the gate's own order."""

    name: str
    qubits: tuple[int, ...]


class GateLayer(Wire):
    """Gates on two or more qubits that run at once, sorted by qubits."""

    gates: tuple[LayerGate, ...]

    @property
    def qubits(self) -> tuple[int, ...]:
        """Physical qubits, sorted."""
        return tuple(sorted(qubit for gate in self.gates for qubit in gate.qubits))


class LayerNoise(Wire):
    """Pauli noise of a layer, which acts just before its ideal gates.

    The channel is ``exp(L)`` with ``L(rho) = sum_k rates[k] (P_k rho P_k - rho)``, the sparse
    Pauli-Lindblad model of van den Berg et al., Nature Physics 19, 1116 (2023).

    Attributes:
        qubits: Physical; the rightmost letter of each Pauli string acts on ``qubits[0]``.
        paulis: Generators, none the identity.
        rates: Dimensionless, one a generator; ``std_errors`` are theirs.
        snapshot_id: Calibration in force when it was learnt.
        elements_id: Hash of that calibration's values for the layer's gates and qubits.
    """

    layer: GateLayer
    qubits: tuple[int, ...]
    paulis: tuple[str, ...]
    rates: tuple[NonNegativeFloat, ...]
    std_errors: tuple[NonNegativeFloat, ...] = ()
    method: NoiseMethod = "cycle_benchmarking"
    device: str = ""
    snapshot_id: str = ""
    elements_id: str = ""
    measured_at: datetime | None = None
    job_id: str = ""


class NoiseLearning(Wire):
    """How the noise of layers is learnt, where an option of a job draws on it.

    Attributes:
        depths: How often a layer is repeated; even, since some layers return after two rounds only.
        twirls: Random Pauli frames for each depth and basis.
        shots: Of each circuit.
        max_age_s: Noise that was learnt longer ago is learnt anew.
    """

    method: Literal["cycle_benchmarking", "process_tomography"] = "cycle_benchmarking"
    depths: tuple[int, ...] = (0, 2, 6, 16)
    twirls: int = Field(default=16, ge=1)
    shots: int = Field(default=256, ge=1)
    max_age_s: float = Field(default=86_400.0, gt=0)


class NoiseReport(Wire):
    """What is known of the noise of a device's gate layers, the newest first.

    Attributes:
        valid: For each of ``learnt``, whether the device's newest calibration says the same of its
            gates and qubits as the one that it was learnt under.
    """

    device: str
    learnt: tuple[LayerNoise, ...] = ()
    valid: tuple[bool, ...] = ()
