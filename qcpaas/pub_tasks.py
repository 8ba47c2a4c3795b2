"""A PUB's experiments, and its answer from their outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives.containers import (
    BitArray,
    DataBin,
    PrimitiveResult,
    PubResult,
    SamplerPubResult,
)

from qcpaas.circuits import check_runnable
from qcpaas.errors import InputError, MitigationError, ShotsError
from qcpaas.execution import (
    Counts,
    Distribution,
    ExecutionBackend,
    ExpectationValues,
    Experiment,
    Outcome,
)
from qcpaas.pubs import Request, blocks, broadcast


class EstimatorTask:
    """One PUB of an estimator.

    Raises:
        CircuitError: The circuit measures before its end.
        ObservableError: Observables and parameter values do not broadcast.
    """

    def __init__(self, request: Request, precision: float, shots: int | None) -> None:
        assert request.observables is not None
        self.request = request
        self.operators = request.observables.operators
        self.precision = precision
        self.shots = shots
        self.shape, at_point, at_observable = broadcast(request)
        self.size = len(at_point)
        self.blocks = list(blocks(at_point, at_observable)) if self.size else []
        self.circuit = check_runnable(
            request.circuit, counts=False, parameter_shape=(1, request.points.shape[1])
        )

    def experiments(self, start: int) -> list[Experiment]:
        """One a block; ``start`` is the first one's place in the submission."""
        return [
            Experiment(
                circuit=self.circuit,
                parameter_values=self.request.points[block.points],
                observables=tuple([self.operators[number] for number in block.observables]),
                shots=self.shots,
                source=source,
            )
            for source, block in enumerate(self.blocks, start)
        ]

    def answer(self, outcomes: Sequence[Outcome]) -> PubResult:
        found = [_expectation(outcome) for outcome in outcomes]
        metadata: dict[str, Any] = {
            "target_precision": self.precision,
            "shots": self.shots,
            "circuit_metadata": self.request.circuit.metadata,
        }
        if any(outcome.raw_values is not None for outcome in found):
            raw, variances = zip(*map(_uncorrected, found), strict=True)
            metadata |= {
                "raw_evs": self._gather(raw),
                "raw_stds": np.sqrt(self._gather(variances)),
            }
        _add_diagnostics(metadata, found)
        data = DataBin(
            evs=self._gather([outcome.values for outcome in found]),
            stds=np.sqrt(self._gather([outcome.variances for outcome in found])),
            shape=self.shape,
        )
        return PubResult(data, metadata=metadata)

    def _gather(self, tables: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Each block's values where the broadcast wants them, shape ``self.shape``."""
        flat = np.empty(self.size)
        for block, table in zip(self.blocks, tables, strict=True):
            flat[block.places] = table[block.rows, block.columns]
        return flat.reshape(self.shape)


class SamplerTask:
    """One PUB of a sampler.

    Raises:
        CircuitError: The circuit has no measurement.
    """

    def __init__(self, request: Request, shots: int, rng: np.random.Generator) -> None:
        self.request = request
        self.shots = shots
        self.rng = rng
        self.circuit = check_runnable(
            request.circuit, counts=True, parameter_shape=(1, request.points.shape[1])
        )

    def experiments(self, start: int) -> list[Experiment]:
        """The one that it needs, or none for an empty array of points."""
        if not len(self.request.points):
            return []
        return [
            Experiment(
                circuit=self.circuit,
                parameter_values=self.request.points,
                shots=self.shots,
                source=start,
            )
        ]

    def answer(self, outcomes: Sequence[Outcome]) -> SamplerPubResult:
        found = [_counts(outcome, self.circuit) for outcome in outcomes]
        points = [point for counts in found for point in counts.points]
        orders = [_shuffled(point, self.shots, self.rng) for point in points]
        registers = {}
        for register in self.circuit.cregs:
            bits = [self.circuit.find_bit(bit).index for bit in register]
            rows = [
                _packed(point, bits)[order] for point, order in zip(points, orders, strict=True)
            ]
            width = -(-len(bits) // 8)
            array = np.array(rows, dtype=np.uint8).reshape(
                *self.request.points_shape, self.shots, width
            )
            registers[register.name] = BitArray(array, len(bits))
        metadata: dict[str, Any] = {
            "shots": self.shots,
            "circuit_metadata": self.request.circuit.metadata,
        }
        _add_diagnostics(metadata, found)
        return SamplerPubResult(
            DataBin(**registers, shape=self.request.points_shape), metadata=metadata
        )


def run_tasks(
    backend: ExecutionBackend, tasks: Sequence[EstimatorTask | SamplerTask]
) -> PrimitiveResult:
    """Run all PUBs in one submission."""
    experiments: list[Experiment] = []
    bounds = [0]
    for task in tasks:
        experiments.extend(task.experiments(len(experiments)))
        bounds.append(len(experiments))
    outcomes = backend.run(experiments) if experiments else ()
    results = [
        task.answer(outcomes[start:end])
        for task, start, end in zip(tasks, bounds, bounds[1:], strict=False)
    ]
    return PrimitiveResult(results, metadata={"version": 2})


def _expectation(outcome: Outcome) -> ExpectationValues:
    if not isinstance(outcome, ExpectationValues):
        raise InputError(
            "the backend answered counts where expectation values were asked. Run the estimator "
            "over a stack that measures observables, as the platform's does."
        )
    return outcome


def _uncorrected(
    outcome: ExpectationValues,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and variances as measured, which are the outcome's own where no option changed it."""
    if outcome.raw_values is None or outcome.raw_variances is None:
        return outcome.values, outcome.variances
    return outcome.raw_values, outcome.raw_variances


def _counts(outcome: Outcome, circuit: QuantumCircuit) -> Counts:
    if not isinstance(outcome, Counts):
        raise InputError("the backend answered expectation values where counts were asked")
    for point in outcome.points:
        if point.shots is None:
            raise ShotsError(
                f"the counts of circuit {circuit.name} are exact probabilities, and a BitArray "
                "holds single shots. Ask for shots, or use an estimator."
            )
    return outcome


def _shuffled(point: Distribution, shots: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Which row of ``point.outcomes`` each shot saw, shape ``(shots,)``, in random order."""
    counts = np.rint(point.weights).astype(np.intp)
    if not np.array_equal(counts, point.weights) or counts.min(initial=0) < 0:
        raise MitigationError(
            "an option turned the counts into quasi-probabilities, which no single shots have. "
            "Sample without it (sampler_with([...])), or use an estimator."
        )
    if counts.sum() != shots:
        raise ShotsError(f"{shots} shots were asked, and the device counted {counts.sum()}")
    rows = np.repeat(np.arange(len(counts)), counts)
    rng.shuffle(rows)
    return rows


def _packed(point: Distribution, bits: Sequence[int]) -> NDArray[np.uint8]:
    """Some clbits of every outcome as a `BitArray` holds them, lowest clbit last."""
    if not bits:
        return np.zeros((len(point.outcomes), 0), dtype=np.uint8)
    unpacked = np.unpackbits(point.outcomes, axis=1)
    columns = unpacked.shape[1] - 1 - np.array(bits[::-1])
    chosen = unpacked[:, columns]
    padded = np.pad(chosen, ((0, 0), (-len(bits) % 8, 0)))
    return np.packbits(padded, axis=1)


def _add_diagnostics(
    metadata: dict[str, Any], outcomes: Iterable[Counts | ExpectationValues]
) -> None:
    found = [diagnostic for outcome in outcomes for diagnostic in outcome.diagnostics]
    if found:
        metadata["diagnostics"] = found
