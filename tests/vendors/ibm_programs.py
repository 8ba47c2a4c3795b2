"""IBM's sampler and estimator over Aer, without noise, in the vendor's own encoding."""

import json
from datetime import UTC, datetime

import numpy as np


def run(request):
    """The JSON of a result."""
    from qiskit.primitives import PrimitiveResult
    from qiskit_ibm_runtime.utils import RuntimeDecoder, RuntimeEncoder

    pubs = json.loads(json.dumps(request["params"]["pubs"]), cls=RuntimeDecoder)
    if request["program_id"] == "sampler":
        began = datetime.now(UTC)
        results = [_sampled(*pub) for pub in pubs]
        metadata = {"execution": {"execution_spans": _spans(results, began)}, "version": 2}
    else:
        rng = np.random.default_rng(7)
        results = [_estimated(*pub, rng) for pub in pubs]
        metadata = {"resilience": {}, "version": 2}
    return json.loads(json.dumps(PrimitiveResult(results, metadata), cls=RuntimeEncoder))


def warm_up():
    """Import what takes seconds, before a client waits for it."""
    import qiskit_aer  # noqa: F401
    import qiskit_ibm_runtime  # noqa: F401

    import adapters.aer  # noqa: F401


def _sampled(circuit, values, shots):
    from qiskit.primitives import BitArray, DataBin, SamplerPubResult

    from adapters.aer import AerRunner
    from adapters.contract import Submission
    from qcpaas.execution import Experiment

    shape = values.shape[:-1]
    points = values.reshape(int(np.prod(shape)), circuit.num_parameters)
    seed = int(np.random.default_rng().integers(2**31))
    submission = Submission((Experiment(circuit, points, shots=shots),), seed)
    (counts,) = AerRunner("loopback").run(submission).counts
    bits = np.stack([_bits_of_shots(point, circuit.num_clbits) for point in counts.points])
    registers = {}
    for register in circuit.cregs:
        columns = [circuit.find_bit(clbit).index for clbit in register]
        array = BitArray.from_bool_array(bits[..., columns], order="little")
        registers[register.name] = array.reshape(shape)
    told = {"circuit_metadata": circuit.metadata}
    return SamplerPubResult(DataBin(shape=shape, **registers), told)


def _bits_of_shots(point, num_bits):
    """Shape ``(shots, clbits)``, clbit 0 first; shots in any order."""
    outcomes = np.repeat(point.outcomes, point.weights.astype(int), axis=0)
    np.random.default_rng(3).shuffle(outcomes)
    return np.unpackbits(outcomes, axis=1)[:, -num_bits:][:, ::-1].astype(bool)


def _spans(results, began):
    from qiskit_ibm_runtime.execution_span import ExecutionSpans, SliceSpan

    slices = {
        index: ((*result.data.shape, 1), slice(0, max(1, result.data.size)))
        for index, result in enumerate(results)
    }
    return ExecutionSpans([SliceSpan(began, datetime.now(UTC), slices)])


def _estimated(circuit, observables, values, precision, rng):
    """Exact values with normal errors of the asked precision."""
    from qiskit.primitives import DataBin
    from qiskit_ibm_runtime.utils.estimator_pub_result import EstimatorPubResult

    points = values.reshape(-1, circuit.num_parameters) if circuit.num_parameters else [[]]
    exact = np.array([[_exact(circuit, point, each) for each in observables] for point in points])
    shape = np.broadcast_shapes(values.shape[:-1], np.shape(observables))
    evs = (exact + rng.normal(0, precision, exact.shape)).reshape(shape)
    stds = np.full(shape, precision)
    data = DataBin(shape=shape, evs=evs, stds=stds)
    return EstimatorPubResult(data, {"target_precision": precision})


def _exact(circuit, point, observable):
    from qiskit.quantum_info import Pauli, Statevector

    from adapters.prepare import compacted

    bound = circuit.assign_parameters(point) if len(point) else circuit
    compact, used = compacted(bound, tuple(range(circuit.num_qubits)))
    state = Statevector(compact)
    total = 0.0
    for label, coefficient in observable.items():
        letters = label[::-1]  # of qubit 0 first
        idle = {letters[q] for q in range(len(letters)) if q not in used}
        if not idle & {"X", "Y"}:
            there = "".join(letters[q] for q in used)[::-1]
            total += coefficient * state.expectation_value(Pauli(there)).real
    return total
