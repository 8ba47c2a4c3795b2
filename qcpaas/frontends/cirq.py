"""Cirq: circuits as its JSON, results as ``cirq.ResultDict``."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from qcpaas.errors import CircuitError
from qcpaas.frontends.frameworks import framework
from qcpaas.schemas import CircuitPayload

if TYPE_CHECKING:
    from qcpaas.frontends.outcomes import Outcomes

_SYMBOL = re.compile(r'"cirq_type":\s*"sympy\.Symbol",\s*"name":\s*"((?:[^"\\]|\\.)*)"')


def write(circuit: Any) -> CircuitPayload:
    """Symbols, keys and qubits as they are; raises `CircuitError` for gates without JSON."""
    try:
        text = sys.modules["cirq"].to_json(circuit, indent=None)
    except (TypeError, ValueError, AttributeError) as error:
        raise CircuitError(
            f"Cirq cannot write this circuit as JSON: {error!s:.200} Decompose its own gates "
            "before (cirq.decompose)."
        ) from None
    return CircuitPayload(format="cirq", text=text, name="circuit")


def result(payload: CircuitPayload, outcomes: Outcomes, values: tuple[float, ...]) -> Any:
    """What ``Simulator.run`` returns: shots by measurement key, bits in the key's own order."""
    cirq = framework("cirq", "cirq-core")
    names = ordered(set(_SYMBOL.findall(payload.text)))
    parameters = dict(zip(names, values, strict=False))
    return cirq.ResultDict(
        params=cirq.ParamResolver(parameters), measurements=outcomes.by_register()
    )


def ordered(names: set[str]) -> list[str]:
    """Names of parameters in the order of ``circuit.parameters``."""

    def key(name: str) -> tuple[str, int]:
        element = re.fullmatch(r"(.+)\[(\d+)\]", name)
        return (element[1], int(element[2])) if element else (name, -1)

    return sorted(names, key=key)
