"""Experiments as primitive unified blocs (PUBs): ISA circuits over all of a device's qubits."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import ParameterExpression
from qiskit.quantum_info import SparsePauliOp

from adapters.compiler_stages import compiling
from qcpaas.errors import SubmissionRefused
from qcpaas.execution import Experiment

REGISTERS = "qcpaas_registers"  # in a circuit's metadata, which comes back with its result
# What a result's data has besides registers.
_TAKEN = frozenset({"keys", "values", "items", "shape", "ndim", "size", "evs", "stds"})

Pub = tuple[Any, ...]


def sampler_pub(experiment: Experiment, num_qubits: int) -> Pub:
    """Circuit, parameter values and shots; parameters stay symbolic.

    Args:
        num_qubits: Of the device.

    Raises:
        SubmissionRefused: Exact probabilities are asked.
    """
    shots = _shots(experiment)
    return (widened(experiment, num_qubits), _points(experiment, ()), shots)


def estimator_pub(experiment: Experiment, num_qubits: int) -> Pub:
    """Circuit, every observable at every point, and the precision of so many shots.

    Raises:
        SubmissionRefused: Exact values are asked, or of an operator that is not an observable.
    """
    assert experiment.observables is not None
    physical = _physical(experiment)
    observables = [
        _laid_out(observable, physical, num_qubits) for observable in experiment.observables
    ]
    precision = 1 / np.sqrt(_shots(experiment))
    circuit = widened(experiment, num_qubits)
    # Columns of points meet rows of observables: every pair, as NumPy broadcasts.
    return (circuit, observables, _points(experiment, (1,)), float(precision))


def folded(pub: Pub, primitive: Any) -> Any:
    """The same PUB with every angle of ``rzz`` between 0 and π/2, as fractional gates need it.

    Angles of 0 to π/2 stay as they are. Circuits with control flow do too: the client refuses
    those that have others.

    Args:
        primitive: That it is for.
    """
    circuit = pub[0]
    if "rzz" not in circuit.count_ops() or circuit.has_control_flow_op():
        return pub
    from qiskit.transpiler import PassManager
    from qiskit_ibm_runtime.transpiler.passes.basis.fold_rzz_angle import (
        FoldRzzAngle,
        convert_to_rzz_valid_pub,
    )

    with compiling():
        turned = PassManager([FoldRzzAngle()]).run(circuit)
    if not any(turned_by.parameters for turned_by in _angles(turned)):
        return (turned, *pub[1:])
    return convert_to_rzz_valid_pub(primitive, (turned, *pub[1:]))


def _angles(circuit: QuantumCircuit) -> list[ParameterExpression]:
    """The symbolic angles of ``rzz``."""
    turns = (item.operation.params[0] for item in circuit.data if item.operation.name == "rzz")
    return [angle for angle in turns if isinstance(angle, ParameterExpression)]


def widened(experiment: Experiment, num_qubits: int) -> QuantumCircuit:
    """The circuit on the device's own qubits, under registers that IBM takes.

    Clbits keep their order. The registers' own names and sizes travel in the metadata, in place
    of the user's.
    """
    circuit = experiment.circuit
    names = registers(circuit)
    sent = [
        ClassicalRegister(size, _sendable(name, index))
        for index, (name, size) in enumerate(names)
        if size
    ]
    wide = QuantumCircuit(QuantumRegister(num_qubits, "q"), *sent, name=circuit.name)
    wide.compose(circuit, _physical(experiment), range(circuit.num_clbits), inplace=True)
    wide.metadata = {REGISTERS: [[name, size] for name, size in names]}
    return wide


def registers(circuit: QuantumCircuit) -> tuple[tuple[str, int], ...]:
    """Name and size, lowest clbits first; one named ``c`` where they are not clbit after clbit."""
    inside = [bit for register in circuit.cregs for bit in register]
    if inside == list(circuit.clbits):
        return tuple((register.name, register.size) for register in circuit.cregs)
    return (("c", circuit.num_clbits),)


def _sendable(name: str, index: int) -> str:
    usable = name.isidentifier() and not keyword.iskeyword(name) and name not in _TAKEN
    return name if usable and not name.startswith("_") else f"register_{index}"


def _physical(experiment: Experiment) -> tuple[int, ...]:
    if experiment.binding is None:
        return tuple(range(experiment.circuit.num_qubits))
    return tuple(experiment.binding.physical_qubits)


def _points(experiment: Experiment, trailing: tuple[int, ...]) -> Any:
    """Values by parameter; nothing where there is nothing to bind."""
    parameters = list(experiment.circuit.parameters)
    if not parameters and experiment.points == 1:
        return None
    from qiskit.primitives.containers.bindings_array import BindingsArray

    shape = (experiment.points, *trailing)
    if not parameters:
        return BindingsArray(shape=shape)
    values = np.asarray(experiment.parameter_values, dtype=np.float64)
    names = tuple(parameter.name for parameter in parameters)
    return BindingsArray({names: values.reshape(*shape, len(names))}, shape=shape)


def _shots(experiment: Experiment) -> int:
    if experiment.shots is None:
        raise SubmissionRefused(
            f"exact values of circuit {experiment.circuit.name} were asked of a device that "
            "samples. Give shots."
        )
    return experiment.shots


def _laid_out(
    observable: SparsePauliOp, physical_qubits: Sequence[int], num_qubits: int
) -> SparsePauliOp:
    simple = observable.simplify()
    if np.abs(simple.coeffs.imag).max() > 1e-12:
        raise SubmissionRefused("an observable has complex coefficients: it is not Hermitian.")
    real = SparsePauliOp(simple.paulis, simple.coeffs.real)
    return real.apply_layout(list(physical_qubits), num_qubits)
