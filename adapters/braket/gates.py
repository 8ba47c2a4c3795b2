"""Gates by Qiskit's names and by Braket's.

Rigetti's ``rx`` takes multiples of pi/2 only, which are Qiskit's ``sx``, ``x`` and ``sxdg`` up to a
phase that no outcome depends on: these stand for it, so that nothing is compiled to other angles.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

# Qiskit's name: Braket's, of gates that are the same up to a global phase.
BRAKET = {
    "ccx": "ccnot",
    "cp": "cphaseshift",
    "cswap": "cswap",
    "cx": "cnot",
    "cy": "cy",
    "cz": "cz",
    "ecr": "ecr",
    "h": "h",
    "id": "i",
    "iswap": "iswap",
    "p": "phaseshift",
    "r": "prx",
    "rx": "rx",
    "rxx": "xx",
    "ry": "ry",
    "ryy": "yy",
    "rz": "rz",
    "rzz": "zz",
    "s": "s",
    "sdg": "si",
    "swap": "swap",
    "sx": "v",
    "sxdg": "vi",
    "t": "t",
    "tdg": "ti",
    "u1": "phaseshift",
    "x": "x",
    "y": "y",
    "z": "z",
}
QUARTER_TURNS = {"sx": math.pi / 2, "sxdg": -math.pi / 2, "x": math.pi}
SYMMETRIC = frozenset({"cz", "cp", "iswap", "swap", "rxx", "ryy", "rzz"})
VIRTUAL = frozenset({"rz", "p", "id"})
# What circuits are written in for a device that compiles them itself.
PORTABLE = ("rx", "ry", "rz", "cx")
_WIDTH = {"ccx": 3, "cswap": 3} | dict.fromkeys(
    ("cp", "cx", "cy", "cz", "ecr", "iswap", "rxx", "ryy", "rzz", "swap"), 2
)
_QISKIT = {theirs: ours for ours, theirs in reversed(BRAKET.items()) if ours != "u1"}


def width(name: str) -> int:
    """Qubits of a gate by its Qiskit name."""
    return _WIDTH.get(name, 1)


def native_names(gates: Iterable[str], *, quarter_turns: bool) -> tuple[str, ...] | None:
    """Qiskit's names of a device's native gates; ``None`` where one has none, or they don't do.

    Args:
        gates: As ``paradigm.native_gate_set`` names them; some devices capitalise, or say ``cnot``
            where others say ``cx``.
        quarter_turns: Whether its ``rx`` takes multiples of pi/2 only.
    """
    found: set[str] = set()
    for gate in map(str.lower, gates):
        name = gate if gate in BRAKET else _QISKIT.get(gate)
        if name is None:
            return None
        found |= set(QUARTER_TURNS) if name == "rx" and quarter_turns else {name}
    widths = {width(name) for name in found}
    return tuple(sorted(found)) if {1, 2} <= widths else None


def written(name: str, *, quarter_turns: bool) -> tuple[str, tuple[float, ...]] | None:
    """Braket's name of a Qiskit gate and the angles that it takes besides the gate's own."""
    if quarter_turns and name in QUARTER_TURNS:
        return "rx", (QUARTER_TURNS[name],)
    theirs = BRAKET.get(name)
    return None if theirs is None else (theirs, ())
