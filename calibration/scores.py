"""Expected success probabilities of a template's placements, many at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from calibration.device_errors import DEAD, DeviceErrors
from calibration.durations import Durations
from calibration.embedding import connected_parts
from calibration.pattern import Pattern
from calibration.template import Template
from calibration.trie import Costs
from calibration.turning import turning_prices
from calibration.workload import Demand

Array = NDArray[np.float64]
Index = NDArray[np.intp]
LOG_DEAD = float(np.log1p(-DEAD))
OUT_OF_ORDER = -1e6  # nats: so that no sum of living errors is worse


@dataclass(frozen=True, eq=False)
class Logs:
    """Natural logarithms of success probabilities; `dead` stands for what is out of order.

    Attributes:
        dead: What each use of something out of order costs, nats.
        two_qubit: Of each gate by coupler, and last, where there is none, shape ``(e + 1,)``.
        one_qubit: Of each gate, shape ``(n,)``.
        rotation, readout: Shape ``(n,)``.
    """

    dead: float
    two_qubit: dict[str, Array]
    one_qubit: dict[str, Array]
    rotation: Array
    readout: Array

    @classmethod
    def of(cls, errors: DeviceErrors, dead: float) -> Logs:
        two = {gate: _log(np.append(each, DEAD), dead) for gate, each in errors.two_qubit.items()}
        one = {gate: _log(each, dead) for gate, each in errors.one_qubit.items()}
        # Nothing is turned where rotations are out of order.
        return cls(dead, two, one, _log(errors.rotation, 0.0), _log(errors.readout, dead))

    def of_rotations(self, gate: str) -> Array:
        """Of a 1-qubit gate; one that the device does not have works nowhere."""
        return self.one_qubit.get(gate, np.full_like(self.rotation, self.dead))


@dataclass(frozen=True, eq=False)
class Device:
    """What one snapshot says of a device, and what was learnt of it."""

    errors: DeviceErrors
    durations: Durations

    @cached_property
    def logs(self) -> Logs:
        """For the value of a placement."""
        return Logs.of(self.errors, LOG_DEAD)

    @cached_property
    def ranking(self) -> Logs:
        """For a choice among placements."""
        return Logs.of(self.errors, OUT_OF_ORDER)


@dataclass(frozen=True, eq=False)
class Losses:
    """Natural logarithms of success probabilities, of ``m`` placements at once.

    Attributes:
        one_qubit, readout, idle: Of each compact qubit, shape ``(k, m)``.
        two_qubit: Of each interaction, shape ``(i, m)``.
    """

    one_qubit: Array
    readout: Array
    idle: Array
    two_qubit: Array

    @property
    def total(self) -> Array:
        """Shape ``(m,)``."""
        columns = (self.one_qubit, self.readout, self.idle, self.two_qubit)
        total: Array = np.sum([column.sum(axis=0) for column in columns], axis=0)
        return total


class Scorer:
    """Scores the placements of one template.

    Two ways: `costs` takes the device's typical durations, so that a placement's score is a sum
    over its qubits and couplers, and all placements share their parts; `losses` schedules every
    placement with the durations of its own gates.

    Args:
        basis_gates: That turned gates are written in.
    """

    def __init__(self, template: Template, basis_gates: tuple[str, ...]) -> None:
        self.template = template
        self._basis_gates = basis_gates
        self._demand = Demand.of(template)
        self._pairs = list(template.interactions)
        self._counts = np.array(list(template.interactions.values()), dtype=np.float64)
        self._first = np.array([first for first, _, _ in self._pairs], dtype=np.intp)
        self._second = np.array([second for _, second, _ in self._pairs], dtype=np.intp)
        self._typical: tuple[Durations, Array] | None = None
        self._of_gate: dict[str, Index] = {}
        for gate in dict.fromkeys(gate for _, _, gate in self._pairs):
            same = [number for number, pair in enumerate(self._pairs) if pair[2] == gate]
            self._of_gate[gate] = np.array(same, dtype=np.intp)

    @cached_property
    def parts(self) -> list[tuple[tuple[int, ...], Pattern]]:
        """Qubits that move together and their pattern, largest first."""
        return connected_parts(self.template)

    def losses(self, rows: Index, device: Device, logs: Logs) -> Losses:
        """With the durations of the placements themselves.

        Args:
            rows: Device qubit of each compact qubit, shape ``(k, m)``.
        """
        errors = device.errors
        idle_s, _ = self._demand.timeline.idle(rows, device.durations)
        one_qubit = np.zeros(rows.shape)
        for gate, counts in self._demand.one_qubit.items():
            one_qubit += counts[:, None] * logs.of_rotations(gate)[rows]
        two_qubit = np.full((len(self._pairs), rows.shape[1]), logs.dead)
        for gate, numbers in self._of_gate.items():
            if gate in errors.two_qubit:
                first, second = rows[self._first[numbers]], rows[self._second[numbers]]
                coupler = errors.couplers.number[first, second]  # -1, the last, where there is none
                two_qubit[numbers] = logs.two_qubit[gate][coupler]
                if errors.turned[gate].any():
                    turned = errors.turned[gate][coupler] & (coupler >= 0)
                    if turned.any():  # what turning costs is measured on the circuit: 10 ms
                        self._add_turning(one_qubit, numbers, turned, logs.rotation[rows])
        return Losses(
            one_qubit=one_qubit,
            readout=self._demand.reads[:, None] * logs.readout[rows],
            idle=_log_idle(idle_s, errors.t1_s[rows], errors.t2_s[rows]) * errors.idle[rows],
            two_qubit=two_qubit * self._counts[:, None],
        )

    def duration_s(self, rows: Index, durations: Durations) -> float:
        """Of the circuit at one placement: ``rows`` has the shape ``(k, 1)``."""
        _, total_s = self._demand.timeline.idle(rows, durations)
        return float(total_s[0])

    def costs(self, device: Device) -> list[Costs]:
        """Of each part: what a trie or a beam search adds up."""
        errors = device.errors
        alone = self._alone(device)
        tables = self._tables(device)
        found = []
        for qubits, pattern in self.parts:
            steps, order = pattern.steps, [qubits[step.node] for step in pattern.steps]
            found.append(
                Costs(
                    root=alone[order[0]],
                    edge=[
                        tables[order[step.parent], new] + alone[new][errors.couplers.second]
                        for step, new in zip(steps[1:], order[1:], strict=True)
                    ],
                    back=[
                        np.array([tables[order[other], new] for other in step.back])
                        for step, new in zip(steps[1:], order[1:], strict=True)
                    ],
                )
            )
        return found

    def _alone(self, device: Device) -> Array:
        """What each compact qubit loses by itself on each device qubit, shape ``(k, n)``."""
        errors, logs = device.errors, device.ranking
        idle_s = self._typical_idle_s(device.durations)
        total = _log_idle(idle_s[:, None], errors.t1_s, errors.t2_s) * errors.idle
        total += self._demand.reads[:, None] * logs.readout
        for gate, counts in self._demand.one_qubit.items():
            total += counts[:, None] * logs.of_rotations(gate)
        total[:, ~errors.operational] += OUT_OF_ORDER
        return total

    def _typical_idle_s(self, durations: Durations) -> Array:
        if self._typical is None or self._typical[0] is not durations.typical:
            home = np.array(self.template.home, dtype=np.intp)[:, None]
            idle_s = self._demand.timeline.idle(home, durations.typical)[0][:, 0]
            self._typical = (durations.typical, idle_s)
        return self._typical[1]

    def _tables(self, device: Device) -> dict[tuple[int, int], Array]:
        """What the gates between two compact qubits lose on each coupler, both ways round."""
        couplers = device.errors.couplers
        forward = np.full((len(self._pairs), len(couplers.first)), OUT_OF_ORDER)
        for gate, numbers in self._of_gate.items():
            if gate in device.errors.two_qubit:
                forward[numbers] = self._of_couplers(gate, numbers, device)
        backward = forward[:, couplers.reverse]
        tables: dict[tuple[int, int], Array] = {}
        for number, (first, second, _) in enumerate(self._pairs):
            for pair, table in (((first, second), forward), ((second, first), backward)):
                known = tables.get(pair)
                tables[pair] = table[number] if known is None else known + table[number]
        return tables

    def _of_couplers(self, gate: str, numbers: Index, device: Device) -> Array:
        """What interactions of one gate lose on each coupler, shape ``(len(numbers), e)``."""
        couplers, logs = device.errors.couplers, device.ranking
        table = np.broadcast_to(logs.two_qubit[gate][:-1], (len(numbers), len(couplers.first)))
        turned = device.errors.turned[gate]
        if turned.any():
            extra = self._turning[numbers]
            table = table + extra[:, :1] * (turned * logs.rotation[couplers.first])
            table += extra[:, 1:] * (turned * logs.rotation[couplers.second])
        weighted: Array = self._counts[numbers, None] * table
        return weighted

    def _add_turning(
        self, one_qubit: Array, numbers: Index, turned: NDArray[np.bool_], log: Array
    ) -> None:
        extra = self._turning[numbers] * self._counts[numbers, None]
        for qubits, gates in ((self._first, extra[:, 0]), (self._second, extra[:, 1])):
            where = qubits[numbers]
            np.add.at(one_qubit, where, turned * gates[:, None] * log[where])

    @cached_property
    def _turning(self) -> Array:
        return turning_prices(self.template, self._basis_gates)


def _log(errors: Array, dead: float) -> Array:
    log: Array = np.log1p(-errors)
    log[errors >= DEAD] = dead
    return log


def _log_idle(idle_s: Array, t1_s: Array, t2_s: Array) -> Array:
    """Average gate fidelity of amplitude and phase damping over waiting times."""
    log: Array = np.log(0.5 + np.exp(-idle_s / t1_s) / 6 + np.exp(-idle_s / t2_s) / 3)
    return log
