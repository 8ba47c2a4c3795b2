"""Expectation values from measured states of small subsystems, made physical."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue

from pipeline.measuring.bases import letters_at, real_coefficients
from pipeline.measuring.measurement import counts_of
from pipeline.measuring.physical_states import Correction, matrices_of, physical_states
from pipeline.measuring.random_bases import SharedBases, Terms, first_of_each, measured_in, share
from pipeline.measuring.subsystems import (
    check_sizes,
    choose_subsystems,
    entangled_blocks,
    joint_bases,
)
from pipeline.measuring.tomography_data import Indices, Inversion, Shots, Subsystem
from qcpaas.errors import MitigationError
from qcpaas.execution import (
    Cost,
    Counts,
    EnrichedExecutionBackend,
    ExpectationValues,
    Experiment,
    Level,
    OptionSettings,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Diagnostic, Plot, Series

SHOWN_EIGENVALUES = 8
LEAST_SHOTS = 2  # of a basis: one shot has no spread


class TomographyExperiment(PlanContext):
    """What to read from one experiment's bases.

    Attributes:
        words: Each basis' letters on the measured qubits.
        first_clbit: Of the measured bits.
        seed: Of the resampling.
        constants: The observables' identity parts.
    """

    words: tuple[str, ...]
    first_clbit: int
    seed: int
    subsystems: tuple[Subsystem, ...]
    constants: tuple[float, ...]

    @cached_property
    def paulis(self) -> tuple[Indices, ...]:
        return tuple(subsystem.paulis_in(self.words) for subsystem in self.subsystems)

    @property
    def clbits(self) -> slice:
        return slice(self.first_clbit, self.first_clbit + len(self.words[0]))


class TomographyContext(PlanContext):
    experiments: tuple[TomographyExperiment, ...]


class StateTomography(EnrichedExecutionBackend):
    """Measures small subsystems completely, and takes values from the physical states they are in.

    With ``purify`` the state is the measured matrix' dominant eigenvector. That removes all noise
    that mixes a state which is pure by design, and no coherent error; each subsystem is the whole
    of the qubits that gates connect. With ``project`` it is the nearest physical state of the
    qubits that a string acts on, which takes away what only statistics or a readout correction
    made impossible. All bases together take the shots that a plain circuit has for each basis.

    Error bars are those of resampled counts. They are too wide, up to twice, where a value comes
    close to the largest or the smallest that its observable has.

    Source: Koczor, PRX 11, 031057 (2021), on dominant eigenvectors; Smolin, Gambetta and Smith,
    PRL 108, 070502 (2012), on the nearest state.
    """

    rank = 50
    measures = True
    levels = frozenset[Level]({"expectation"})

    class Settings(OptionSettings):
        """``max_qubits`` bounds the subsystems: n qubits take ``3**n`` bases.

        Biases and error bars are estimated from ``resamples`` repetitions drawn from the counts.
        """

        max_qubits: int = Field(default=5, ge=1, le=6)
        correction: Correction = "purify"
        resamples: int = Field(default=100, ge=20, le=10_000)

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], TomographyContext]:
        expanded: list[Experiment] = []
        entries = []
        for experiment in experiments:
            entry, bases = self._planned(experiment)
            entries.append(entry)
            expanded.extend(measured_in(experiment, bases))
        return expanded, TomographyContext(experiments=tuple(entries))

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, TomographyContext)
        remaining = iter(outcomes)
        return tuple(
            self._evaluated(entry, [counts_of(next(remaining)) for _ in entry.words])
            for entry in context.experiments
        )

    def cost(self, experiment: Experiment) -> Cost:
        return Cost(len(self._planned(experiment)[0].words), 1.0)

    @classmethod
    def plots(cls, figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
        spectra = figures["eigenvalues"]
        assert isinstance(spectra, dict)
        bars = tuple(
            Series(
                label=f"qubits {qubits}",
                x=tuple(range(len(values))),
                y=tuple(values),
                style="bars",
            )
            for qubits, values in spectra.items()
            if isinstance(values, list)
        )
        title = "Eigenvalues of the measured states"
        return (Plot(title=title, x_label="eigenvalue", y_label="weight", series=bars),)

    def _planned(self, experiment: Experiment) -> tuple[TomographyExperiment, SharedBases]:
        terms = [real_coefficients(observable) for observable in experiment.observables or ()]
        width, limit = experiment.circuit.num_qubits, self.settings.max_qubits
        identity = "I" * width
        strings = sorted({string for each in terms for string in each} - {identity})
        purify = self.settings.correction == "purify"
        blocks = entangled_blocks(experiment.circuit) if purify else None
        chosen = choose_subsystems(strings, blocks)
        check_sizes(chosen, limit)
        qubits, words = joint_bases(chosen, limit) if chosen else ((0,), ("Z",))
        entry = TomographyExperiment(
            words=words,
            first_clbit=experiment.circuit.num_clbits,
            seed=self.services.seed,
            subsystems=_subsystems(chosen, qubits, strings, terms),
            constants=tuple(each.get(identity, 0.0) for each in terms),
        )
        labels = tuple(_label(word, qubits, width) for word in words)
        return entry, SharedBases(labels, _shots(experiment.shots, len(words)))

    def _evaluated(
        self, entry: TomographyExperiment, counts: Sequence[Counts]
    ) -> ExpectationValues:
        """Point by point; nothing of one point depends on another."""
        points = [
            Shots.of([c.points[p] for c in counts], entry.clbits, counts[0].readout)
            for p in range(len(counts[0].points))
        ]
        answers = [
            _at_point(entry, shots, self.settings.correction, self.settings.resamples)
            for shots in points
        ]
        constants = np.array(entry.constants)
        return ExpectationValues(
            values=constants + np.array([answer.values for answer in answers]),
            variances=np.array([answer.variances for answer in answers]),
            raw_values=constants + np.array([answer.raw_values for answer in answers]),
            raw_variances=np.array([answer.raw_variances for answer in answers]),
            diagnostics=(*first_of_each(counts[0].diagnostics), self._note(entry, answers)),
        )

    def _note(self, entry: TomographyExperiment, answers: Sequence[_Answer]) -> Diagnostic:
        """Of each subsystem at the point where its state is most mixed."""
        figures: dict[str, JsonValue] = {"correction": self.settings.correction}
        worst = [
            min((answer.states[index] for answer in answers), key=lambda s: s.dominant)
            for index in range(len(entry.subsystems))
        ]
        names = [" ".join(map(str, subsystem.qubits)) for subsystem in entry.subsystems]
        of_each: list[tuple[str, _State]] = list(zip(names, worst, strict=True))
        figures["eigenvalues"] = {
            name: [round(float(v), 6) for v in state.eigenvalues[:SHOWN_EIGENVALUES]]
            for name, state in of_each
        }
        figures["purity"] = {name: round(state.purity, 6) for name, state in of_each}
        figures["negative"] = {name: round(state.negative, 6) for name, state in of_each}
        figures["noise_radius"] = {name: round(state.noise_radius, 6) for name, state in of_each}
        warning = ""
        if self.settings.correction == "purify":
            warning = next(filter(None, (state.warning(name) for name, state in of_each)), "")
        return Diagnostic(option="StateTomography", figures=figures, warning=warning)


@dataclass(frozen=True)
class _State:
    """What was found of one subsystem's state; ``noise_radius`` is shot noise of eigenvalues."""

    eigenvalues: NDArray[np.float64]
    noise_radius: float

    @classmethod
    def of(
        cls,
        matrix: NDArray[np.complex128],
        expectations: NDArray[np.float64],
        inversion: Inversion,
    ) -> _State:
        squares = np.clip(1 - expectations[1:] ** 2, 0, 1) / inversion.told[1:]
        radius = 2 * np.sqrt(squares.sum()) / len(matrix)  # half the width of its semicircle
        eigenvalues = np.asarray(np.linalg.eigvalsh(matrix)[::-1], dtype=np.float64)
        return cls(eigenvalues, float(radius))

    @property
    def purity(self) -> float:
        return float(self.eigenvalues @ self.eigenvalues)

    @property
    def dominant(self) -> float:
        return float(self.eigenvalues[0])

    @property
    def negative(self) -> float:
        return float(-self.eigenvalues[self.eigenvalues < 0].sum())

    def warning(self, name: str) -> str:
        if self.dominant < 0.5:
            return (
                f"the dominant eigenvalue of qubits {name} is {self.dominant:.3g}, below 1/2: the "
                f"dominant eigenvector may not be the state that the circuit makes."
            )
        gap = float(self.eigenvalues[0] - self.eigenvalues[1])
        if self.noise_radius > gap / 2:
            return (
                f"shots are too few to tell the dominant eigenvector of qubits {name}: shot noise "
                f"moves eigenvalues by up to {self.noise_radius:.2g}, and the next is {gap:.2g} "
                f"below."
            )
        return ""


