"""QIR: programs as LLVM text or base64 of bitcode, results as recorded output."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from qcpaas.errors import CircuitError
from qcpaas.schemas import CircuitPayload

if TYPE_CHECKING:
    from qcpaas.frontends.outcomes import Outcomes

RESULTS = "results"  # the register of numbered results
OUTPUTS = "outputs"  # the register of a program that has no gate list, in recorded order
_MAGIC = (b"BC\xc0\xde", b"\xde\xc0\x17\x0b")


def write_bitcode(data: bytes, name: str = "program") -> CircuitPayload:
    """Raises `CircuitError` where the bytes do not begin as bitcode does."""
    if not data.startswith(_MAGIC):
        raise CircuitError(
            f"{name} is not LLVM bitcode: it starts with {data[:8]!r}. Give what a QIR compiler "
            "wrote, or a text as a .ll file."
        )
    text = base64.b64encode(data).decode("ascii")
    return CircuitPayload(format="qir", text=text, name=name)


def write_text(text: str, name: str = "program") -> CircuitPayload:
    return CircuitPayload(format="qir", text=text, name=name)


def write_simple(module: Any) -> CircuitPayload:
    return write_text(module.ir())


def looks_like(text: str) -> bool:
    """Whether a text is QIR rather than a path."""
    return "\n" in text and re.search(r"^\s*define\s", text, re.MULTILINE) is not None


def result(payload: CircuitPayload, outcomes: Outcomes, values: tuple[float, ...]) -> str:
    """Output in the QIR output schema: for each shot START, its OUTPUT records, END.

    A program that records no output gives its results in their order.
    """
    rows = outcomes.rows()
    records = _records(payload, outcomes)
    lines: list[str] = []
    for row in rows:
        lines.append("START")
        for kind, label, place in records:
            value = label_value(kind, place, row)
            lines.append("\t".join(part for part in ("OUTPUT", kind, value, label) if part))
        lines.append("END\t0")
    return "\n".join(lines) + "\n"


def label_value(kind: str, place: int, row: Any) -> str:
    if kind in {"ARRAY", "TUPLE"}:
        return str(place)
    bit = int(row[place])
    return ("false", "true")[bit] if kind == "BOOL" else str(bit)


def _records(payload: CircuitPayload, outcomes: Outcomes) -> list[tuple[str, str, int]]:
    """Kind, label, and the clbit (of a container the length) of each recorded output."""
    from qcpaas.frontends.reading import read_payload

    circuit = read_payload(payload)
    recorded = circuit.metadata.get("outputs") if circuit.metadata else None
    if recorded:
        return [(str(kind), str(label), int(place)) for kind, label, place in recorded]
    width = sum(size for _, size in outcomes.registers)
    return [("RESULT", "", place) for place in range(width)]
