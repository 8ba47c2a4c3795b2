"""The ``qcpaas`` command."""

from __future__ import annotations

import os
import sys

from qcpaas.cli.program import INTERRUPTED, app


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    try:
        app()
    except SystemExit as ending:
        if ending.code != INTERRUPTED:
            raise
        # The interpreter would wait for what the cancelled job was in the middle of.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)


__all__ = ["app", "main"]
