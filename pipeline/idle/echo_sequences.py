"""Echo sequences, what they save on a qubit by its calibration, and what their pulses cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np
from qiskit.circuit import CircuitInstruction, Delay, Gate, Qubit
from qiskit.circuit.library import RGate, RXGate, RZGate, SXGate, XGate

from adapters.target import is_usable
from qcpaas.calibration import Quantity
from qcpaas.errors import MitigationError
from store.snapshot import Snapshot

EchoSequence = Literal["XX", "XpXm", "CPMG", "XY4", "XY8"]
# Rotations by pi about x, -x and y. CPMG's axis is the one at right angles to X-X's.
SEQUENCES: Mapping[EchoSequence, tuple[str, ...]] = {
    "XX": ("x", "x"),
    "XpXm": ("x", "-x"),
    "CPMG": ("y", "y"),
    "XY4": ("x", "y", "x", "y"),
    "XY8": ("x", "y", "x", "y", "y", "x", "y", "x"),
}

CLEARLY = 0.7  # of the echo's time: drift between the two experiments seldom makes the difference
SIGMAS = 2.0  # that the two times lie apart, where their standard errors are known
MARGIN = 2.0  # what an echo saves over what its pulses cost: T2* is known to 10 % or so
# A rotation error that all pulses share adds up in X-X and cancels in XY4. A calibration does not
# tell how much of a pulse's error is of that kind: XY4 is taken where its two further pulses cost
# less than this share of the dephasing that any echo leaves.
AFFORDABLE = 0.1


@dataclass(frozen=True)
class EchoPolicy:
    """Which idle windows are filled, and with what.

    Attributes:
        sequence: In every window that it fits into; ``None`` chooses X-X or XY4 by what they are
            predicted to save, and leaves windows alone where that is not clearly more than they
            cost.
        min_idle_s: Shorter windows are left alone.
        ramsey_ratio: T2* as a share of T2 for qubits whose T2* nobody measured; ``None`` takes
            it that an echo has nothing to undo there.
    """

    sequence: EchoSequence | None = None
    min_idle_s: float = 0.0
    ramsey_ratio: float | None = None


@dataclass(frozen=True, eq=False)
class Train:
    """``pulses`` rotations, ``2 * half_gap_s`` apart and half as far from the window's ends."""

    rotations: tuple[tuple[Gate, ...], ...]
    half_gap_s: float
    gain: float

    @property
    def pulses(self) -> int:
        return len(self.rotations)

    def steps(self, qubit: Qubit, dt_s: float | None) -> Iterator[CircuitInstruction]:
        ends = _delay(self.half_gap_s, dt_s)
        between = _delay(2 * self.half_gap_s, dt_s)
        yield CircuitInstruction(ends, (qubit,))
        for number, rotation in enumerate(self.rotations):
            if number:
                yield CircuitInstruction(between, (qubit,))
            yield from (CircuitInstruction(gate, (qubit,)) for gate in rotation)
        yield CircuitInstruction(ends, (qubit,))

    def phase(self) -> float:
        """Of the product of all rotations, which is the identity but for it."""
        gates = [gate for rotation in self.rotations for gate in rotation]
        product = reduce(lambda so_far, gate: gate.to_matrix() @ so_far, gates, np.eye(2))
        return float(np.angle(product[0, 0]))