@dataclass(frozen=True, eq=False)
class _Answer:
    """One point's values without the observables' constants; each shape ``(observables,)``."""

    values: NDArray[np.float64]
    variances: NDArray[np.float64]
    raw_values: NDArray[np.float64]
    raw_variances: NDArray[np.float64]
    states: tuple[_State, ...]


def _at_point(
    entry: TomographyExperiment, shots: Shots, correction: Correction, resamples: int
) -> _Answer:
    """Values less the bias that resampling shows, and the resampled values' variances.

    The nearest state of an almost pure one has a bias as large as its spread, of which resampling
    shows a part: as much again is put into the variance.
    """
    resamples = 0 if shots.shots is None else resamples
    probabilities = shots.resampled(resamples, np.random.default_rng(entry.seed))
    values = np.zeros((len(probabilities), len(entry.constants)))
    raw_values = np.zeros_like(values)
    states = []
    plain = shots.uncorrected()
    for subsystem, paulis in zip(entry.subsystems, entry.paulis, strict=True):
        inversion = Inversion.of(paulis, shots.shots, len(subsystem.places))
        seen = shots.seen(subsystem, probabilities)
        measured = inversion.expectations(seen, shots.signs(subsystem))
        matrices = matrices_of(measured) / 2 ** len(subsystem.places)
        observables = matrices_of(subsystem.observables)
        states.append(_State.of(matrices[0], measured[0], inversion))
        corrected = physical_states(matrices, correction)
        values += np.einsum("sij,oji->so", corrected, observables).real
        plainly = inversion.expectations(seen, plain.signs(subsystem))
        raw_values += plainly @ subsystem.observables.T
    corrected_values, variances = _unbiased(values)
    if correction == "project":
        variances = variances + (corrected_values - values[0]) ** 2
    raw_variances = raw_values[1:].var(axis=0, ddof=1) if resamples else np.zeros_like(variances)
    return _Answer(corrected_values, variances, raw_values[0], raw_variances, tuple(states))


