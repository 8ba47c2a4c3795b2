"""Classical shadows: one set of local Pauli bases for any number of observables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue, field_validator
from qiskit.quantum_info import PauliList

from pipeline.measuring.bases import MeasuredExperiment, letters_at, real_coefficients
from pipeline.measuring.measurement import counts_of, evaluate
from pipeline.measuring.random_bases import (
    SharedBases,
    Terms,
    favoured_bases,
    first_of_each,
    measured_in,
    random_bases,
    share,
    spread,
    support_of,
)
from qcpaas.errors import MitigationError
from qcpaas.execution import (
    Cost,
    EnrichedExecutionBackend,
    ExpectationValues,
    Experiment,
    Level,
    OptionSettings,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Diagnostic, Plot, Series

LEAST_SHOTS = 4  # of any string: fewer leave a standard error above 1/2
REDRAWS = 50
GROUPED_STRINGS = 1000  # colouring more of them takes seconds


class ShadowExperiment(PlanContext):
    """One entry of ``groups`` a median-of-means group."""

    groups: tuple[MeasuredExperiment, ...]
    note: Diagnostic


class ShadowContext(PlanContext):
    experiments: tuple[ShadowExperiment, ...]


class ClassicalShadows(EnrichedExecutionBackend):
    """Measures many observables in local Pauli bases that share the circuit's shots.

    All bases together take the shots that a plain circuit has for each of its bases. A string is
    estimated from every basis that contains it, which is unbiased given the bases; a string on
    w qubits is in one random basis of ``3**w``. Readout errors are corrected by ReadoutMitigation
    around the device, as for any measurement.

    Source: Huang, Kueng and Preskill, Nature Physics 16, 1050 (2020); Gresch and Kliesch, Nature
    Communications 16, 689 (2025), for ``choice='weighted'``.
    """

    rank = 50
    measures = True
    levels = frozenset[Level]({"expectation"})

    class Settings(OptionSettings):
        """``bases`` are the circuits to measure, as many as the observables need unless given.

        With ``choice='random'`` the bases are distinct and drawn uniformly; with ``'weighted'``
        they are chosen for the observables' own strings and coefficients, and some may be equal.
        With several ``groups`` each value is the median of the groups' means.
        """

        bases: int | None = Field(default=None, ge=1)
        groups: int = Field(default=1, ge=1, le=64)
        choice: Literal["random", "weighted"] = "random"

        @field_validator("groups")
        @classmethod
        def _odd(cls, groups: int) -> int:
            if groups % 2 == 0:
                raise ValueError(f"groups must be odd, so that one is the median; got {groups}")
            return groups

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], ShadowContext]:
        seed = self.services.seed
        expanded: list[Experiment] = []
        entries = []
        for index, experiment in enumerate(experiments):
            rng = np.random.default_rng([seed, index])
            terms = [real_coefficients(observable) for observable in experiment.observables or ()]
            groups = self._bases(experiment, terms, rng)
            first = experiment.circuit.num_clbits
            read = tuple(spread(terms, bases, first) for bases in groups)
            entries.append(
                ShadowExperiment(groups=read, note=_note(terms, groups, experiment.shots))
            )
            for bases in groups:
                expanded.extend(measured_in(experiment, bases))
        return expanded, ShadowContext(experiments=tuple(entries))

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, ShadowContext)
        remaining = iter(outcomes)
        return tuple(
            _median(
                [
                    evaluate(group, [counts_of(next(remaining)) for _ in group.bases])
                    for group in entry.groups
                ],
                entry.note,
            )
            for entry in context.experiments
        )

    def cost(self, experiment: Experiment) -> Cost:
        terms = [real_coefficients(observable) for observable in experiment.observables or ()]
        groups = self._bases(experiment, terms, np.random.default_rng(self.services.seed))
        return Cost(sum(len(bases.labels) for bases in groups), 1.0)

    @classmethod
    def plots(cls, figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
        by_weight = figures["shots_by_weight"]
        assert isinstance(by_weight, dict)
        shots = tuple(float(str(value)) for value in by_weight.values())
        bars = Series(label="mean shots", x=tuple(map(float, by_weight)), y=shots, style="bars")
        return (
            Plot(
                title="Shots that tell of a Pauli string",
                x_label="qubits that it acts on",
                y_label="shots",
                series=(bars,),
            ),
        )

    def _bases(
        self, experiment: Experiment, terms: Sequence[Terms], rng: np.random.Generator
    ) -> tuple[SharedBases, ...]:
        """Bases of each group with their shots; every string is in each group.

        Raises:
            MitigationError: The shots or the bases are too few for a string.
        """
        weights = _largest(terms)
        num_qubits, groups = experiment.circuit.num_qubits, self.settings.groups
        if not weights:
            one = SharedBases(("Z".rjust(num_qubits, "I"),), (experiment.shots or 1,))
            return (one,)
        shots = None if experiment.shots is None else experiment.shots // groups
        random = self.settings.choice == "random"
        if random:
            _check_shots(weights, shots, groups)
        count = self._count(weights, shots, random)
        rest = 0 if experiment.shots is None else experiment.shots % groups
        drawn = []
        for group in range(groups):
            own = None if shots is None else shots + (group < rest)
            bases = (
                self._random(weights, count, num_qubits, rng)
                if random
                else favoured_bases(weights, count, (own or 4096) / count)
            )
            _check_all_measured(weights, bases, count)
            drawn.append(bases if own is None else _with_shots(bases, own))
        return tuple(drawn)

    def _count(self, weights: Terms, shots: int | None, random: bool) -> int:
        """Bases, or picks of them, in each group."""
        heaviest = max(len(letters_at(string)) for string in weights)
        enough = 3 * 3**heaviest if random else 2 * len(weights)
        asked = self.settings.bases
        count = max(64, enough) if asked is None else max(1, asked // self.settings.groups)
        return count if shots is None else max(1, min(count, shots))

    def _random(
        self, weights: Terms, count: int, num_qubits: int, rng: np.random.Generator
    ) -> SharedBases:
        """Redrawn until every string is measured; given the bases the estimates are unbiased."""
        support = support_of(weights)
        for _ in range(REDRAWS):
            labels = random_bases(support, num_qubits, count, rng)
            bases = SharedBases(labels, (1,) * len(labels))
            if bases.shots_of(list(weights)).all():
                break
        return bases


def _with_shots(bases: SharedBases, shots: int) -> SharedBases:
    return replace(bases, repeats=share(shots, bases.repeats))


def _largest(terms: Sequence[Terms]) -> dict[str, float]:
    """Each string's largest share in any of the observables."""
    weights: dict[str, float] = {}
    for each in terms:
        parts = {string: abs(value) for string, value in each.items() if set(string) != {"I"}}
        scale = max(parts.values(), default=0.0) or 1.0
        for string, value in parts.items():
            if value:
                weights[string] = max(weights.get(string, 0.0), value / scale)
    return dict(sorted(weights.items()))


