"""A device under a stack of options, placed and run as the platform does it, without a store."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from adapters.backend import DeviceBackend
from adapters.contract import DeviceAdapter, Unsupported
from adapters.registry import open_device
from adapters.target import topology_target
from benchmarks.mitigation_circuits import Problem
from calibration.binding import Binder, Bound, bind_experiment
from calibration.portfolio import compile_portfolio
from pipeline.stack import build_logical_stack, build_stack, compiled_specs, find_options
from qcpaas.circuits import circuit_key
from qcpaas.execution import ExecutionBackend, ExpectationValues, Experiment, Outcome, Plan
from qcpaas.schemas import OptionSpec

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a stack answered of one problem; arrays have shape ``(observables,)``.

    Attributes:
        shots: Of everything that was executed for it.
    """

    values: Array
    std_errors: Array
    shots: int
    circuits: int
    seconds: float
    warnings: tuple[str, ...] = ()


@dataclass(eq=False)
class Scene:
    """One device, and what was compiled for it."""

    adapter: DeviceAdapter
    _bound: dict[str, Bound] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.capabilities = self.adapter.capabilities()
        self._binder = Binder(self.capabilities.basis_gates)

    @classmethod
    def open(cls, name: str) -> Scene:
        return cls(open_device(name))

    def answer(
        self, options: Sequence[str], problem: Problem, shots: int | None, seed: int
    ) -> Answer:
        """Run one problem under a stack.

        Raises:
            QCPaaSError: An option refuses the problem.
        """
        specs = tuple(map(OptionSpec.parse, options))
        compiler = Compiling(self, compiled_specs(specs), seed)
        stack = build_logical_stack(specs, compiler, "expectation")
        asked = Experiment(problem.circuit, problem.point[None, :], problem.observables, shots)
        began = time.perf_counter()
        (outcome,) = stack.run([asked])
        seconds = time.perf_counter() - began
        assert isinstance(outcome, ExpectationValues)
        return Answer(
            values=outcome.values[0],
            std_errors=np.sqrt(outcome.variances[0]),
            shots=compiler.shots,
            circuits=compiler.circuits,
            seconds=seconds,
            warnings=tuple(note.warning for note in outcome.diagnostics if note.warning),
        )

    def place(self, experiment: Experiment) -> Experiment:
        """On the device's qubits, by its calibration; as it is where the device compiles itself."""
        if not self.capabilities.compiles:
            return experiment
        key = circuit_key(experiment.circuit)
        if key not in self._bound:
            snapshot = self.adapter.calibration()
            assert not isinstance(snapshot, Unsupported)
            portfolio = compile_portfolio(experiment.circuit, topology_target(snapshot))
            self._bound[key] = self._binder.bind(portfolio, snapshot)
        return bind_experiment(experiment, self._bound[key])


class Compiling(ExecutionBackend):
    """Places circuits, and runs them under the options that see them placed.

    Attributes:
        shots: Executed so far, and ``circuits``.
    """

    def __init__(self, scene: Scene, options: Sequence[OptionSpec], seed: int) -> None:
        self._scene, self._options, self._seed = scene, options, seed
        self.shots = self.circuits = self._submissions = 0

    def plan(self, experiments: Sequence[Experiment]) -> Plan:
        return Plan(tuple(experiments))

    def combine(self, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        return tuple(outcomes)

    def execute(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        return tuple(map(self._run, experiments))

    def _run(self, experiment: Experiment) -> Outcome:
        elsewhere = bool(experiment.device)
        scene = Scene.open(experiment.device) if elsewhere else self._scene
        backend = DeviceBackend(scene.adapter, self._next_seed)
        known = find_options()
        options = [
            spec
            for spec in self._options
            if not elsewhere and experiment.level in known[spec.name].levels
        ]
        stack = build_stack(options, backend, experiment.level)
        plan = stack.plan([replace(scene.place(experiment), device="", source=0)])
        self.circuits += sum(each.points for each in plan.experiments)
        self.shots += sum(each.points * (each.shots or 0) for each in plan.experiments)
        (outcome,) = stack.combine(plan, backend.execute(plan.experiments))
        return outcome

    def _next_seed(self) -> int:
        self._submissions += 1
        drawn = np.random.SeedSequence([self._seed, self._submissions])
        return int(drawn.generate_state(1)[0] >> 1)
