"""Symmetry verification: keep the part of a noisy state that has the right symmetries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue, field_validator
from qiskit.quantum_info import SparsePauliOp

from pipeline.readout.final_measurements import readings_of
from qcpaas.errors import CircuitError, ObservableError, OptionError
from qcpaas.execution import (
    Binding,
    Counts,
    Distribution,
    EnrichedExecutionBackend,
    ExpectationValues,
    Experiment,
    OptionSettings,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Diagnostic, Plot, Series

Array = NDArray[np.float64]

MOST_SYMMETRIES = 6  # their products are 2 to that power
SMALL_WEIGHT = 0.2
RESOLVED = 3.0  # standard errors
SHOWN = 16  # observables, in a plot


class Parity(PlanContext):
    """Clbits whose sum is ``odd`` or even in every shot that is kept."""

    clbits: tuple[int, ...]
    odd: bool


class SymmetryContext(PlanContext):
    """One entry an experiment: numbers of observables, 0 for counts; and parities, for counts."""

    observables: tuple[int, ...]
    parities: tuple[tuple[Parity, ...], ...]


class SymmetryVerification(EnrichedExecutionBackend):
    """Projects results onto the subspace in which given Pauli symmetries hold.

    Expectation values become ``<O P> / <P>`` for the projector ``P``, whose Pauli strings are
    measured as further observables in the same submission; counts keep the shots in which
    symmetries of Z hold. Errors that keep the symmetries stay.

    Source: Bonet-Monroig et al., PRA 98, 062339 (2018); McArdle et al., PRL 122, 180501 (2019).
    """

    rank = 20

    class Settings(OptionSettings):
        """What holds in the ideal final state.

        Attributes:
            symmetries: Pauli strings on the qubits of the circuit as it was given, the rightmost
                letter on qubit 0, such as ``ZZZZ`` or ``-ZZZZ``.
            eigenvalues: Of each, +1 unless given.
            method: ``expectation`` measures symmetries and their products with observables;
                ``post_selection`` drops shots, for Z alone. Counts are always post-selected.
        """

        symmetries: tuple[str, ...] = Field(min_length=1, max_length=MOST_SYMMETRIES)
        eigenvalues: tuple[Literal[1, -1], ...] = ()
        method: Literal["expectation", "post_selection"] = "expectation"

        @field_validator("symmetries")
        @classmethod
        def _pauli_strings(cls, symmetries: tuple[str, ...]) -> tuple[str, ...]:
            for symmetry in symmetries:
                letters = symmetry.lstrip("+-")
                if not letters or set(letters) - set("IXYZ") or len(symmetry) - len(letters) > 1:
                    raise ValueError(f"{symmetry!r} is no Pauli string such as 'ZZZZ' or '-ZZZZ'")
                if set(letters) == {"I"}:
                    raise ValueError(f"{symmetry!r} holds for every state")
            return symmetries

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], SymmetryContext]:
        expanded: list[Experiment] = []
        counts: list[int] = []
        parities: list[tuple[Parity, ...]] = []
        for experiment in experiments:
            symmetries = self._placed(experiment)
            if experiment.observables is None:
                parities.append(tuple(_parity(experiment, each) for each in symmetries))
                expanded.append(experiment)
                counts.append(0)
                continue
            self._check(experiment.observables, symmetries)
            projector = _projector(symmetries)
            expanded.append(
                replace(experiment, observables=_measured(experiment.observables, projector))
            )
            counts.append(len(experiment.observables))
            parities.append(())
        return expanded, SymmetryContext(observables=tuple(counts), parities=tuple(parities))

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, SymmetryContext)
        return tuple(
            self._post_selected(outcome, parities)
            if isinstance(outcome, Counts)
            else self._projected(outcome, number)
            for outcome, number, parities in zip(
                outcomes, context.observables, context.parities, strict=True
            )
        )

    @classmethod
    def plots(cls, figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
        """Values of the first point before and after, where there are such."""
        if "verified" not in figures:
            return ()
        series = []
        for label, name in (("measured", "measured"), ("verified", "verified")):
            values = tuple(cast("list[float]", figures[name]))
            errors = tuple(cast("list[float]", figures[f"{name}_std_errors"]))
            places = tuple(map(float, range(len(values))))
            series.append(Series(label=label, x=places, y=values, errors=errors))
        return (
            Plot(
                title="Symmetry verification",
                x_label="observable",
                y_label="expectation value",
                series=tuple(series),
            ),
        )

    def _placed(self, experiment: Experiment) -> list[SparsePauliOp]:
        """The symmetries with their eigenvalues, on the circuit's qubits.

        Raises:
            OptionError: They are on another number of qubits, or not on as many as eigenvalues.
        """
        given = self.settings.symmetries
        eigenvalues = self.settings.eigenvalues or (1,) * len(given)
        if len(eigenvalues) != len(given):
            raise OptionError(
                f"{len(given)} symmetries are given {len(eigenvalues)} eigenvalues. Give one each."
            )
        width = experiment.circuit.num_qubits
        positions = _positions(experiment.binding, width)
        placed = []
        for symmetry, eigenvalue in zip(given, eigenvalues, strict=True):
            letters = symmetry.lstrip("+-")
            if len(letters) != len(positions):
                raise OptionError(
                    f"symmetry {symmetry} is on {len(letters)} qubits, and the circuit on "
                    f"{len(positions)}. Give a letter for each qubit of the circuit."
                )
            sign = -eigenvalue if symmetry.startswith("-") else eigenvalue
            placed.append(SparsePauliOp(letters, [sign]).apply_layout(positions, width))
        return placed

    def _check(
        self, observables: Sequence[SparsePauliOp], symmetries: Sequence[SparsePauliOp]
    ) -> None:
        """Raises `ObservableError` where a projection would change what is asked."""
        for number, observable in enumerate(observables):
            for name, symmetry in zip(self.settings.symmetries, symmetries, strict=True):
                paulis = observable.simplify().paulis
                against = paulis[~paulis.commutes(symmetry.paulis[0])]
                if len(against):
                    raise ObservableError(
                        f"observable {number} holds {against[0].to_label()} (on the compiled "
                        f"circuit's qubits), which does not commute with the symmetry {name}. "
                        "Leave out that symmetry, or measure that part without "
                        "SymmetryVerification."
                    )
        if self.settings.method == "post_selection":
            for each in (*observables, *symmetries):
                if each.paulis.x.any():
                    raise ObservableError(
                        "post-selection drops shots by their bits, and so takes symmetries and "
                        f"observables of Z alone; found {each.paulis[0].to_label()}. Choose "
                        "method='expectation'."
                    )

    def _projected(self, outcome: Outcome, number: int) -> ExpectationValues:
        """``N / D`` with the error that follows from both and from their covariance.

        The covariance is that of the sum ``N + D``, which is measured as an observable too: all
        three come from the same shots.
        """
        assert isinstance(outcome, ExpectationValues)
        split = (number, number + 1, 2 * number + 1)
        top, bottom, _, plain = np.split(outcome.values, split, axis=1)
        top_var, bottom_var, sum_var, plain_var = np.split(outcome.variances, split, axis=1)
        covariance = (sum_var - top_var - bottom_var) / 2
        resolved = bottom > RESOLVED * np.sqrt(bottom_var)
        divisor = np.where(resolved, bottom, 1.0)
        ratio = top / divisor
        variance = (top_var - 2 * ratio * covariance + ratio**2 * bottom_var) / divisor**2
        values = np.where(resolved, ratio, plain)
        variances = np.where(resolved, np.maximum(variance, 0.0), plain_var)
        raw, raw_variances = plain, plain_var
        if outcome.raw_values is not None and outcome.raw_variances is not None:
            raw = outcome.raw_values[:, -number:]
            raw_variances = outcome.raw_variances[:, -number:]
        note = self._note(bottom, bottom_var, plain, plain_var)
        figures = note.figures | {
            "verified": values[0, :SHOWN].tolist(),
            "verified_std_errors": np.sqrt(variances[0, :SHOWN]).tolist(),
        }
        note = note.model_copy(update={"figures": figures})
        return replace(
            outcome,
            values=values,
            variances=variances,
            raw_values=raw,
            raw_variances=raw_variances,
            diagnostics=(*outcome.diagnostics, note),
        )

    def _note(self, weight: Array, variance: Array, plain: Array, plain_var: Array) -> Diagnostic:
        return Diagnostic(
            option=self.option_name(),
            figures={
                "symmetries": list(self.settings.symmetries),
                "symmetric_weight": float(weight[0, 0]),
                "symmetric_weight_std_error": float(np.sqrt(variance[0, 0])),
                "least_symmetric_weight": float(weight.min()),
                "measured": plain[0, :SHOWN].tolist(),
                "measured_std_errors": np.sqrt(plain_var[0, :SHOWN]).tolist(),
            },
            warning=_verdict(weight[:, 0], np.sqrt(variance[:, 0])),
        )

    def _post_selected(self, outcome: Counts, parities: Sequence[Parity]) -> Counts:
        points, shares = [], []
        for distribution in outcome.points:
            kept, share = _kept(distribution, parities)
            points.append(kept)
            shares.append(share)
        weights = np.array(shares)
        shots = np.array([point.shots or np.inf for point in outcome.points])
        note = Diagnostic(
            option=self.option_name(),
            figures={
                "symmetries": list(self.settings.symmetries),
                "symmetric_weight": shares[0],
                "least_symmetric_weight": min(shares),
            },
            warning=_verdict(weights, np.sqrt(np.abs(weights * (1 - weights)) / shots)),
        )
        return replace(outcome, points=tuple(points), diagnostics=(*outcome.diagnostics, note))


def _verdict(weights: Array, errors: Array) -> str:
    """Why the projection is not to be trusted, by the weight that it leaves at each point."""
    hidden = int(np.count_nonzero(weights <= RESOLVED * errors))
    if hidden:
        return (
            f"at {hidden} of {weights.size} points hardly anything has the symmetries: results "
            "there are as they were measured. Is the eigenvalue right?"
        )
    if weights.min() < SMALL_WEIGHT:
        return (
            f"only {weights.min():.0%} has the symmetries: errors that keep them are then as "
            "likely, and the standard error is several times as large"
        )
    return ""


def _positions(binding: Binding | None, width: int) -> list[int]:
    found = () if binding is None else binding.positions
    return list(found) if found else list(range(width))


def _projector(symmetries: Sequence[SparsePauliOp]) -> SparsePauliOp:
    """The product of ``(1 + S) / 2``.

    Raises:
        OptionError: Symmetries contradict each other.
    """
    one = SparsePauliOp("I" * symmetries[0].num_qubits)
    projector = one
    for symmetry in symmetries:
        if not projector.paulis.commutes(symmetry.paulis[0]).all():
            raise OptionError(
                f"the symmetry {symmetry.paulis[0].to_label()} (on the compiled circuit's qubits) "
                "does not commute with the others, so that no state has them all."
            )
        projector = (projector @ (one + symmetry) / 2).simplify()
    if not np.abs(projector.coeffs).max() > 0:
        raise OptionError(
            "the symmetries contradict each other: no state has these eigenvalues of all."
        )
    return projector


def _measured(
    observables: Sequence[SparsePauliOp], projector: SparsePauliOp
) -> tuple[SparsePauliOp, ...]:
    """Numerators, the projector, their sums with it, and the observables themselves."""
    products = [(each @ projector).simplify() for each in observables]
    products = [SparsePauliOp(each.paulis, np.real(each.coeffs)) for each in products]
    sums = [(each + projector).simplify() for each in products]
    return (*products, projector, *sums, *observables)


def _parity(experiment: Experiment, symmetry: SparsePauliOp) -> Parity:
    """The clbits that a symmetry's qubits are read into.

    Raises:
        CircuitError: The symmetry is not of Z alone, or a qubit of it is not measured at the end.
    """
    pauli = symmetry.paulis[0]
    if pauli.x.any():
        raise CircuitError(
            f"counts show symmetries of Z alone; {pauli.to_label()} (on the compiled circuit's "
            "qubits) is none. Leave it out, or ask for expectation values."
        )
    read = dict(readings_of(experiment.circuit).final)
    qubits = [int(qubit) for qubit in np.flatnonzero(pauli.z)]
    missing = [qubit for qubit in qubits if qubit not in read]
    if missing:
        raise CircuitError(
            f"qubit {missing[0]} of the compiled circuit is in the symmetry {pauli.to_label()}, "
            "and is not measured at the end. Measure it, or leave the symmetry out."
        )
    odd = bool(np.real(symmetry.coeffs[0]) < 0)
    return Parity(clbits=tuple(sorted(read[qubit] for qubit in qubits)), odd=odd)


def _kept(distribution: Distribution, parities: Sequence[Parity]) -> tuple[Distribution, float]:
    """The outcomes in which all parities hold, and their share; all where none do."""
    bits = np.unpackbits(distribution.outcomes, axis=1)[:, ::-1]
    holds = np.ones(len(bits), dtype=bool)
    for parity in parities:
        holds &= (bits[:, list(parity.clbits)].sum(axis=1) % 2 == 1) == parity.odd
    total = float(distribution.weights.sum())
    share = float(distribution.weights[holds].sum()) / total
    if share <= 0:
        return distribution, share
    weights = distribution.weights[holds]
    if distribution.shots is None:
        weights = weights / share
    shots = None if distribution.shots is None else max(round(distribution.shots * share), 1)
    kept = replace(
        distribution, outcomes=distribution.outcomes[holds], weights=weights, shots=shots
    )
    return kept, share