def _check_shots(weights: Terms, shots: int | None, groups: int) -> None:
    string = max(weights, key=lambda each: len(letters_at(each)))
    weight = len(letters_at(string))
    least = LEAST_SHOTS * 3**weight * groups
    if shots is not None and shots * groups < least:
        raise MitigationError(
            f"{string} acts on {weight} qubits, and one random basis of 3^{weight} = {3**weight} "
            f"measures it: of {shots * groups} shots in {groups} group(s) about "
            f"{shots / 3**weight:.2g} a group would. Give at least {least} shots, set "
            f"choice='weighted', or leave ClassicalShadows out."
        )


def _check_all_measured(weights: Terms, bases: SharedBases, count: int) -> None:
    missed = [
        string
        for string, hits in zip(weights, bases.shots_of(list(weights)), strict=True)
        if not hits
    ]
    if missed:
        heaviest = max(len(letters_at(string)) for string in missed)
        raise MitigationError(
            f"{len(missed)} of {len(weights)} Pauli strings, such as {missed[0]}, are in none of "
            f"the {count} bases of a group. A string on {heaviest} qubits is in one random basis "
            f"of {3**heaviest}: set bases to {3 * 3**heaviest} or more a group, set "
            f"choice='weighted', or give more shots."
        )


def _note(terms: Sequence[Terms], groups: Sequence[SharedBases], shots: int | None) -> Diagnostic:
    """What the bases are worth, before they are measured."""
    strings = list(_largest(terms))
    if not strings:
        return Diagnostic(option="ClassicalShadows", figures={"shots_by_weight": {}})
    told = sum((bases.shots_of(strings) for bases in groups), np.zeros(len(strings), dtype=int))
    heavy = np.array([len(letters_at(string)) for string in strings])
    figures: dict[str, JsonValue] = {
        "circuits": sum(len(bases.labels) for bases in groups),
        "groups": len(groups),
        "least_shots": int(told.min()),
        "least_measured": strings[int(told.argmin())],
        "shots_by_weight": {
            str(weight): float(told[heavy == weight].mean()) for weight in np.unique(heavy)
        },
    }
    warning = ""
    if len(strings) <= GROUPED_STRINGS:
        settled = len(PauliList(strings).group_commuting(qubit_wise=True))
        total = sum(sum(bases.repeats) for bases in groups)
        ratio = _error_ratio(terms, strings, told, total / settled)
        figures |= {"grouped_bases": settled, "error_ratio": ratio}
        if shots is not None and ratio > 1.2:
            warning = (
                f"these observables fit into {settled} bases; measured in them with as many shots "
                f"in all, error bars would be about {ratio:.2g} times smaller."
            )
    return Diagnostic(option="ClassicalShadows", figures=figures, warning=warning)


def _error_ratio(
    terms: Sequence[Terms], strings: Sequence[str], told: NDArray[np.int64], settled: float
) -> float:
    """Standard error over that of grouped strings at equal shots, as for uncorrelated strings."""
    squares = np.array([[each.get(string, 0.0) for string in strings] for each in terms]) ** 2
    ours, theirs = squares @ (1 / told), squares.sum(axis=1) / settled
    return float(np.sqrt((ours[theirs > 0] / theirs[theirs > 0]).max()))


def _median(groups: Sequence[ExpectationValues], note: Diagnostic) -> ExpectationValues:
    diagnostics = (*first_of_each(groups[0].diagnostics), note)
    if len(groups) == 1:
        return replace(groups[0], diagnostics=diagnostics)
    factor = median_variance(len(groups))
    corrected = groups[0].raw_values is not None
    raw = [group.raw_values for group in groups if group.raw_values is not None]
    raw_variances = [group.raw_variances for group in groups if group.raw_variances is not None]
    return ExpectationValues(
        values=np.median([group.values for group in groups], axis=0),
        variances=factor * np.mean([group.variances for group in groups], axis=0),
        raw_values=np.median(raw, axis=0) if corrected else None,
        raw_variances=factor * np.mean(raw_variances, axis=0) if corrected else None,
        diagnostics=diagnostics,
    )


@lru_cache(maxsize=64)
def median_variance(count: int) -> float:
    """Variance of the median of an odd number of standard normal numbers; 1 of a single one.

    The median's rank among uniform numbers has a beta distribution.
    """
    from scipy.special import betaincinv, ndtri

    middle = (count + 1) // 2
    levels = (np.arange(100_000) + 0.5) / 100_000
    return float(np.mean(ndtri(betaincinv(middle, middle, levels)) ** 2))
