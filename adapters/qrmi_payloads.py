"""What a QRMI task is given, and what it answers: a Qiskit sampler's input and result as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qcpaas.errors import InputError
from qcpaas.execution import Counts, Experiment
from qcpaas.openqasm import read_openqasm

if TYPE_CHECKING:
    from qiskit.primitives import PrimitiveResult, SamplerPubResult

SAMPLER = "sampler"
DEFAULT_SHOTS = 4096  # of IBM's sampler, whose input a payload is
_KNOWN_OPTIONS = {"default_shots"}


class Primitive(Protocol):
    """What is read of a payload; QRMI's own ``Payload.QiskitPrimitive`` fits."""

    @property
    def input(self) -> str: ...

    @property
    def program_id(self) -> str: ...


class Payload:
    """QRMI's payloads, as far as a device of any vendor can serve them."""

    @dataclass(frozen=True)
    class QiskitPrimitive:
        """A primitive's input as JSON, as ``qiskit_ibm_runtime.RuntimeEncoder`` writes it.

        Attributes:
            input: ``{"pubs": [[circuit, values, shots], ...], "options": {}}``; the circuits are
                compiled for the device, and their qubits are the device's. A circuit may also be
                OpenQASM 3 text.
            program_id: ``sampler``.
        """

        input: str
        program_id: str


def read_sampler_input(payload: Primitive) -> tuple[Experiment, ...]:
    """One experiment a PUB, its parameter points in one row each.

    Raises:
        InputError: It is no sampler's input, or sets options.
    """
    program = getattr(payload, "program_id", None)
    if program != SAMPLER:
        raise InputError(
            f"a task takes the input of Qiskit's sampler; found {program or type(payload).__name__}"
            ". Expectation values are had from the platform's estimator."
        )
    given = _decoded(payload.input)
    options = given.get("options") or {}
    unknown = sorted(options.keys() - _KNOWN_OPTIONS)
    if unknown:
        raise InputError(
            f"the sampler's options {', '.join(unknown)} are those of one vendor's service. Leave "
            "them out; mitigation is had from the platform's own options."
        )
    shots = options.get("default_shots") or DEFAULT_SHOTS
    return tuple(_experiment(pub, shots) for pub in given["pubs"])


def primitive_result(counts: tuple[Counts, ...]) -> PrimitiveResult[SamplerPubResult]:
    """What Qiskit's sampler would answer; the order of a circuit's shots is not known.

    A circuit at one point has results of shape ``()``, one at several of shape ``(points,)``.
    """
    from qiskit.primitives import DataBin, PrimitiveResult, SamplerPubResult

    results = []
    for each in counts:
        bits = _bit_array(each)
        registers = {name: bits.slice_bits(places) for name, places in _registers(each)}
        results.append(SamplerPubResult(DataBin(**registers, shape=bits.shape)))
    return PrimitiveResult(results, metadata={"version": 2})


def _decoded(text: str) -> Mapping[str, Any]:
    from qiskit_ibm_runtime import RuntimeDecoder

    try:
        given = json.loads(text, cls=RuntimeDecoder)
    except ValueError as error:
        raise InputError(f"a task's input is not JSON: {error}.") from error
    if not isinstance(given, dict) or not isinstance(given.get("pubs"), list):
        raise InputError("a task's input has no list of pubs. Give a sampler's input as JSON.")
    return given


def _experiment(pub: Any, default_shots: int) -> Experiment:
    from qiskit.primitives.containers.sampler_pub import SamplerPub

    circuit, *rest = pub if isinstance(pub, list | tuple) else (pub,)
    if isinstance(circuit, str):
        circuit = read_openqasm(circuit, "qasm3")
    try:
        coerced = SamplerPub.coerce((circuit, *rest), default_shots)
    except (TypeError, ValueError) as error:
        raise InputError(f"a task's PUB cannot be read: {error}.") from error
    values: NDArray[np.float64] = coerced.parameter_values.as_array(coerced.circuit.parameters)
    points = values.reshape(math.prod(coerced.shape), coerced.circuit.num_parameters)
    return Experiment(coerced.circuit, points, shots=coerced.shots)


def _bit_array(counts: Counts) -> Any:
    """All clbits of every shot, outcomes in ascending order."""
    from qiskit.primitives import BitArray

    rows = [
        np.repeat(point.outcomes, point.weights.astype(np.intp), axis=0) for point in counts.points
    ]
    shots = np.stack(rows) if len(rows) > 1 else rows[0]
    return BitArray(shots, counts.points[0].num_bits)


def _registers(counts: Counts) -> Iterator[tuple[str, range]]:
    start = 0
    for name, size in counts.registers:
        yield name, range(start, start + size)
        start += size
