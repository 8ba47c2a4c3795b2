"""How far each stack brings values to the truth, whether its error bars hold, at what budget."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.mitigation_circuits import Problem, problems_of
from benchmarks.mitigation_scene import Answer, Scene
from benchmarks.mitigation_stacks import COMPLETE, EIGHT, FEW, RULE, installed, on_family, sensible
from benchmarks.report import Interval, Report, ratio_of_sums
from benchmarks.side_by_side import side_by_side
from qcpaas.errors import QCPaaSError

Array = NDArray[np.float64]

TWIN = "FakeKolkata"
SHOTS = 10_000
MAX_BUDGET = 1_000_000
FULL = (
    *((family, 4, 20) for family in ("tfim", "ghz", "qaoa", "mirror", "rb")),
    *((family, 8, 20) for family in ("tfim", "ghz", "qaoa", "mirror", "rb")),
    # A density matrix of 12 qubits takes seconds a circuit even where the circuit is shallow.
    ("ghz", 12, 20),
    ("qaoa", 12, 20),
)
QUICK = (("tfim", 4, 2), ("ghz", 4, 2))
Case = tuple[str, int, int]  # family, qubits, instances


@dataclass(frozen=True)
class Instance:
    """One problem of one family, under all the stacks that are compared on it."""

    family: str
    qubits: int
    number: int
    stacks: tuple[tuple[str, tuple[str, ...]], ...]
    seed: int

    @property
    def problem(self) -> Problem:
        return problems_of(self.family, self.qubits, self.number + 1, self.seed)[-1]


@dataclass(frozen=True, eq=False)
class Answered:
    """What came of an instance: the plain circuit, and of each stack its own and its budget's.

    Attributes:
        stacks: The stack's answer and the plain circuit's with as many shots, or a refusal.
    """

    plain: Answer
    stacks: dict[str, tuple[Answer, Answer] | str]


@dataclass(eq=False)
class Record:
    """Errors of one stack on one family; arrays have shape ``(instances, observables)``."""

    mitigated: Array
    std_errors: Array
    raw: Array
    budget: Array
    shots: float
    warned: int
    seconds: float

    @classmethod
    def of(
        cls,
        problems: Sequence[Problem],
        answers: Sequence[Answer],
        raw: Sequence[Answer],
        budget: Sequence[Answer],
    ) -> Record:
        exact = np.array([problem.exact for problem in problems])
        return cls(
            mitigated=np.array([one.values for one in answers]) - exact,
            std_errors=np.array([one.std_errors for one in answers]),
            raw=np.array([one.values for one in raw]) - exact,
            budget=np.array([one.values for one in budget]) - exact,
            shots=sum(one.shots for one in answers) / sum(one.shots for one in raw),
            warned=sum(bool(one.warnings) for one in answers),
            seconds=sum(one.seconds for one in answers) / len(answers),
        )

    @property
    def covered(self) -> Array:
        """Whether each value is within one standard error of the truth."""
        return (np.abs(self.mitigated) <= self.std_errors + 1e-12).astype(np.float64)


@dataclass(eq=False)
class Collected:
    """Of one stack, over all families."""

    covered: list[Array] = field(default_factory=list)
    mitigated: list[Array] = field(default_factory=list)
    budget: list[Array] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


def measure_accuracy(
    report: Report,
    *,
    quick: bool,
    seed: int,
    names: Sequence[str] = (),
    labels: Sequence[str] = (),
    workers: int = 1,
    save: Callable[[], None] = lambda: None,
) -> None:
    """Every installed stack on twins, instance by instance beside the plain circuit.

    Args:
        names: Of the cases only these, by family and qubits (``qaoa8``); all unless given.
        labels: Of the stacks only these; all unless given.
        save: Called when the rows of a family are there.
    """
    collected: dict[str, Collected] = defaultdict(Collected)
    chosen = [case for case in (QUICK if quick else FULL) if not names or _name(case) in names]
    if not chosen:
        known = ", ".join(map(_name, FULL))
        raise ValueError(f"cases {', '.join(names)} are not known. Choose among {known}.")
    tasks = [
        instance
        for place, case in enumerate(chosen)
        for instance in instances_of(case, seed, labels, few=quick and place > 0)
    ]
    answers = side_by_side(answer_all, tasks, workers)
    for case in chosen:
        _collect(report, collected, case, list(itertools.islice(answers, case[2])), seed)
        save()
    _add_totals(report, collected, seed)


def _name(case: Case) -> str:
    return f"{case[0]}{case[1]}"


def instances_of(case: Case, seed: int, labels: Sequence[str], *, few: bool) -> list[Instance]:
    family, qubits, count = case
    known = installed(FEW if few else sensible(qubits))
    known = {label: known[label] for label in known if not labels or label in labels}
    stacks = tuple(on_family(known, family, qubits).items())
    return [Instance(family, qubits, number, stacks, seed) for number in range(count)]


def answer_all(instance: Instance) -> Answered:
    """One problem plain, under each stack, and plain with as many shots as that stack took."""
    scene, problem = Scene.open(TWIN), instance.problem
    seed = instance.seed + instance.number
    plain = scene.answer((), problem, SHOTS, seed)
    found: dict[str, tuple[Answer, Answer] | str] = {}
    for label, options in instance.stacks:
        try:
            answer = scene.answer(options, problem, SHOTS, seed)
        except QCPaaSError as refusal:
            found[label] = str(refusal)
            continue
        shots = min(MAX_BUDGET, round(SHOTS * answer.shots / plain.shots))
        found[label] = answer, scene.answer((), problem, max(1, shots), seed + 1000)
    return Answered(plain, found)


def _collect(
    report: Report,
    collected: dict[str, Collected],
    case: Case,
    answered: Sequence[Answered],
    seed: int,
) -> None:
    """Rows of one family; a stack that refuses one of its instances has none there."""
    problems, name = problems_of(*case, seed), _name(case)
    raw = [one.plain for one in answered]
    for label in answered[0].stacks:
        each = [one.stacks[label] for one in answered]
        pairs = [one for one in each if not isinstance(one, str)]
        refusals = [one for one in each if isinstance(one, str)]
        if refusals:
            count = f"{len(refusals)} of {len(each)} instances"
            collected[label].refusals.append(f"{name}, {count}: {refusals[0]}")
            continue
        record = Record.of(problems, [one for one, _ in pairs], raw, [one for _, one in pairs])
        _add_reduction(report, label, name, record, seed)
        collected[label].covered.append(record.covered.ravel())
        collected[label].mitigated.append((record.mitigated**2).mean(axis=1))
        collected[label].budget.append((record.budget**2).mean(axis=1))


def rms_ratio(numerators: Array, denominators: Array, seed: int) -> Interval:
    """Ratio of root mean squares, from squares of instances; a bootstrap over the instances."""
    tiny = 1e-18  # of values that are exact on both sides
    found = ratio_of_sums((numerators + tiny).tolist(), (denominators + tiny).tolist(), seed)
    return Interval(*map(math.sqrt, (found.value, found.low, found.high)))


def _add_reduction(report: Report, label: str, case: str, record: Record, seed: int) -> None:
    def squares(errors: Array) -> Array:
        found: Array = (errors**2).mean(axis=1)
        return found

    mitigated = squares(record.mitigated)
    reduction = rms_ratio(squares(record.raw), mitigated, seed)
    fair = rms_ratio(squares(record.budget), mitigated, seed)
    metric = f"error_reduction_{label}_{case}"
    warned = f", {record.warned} warned" if record.warned else ""
    report.add(
        metric,
        reduction.value,
        "ratio of RMS errors",
        aim=2.5 if metric == "error_reduction_zne_readout_tfim4" else None,
        better="higher",
        peer="no mitigation",
        note=f"{reduction}; {fair.value:.2f} at equal budget ({record.shots:.1f} times the shots); "
        f"coverage {record.covered.mean():.2f}; {len(mitigated)} instances, {TWIN}"
        f"{warned}; {record.seconds:.2f} s each",
    )


def _add_totals(report: Report, collected: dict[str, Collected], seed: int) -> None:
    complete = [
        covered for label, one in collected.items() if label in COMPLETE for covered in one.covered
    ]
    report.add("accuracy_wide_stacks", len(EIGHT), "stacks", note=RULE)
    if complete:
        _add_coverage(report, np.concatenate(complete), seed)
    for label, one in collected.items():
        if one.covered:
            share = _share(np.concatenate(one.covered), seed)
            report.add(f"coverage_1_sigma_{label}", share.value, "share", note=str(share))
            gain = rms_ratio(np.concatenate(one.budget), np.concatenate(one.mitigated), seed)
            report.add(
                f"equal_budget_{label}",
                gain.value,
                "ratio of RMS errors",
                better="higher",
                peer="no mitigation, the same total of shots",
                note=str(gain),
            )
        if one.refusals:
            note = one.refusals[0]
            report.add(f"refused_{label}", len(one.refusals), "families", note=note[:300])


def _add_coverage(report: Report, covered: Array, seed: int) -> None:
    share = _share(covered, seed)
    what = "values of stacks that correct gates and readout"
    note = f"{share}; {len(covered)} {what}; aim 0.60 to 0.76"
    report.add("coverage_1_sigma", share.value, "share", aim=0.60, better="higher", note=note)
    report.add("coverage_1_sigma_below", share.value, "share", aim=0.76, note="the aim's other end")


def _share(covered: Array, seed: int) -> Interval:
    return ratio_of_sums(covered.tolist(), np.ones(len(covered)).tolist(), seed)
