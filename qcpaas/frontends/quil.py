"""pyQuil: programs as Quil, results as arrays by memory region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qcpaas.errors import CircuitError
from qcpaas.schemas import CircuitPayload

if TYPE_CHECKING:
    from qcpaas.frontends.outcomes import Outcomes


def write(program: Any) -> CircuitPayload:
    """Memory and its names as they are; the shots are the job's, not the program's loop."""
    try:
        text = program.out()
    except (TypeError, ValueError, RuntimeError) as error:
        raise CircuitError(
            f"pyQuil cannot write this program: {error!s:.200} Give its qubits numbers before "
            "(pyquil.quil.address_qubits)."
        ) from None
    return CircuitPayload(format="quil", text=text, name="program")


def result(payload: CircuitPayload, outcomes: Outcomes, values: tuple[float, ...]) -> Any:
    """As ``QAMExecutionResult.get_register_map``: region to an array ``(shots, length)``."""
    return {name: rows.astype("int64") for name, rows in outcomes.by_register().items()}
