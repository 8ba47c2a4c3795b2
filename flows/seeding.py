"""The generators that everybody draws from, seeded by the job, so that its code repeats itself."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

# Modules whose threads draw from Python's global generator at moments of their own: a ping to the
# server every 20 s would give the user's code other numbers from there on.
_DRAWERS = (
    "prefect.utilities.math",
    "websockets.asyncio.connection",
    "websockets.client",
    "websockets.sync.connection",
)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python's and NumPy's global generators, and qiskit-algorithms'; give them back after.

    A generator that the code makes itself without a seed still differs in each process.
    """
    _give_drawers_their_own()
    before = generator_states()
    own = [int(word) for word in np.random.SeedSequence(seed, spawn_key=(2,)).generate_state(3)]
    random.seed(own[0])
    np.random.seed(own[1])
    globals_of_qiskit = _algorithm_globals()
    seed_before = getattr(globals_of_qiskit, "random_seed", None)
    if globals_of_qiskit is not None and seed_before is None:
        globals_of_qiskit.random_seed = own[2]
    try:
        yield
    finally:
        restore_generators(before)
        if globals_of_qiskit is not None:
            globals_of_qiskit.random_seed = seed_before


def generator_states() -> dict[str, Any]:
    """Where the global generators stand, as JSON."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(words), gauss],
        "numpy": [name, [int(key) for key in keys], int(position), int(has_gauss), float(cached)],
    }


def restore_generators(states: dict[str, Any]) -> None:
    """Put the global generators where `generator_states` found them."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))


def _give_drawers_their_own() -> None:
    for name in _DRAWERS:
        module = import_module(name)
        if getattr(module, "random", None) is random:
            module.random = random.Random()  # type: ignore[attr-defined]  # noqa: S311


def _algorithm_globals() -> Any:
    module = sys.modules.get("qiskit_algorithms.utils")
    return getattr(module, "algorithm_globals", None)
