"""The ``qcpaas`` command."""

from __future__ import annotations

from qcpaas.cli.program import app


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    app()


__all__ = ["app", "main"]
