"""Planned circuits of several jobs as one submission, and its counts for each job again.

Circuits are paired after every job's options have planned them and before anything is sent: each
job keeps its own placement, its own mitigation and its own parameter points, and what it is given
back is what its circuits would have counted alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import CircuitInstruction, Parameter

from qcpaas.errors import MitigationError
from qcpaas.execution import Binding, Counts, Distribution, Experiment, Outcome


@dataclass(frozen=True)
class Share:
    """Points ``start`` to ``stop`` of one planned experiment of one job."""

    job: int
    experiment: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Joint:
    """A circuit of the submission, and whom it serves, lowest clbits first."""

    experiment: Experiment
    shares: tuple[Share, ...]


def side_by_side(planned: Sequence[Sequence[Experiment]]) -> list[Joint]:
    """Pair jobs' planned circuits; what finds no partner with as many shots goes by itself.

    Args:
        planned: Of each job, bound to qubits that no other job has.
    """
    shots = dict.fromkeys(one.shots for own in planned for one in own)
    return [joint for number in shots for joint in _with_shots(planned, number)]


def apart(
    joints: Sequence[Joint], outcomes: Sequence[Outcome], planned: Sequence[Sequence[Experiment]]
) -> list[list[Counts]]:
    """What each job's planned circuits counted.

    Args:
        outcomes: Of the joints' experiments.
        planned: As `side_by_side` was given it.
    """
    found: dict[tuple[int, int], list[tuple[int, tuple[Distribution, ...]]]] = {}
    for joint, outcome in zip(joints, outcomes, strict=True):
        assert isinstance(outcome, Counts), "jobs that share a device count"
        low = 0
        for share in joint.shares:
            width = planned[share.job][share.experiment].circuit.num_clbits
            points = outcome.points
            if len(joint.shares) > 1:
                points = tuple(marginal(point, low, width) for point in points)
            found.setdefault((share.job, share.experiment), []).append((share.start, points))
            low += width
    return [
        [
            Counts(
                tuple(point for _, points in sorted(found[job, n], key=_start) for point in points),
                _registers(experiment.circuit),
            )
            for n, experiment in enumerate(own)
        ]
        for job, own in enumerate(planned)
    ]


def marginal(distribution: Distribution, low: int, width: int) -> Distribution:
    """The distribution of clbits ``low`` to ``low + width`` alone."""
    bits = np.unpackbits(distribution.outcomes, axis=1)[:, ::-1][:, low : low + width]
    padded = np.zeros((len(bits), max(1, -(-width // 8)) * 8), dtype=np.uint8)
    padded[:, :width] = bits
    packed = np.packbits(padded[:, ::-1], axis=1)
    outcomes, places = np.unique(packed, axis=0, return_inverse=True)
    weights = np.zeros(len(outcomes))
    np.add.at(weights, places.ravel(), distribution.weights)
    return Distribution(outcomes, weights, width, distribution.shots)


def joined(experiments: Sequence[Experiment]) -> Experiment:
    """Circuits on qubits of their own, measured together at the end.

    Parameters are renamed by their place, so that columns of values stand side by side too.
    """
    width = sum(experiment.circuit.num_qubits for experiment in experiments)
    circuit = QuantumCircuit(width, name="side by side")
    ends: list[CircuitInstruction] = []
    low = 0
    for place, experiment in enumerate(experiments):
        own = _renamed(experiment.circuit, place)
        register = ClassicalRegister(own.num_clbits, f"m{place}")
        circuit.add_register(register)
        qubits = circuit.qubits[low : low + own.num_qubits]
        moved = {
            **dict(zip(own.qubits, qubits, strict=True)),
            **dict(zip(own.clbits, register, strict=True)),
        }
        for step, final in zip(own.data, _finals(own), strict=True):
            there = step.replace(
                qubits=[moved[bit] for bit in step.qubits],
                clbits=[moved[bit] for bit in step.clbits],
            )
            if final:
                ends.append(there)
            else:
                circuit.append(there)
        circuit.global_phase += own.global_phase
        low += own.num_qubits
    circuit.barrier()  # a measurement disturbs what is still computed beside it
    for step in ends:
        circuit.append(step)
    return replace(
        experiments[0],
        circuit=circuit,
        parameter_values=np.hstack([one.parameter_values for one in experiments]),
        binding=_binding([one.binding for one in experiments]),
        source=0,
    )


def can_join(experiment: Experiment) -> bool:
    """Whether a planned circuit only computes and then measures."""
    circuit = experiment.circuit
    if experiment.observables is not None or not circuit.num_clbits:
        return False
    if circuit.has_control_flow_op() or circuit.num_identifiers:
        return False
    ends = _finals(circuit)
    return all(
        final or not step.clbits for step, final in zip(circuit.data, ends, strict=True)
    ) and any(ends)


def check_disjoint(planned: Sequence[Sequence[Experiment]]) -> None:
    """Raises `MitigationError` where two jobs would use one qubit: options must not move them."""
    seen: dict[int, int] = {}
    for job, own in enumerate(planned):
        for experiment in own:
            for qubit in experiment.binding.physical_qubits if experiment.binding else ():
                if seen.setdefault(qubit, job) != job:
                    raise MitigationError(
                        f"two jobs that were to run side by side both use qubit {qubit}: an option "
                        "moved a circuit. Run them one after the other."
                    )


def _with_shots(planned: Sequence[Sequence[Experiment]], shots: int | None) -> list[Joint]:
    waiting = [
        deque(
            Share(job, number, 0, one.points)
            for number, one in enumerate(own)
            if one.shots == shots and can_join(one)
        )
        for job, own in enumerate(planned)
    ]
    joints = []
    while any(waiting):
        heads = [own.popleft() for own in waiting if own]
        points = min(head.stop - head.start for head in heads)
        for head in heads:
            if head.stop - head.start > points:
                waiting[head.job].appendleft(replace(head, start=head.start + points))
        shares = tuple(replace(head, stop=head.start + points) for head in heads)
        parts = [_part(planned, share) for share in shares]
        joints.append(Joint(joined(parts) if len(parts) > 1 else parts[0], shares))
    alone = [
        Share(job, number, 0, one.points)
        for job, own in enumerate(planned)
        for number, one in enumerate(own)
        if one.shots == shots and not can_join(one)
    ]
    return [*joints, *(Joint(_part(planned, share), (share,)) for share in alone)]


def _part(planned: Sequence[Sequence[Experiment]], share: Share) -> Experiment:
    whole = planned[share.job][share.experiment]
    return replace(whole, parameter_values=whole.parameter_values[share.start : share.stop])


def _renamed(circuit: QuantumCircuit, place: int) -> QuantumCircuit:
    # Sorted by name, as the circuit's parameters are, these stand in the order of the columns.
    names = {
        parameter: Parameter(f"p{place:03d}_{column:06d}")
        for column, parameter in enumerate(circuit.parameters)
    }
    return circuit.assign_parameters(names) if names else circuit


def _finals(circuit: QuantumCircuit) -> list[bool]:
    """Of each instruction, whether it is a measurement, or a barrier, after which nothing comes."""
    busy: set[object] = set()
    found = []
    for step in reversed(circuit.data):
        bits = {*step.qubits, *step.clbits}
        final = step.name == "measure" and not bits & busy
        found.append(final)
        if step.name != "barrier":
            busy |= bits
    return found[::-1]


def _binding(bindings: Sequence[Binding | None]) -> Binding | None:
    placed = [binding for binding in bindings if binding is not None]
    if len(placed) < len(bindings):
        return None
    errors = [binding.readout_errors for binding in placed]
    known: list[NDArray[np.float64]] = [one for one in errors if one is not None]
    logs = [binding.log_fidelity for binding in placed]
    return replace(
        placed[0],
        physical_qubits=tuple(qubit for one in placed for qubit in one.physical_qubits),
        readout_errors=np.concatenate(known) if len(known) == len(errors) else None,
        log_fidelity=sum(log for log in logs if log is not None),
        duration_s=max(binding.duration_s for binding in placed),
        reason=f"{len(placed)} jobs side by side",
        routing=0,
        positions=(),
    )


def _registers(circuit: QuantumCircuit) -> tuple[tuple[str, int], ...]:
    """As adapters name them."""
    if [bit for register in circuit.cregs for bit in register] == list(circuit.clbits):
        return tuple((register.name, register.size) for register in circuit.cregs)
    return (("c", circuit.num_clbits),)


def _start(placed: tuple[int, object]) -> int:
    return placed[0]
