"""A framework's package, for results in its own classes."""

from __future__ import annotations

import importlib
from typing import Any

from qcpaas.errors import InputError


def framework(module: str, distribution: str) -> Any:
    """The package; raises `InputError` where it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise InputError(
            f"a result in its own terms needs {distribution}, which is not installed here. Install "
            "it, or read job.result()."
        ) from None
