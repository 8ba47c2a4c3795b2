"""What every reader of a text asks of it first."""

from __future__ import annotations

import json
from typing import Any

from qcpaas.errors import CircuitError

MAX_TEXT = 32 * 2**20
MAX_QUBITS = 10_000
MAX_BITS = 100_000


def check_text(text: str, language: str) -> str:
    """The text, unless it is empty or larger than any circuit that a device could run."""
    if not text.strip():
        raise CircuitError(f"the {language} text is empty")
    if len(text) > MAX_TEXT:
        raise CircuitError(
            f"the {language} text has {len(text):,} characters; {MAX_TEXT:,} are read. Write "
            "repeated parts as loops in a workload, or send several circuits."
        )
    return text


def check_size(count: int, most: int, what: str, language: str) -> int:
    if not 0 <= count <= most:
        raise CircuitError(f"the {language} circuit has {count:,} {what}; up to {most:,} are read")
    return count


def read_json(text: str, language: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        CircuitError: It is not one; says at which line and column.
    """
    try:
        found = json.loads(check_text(text, language))
    except json.JSONDecodeError as error:
        raise CircuitError(
            f"broken {language}, line {error.lineno}, column {error.colno}: {error.msg}."
        ) from None
    except RecursionError:
        raise CircuitError(f"the {language} text is nested too deeply") from None
    except ValueError as error:  # such as an integer of thousands of digits
        raise CircuitError(f"broken {language}: {error}.") from None
    if not isinstance(found, dict):
        raise CircuitError(f"the {language} text holds a {type(found).__name__}, not a circuit")
    return found
