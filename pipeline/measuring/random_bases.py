"""Local Pauli bases that share a circuit's shots: drawn at random, or chosen for given strings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.measuring.bases import MeasuredBasis, MeasuredExperiment, letters_at, measure_in_basis
from qcpaas.execution import Experiment
from qcpaas.manifest import Diagnostic

LETTERS = np.array(list("XYZ"))
Terms = Mapping[str, float]


@dataclass(frozen=True)
class SharedBases:
    """Distinct bases as Pauli labels over all qubits, and how often each is to be measured.

    Attributes:
        repeats: Shots of each basis, or, of exact probabilities, its weight.
    """

    labels: tuple[str, ...]
    repeats: tuple[int, ...]

    def shots_of(self, strings: Sequence[str]) -> NDArray[np.int64]:
        """In how many repeats each Pauli string is measured, shape ``(strings,)``."""
        hits: NDArray[np.int64] = contained(strings, self.labels).T @ np.array(self.repeats)
        return hits


def random_bases(
    qubits: Sequence[int], num_qubits: int, count: int, rng: np.random.Generator
) -> tuple[str, ...]:
    """Distinct bases, uniformly at random on some qubits; at most all ``3**len(qubits)``."""
    width = len(qubits)
    possible = 3**width
    if possible <= 4 * count:
        chosen = rng.permutation(possible)[:count]
        rows = (chosen[:, None] // 3 ** np.arange(width)) % 3
    else:
        rows = np.empty((0, width), dtype=np.int64)
        while len(rows) < count:
            drawn = rng.integers(0, 3, (count, width))
            rows = np.unique(np.vstack([rows, drawn]), axis=0)
        rows = rng.permutation(rows)[:count]
    labels = np.full((len(rows), num_qubits), "I")
    labels[:, [num_qubits - 1 - qubit for qubit in qubits]] = LETTERS[rows]
    return tuple(map("".join, labels))


def favoured_bases(weights: Terms, picks: int, shots_a_pick: float) -> SharedBases:
    """Bases for given strings, so that shots go where the variance of their sum falls most.

    One after another, each basis is put together from the strings that gain most by it. A string
    measured in ``n`` picks gains ``w**2 / (n (n + 1))``; one that was never measured would be left
    out, an error of up to ``w`` in place of ``w / sqrt(shots_a_pick)``.

    Args:
        weights: Of each Pauli string without the identity, its coefficient's magnitude.

    Source: Gresch and Kliesch, Nature Communications 16, 689 (2025), "ShadowGrouping".
    """
    strings = list(weights)
    masks = [_masks(string) for string in strings]
    squares = np.array([weights[string] for string in strings]) ** 2
    hits = np.zeros(len(strings))
    picked: dict[str, int] = {}
    for _ in range(picks):
        first = squares * max(shots_a_pick, 1.0)
        gains = np.where(hits == 0, first, squares / np.maximum(hits * (hits + 1), 1))
        label, members = _filled(np.argsort(-gains, kind="stable"), masks, len(strings[0]))
        hits[members] += 1
        picked[label] = picked.get(label, 0) + 1
    return SharedBases(tuple(picked), tuple(picked.values()))


def share(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Whole shots in proportion to weights, at least one each, ``total`` in all."""
    spare = total - len(weights)
    wanted = np.array(weights) / sum(weights) * spare
    shots = np.floor(wanted).astype(int)
    shots[np.argsort(shots - wanted, kind="stable")[: spare - int(shots.sum())]] += 1
    return tuple((shots + 1).tolist())


def contained(strings: Sequence[str], labels: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each basis measures each Pauli string, shape ``(labels, strings)``."""
    asked = np.array([list(string) for string in strings])
    found = [((asked == "I") | (asked == list(label))).all(axis=1) for label in labels]
    return np.array(found, dtype=bool).reshape(len(labels), len(strings))


def spread(terms: Sequence[Terms], bases: SharedBases, first_clbit: int) -> MeasuredExperiment:
    """What to read from bases that overlap: each string from all that contain it, shot by shot.

    A string's estimate is the mean over every shot that measured it. Given the bases, it is
    unbiased, however they were chosen. Strings in no basis are left out.

    Args:
        terms: Coefficient of each Pauli string, for each observable.
    """
    identity = "I" * len(bases.labels[0])
    strings = sorted({string for each in terms for string in each} - {identity})
    if not strings:
        empty = MeasuredBasis.of(bases.labels[0], (), [()] * len(terms), first_clbit)
        return MeasuredExperiment(bases=(empty,), constants=_constants(terms, identity))
    matrix = np.array([[each.get(string, 0.0) for string in strings] for each in terms])
    within = contained(strings, bases.labels)
    parts = within * np.array(bases.repeats)[:, None] / np.maximum(bases.shots_of(strings), 1)
    return MeasuredExperiment(
        bases=tuple(
            MeasuredBasis.of(
                label,
                [strings[place] for place in np.flatnonzero(inside)],
                (matrix[:, inside] * part[inside]).tolist(),
                first_clbit,
            )
            for label, inside, part in zip(bases.labels, within, parts, strict=True)
        ),
        constants=_constants(terms, identity),
    )


def support_of(strings: Iterable[str]) -> tuple[int, ...]:
    """Qubits on which any of the strings acts, sorted."""
    return tuple(sorted({qubit for string in strings for qubit in letters_at(string)}))


def measured_in(experiment: Experiment, bases: SharedBases) -> list[Experiment]:
    """The experiment in every basis, with the basis' share of its shots."""
    return [
        replace(
            experiment,
            circuit=measure_in_basis(experiment, label, letters_at(label)),
            observables=None,
            shots=None if experiment.shots is None else repeats,
        )
        for label, repeats in zip(bases.labels, bases.repeats, strict=True)
    ]


def first_of_each(diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """One of each option: what is inside says the same of every basis."""
    found: dict[str, Diagnostic] = {}
    for note in diagnostics:
        found.setdefault(note.option, note)
    return tuple(found.values())


def _constants(terms: Sequence[Terms], identity: str) -> tuple[float, ...]:
    return tuple(each.get(identity, 0.0) for each in terms)


def _masks(string: str) -> tuple[int, int, int]:
    """Where it has an X, a Y and a Z, as bits of three integers; leftmost letter highest."""
    x, y, z = (int("".join("01"[found == letter] for found in string), 2) for letter in "XYZ")
    return x, y, z


def _filled(
    order: NDArray[np.intp], masks: Sequence[tuple[int, int, int]], num_qubits: int
) -> tuple[str, list[int]]:
    """A basis from strings in an order, each taken that fits; and all strings that it measures."""
    x = y = z = 0
    members = []
    for place in order:
        px, py, pz = masks[place]
        if px & (y | z) or py & (x | z) or pz & (x | y):
            continue
        x, y, z = x | px, y | py, z | pz
        members.append(int(place))
    letters = (
        next((letter for letter, mask in zip("XYZ", (x, y, z), strict=True) if mask >> q & 1), "I")
        for q in reversed(range(num_qubits))
    )
    return "".join(letters), members
