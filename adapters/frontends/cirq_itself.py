"""What Cirq itself is asked for: to decompose rare operations, and to unroll circuit operations."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import prod
from typing import Any

from adapters.frontends.bodies import MAX_MATRIX_QUBITS
from qcpaas.errors import CircuitError

Object = Mapping[str, Any]

MAX_REPETITIONS = 10_000
MAX_DEPTH = 20
_NOISE = re.compile(r"Channel$|Damp|Flip|Depolariz|Kraus|MixedUnitary|RandomGate")


def decomposed(operation: Object, depth: int) -> list[Object]:
    """The operation in Cirq's own simpler ones."""
    kind = operation.get("gate", operation)["cirq_type"]
    if _NOISE.search(kind):
        raise CircuitError(
            f"{kind} is a noise channel. Leave it out: a twin has its device's noise, or give a "
            "noise_model to a simulator."
        )
    refused = CircuitError(
        f"the operation {kind} has no equal in gates. Decompose it before (cirq.decompose)."
    )
    text = json.dumps(operation)
    if depth > MAX_DEPTH or "CircuitOperation" in text:  # those are unrolled before, and counted
        raise refused
    try:
        import cirq

        found = cirq.read_json(json_text=text)
        parts = cirq.decompose_once(found, default=None)
        small = parts is None and len(found.qubits) <= MAX_MATRIX_QUBITS
        if small and not cirq.is_parameterized(found) and cirq.has_unitary(found):
            parts = [cirq.MatrixGate(cirq.unitary(found)).on(*found.qubits)]
        read: list[Object] = json.loads(cirq.to_json(parts)) if parts else []
    except ModuleNotFoundError:
        raise CircuitError(f"{kind} is decomposed by Cirq, which is not installed here.") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise CircuitError(f"{kind} cannot be read by Cirq: {error!s:.200}") from None
    if not read and parts != []:
        raise refused
    return read


def flattened(content: Object, text: str) -> str:
    """The text with every circuit operation unrolled, by Cirq."""
    found = [int(times[:9]) for times in re.findall(r'"repetitions":\s*(-?\d+)', text)]
    rounds = prod(max(times, 1) for times in found)
    if rounds > MAX_REPETITIONS or any(times < 0 for times in found):
        raise CircuitError(
            f"circuit operations are repeated {rounds:,} times together, or backwards; up to "
            f"{MAX_REPETITIONS:,} rounds are unrolled. Write the loop in a workload."
        )
    try:
        import cirq

        circuit = cirq.read_json(json_text=text)
        flat = cirq.unroll_circuit_op(circuit, deep=True, tags_to_check=None)
        return str(cirq.to_json(flat))
    except ModuleNotFoundError:
        raise CircuitError("circuit operations are unrolled by Cirq, not installed here.") from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise CircuitError(f"a circuit operation cannot be unrolled: {error!s:.200}") from None
