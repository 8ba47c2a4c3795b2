"""Echoes carried along with a call: they observe the fidelity that its own counts do not show.

The share of shots that come back to the bit string that an echo began with is its survival. What
it says of the device's errors is `calibration.feedback`'s business; the answer of the call is as
if there had been no echo.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, log, sqrt

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from qiskit import QuantumCircuit

from pipeline.echoes.echo_circuit import Echo, echo_of
from qcpaas.circuit_key import circuit_key
from qcpaas.errors import MitigationError
from qcpaas.execution import (
    Binding,
    Counts,
    Distribution,
    EnrichedExecutionBackend,
    ExecutionBackend,
    Experiment,
    OptionSettings,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Diagnostic

Elsewhere = Callable[[QuantumCircuit, Binding], tuple[QuantumCircuit, Binding]]

MIN_SHOTS = 16  # for each point


def survival(
    distribution: Distribution, expected: Sequence[int]
) -> tuple[float, float, float | None]:
    """Weight of the expected bit string, weight in all, and shots."""
    key = np.packbits(_padded(expected, distribution.outcomes.shape[1]))
    kept = distribution.weights[(distribution.outcomes == key).all(axis=1)].sum()
    return float(kept), float(distribution.weights.sum()), distribution.shots


class EchoContext(PlanContext):
    """What was added to the caller's experiments, last, and what it should end in.

    Attributes:
        problem: Why nothing was added.
        expected: The bit read into each clbit, clbit 0 first; empty where nothing was added.
        readout: ``p(1|0)`` and ``p(0|1)`` of the qubit behind each clbit, as calibrated.
        circuit: Content key of the echo circuit, ``of`` of the circuit that it echoes.
    """

    expected: tuple[int, ...] = ()
    readout: tuple[tuple[float, float], ...] | None = None
    circuit: str = ""
    of: str = ""
    problem: str = ""


class EchoCheck(EnrichedExecutionBackend):
    """Runs the first circuit forwards and back besides, to observe its fidelity.

    It stands innermost, where circuits are seen as they are executed. The echo runs at the points
    of the experiment that it belongs to and shares its shots among them, at least `MIN_SHOTS`
    each. It is drawn anew at every call: the bit string, and the place where there is a choice.

    Args:
        elsewhere: Where to run the echo, as far as its circuit and the binding of its experiment
            decide; in place unless given.
    """

    rank = 90
    internal = True
    reusable_plan = False

    class Settings(OptionSettings):
        """``shots`` at most, over all points; ``seed`` decides the bit string."""

        shots: int = 1024
        seed: int = 0

    def __init__(
        self,
        inner: ExecutionBackend,
        settings: OptionSettings | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        super().__init__(inner, settings)
        self._elsewhere = elsewhere

    def expand(self, experiments: Sequence[Experiment]) -> tuple[Sequence[Experiment], EchoContext]:
        if not experiments:
            return experiments, EchoContext(problem="there is no circuit")
        first = experiments[0]
        key = circuit_key(first.circuit)
        seed = int.from_bytes(
            hashlib.blake2b(f"{self.settings.seed} {key}".encode(), digest_size=8).digest()
        )
        gates = () if first.binding is None else first.binding.basis_gates
        try:
            echo = echo_of(first.circuit, gates, seed)
        except MitigationError as error:
            return experiments, EchoContext(problem=str(error))
        circuit, binding = echo.circuit, first.binding
        if self._elsewhere is not None and binding is not None:
            circuit, binding = self._elsewhere(circuit, binding)
        added = replace(
            first,
            circuit=circuit,
            binding=binding,
            observables=None,
            shots=self._shots(first),
        )
        context = EchoContext(
            expected=echo.expected,
            readout=_readout(binding, echo),
            circuit=circuit_key(circuit),
            of=key,
        )
        return (*experiments, added), context

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, EchoContext)
        if context.expected:
            *own, echo = outcomes
            assert isinstance(echo, Counts)
            figures = _figures(context, echo)
        else:
            own, figures = list(outcomes), {"problem": context.problem}
        if own:
            note = Diagnostic(option="EchoCheck", figures=figures)
            own[0] = replace(own[0], diagnostics=(*own[0].diagnostics, note))
        return tuple(own)

    def _shots(self, experiment: Experiment) -> int | None:
        if experiment.shots is None:
            return None
        fair: int = ceil(self.settings.shots / max(experiment.points, 1))
        return min(experiment.shots, max(fair, MIN_SHOTS))


def log_survival(kept: float, total: float, shots: int | None) -> tuple[float, float]:
    """Natural logarithm of a survival, and its standard error.

    Half a shot is added on either side, so that none and all of a finite number have both.

    Args:
        kept: Weight that survived, of ``total``.
        shots: In all; ``None`` where the weights are exact probabilities.

    Raises:
        MitigationError: Exactly nothing survived.
    """
    if shots is None:
        if not 0 < kept <= total:
            raise MitigationError("nothing survived, so that the survival has no logarithm.")
        return log(kept / total), 0.0
    share = (kept + 0.5) / (total + 1)
    return log(share), sqrt((1 - share) / (share * total))


def _figures(context: EchoContext, echo: Counts) -> dict[str, JsonValue]:
    """What was seen, pooled over the points; half of it is the circuit's own.

    The one-way fidelity is what one half loses: the survival without what readout takes as
    calibrated, square-rooted.
    """
    seen = [survival(point, context.expected) for point in echo.points]
    kept, total = (float(sum(column)) for column in list(zip(*seen, strict=True))[:2])
    shots = None if echo.points[0].shots is None else round(total)
    figures: dict[str, JsonValue] = {
        "circuit": context.circuit,
        "of": context.of,
        "expected": "".join(map(str, reversed(context.expected))),
        "survival": kept / total,
        "shots": shots,
    }
    try:
        log_seen, error = log_survival(kept, total, shots)
    except MitigationError as problem:
        return figures | {"problem": str(problem)}
    figures |= {"log_survival": log_seen, "std_error": error}
    if context.readout is not None:
        read = sum(
            log(max(1 - errors[bit], 1e-9))
            for errors, bit in zip(context.readout, context.expected, strict=True)
        )
        figures |= {
            "log_fidelity": min((log_seen - read) / 2, 0.0),
            "log_fidelity_std_error": error / 2,
        }
    return figures


def _readout(binding: Binding | None, echo: Echo) -> tuple[tuple[float, float], ...] | None:
    errors = None if binding is None else binding.readout_errors
    if errors is None or not np.isfinite(errors[list(echo.qubits)]).all():
        return None
    return tuple((float(errors[q][0]), float(errors[q][1])) for q in echo.qubits)


def _padded(expected: Sequence[int], width: int) -> NDArray[np.uint8]:
    """Bits as `Distribution.outcomes` packs them: clbit 0 last."""
    bits = np.zeros(8 * width, dtype=np.uint8)
    bits[len(bits) - len(expected) :] = expected[::-1]
    return bits
