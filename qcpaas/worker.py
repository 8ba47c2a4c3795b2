"""The base class of every user workload."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from qcpaas.schemas import OptionSpec

if TYPE_CHECKING:
    import numpy as np

    from qcpaas.execution import ExecutionBackend
    from qcpaas.primitives import Estimator, Sampler


class WorkerContext(Protocol):
    """What the platform gives a running workload."""

    @property
    def log(self) -> logging.Logger: ...

    @property
    def rng(self) -> np.random.Generator: ...

    @property
    def shots(self) -> int: ...

    @property
    def exact(self) -> bool: ...

    def backend(self, options: Sequence[OptionSpec] | None) -> ExecutionBackend:
        """The device under these options; ``None`` means the job's own."""
        ...

    def report(
        self, done: float, total: float | None, message: str, metrics: dict[str, float]
    ) -> None: ...

    def checkpoint(self, state: object) -> None: ...

    def restore(self) -> object: ...


class RuntimeWorkerBase(ABC):
    """A hybrid workload: subclass it, set the attributes, implement `run`.

    ```python
    class Ground(RuntimeWorkerBase):
        backend_name = "FakeKolkata"
        options = ("ZeroNoiseExtrapolation", "ReadoutMitigation")

        def run(self, steps: int = 100) -> float:
            for step in self.iterations(steps):
                ...
    ```

    Attributes:
        backend_name: Device that it runs on unless the submission names another.
        options: Execution options, outermost first, as names or ``"Name(setting=value)"``.
        shots: For each circuit and parameter point.
        needs: What its worker must have installed beside what its modules import at their top, as
            PEP 508 has it: ``torch>=2.4``.
    """

    backend_name: ClassVar[str] = ""
    options: ClassVar[Sequence[str | OptionSpec]] = ()
    shots: ClassVar[int] = 4096
    needs: ClassVar[Sequence[str]] = ()

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self.log = context.log
        self.rng = context.rng
        self.backend: ExecutionBackend = context.backend(None)

    @abstractmethod
    def run(self, *args: Any, **inputs: Any) -> Any:
        """The workload; returns what `qcpaas.values.encode` can store."""

    @property
    def estimator(self) -> Estimator:
        """Qiskit's V2 estimator over this job's device and options."""
        return self.estimator_with(None)

    @property
    def sampler(self) -> Sampler:
        """Qiskit's V2 sampler over this job's device, with its options that give counts."""
        return self.sampler_with(None)

    def estimator_with(self, options: Sequence[str | OptionSpec] | None) -> Estimator:
        """An estimator under other options; ``[]`` gives raw values."""
        from qcpaas.primitives import Estimator

        return Estimator(
            self.backend_with(options),
            default_shots=self._context.shots,
            exact=self._context.exact,
        )

    def sampler_with(self, options: Sequence[str | OptionSpec] | None) -> Sampler:
        """A sampler under other options; ``[]`` gives raw counts."""
        from qcpaas.primitives import Sampler

        return Sampler(self.backend_with(options), default_shots=self._context.shots)

    def backend_with(self, options: Sequence[str | OptionSpec] | None) -> ExecutionBackend:
        """The device under other options, outermost first; ``None`` means the job's own."""
        if options is None:
            return self.backend
        return self._context.backend([OptionSpec.parse(option) for option in options])

    def iterations(self, total: int) -> Iterator[int]:
        """Count from 0 to ``total - 1`` and show it as the job's progress."""
        for step in range(total):
            yield step
            self.progress(step + 1, total)

    def progress(
        self, done: float, total: float | None = None, message: str = "", **metrics: float
    ) -> None:
        """Show how far the loop is; metrics named alike form one curve over the iterations.

        Cheap enough for every iteration: what is shown is refreshed at most every two seconds.
        """
        self._context.report(done, total, message, metrics)

    def checkpoint(self, state: Any) -> None:
        """Keep what the loop needs to go on from here, should it be interrupted.

        It is not needed: an interrupted `run` starts again and is answered what was executed
        before, call by call. With `restore` it skips those calls, and its own computing between
        them.

        Args:
            state: What `qcpaas.values.encode` can store. Only the newest is kept, with the state
                of `rng` and of Python's and NumPy's global generators.
        """
        self._context.checkpoint(state)

    def restore(self) -> Any:
        """The newest `checkpoint` of this job, once at the beginning of `run`.

        ```python
        state = self.restore() or {"step": 0, "angles": start}
        ```

        Returns:
            The state, or ``None`` where there is none. The calls before it are not made again.
        """
        return self._context.restore()