@dataclass(frozen=True, eq=False)
class Pulses:
    """A qubit's rotations by pi, by axis; x is always there.

    Attributes:
        duration_s, error: Of one of them.
    """

    about: Mapping[str, tuple[Gate, ...]]
    duration_s: float
    error: float

    @classmethod
    def of(cls, snapshot: Snapshot, qubit: int) -> Pulses | None:
        """``None`` where the calibration knows of none, or of no delays."""
        if not is_usable(snapshot, "delay", (qubit,)):
            return None
        for name, x, others in _ROTATIONS:
            duration_s = snapshot.get(Quantity.GATE_DURATION_S, qubit, gate=name)
            error = snapshot.get(Quantity.GATE_ERROR, qubit, gate=name)
            if duration_s and error is not None and is_usable(snapshot, name, (qubit,)):
                about = {"x": x, **others}
                if snapshot.get(Quantity.GATE_DURATION_S, qubit, gate="rz") == 0.0:
                    # Turned by the frame, where the device has no pulse about the other axis.
                    about = {"y": _turned(x, math.pi / 2), "-x": _turned(x, math.pi), **about}
                kept = (1 - min(error, 1.0)) ** len(x)
                return cls(about, len(x) * duration_s, 1 - kept)
        return None

    def sequence(self, name: EchoSequence, qubit: int) -> tuple[tuple[Gate, ...], ...]:
        """Its rotations.

        Raises:
            MitigationError: The qubit has no rotation about one of its axes.
        """
        missing = set(SEQUENCES[name]) - set(self.about)
        if missing:
            raise MitigationError(
                f"sequence {name} needs rotations about {', '.join(sorted(missing))}, and qubit "
                f"{qubit} has only those about {', '.join(sorted(self.about))}. Choose XX."
            )
        return tuple(self.about[axis] for axis in SEQUENCES[name])

    def spaced(
        self, rotations: tuple[tuple[Gate, ...], ...], idle_s: float, grid_s: float, saved: float
    ) -> Train | None:
        """Evenly in a window; ``None`` where they do not fit."""
        pulses = len(rotations)
        free_s = idle_s - pulses * self.duration_s
        half_gap_s = math.floor(free_s / (2 * pulses) / grid_s + 1e-6) * grid_s
        if half_gap_s <= 0:
            return None
        return Train(rotations, half_gap_s, saved - self.cost(pulses))

    def cost(self, pulses: int) -> float:
        """In log fidelity."""
        return -pulses * math.log1p(-min(self.error, 1 - 1e-9))


@dataclass(frozen=True)
class Coherence:
    """How a qubit keeps its state while it waits.

    Attributes:
        t1_s: Infinite where it is not known, as are the others.
        t2_ramsey_s: T2*; that of the echo where an echo undoes nothing.
        measured: Whether the calibration shows it, and clearly below that of the echo.
        assumed: Whether it is a share of T2.
    """

    t1_s: float
    t2_echo_s: float
    t2_ramsey_s: float
    measured: bool = False
    assumed: bool = False

    @classmethod
    def of(cls, snapshot: Snapshot, qubit: int, ramsey_ratio: float | None) -> Coherence:
        t1 = snapshot.get(Quantity.T1_S, qubit) or math.inf
        known = snapshot.t2_s(qubit)
        if known is None:
            return cls(t1, math.inf, math.inf)
        echo_s, kind = known
        ramsey_s = snapshot.get(Quantity.T2_RAMSEY_S, qubit)
        if ramsey_s is not None:
            clearly = _clearly_below(snapshot, qubit, ramsey_s, echo_s, kind)
            return cls(t1, echo_s, ramsey_s if clearly else echo_s, measured=clearly)
        if ramsey_ratio is not None:
            return cls(t1, echo_s, ramsey_ratio * echo_s, assumed=True)
        return cls(t1, echo_s, echo_s)

    def saved(self, idle_s: float) -> float:
        """What an echo saves in a window, in log fidelity."""
        if self.t2_ramsey_s >= self.t2_echo_s:
            return 0.0
        return math.log(self.fidelity(idle_s, echo=True) / self.fidelity(idle_s, echo=False))

    def lost_in_echo(self, idle_s: float) -> float:
        """To the dephasing that an echo leaves, as a fidelity."""
        without = self.fidelity(idle_s, echo=True, dephasing=False)
        return without - self.fidelity(idle_s, echo=True)

    def fidelity(self, idle_s: float, *, echo: bool, dephasing: bool = True) -> float:
        """Average gate fidelity of an idle window.

        Dephasing that an echo undoes is Gaussian in time (a frequency that is constant over one
        run and normal over many), so that both factors together fall to 1/e at T2*.
        """
        relaxed = math.exp(-idle_s / self.t1_s)
        if not dephasing:
            return 0.5 + relaxed / 6 + math.sqrt(relaxed) / 3
        exponent = idle_s / self.t2_echo_s
        if not echo:
            undone = 1 - self.t2_ramsey_s / self.t2_echo_s
            exponent += undone * (idle_s / self.t2_ramsey_s) ** 2
        return 0.5 + relaxed / 6 + math.exp(-exponent) / 3


