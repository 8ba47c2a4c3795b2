"""What the cuts of a circuit cost at its points, and which of their terms are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from pipeline.cutting.circuit import CutCircuit
from qcpaas.execution import Experiment


@dataclass(frozen=True)
class Terms:
    """Terms of all cuts together.

    Attributes:
        indices: Shape ``(terms, cuts)``, the term of each cut.
        drawn: Times that each was drawn, of ``drawn.sum()``; ``None`` where all are there.
    """

    indices: NDArray[np.intp]
    drawn: NDArray[np.int64] | None = None


def all_terms(sizes: Sequence[int]) -> Terms:
    """Every combination of the cuts' terms; one empty one where nothing is cut."""
    rows = list(product(*map(range, sizes)))
    return Terms(np.array(rows, dtype=np.intp).reshape(len(rows), len(sizes)))


def drawn_terms(
    magnitudes: Sequence[NDArray[np.float64]], samples: int, rng: np.random.Generator
) -> Terms:
    """Terms drawn in proportion to the product of their magnitudes, equal ones once."""
    columns = [rng.choice(len(each), samples, p=each / each.sum()) for each in magnitudes]
    indices, drawn = np.unique(np.stack(columns, axis=1), axis=0, return_counts=True)
    return Terms(indices, drawn)


@dataclass(frozen=True, eq=False)
class PricedCuts:
    """A cut circuit and what its cuts cost at an experiment's points."""

    cut: CutCircuit
    experiment: Experiment

    @cached_property
    def coefficients(self) -> list[NDArray[np.float64]]:
        """Of every cut, shape ``(points, terms)``."""
        values, symbols = self.experiment.parameter_values, list(self.experiment.circuit.parameters)
        return [cut.basis.coefficients(values, symbols) for cut in self.cut.cuts]

    @cached_property
    def gamma(self) -> float:
        """The worst point's; its square is the sampling overhead."""
        ones = np.ones(max(self.experiment.points, 1))
        totals = [np.abs(each).sum(axis=1) for each in self.coefficients]
        return float(np.prod([ones, *totals], axis=0).max())

    @property
    def changing(self) -> bool:
        """Whether coefficients differ from point to point."""
        return any(cut.basis.angle is not None for cut in self.cut.cuts)

    @property
    def kinds(self) -> tuple[int, int]:
        """Gate cuts and wire cuts."""
        gates = sum(cut.kind == "gate" for cut in self.cut.cuts)
        return gates, len(self.cut.cuts) - gates

    def terms(self, samples: int, rng: np.random.Generator) -> Terms:
        if prod(each.shape[1] for each in self.coefficients) <= samples:
            return all_terms([each.shape[1] for each in self.coefficients])
        return drawn_terms(self.magnitudes, samples, rng)

    @cached_property
    def magnitudes(self) -> list[NDArray[np.float64]]:
        return [np.abs(each).mean(axis=0) for each in self.coefficients]

    def joint(self, terms: Terms) -> NDArray[np.float64]:
        """Coefficients of joint terms, shape ``(points or 1, terms)``."""
        rows = slice(None) if self.changing else slice(1)
        points = self.experiment.points if self.changing else 1
        joint = np.ones((points, len(terms.indices)))
        for each, magnitudes, column in zip(
            self.coefficients, self.magnitudes, terms.indices.T, strict=True
        ):
            joint *= each[rows][:, column]
            if terms.drawn is not None:
                joint *= magnitudes.sum() / magnitudes[column]
        return joint if terms.drawn is None else joint * terms.drawn / terms.drawn.sum()

    @property
    def counted(self) -> str:
        """In words."""
        gates, wires = self.kinds
        texts = [
            f"{number} {kind}{'s' if number > 1 else ''}"
            for number, kind in ((gates, "gate"), (wires, "wire"))
            if number
        ]
        return " and ".join(texts) or "nothing"

    def announced(self, circuits: int, parts: int) -> str:
        """What the user should know before anything is spent; empty where nothing is cut."""
        if not self.cut.cuts:
            return ""
        return (
            f"CircuitCutting cuts {self.experiment.circuit.name} at {self.counted} into "
            f"{parts} part{'s' if parts > 1 else ''}: {circuits} circuits, and {self.gamma**2:.4g} "
            "times the shots for the error that the whole circuit would have."
        )
