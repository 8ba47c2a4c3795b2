"""Qiskit's compiler: for one thread at a time, and without vendors' stages until one is named.

The library of equivalences that every compilation reads cannot be borrowed twice: of threads that
compile at once, some fail with "Already borrowed". And Qiskit loads every installed stage plug-in
at a process's first compilation: with the clients of IQM and IBM that is 18 s of processor time in
place of 0.3 s, and hardly any compilation uses them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from qiskit.transpiler.preset_passmanagers.plugin import PassManagerStagePlugin
from stevedore.extension import ExtensionManager

if TYPE_CHECKING:
    from qiskit.transpiler import PassManager, PassManagerConfig

STAGES = ("init", "layout", "routing", "translation", "optimization", "scheduling")

_COMPILER = threading.RLock()


class LateStage(PassManagerStagePlugin):  # type: ignore[misc]
    """Stands for a vendor's stage until it is used."""

    def __init__(self, entry: EntryPoint) -> None:
        self._entry = entry

    def pass_manager(
        self, pass_manager_config: PassManagerConfig, optimization_level: int | None = None
    ) -> PassManager:
        return self._entry.load()().pass_manager(pass_manager_config, optimization_level)


@dataclass(frozen=True)
class LateEntry:
    """An entry point whose loading costs nothing."""

    entry: EntryPoint

    def __getattr__(self, name: str) -> Any:
        return getattr(self.entry, name)

    def load(self) -> partial[LateStage]:
        return partial(LateStage, self.entry)


@contextmanager
def compiling() -> Iterator[None]:
    """A turn at this process's compiler; a thread that has it may ask again."""
    with _COMPILER:
        defer_vendor_stages()
        yield


def defer_vendor_stages() -> None:
    """Have vendors' stages loaded late in this process; those of Qiskit stay as they are."""
    for stage in STAGES:
        group = f"qiskit.transpiler.{stage}"
        known: dict[str, list[Any]] = ExtensionManager.ENTRY_POINT_CACHE
        if group not in known or not all(_is_cheap(entry) for entry in known[group]):
            known[group] = [
                entry if _is_cheap(entry) else LateEntry(entry)
                for entry in entry_points(group=group)
            ]


def _is_cheap(entry: EntryPoint | LateEntry) -> bool:
    return isinstance(entry, LateEntry) or entry.value.startswith("qiskit.")