def _unbiased(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and variances from the measured ones, in the first row, and resampled ones."""
    measured, resampled = values[0], values[1:]
    if not len(resampled):
        return measured, np.zeros_like(measured)
    return 2 * measured - resampled.mean(axis=0), resampled.var(axis=0, ddof=1)


def _subsystems(
    chosen: Sequence[tuple[int, ...]],
    measured: Sequence[int],
    strings: Sequence[str],
    terms: Sequence[Terms],
) -> tuple[Subsystem, ...]:
    """Each string goes to the first subsystem that holds it."""
    inside: list[list[str]] = [[] for _ in chosen]
    for string in strings:
        support = set(letters_at(string))
        inside[next(i for i, qubits in enumerate(chosen) if support <= set(qubits))].append(string)
    return tuple(
        Subsystem(
            qubits=qubits,
            places=tuple(measured.index(qubit) for qubit in qubits),
            strings=tuple("".join(string[-1 - q] for q in qubits) for string in own),
            coefficients=tuple(tuple(each.get(string, 0.0) for string in own) for each in terms),
        )
        for qubits, own in zip(chosen, inside, strict=True)
    )


def _label(word: str, qubits: Sequence[int], num_qubits: int) -> str:
    letters = dict(zip(qubits, word, strict=True))
    return "".join(letters.get(qubit, "I") for qubit in reversed(range(num_qubits)))


def _shots(shots: int | None, bases: int) -> tuple[int, ...]:
    if shots is None:
        return (1,) * bases
    if shots < LEAST_SHOTS * bases:
        raise MitigationError(
            f"tomography in {bases} bases needs at least {LEAST_SHOTS * bases} shots; the circuit "
            f"has {shots}. Give more shots, ask for observables on fewer qubits, or leave "
            f"StateTomography out."
        )
    return share(shots, (1,) * bases)