@dataclass(frozen=True, eq=False)
class Echoes:
    """What can be done with one qubit's idle windows."""

    qubit: int
    pulses: Pulses
    coherence: Coherence
    policy: EchoPolicy

    @classmethod
    def of(cls, snapshot: Snapshot, qubit: int, policy: EchoPolicy) -> Echoes | None:
        """``None`` where nothing is to be done, or there is nothing to do it with."""
        coherence = Coherence.of(snapshot, qubit, policy.ramsey_ratio)
        if policy.sequence is None and not (coherence.measured or coherence.assumed):
            return None
        pulses = Pulses.of(snapshot, qubit)
        return None if pulses is None else cls(qubit, pulses, coherence, policy)

    def train(self, idle_s: float, grid_s: float) -> Train | None:
        """The sequence for an idle window; ``None`` where it is left alone."""
        if idle_s < self.policy.min_idle_s:
            return None
        saved = self.coherence.saved(idle_s)
        if self.policy.sequence is not None:
            rotations = self.pulses.sequence(self.policy.sequence, self.qubit)
            return self.pulses.spaced(rotations, idle_s, grid_s, saved)
        for name in self._worth_trying(idle_s):
            rotations = self.pulses.sequence(name, self.qubit)
            if saved > MARGIN * self.pulses.cost(len(rotations)):
                train = self.pulses.spaced(rotations, idle_s, grid_s, saved)
                if train is not None:
                    return train
        return None

    def _worth_trying(self, idle_s: float) -> tuple[EchoSequence, ...]:
        affordable = AFFORDABLE * self.coherence.lost_in_echo(idle_s)
        if "y" in self.pulses.about and 2 * self.pulses.error < affordable:
            return ("XY4", "XX")
        return ("XX",)


_ROTATIONS: tuple[tuple[str, tuple[Gate, ...], Mapping[str, tuple[Gate, ...]]], ...] = (
    ("x", (XGate(),), {}),
    ("sx", (SXGate(), SXGate()), {}),
    (
        "r",
        (RGate(math.pi, 0.0),),
        {"y": (RGate(math.pi, math.pi / 2),), "-x": (RGate(math.pi, math.pi),)},
    ),
    ("rx", (RXGate(math.pi),), {}),
)


def _turned(rotation: tuple[Gate, ...], angle: float) -> tuple[Gate, ...]:
    """The same rotation about an axis that lies further on by an angle in the equator."""
    return (RZGate(-angle), *rotation, RZGate(angle))


def _clearly_below(
    snapshot: Snapshot, qubit: int, ramsey_s: float, echo_s: float, kind: Quantity
) -> bool:
    if kind == Quantity.T2_RAMSEY_S or not 0 < ramsey_s < CLEARLY * echo_s:
        return False
    rows = [snapshot.index[of.value, "", (qubit,)] for of in (Quantity.T2_RAMSEY_S, kind)]
    errors = np.nan_to_num(snapshot.std_errors[rows])
    return bool(echo_s - ramsey_s > SIGMAS * np.hypot(*errors))


def _delay(seconds: float, dt_s: float | None) -> Delay:
    return Delay(round(seconds / dt_s), "dt") if dt_s else Delay(seconds, "s")
