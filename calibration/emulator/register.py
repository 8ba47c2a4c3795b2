"""The joint state of the qubits that a sequence couples, and of the detuning of each shot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.emulator.transmon import (
    COLUMN,
    LEVELS,
    ORDER,
    POPULATIONS,
    ROW,
    SIZE,
    Transmon,
    decay_channel,
    mixing,
)

NEGLIGIBLE = 1e-10
MOST_PATHS = 512

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]


class Register:
    """Density matrix of one or more transmons, each in the frame of its drive.

    A lone qubit's slow detuning is the same through a shot and differs between shots. Its
    average is exact: the state is kept as a sum over paths, each with the signed time that it
    has spent in a coherence, ``s``; over a Lorentzian distribution of half width ``g`` the phase
    of a path averages to ``exp(-g |s|)``. Pulses are too short for it to act in them. Qubits that
    a gate couples dephase at the same rate while they idle, but without the memory.

    Attributes:
        state: Shape ``(9,) * qubits + (paths,)``.
        signed_ns: Shape ``(paths,)``.
    """

    def __init__(self, transmons: Sequence[Transmon], drives_hz: Sequence[float]) -> None:
        self.transmons = tuple(transmons)
        self.drives_hz = tuple(drives_hz)
        self.state: Complex = np.zeros((SIZE,) * len(transmons) + (1,), dtype=np.complex128)
        self.state[(0,) * (len(transmons) + 1)] = 1
        self.signed_ns: Real = np.zeros(1)

    def copy(self) -> Register:
        other = Register.__new__(Register)
        other.transmons, other.drives_hz = self.transmons, self.drives_hz
        other.state, other.signed_ns = self.state.copy(), self.signed_ns.copy()
        return other

    def apply(self, place: int, channel: Complex, before: float = 0.0, after: float = 0.0) -> None:
        """A channel on one qubit, between turns of its frame by two angles, in rad."""
        turned = np.exp(1j * after * ORDER)[:, None] * channel * np.exp(1j * before * ORDER)
        self._contract(place, turned)

    def idle(self, place: int, duration_ns: float) -> None:
        """Let one qubit wait."""
        if duration_ns <= 0:
            return
        transmon = self.transmons[place]
        slow = transmon.slow_rate_per_ns
        channel = transmon.idle(duration_ns, self.drives_hz[place])
        if slow and len(self.transmons) > 1:
            channel = np.exp(-slow * duration_ns * np.abs(ORDER))[:, None] * channel
        self._contract(place, channel)
        if slow and len(self.transmons) == 1:
            self._part_by_order(duration_ns)

    def couple(self, first: int, second: int, angle: float, mixed: float) -> None:
        """Turn the phase of ``n_1 n_2`` by ``-angle``, then replace a part by the mixed state."""
        pairs = np.multiply.outer(ROW, ROW) - np.multiply.outer(COLUMN, COLUMN)
        phases = np.exp(-1j * angle * pairs)
        shape = [SIZE if axis in (first, second) else 1 for axis in range(self.state.ndim)]
        self.state *= (phases if first < second else phases.T).reshape(shape)
        if mixed:
            kept = self.state
            self._contract(first, mixing())
            self._contract(second, mixing())
            self.state = (1 - mixed) * kept + mixed * self.state

    def collapse(self, place: int, level: int) -> Register:
        """What remains of the ensemble where a qubit is found in a level; its trace is smaller."""
        other = self.copy()
        seen = np.zeros(SIZE)
        seen[POPULATIONS[level]] = 1
        other.state *= seen.reshape(
            [-1 if axis == place else 1 for axis in range(other.state.ndim)]
        )
        return other

    def weight(self) -> float:
        """Trace of the state, averaged over the detunings."""
        populations = self.state
        for _ in self.transmons:
            populations = populations[POPULATIONS].sum(axis=0)
        rate = self.transmons[0].slow_rate_per_ns
        return float((populations.real * np.exp(-rate * np.abs(self.signed_ns))).sum())

    def _contract(self, place: int, channel: Complex) -> None:
        if self.state.ndim == 2:
            self.state = channel @ self.state
        else:
            moved = np.tensordot(channel, self.state, (1, place)).astype(np.complex128, copy=False)
            self.state = np.moveaxis(moved, 0, place)

    def _part_by_order(self, duration_ns: float) -> None:
        """Each coherence order goes its own path; paths of equal signed time are one."""
        parts, times = [], []
        for order in range(1 - LEVELS, LEVELS):
            part = self.state * np.equal(ORDER, order)[:, None]
            if part.any():
                parts.append(part)
                times.append(self.signed_ns + order * duration_ns)
        state, signed = np.concatenate(parts, axis=1), np.concatenate(times)
        signed, place = np.unique(np.round(signed, 6), return_inverse=True)
        merged = np.zeros((SIZE, len(signed)), dtype=np.complex128)
        np.add.at(merged.T, place, state.T)
        seen = np.abs(merged).max(axis=0) > NEGLIGIBLE
        self.state, self.signed_ns = merged[:, seen], signed[seen]
        if len(self.signed_ns) > MOST_PATHS:
            self._forget()

    def _forget(self) -> None:
        """Average over the detunings now: from here on they are drawn anew."""
        rate = self.transmons[0].slow_rate_per_ns
        weights = np.exp(-rate * np.abs(self.signed_ns))
        self.state = (self.state * weights).sum(axis=1, keepdims=True)
        self.signed_ns = np.zeros(1)


def pair_decay(transmon: Transmon, duration_ns: float) -> Complex:
    """What a qubit of a coupled pair suffers during a gate, in its own frame."""
    channel = decay_channel(transmon.t1_s * 1e9, transmon.t2_s * 1e9, duration_ns)
    slow = np.exp(-transmon.slow_rate_per_ns * duration_ns * np.abs(ORDER))
    return np.asarray(slow[:, None] * channel)
