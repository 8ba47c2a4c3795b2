"""The processes of flow runs on this machine, found by what Prefect writes into their environment.

Reads ``/proc``; elsewhere nothing is known of them.
"""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")
VARIABLE = "PREFECT__FLOW_RUN_ID"
_SETS = f"{VARIABLE}=".encode()


def run_processes() -> dict[str, list[int]] | None:
    """Living processes by the flow run that they were started for; ``None`` if nobody can tell."""
    if not (_PROC / "self/environ").exists():
        return None
    found: dict[str, list[int]] = {}
    for entry in _PROC.glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended, or is another user's
        for variable in variables:
            if variable.startswith(_SETS):
                run_id = variable.removeprefix(_SETS).decode()
                found.setdefault(run_id, []).append(int(entry.name))
    return found


def is_stopped(pid: int) -> bool:
    """Whether somebody has halted a process (``SIGSTOP``): it lives, and does nothing."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in {"T", "t"}
    except (OSError, IndexError):
        return False
