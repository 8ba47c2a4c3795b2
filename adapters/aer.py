"""Runs compact circuits on Aer, for the digital twins and the ideal simulators.

Everything that does not depend on parameter values or on the seed is done once a circuit and kept:
a loop that submits the same few circuits thousands of times pays for little but the simulation.
A circuit that was submitted must therefore not be changed in place.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.circuit.library import get_standard_gate_name_mapping

from adapters import distributions
from adapters.compiler_stages import compiling
from adapters.contract import DeviceResult, Submission
from adapters.noise import DeviceErrors, GivenNoise, Place, Readout, local_noise_model
from adapters.prepare import Prepared, prepare_ideal, prepare_noisy, prepare_timed, walk
from qcpaas.circuit_key import circuit_key
from qcpaas.errors import ExecutionFailed, SubmissionRefused
from qcpaas.execution import Counts, Distribution, Experiment

if TYPE_CHECKING:
    from qiskit_aer import AerSimulator
    from qiskit_aer.noise import NoiseModel

Method = Literal["statevector", "density_matrix", "automatic"]

MAX_QUBITS: Mapping[Method, int] = {
    "density_matrix": 13,  # 1 GiB
    "statevector": 28,  # 4 GiB
    "automatic": 63,  # Clifford circuits and weakly entangled ones; Aer refuses the rest
}
MAX_EXACT_BITS = 24
_MAX_DRAWN_BITS = 16
# Aer answers a batch of points of these with one result.
_NUMBERS_ONLY = frozenset({"cp", "crx", "cry", "crz", "cu", "cu1", "cu2", "cu3"})
_SMALL = 10  # a density matrix of so few qubits is cheaper than some hundred trajectories

Value = TypeVar("Value")


class _Newest(OrderedDict[Hashable, Value], Generic[Value]):
    """Keeps the entries that were used last."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity

    def find(self, key: Hashable) -> Value | None:
        value = self.get(key)
        if value is not None:
            self.move_to_end(key)
        return value

    def keep(self, key: Hashable, value: Value) -> Value:
        self[key] = value
        while len(self) > self._capacity:
            self.popitem(last=False)
        return value


@dataclass(frozen=True, eq=False)
class _Batch:
    """Circuits that run in one call: same qubits, shots and method.

    ``readouts`` is set where the circuits save probabilities in place of measuring; the readout
    errors are then put in, and the shots drawn, outside Aer: drawing 4,096 shots of a 4-qubit
    circuit takes Aer longer than simulating it.
    """

    prepared: tuple[Prepared, ...]
    circuits: tuple[QuantumCircuit, ...]
    given: GivenNoise | None
    noise_model: NoiseModel | None
    readouts: Mapping[int, Readout] | None


