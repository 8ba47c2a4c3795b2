"""Mitiq without the frameworks that it would import with itself: they take 20 to 60 s."""

from __future__ import annotations

import sys
import threading
from importlib import import_module

# Frontends of Mitiq's that this house does not use; where one is missing, it does without.
_FRAMEWORKS = ("braket", "pennylane", "pyquil", "qibo")
_PARTS = ("interface", "zne", "lre", "ddd", "pec", "experimental.pea")
_LOADING = threading.Lock()


def load_mitiq() -> None:
    """Import Mitiq once; frameworks that are not loaded yet can be imported after it."""
    with _LOADING:
        if "mitiq" in sys.modules:
            return
        hidden = [name for name in _FRAMEWORKS if name not in sys.modules]
        sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
        try:
            for part in _PARTS:
                import_module(f"mitiq.{part}")
        finally:
            for name in hidden:
                del sys.modules[name]
