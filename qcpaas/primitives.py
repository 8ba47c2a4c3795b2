"""Qiskit's V2 primitives over any execution backend and its options."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives import BaseEstimatorV2, BasePrimitiveJob, BaseSamplerV2
from qiskit.primitives.containers import PrimitiveResult
from qiskit.providers import JobStatus

from qcpaas.errors import InputError, ShotsError
from qcpaas.execution import ExecutionBackend
from qcpaas.pub_tasks import EstimatorTask, SamplerTask, run_tasks
from qcpaas.pubs import ObservablesCache, read_estimator_pub, read_sampler_pub
from qcpaas.schemas import MAX_SHOTS


class PrimitiveJob(BasePrimitiveJob):  # type: ignore[misc]
    """A job of a primitive, finished when ``run`` returns it.

    The work runs in the caller's thread: a thread a call would cost a loop more than the rest of
    the call, and a job that waited for ``result`` would never end for a caller who polls its
    status. An error of the execution surfaces in ``result``, as it does in Qiskit's own jobs.
    """

    def __init__(self, work: Callable[[], PrimitiveResult]) -> None:
        super().__init__(str(uuid.uuid4()))
        self._error: Exception | None = None
        self._result: PrimitiveResult | None = None
        try:
            self._result = work()
        except Exception as error:  # noqa: BLE001  whatever failed is raised again by `result`
            self._error = error

    def result(self) -> PrimitiveResult:
        """The result, or the error that the execution ended with, raised."""
        if self._error is not None:
            raise self._error
        return self._result

    def status(self) -> JobStatus:
        return JobStatus.DONE if self._error is None else JobStatus.ERROR

    def done(self) -> bool:
        return self._error is None

    def running(self) -> bool:
        return False

    def cancelled(self) -> bool:
        return False

    def in_final_state(self) -> bool:
        return True

    def cancel(self) -> bool:
        """False: it has ended."""
        return False


class Estimator(BaseEstimatorV2):  # type: ignore[misc]
    """Expectation values of abstract circuits; the backend compiles them.

    All PUBs of a call make one submission. A circuit's final measurements are left out. ``stds``
    are the standard errors of ``evs``. A PUB's metadata has ``target_precision``, ``shots``,
    ``circuit_metadata`` and, where options were at work, ``raw_evs`` and ``raw_stds`` without any
    correction and the options' ``diagnostics``.

    Args:
        default_shots: For each point, where no precision is given.
        exact: Values without shot noise, from devices that have them; precisions are not used.
        default_precision: In place of ``default_shots``.
    """

    def __init__(
        self,
        backend: ExecutionBackend,
        default_shots: int = 4096,
        exact: bool = False,
        default_precision: float | None = None,
    ) -> None:
        self.backend = backend
        self.default_shots = _checked_shots(default_shots)
        self.exact = exact
        self.default_precision = default_precision
        self._observables = ObservablesCache()

    def run(self, pubs: Iterable[Any], *, precision: float | None = None) -> PrimitiveJob:
        """Estimate PUBs ``(circuit, observables[, parameter_values[, precision]])``.

        A precision asks for ``ceil(1 / precision**2)`` shots at each point, so that the standard
        error of one Pauli string is at most the precision, before any mitigation.

        Raises:
            InputError: A PUB cannot be run; nothing was sent.
        """
        default = self.default_precision if precision is None else precision
        tasks = []
        for pub in _several(pubs):
            request = read_estimator_pub(pub, self._observables)
            asked = default if request.asked is None else request.asked
            tasks.append(EstimatorTask(request, *self._budget(asked)))
        return PrimitiveJob(lambda: run_tasks(self.backend, tasks))

    def _budget(self, precision: Any) -> tuple[float, int | None]:
        """Target precision and shots; 0 and none where values are exact."""
        if self.exact:
            return 0.0, None
        if precision is None:
            return 1 / math.sqrt(self.default_shots), self.default_shots
        shots = _shots_for(precision)
        return float(precision), shots


class Sampler(BaseSamplerV2):  # type: ignore[misc]
    """Measured bits of abstract circuits, one `BitArray` a classical register.

    All PUBs of a call make one submission. Devices report how often each outcome was seen, not
    when: the shots of a point are shuffled, with a seed, so that any slice of them is a fair
    sample. A PUB's metadata has ``shots``, ``circuit_metadata`` and, where options left some,
    ``diagnostics``.
    """

    def __init__(self, backend: ExecutionBackend, default_shots: int = 4096, seed: int = 0) -> None:
        self.backend = backend
        self.default_shots = _checked_shots(default_shots)
        self._rng = np.random.default_rng(seed)

    def run(self, pubs: Iterable[Any], *, shots: int | None = None) -> PrimitiveJob:
        """Sample circuits, or PUBs ``(circuit[, parameter_values[, shots]])``.

        Raises:
            InputError: A PUB cannot be run; nothing was sent.
        """
        default = self.default_shots if shots is None else _checked_shots(shots)
        tasks = []
        for pub in _several(pubs):
            request = read_sampler_pub(pub)
            asked = default if request.asked is None else _checked_shots(request.asked)
            tasks.append(SamplerTask(request, asked, self._rng))
        return PrimitiveJob(lambda: run_tasks(self.backend, tasks))


def _several(pubs: Any) -> Iterable[Any]:
    # A circuit is iterable, over its instructions.
    if isinstance(pubs, QuantumCircuit) or not isinstance(pubs, Iterable):
        raise InputError(f"run takes a list of PUBs, not a {type(pubs).__name__}: write run([...])")
    return pubs


def _checked_shots(shots: Any) -> int:
    if isinstance(shots, bool) or not isinstance(shots, Integral):
        raise ShotsError(f"shots is a whole number, not {shots!r}")
    number = int(shots)
    if not 0 < number <= MAX_SHOTS:
        raise ShotsError(f"{number} shots were asked; 1 to {MAX_SHOTS:,} can be run")
    return number


def _shots_for(precision: Any) -> int:
    """Shots after which the standard error of one Pauli string is at most ``precision``."""
    if isinstance(precision, bool) or not isinstance(precision, Real):
        raise ShotsError(f"precision is a number, not {precision!r}")
    value = float(precision)
    if not math.isfinite(value) or value <= 0:
        raise ShotsError(
            f"precision {value} cannot be reached with any number of shots. Give a positive one, "
            "or ask for exact values (exact=True) on a simulator."
        )
    # Rounded first: 0.02**-2 is 2500.0000000000005, and asks for 2500 shots.
    needed = math.ceil(round(value**-2, 6)) if value > 1e-9 else math.inf
    if needed > MAX_SHOTS:
        raise ShotsError(
            f"precision {value:g} takes {needed:,} shots a point; {MAX_SHOTS:,} can be run. "
            f"Ask for {MAX_SHOTS**-0.5:.2g} or more."
        )
    return int(needed)