class AerRunner:
    """Simulates one device.

    Args:
        name: For messages.
        errors: The device's noise; ``None`` for an ideal simulator.
        ideal_method: How circuits without noise are simulated.
        rep_delay_s: Between two shots on the real device.
    """

    def __init__(
        self,
        name: str,
        errors: DeviceErrors | None = None,
        ideal_method: Method = "statevector",
        rep_delay_s: float = 0.0,
    ) -> None:
        self._name = name
        self._errors = errors
        self._ideal_method = ideal_method
        self._rep_delay_s = rep_delay_s
        self._simulators: dict[Method, AerSimulator] = {}
        self._seen: _Newest[tuple[QuantumCircuit, int, Prepared]] = _Newest(1024)
        self._by_content: _Newest[Prepared] = _Newest(1024)
        self._batches: _Newest[_Batch] = _Newest(128)
        self._given: _Newest[tuple[Any, GivenNoise]] = _Newest(4)

    def run(self, submission: Submission) -> DeviceResult:
        """Run everything; experiments alike in qubits, shots and method share one call.

        Raises:
            SubmissionRefused: A circuit is too wide, or cannot be run as asked.
            ExecutionFailed: Aer gave up.
        """
        given = self._given_noise(submission)
        experiments = submission.experiments
        prepared = [self._prepared(e, timed_only=given is not None) for e in experiments]
        groups: dict[tuple[Place, int | None, Method, bool], list[int]] = {}
        for index, (experiment, circuit) in enumerate(zip(experiments, prepared, strict=True)):
            noisy = given is not None or self._errors is not None
            method = self._method(circuit, experiment.shots, noisy=noisy)
            drawn = _is_drawn(circuit, method, noisy=noisy)
            key = (circuit.physical_qubits, experiment.shots, method, drawn)
            groups.setdefault(key, []).append(index)
        seeds = np.random.SeedSequence(submission.seed).generate_state(len(groups)) >> 1
        counts: list[Counts | None] = [None] * len(experiments)
        for ((_, shots, method, drawn), members), seed in zip(groups.items(), seeds, strict=True):
            chosen = tuple(prepared[i] for i in members)
            batch = self._batch(chosen, shots is None, drawn, given)
            points = [experiments[i].parameter_values for i in members]
            ran = self._run_batch(batch, points, shots, method, int(seed))
            for index, answer in zip(members, ran, strict=True):
                counts[index] = answer
        return DeviceResult(
            counts=tuple(answer for answer in counts if answer is not None),
            qpu_s=self._qpu_s(experiments, prepared),
        )

    def width(self, experiment: Experiment) -> int:
        """Qubits that are simulated for it."""
        return self._prepared(experiment, timed_only=True).width

    # --- once a circuit ---------------------------------------------------------------------

    def _prepared(self, experiment: Experiment, *, timed_only: bool) -> Prepared:
        circuit, binding = experiment.circuit, experiment.binding
        physical = range(circuit.num_qubits) if binding is None else binding.physical_qubits
        place = tuple(physical)
        key = (id(circuit), place, timed_only)
        seen = self._seen.find(key)
        if seen is not None and seen[1] == len(circuit.data):
            return seen[2]
        content = (circuit_key(circuit), place, timed_only)
        prepared = self._by_content.find(content)
        if prepared is None:
            prepared = self._by_content.keep(content, self._prepare(circuit, place, timed_only))
        # Holding the circuit keeps its id from being given to another one.
        self._seen.keep(key, (circuit, len(circuit.data), prepared))
        return prepared

    def _prepare(self, circuit: QuantumCircuit, place: Place, timed_only: bool) -> Prepared:
        if self._errors is None:
            return prepare_ideal(self._unrolled(circuit), place)
        if timed_only:
            return prepare_timed(self._unrolled(circuit), place, self._errors)
        return prepare_noisy(circuit, place, self._errors)

    def _unrolled(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Composite gates down to what Aer executes; Aer's own gates are left as they are."""
        simulator = self._simulator("automatic")
        known = simulator.target.operation_names
        if circuit.num_parameters:
            known = known - _NUMBERS_ONLY
        if all(name in known for name, _ in walk(circuit)):
            return circuit
        with compiling():
            if known == simulator.target.operation_names:
                return transpile(circuit, simulator, optimization_level=0)
            gates = sorted(known & get_standard_gate_name_mapping().keys())
            return transpile(circuit, basis_gates=gates, optimization_level=0)

    # --- once a batch -----------------------------------------------------------------------

    def _batch(
        self, prepared: tuple[Prepared, ...], exact: bool, drawn: bool, given: GivenNoise | None
    ) -> _Batch:
        key = (*map(id, prepared), exact, drawn, id(given))
        batch = self._batches.find(key)
        return batch or self._batches.keep(key, self._new_batch(prepared, exact, drawn, given))

    def _new_batch(
        self, prepared: tuple[Prepared, ...], exact: bool, drawn: bool, given: GivenNoise | None
    ) -> _Batch:
        noise, readouts = self._noise(prepared, given)
        if exact and readouts is None:
            raise SubmissionRefused(
                "the noise model has readout errors that join several qubits, which exact "
                "probabilities cannot take. Ask for shots."
            )
        saves = exact or (drawn and readouts is not None)
        circuits = tuple(_saving(p) if saves else p.circuit for p in prepared)
        return _Batch(prepared, circuits, given, noise, readouts if saves else None)

    def _noise(
        self, prepared: Sequence[Prepared], given: GivenNoise | None
    ) -> tuple[NoiseModel | None, Mapping[int, Readout] | None]:
        """The noise model, and its readout errors unless they join several qubits."""
        physical = prepared[0].physical_qubits
        if given is not None:
            return given.on(physical), given.readouts(physical)
        if self._errors is None:
            return None, {}
        errors = {key: e for p in prepared for key, e in (p.errors or {}).items()}
        readouts = {q: r for p in prepared for q, r in (p.readouts or {}).items()}
        return local_noise_model(errors, readouts), readouts

    # --- once a call ------------------------------------------------------------------------

    def _run_batch(
        self,
        batch: _Batch,
        points: Sequence[distributions.Array],
        shots: int | None,
        method: Method,
        seed: int,
    ) -> list[Counts]:
        circuits: list[QuantumCircuit] = []
        binds: list[dict[Parameter, list[float]]] = []
        for prepared, circuit, values in zip(batch.prepared, batch.circuits, points, strict=True):
            expanded, bound = _at_points(prepared, circuit, values)
            circuits += expanded
            binds += bound
        options = {} if batch.noise_model is None else {"noise_model": batch.noise_model}
        result = (
            self._simulator(method)
            .run(
                circuits,
                parameter_binds=binds if any(binds) else None,
                shots=shots if shots and batch.readouts is None else 1,
                seed_simulator=seed,
                **options,
            )
            .result()
        )
        if not result.success:
            raise ExecutionFailed(f"{self._name}: Aer could not simulate this: {result.status}")
        answers = iter(result.results)
        rng = np.random.default_rng(seed)
        return [
            Counts(
                points=tuple(
                    _distribution(next(answers).data, p, batch.readouts, shots, rng)
                    for _ in range(len(values))
                ),
                registers=p.registers,
            )
            for p, values in zip(batch.prepared, points, strict=True)
        ]

    def _simulator(self, method: Method) -> AerSimulator:
        if method not in self._simulators:
            from qiskit_aer import AerSimulator

            # One thread: sums in another order would change the last bits, and workers side by
            # side would crowd the cores.
            self._simulators[method] = AerSimulator(
                method=method,
                max_parallel_threads=1,
                runtime_parameter_bind_enable=True,
                # Circuits are compact already, and Aer truncates some jumps away with their marks.
                enable_truncation=False,
            )
        return self._simulators[method]

    def _method(self, prepared: Prepared, shots: int | None, *, noisy: bool) -> Method:
        mixed = noisy or (shots is None and prepared.resets)
        method: Method = self._ideal_method
        if mixed:
            fits = prepared.width <= MAX_QUBITS["density_matrix"]
            pays = prepared.width <= _SMALL or 2**prepared.width <= (shots or 0)
            by_shot = prepared.measured is None or not (fits and pays)
            method = "statevector" if by_shot and shots is not None else "density_matrix"
        elif shots is None:
            method = "statevector"
        self._check(prepared, shots, method)
        return method

    def _check(self, prepared: Prepared, shots: int | None, method: Method) -> None:
        name = prepared.circuit.name
        if prepared.width > MAX_QUBITS[method]:
            raise SubmissionRefused(
                f"circuit {name} uses {prepared.width} qubits; {self._name} simulates at most "
                f"{MAX_QUBITS[method]} this way ({method.replace('_', ' ')}). Use fewer qubits"
                f"{', or ask for shots' if shots is None else ''}."
            )
        if shots is not None:
            return
        if prepared.measured is None:
            raise SubmissionRefused(
                f"circuit {name} measures before its end or has control flow; exact probabilities "
                "need all measurements at the end. Ask for shots."
            )
        if len(prepared.measured) > MAX_EXACT_BITS:
            raise SubmissionRefused(
                f"circuit {name} measures {len(prepared.measured)} bits; exact probabilities go "
                f"to {MAX_EXACT_BITS}. Ask for shots."
            )

    def _given_noise(self, submission: Submission) -> GivenNoise | None:
        serialised = submission.noise_model
        if serialised is None:
            return None
        kept = self._given.find(id(serialised))
        if kept is None:
            kept = self._given.keep(id(serialised), (serialised, GivenNoise(serialised)))
        return kept[1]

    def _qpu_s(self, experiments: Sequence[Experiment], prepared: Sequence[Prepared]) -> float:
        if self._errors is None:
            return 0.0
        return sum(
            e.points * (e.shots or 0) * (p.duration_s + self._rep_delay_s)
            for e, p in zip(experiments, prepared, strict=True)
        )


def _is_drawn(prepared: Prepared, method: Method, *, noisy: bool) -> bool:
    """Whether one simulation gives the probabilities of all shots, few enough to draw from."""
    if prepared.measured is None or len(prepared.measured) > _MAX_DRAWN_BITS:
        return False
    return method == "density_matrix" or not (noisy or prepared.resets)


def _saving(prepared: Prepared) -> QuantumCircuit:
    """Measurements replaced by saving the probabilities of their qubits."""
    from qiskit_aer.library import SaveProbabilities

    circuit = prepared.circuit.copy_empty_like()
    for instruction in prepared.circuit.data:
        if instruction.name != "measure":
            circuit._append(instruction)  # noqa: SLF001 - the public append costs ten times as much
    qubits = [qubit for _, qubit in prepared.measured or ()]
    circuit.append(SaveProbabilities(len(qubits)), qubits)
    return circuit


def _at_points(
    prepared: Prepared, circuit: QuantumCircuit, points: distributions.Array
) -> tuple[list[QuantumCircuit], list[dict[Parameter, list[float]]]]:
    """Circuits and values that together give one result a point."""
    if prepared.table is None and circuit.num_parameters:
        bound = [circuit.assign_parameters(point) for point in points]
        return bound, [{} for _ in bound]
    if prepared.table is None or not prepared.table.placeholders:
        return [circuit] * len(points), [{} for _ in points]
    return [circuit], [prepared.table.binds(points)]


def _distribution(
    data: Any,
    prepared: Prepared,
    readouts: Mapping[int, Readout] | None,
    shots: int | None,
    rng: np.random.Generator,
) -> Distribution:
    num_bits = prepared.circuit.num_clbits
    if readouts is None:
        return distributions.sampled(data.counts, num_bits, shots or 1)
    measured = prepared.measured or ()
    by_position = {j: readouts[q] for j, (_, q) in enumerate(measured) if q in readouts}
    weights = distributions.read_out(data.probabilities, by_position)
    weights /= weights.sum()  # Aer's channels keep the trace to 1e-8
    if shots is not None:
        weights = rng.multinomial(shots, weights).astype(np.float64)
    return distributions.over_clbits(weights, [clbit for clbit, _ in measured], num_bits, shots)
