"""From the counts of joint bases to Pauli expectation values of subsystems, and to error bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.measuring.bases import transform_bits
from qcpaas.execution import Distribution, PlanContext

Vector = NDArray[np.float64]
Indices = NDArray[np.intp]
PLAIN = np.array([[1.0, 1.0], [1.0, -1.0]])


class Subsystem(PlanContext):
    """A set of qubits whose state is wanted.

    Attributes:
        qubits: Circuit qubits.
        places: Of these among the measured bits.
        strings: Letters on ``qubits``, first qubit first; ``coefficients`` has one row of them for
            each observable.
    """

    qubits: tuple[int, ...]
    places: tuple[int, ...]
    strings: tuple[str, ...]
    coefficients: tuple[tuple[float, ...], ...]

    @cached_property
    def observables(self) -> Vector:
        """What it adds to each observable, as Pauli components; shape ``(observables, 4**n)``."""
        components = np.zeros((len(self.coefficients), 4 ** len(self.qubits)))
        components[:, [_number(string) for string in self.strings]] = np.array(self.coefficients)
        return components

    def paulis_in(self, words: Sequence[str]) -> Indices:
        """Number of the Pauli string that each subset of bits is the product of, in each basis.

        Returns:
            Shape ``(bases, 2**n)``.
        """
        digits = np.array([[1 + "XYZ".index(word[p]) for p in self.places] for word in words])
        subsets = np.arange(2 ** len(self.places))[:, None] >> np.arange(len(self.places)) & 1
        numbers: Indices = (digits * 4 ** np.arange(len(self.places))) @ subsets.T
        return numbers


@dataclass(frozen=True, eq=False)
class Shots:
    """What was counted in all bases at one point, in one list.

    Attributes:
        bits: Shape ``(outcomes, measured qubits)``.
        basis: Of each outcome.
        probability: Of each outcome among its basis'.
        shots: Of each basis; ``None`` for exact probabilities.
        readout: Inverse assignment matrix of each measured bit, shape ``(bits, 2, 2)``.
    """

    bits: NDArray[np.uint8]
    basis: Indices
    probability: Vector
    shots: Vector | None
    readout: NDArray[np.float64] | None

    @classmethod
    def of(
        cls,
        distributions: Sequence[Distribution],
        clbits: slice,
        readout: NDArray[np.float64] | None,
    ) -> Shots:
        bits = [np.unpackbits(d.outcomes, axis=1)[:, ::-1][:, clbits] for d in distributions]
        exact = distributions[0].shots is None
        return cls(
            bits=np.concatenate(bits),
            basis=np.repeat(np.arange(len(bits)), [len(each) for each in bits]),
            probability=np.concatenate([d.weights / d.weights.sum() for d in distributions]),
            shots=None if exact else np.array([float(d.shots or 0) for d in distributions]),
            readout=None if readout is None else readout[clbits],
        )

    @property
    def bases(self) -> int:
        return int(self.basis[-1]) + 1

    def uncorrected(self) -> Shots:
        return Shots(self.bits, self.basis, self.probability, self.shots, None)

    def resampled(self, samples: int, rng: np.random.Generator) -> Vector:
        """Probabilities as they would have been found in repetitions; the first is this one.

        Each basis' deviation is widened by ``sqrt(n / (n - 1))``, as for an unbiased variance.

        Returns:
            Shape ``(1 + samples, outcomes)``; exact probabilities have no repetitions.
        """
        if self.shots is None or not samples:
            return self.probability[None]
        rows = [self.probability]
        ends = np.searchsorted(self.basis, np.arange(1, self.bases))
        drawn = [
            rng.multinomial(int(shots), p, size=samples) / shots
            for shots, p in zip(self.shots, np.split(self.probability, ends), strict=True)
        ]
        wider = np.sqrt(self.shots / (self.shots - 1))[self.basis]
        rows.extend(self.probability + wider * (np.hstack(drawn) - self.probability))
        return np.array(rows)

    def seen(self, subsystem: Subsystem, probabilities: Vector) -> Vector:
        """Each basis' probabilities of a subsystem's outcomes, shape ``(samples, bases, 2**n)``."""
        bits = self.bits[:, list(subsystem.places)].astype(np.intp)
        size = 2 ** len(subsystem.places)
        flat = self.basis * size + bits @ (2 ** np.arange(len(subsystem.places)))
        counted = [np.bincount(flat, each, self.bases * size) for each in probabilities]
        return np.array(counted, dtype=np.float64).reshape(-1, self.bases, size)

    def signs(self, subsystem: Subsystem) -> list[NDArray[np.float64]]:
        """For each qubit what a bit says of the identity and of Z; row is the operator."""
        if self.readout is None:
            return [PLAIN] * len(subsystem.places)
        inverse = self.readout[list(subsystem.places)]
        return [np.array([[1.0, 1.0], each[0] - each[1]]) for each in inverse]


@dataclass(frozen=True, eq=False)
class Inversion:
    """Linear inversion: a string's estimate is the mean over all shots in bases that contain it.

    Attributes:
        paulis: Shape ``(bases, 2**n)``, as `Subsystem.paulis_in` has it.
        share: Of each basis in its strings' estimates, same shape.
        told: Shots that each string's estimate rests on, shape ``(4**n,)``; infinite where exact.
    """

    paulis: Indices
    share: Vector
    told: Vector

    @classmethod
    def of(cls, paulis: Indices, shots: Vector | None, num_qubits: int) -> Inversion:
        weight = np.ones(len(paulis)) if shots is None else shots
        repeated = np.broadcast_to(weight[:, None], paulis.shape)
        told = np.bincount(paulis.ravel(), repeated.ravel(), 4**num_qubits).astype(np.float64)
        exact = np.full(len(told), np.inf)
        return cls(paulis, repeated / told[paulis], exact if shots is None else told)

    def expectations(self, seen: Vector, signs: Sequence[NDArray[np.float64]]) -> Vector:
        """Pauli expectation values from each basis' probabilities of outcomes.

        Args:
            seen: Shape ``(samples, bases, 2**n)``.
            signs: As `Shots.signs` gives them.

        Returns:
            Shape ``(samples, 4**n)``; that of the identity is 1.
        """
        parities = transform_bits(seen, signs) * self.share
        size, samples = len(self.told), len(seen)
        places = np.arange(samples)[:, None] * size + self.paulis.ravel()
        summed = np.bincount(places.ravel(), parities.ravel(), samples * size)
        return summed.astype(np.float64, copy=False).reshape(samples, size)


def _number(string: str) -> int:
    return sum("IXYZ".index(letter) * 4**place for place, letter in enumerate(string))
