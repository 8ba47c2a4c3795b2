"""Where to run: every placement of a template on the device, scored by the newest calibration."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
import rustworkx as rx
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from calibration.template import Template
from qcpaas.errors import CalibrationError
from store.snapshot import Quantity, Snapshot

MAX_EMBEDDINGS = 50_000
DEAD = 1.0 - 1e-9  # error of what is out of order or was not reported


@dataclass(frozen=True, eq=False)
class DeviceErrors:
    """A snapshot as arrays over the device's qubits.

    Attributes:
        two_qubit: Error of the better direction of each pair, shape ``(n, n)``; `DEAD` where the
            pair is not coupled, out of order, or has no reported error.
        one_qubit: Error of a physical 1-qubit gate, shape ``(n,)``.
        readout: Mean assignment error, shape ``(n,)``.
        t1_s, t2_s: Shape ``(n,)``, NaN where not reported.
    """

    two_qubit: NDArray[np.float64]
    one_qubit: NDArray[np.float64]
    readout: NDArray[np.float64]
    t1_s: NDArray[np.float64]
    t2_s: NDArray[np.float64]

    @classmethod
    def of(cls, snapshot: Snapshot) -> DeviceErrors:
        n = snapshot.num_qubits
        two_qubit, one_qubit = np.full((n, n), DEAD), np.full(n, DEAD)
        for gate, places in snapshot.gates.items():
            for qubits in places:
                error = _gate_error(snapshot, gate, qubits)
                if len(qubits) == 2:
                    first, second = qubits
                    better = min(error, two_qubit[first, second])
                    two_qubit[first, second] = two_qubit[second, first] = better
                elif len(qubits) == 1 and not _is_virtual(snapshot, gate, qubits):
                    one_qubit[qubits[0]] = min(error, one_qubit[qubits[0]])
        p10 = snapshot.per_qubit(Quantity.READOUT_P10)
        p01 = snapshot.per_qubit(Quantity.READOUT_P01)
        return cls(
            two_qubit=two_qubit,
            one_qubit=one_qubit,
            readout=np.nan_to_num((p10 + p01) / 2, nan=DEAD),
            t1_s=snapshot.per_qubit(Quantity.T1_S),
            t2_s=snapshot.per_qubit(Quantity.T2_S),
        )


@dataclass(frozen=True)
class Placement:
    """``log_fidelity`` is the natural log of the expected success probability there."""

    physical_qubits: tuple[int, ...]
    log_fidelity: float
    considered: int


@dataclass(frozen=True, eq=False)
class Workload:
    """What a template asks of each of its qubits.

    Attributes:
        one_qubit_gates: Physical 1-qubit gates, shape ``(k,)``.
        measured: 1 where the qubit is read, shape ``(k,)``.
        idle_s: Waiting time between its first and last instruction, shape ``(k,)``.
        duration_s: Of the whole circuit, by the longest path.
    """

    one_qubit_gates: NDArray[np.float64]
    measured: NDArray[np.float64]
    idle_s: NDArray[np.float64]
    duration_s: float


def choose_placement(
    template: Template, snapshot: Snapshot, embeddings: NDArray[np.int16] | None = None
) -> Placement:
    """The placement with the highest expected success probability.

    Args:
        embeddings: From `enumerate_embeddings`; enumerated when not given.

    Raises:
        CalibrationError: Every placement needs something that is out of order.
    """
    if embeddings is None:
        embeddings = enumerate_embeddings(template, snapshot)
    errors = DeviceErrors.of(snapshot)
    scores = score(embeddings, template, workload_of(template, snapshot), errors)
    best = int(np.argmax(scores))
    chosen = tuple(map(int, embeddings[best]))
    if any(errors.two_qubit[chosen[a], chosen[b]] >= DEAD for a, b in template.interactions):
        raise CalibrationError(
            f"{snapshot.device}: every placement of this circuit needs a qubit or coupler that is "
            f"out of order in snapshot {snapshot.content_id}. Choose another device."
        )
    return Placement(chosen, float(scores[best]), len(embeddings))


def enumerate_embeddings(template: Template, snapshot: Snapshot) -> NDArray[np.int16]:
    """Placements of the template that need no further routing, shape ``(m, k)``.

    Qubits that interact are embedded in the coupling map, at most `MAX_EMBEDDINGS` ways, the
    routed one always among them; qubits that interact with none take the best that are left.
    """
    coupled = sorted({qubit for pair in template.interactions for qubit in pair})
    k = len(template.home)
    if not coupled:
        return _with_lone_qubits(np.empty((1, 0), np.int16), coupled, k, snapshot)
    pattern = rx.PyGraph()
    pattern.add_nodes_from(coupled)
    place = {qubit: node for node, qubit in enumerate(coupled)}
    pattern.add_edges_from_no_data([(place[a], place[b]) for a, b in template.interactions])
    device = rx.PyGraph()
    device.add_nodes_from(range(snapshot.num_qubits))
    pairs = {
        (min(qubits), max(qubits))
        for places in snapshot.gates.values()
        for qubits in places
        if len(qubits) == 2
    }
    device.add_edges_from_no_data(sorted(pairs))
    mappings = rx.graph_vf2_mapping(device, pattern, subgraph=True, induced=False, id_order=False)
    found = [[template.home[qubit] for qubit in coupled]]
    for mapping in islice(mappings, MAX_EMBEDDINGS):
        row = [0] * len(coupled)
        for physical, node in mapping.items():
            row[node] = physical
        found.append(row)
    return _with_lone_qubits(np.array(found, dtype=np.int16), coupled, k, snapshot)


def score(
    embeddings: NDArray[np.int16], template: Template, workload: Workload, errors: DeviceErrors
) -> NDArray[np.float64]:
    """Log of the expected success probability of every embedding, shape ``(m,)``."""
    total = np.zeros(len(embeddings))
    log_two_qubit = np.log1p(-errors.two_qubit)
    for (first, second), count in template.interactions.items():
        total += count * log_two_qubit[embeddings[:, first], embeddings[:, second]]
    total += np.log1p(-errors.one_qubit)[embeddings] @ workload.one_qubit_gates
    total += np.log1p(-np.minimum(errors.readout, DEAD))[embeddings] @ workload.measured
    for qubit, idle_s in enumerate(workload.idle_s):
        if idle_s > 0:
            total += _log_idle_fidelity(idle_s, errors)[embeddings[:, qubit]]
    return total


def workload_of(template: Template, snapshot: Snapshot) -> Workload:
    """What the circuit asks of its qubits, with the gate durations of the place it was routed to.

    Written here because Qiskit's schedule gives no idle time for each qubit without padding the
    circuit with delays first.
    """
    circuit, home = template.circuit, template.home
    k = circuit.num_qubits
    ready, first, busy = np.zeros(k), np.full(k, np.nan), np.zeros(k)
    gates, measured = np.zeros(k), np.zeros(k)
    for step in circuit.data:
        qubits = [circuit.find_bit(qubit).index for qubit in step.qubits]
        if step.operation.name == "barrier":
            ready[qubits] = ready[qubits].max(initial=0.0)
            continue
        duration = _duration(snapshot, step.operation, tuple(home[q] for q in qubits))
        start = ready[qubits].max()
        first[qubits] = np.where(np.isnan(first[qubits]), start, first[qubits])
        ready[qubits] = start + duration
        busy[qubits] += duration
        if step.operation.name == "measure":
            measured[qubits] = 1
        elif len(qubits) == 1 and duration > 0:
            gates[qubits] += 1
    if not measured.any():  # observables decide later what is read: assume all
        measured[list(template.positions)] = 1
    idle = np.nan_to_num(ready - first) - busy
    return Workload(gates, measured, np.maximum(idle, 0.0), float(ready.max(initial=0.0)))


def measurement_s(snapshot: Snapshot, physical_qubits: tuple[int, ...]) -> float:
    """The longest readout among these qubits; 0 where none is reported."""
    durations = snapshot.per_qubit(Quantity.READOUT_DURATION_S)[list(physical_qubits)]
    return float(np.nan_to_num(durations).max(initial=0.0))


def has_measurement(circuit: QuantumCircuit) -> bool:
    return any(step.operation.name == "measure" for step in circuit.data)


def _with_lone_qubits(
    embeddings: NDArray[np.int16], coupled: list[int], k: int, snapshot: Snapshot
) -> NDArray[np.int16]:
    lone = [qubit for qubit in range(k) if qubit not in coupled]
    full = np.empty((len(embeddings), k), dtype=np.int16)
    full[:, coupled] = embeddings
    if lone:
        errors = DeviceErrors.of(snapshot)
        by_quality = np.argsort(errors.readout + errors.one_qubit, kind="stable")
        for row, taken in zip(full, embeddings, strict=True):
            free = by_quality[~np.isin(by_quality, taken)]
            row[lone] = free[: len(lone)]
    return full


def _log_idle_fidelity(idle_s: float, errors: DeviceErrors) -> NDArray[np.float64]:
    """Average gate fidelity of amplitude and phase damping over an idle time, for each qubit."""
    t1 = np.nan_to_num(errors.t1_s, nan=np.inf)
    t2 = np.nan_to_num(errors.t2_s, nan=np.inf)
    fidelity: NDArray[np.float64] = 0.5 + np.exp(-idle_s / t1) / 6 + np.exp(-idle_s / t2) / 3
    return np.log(fidelity)


def _gate_error(snapshot: Snapshot, gate: str, qubits: tuple[int, ...]) -> float:
    works = snapshot.is_operational(*qubits, gate=gate) and all(
        snapshot.is_operational(qubit) for qubit in qubits
    )
    error = snapshot.get(Quantity.GATE_ERROR, *qubits, gate=gate)
    return min(error, DEAD) if works and error is not None else DEAD


def _is_virtual(snapshot: Snapshot, gate: str, qubits: tuple[int, ...]) -> bool:
    return snapshot.get(Quantity.GATE_DURATION_S, *qubits, gate=gate) == 0.0 or gate == "reset"


def _duration(snapshot: Snapshot, operation: object, physical: tuple[int, ...]) -> float:
    from qiskit.circuit import Delay, Instruction

    assert isinstance(operation, Instruction)
    if operation.name == "measure":
        return snapshot.get(Quantity.READOUT_DURATION_S, *physical) or 0.0
    if isinstance(operation, Delay):
        scale = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}
        unit_s = (snapshot.dt_s or 0.0) if operation.unit == "dt" else scale[operation.unit]
        return float(operation.duration) * unit_s
    forward = snapshot.get(Quantity.GATE_DURATION_S, *physical, gate=operation.name)
    backward = snapshot.get(Quantity.GATE_DURATION_S, *physical[::-1], gate=operation.name)
    return forward or backward or 0.0
