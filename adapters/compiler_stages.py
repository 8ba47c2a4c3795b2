"""Vendors' stages of Qiskit's compiler, imported when one is named and not before.

Qiskit loads every installed stage plug-in at a process's first compilation: with the clients of IQM
and IBM that is 18 s of processor time in place of 0.3 s, and hardly any compilation uses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from qiskit.transpiler.preset_passmanagers.plugin import PassManagerStagePlugin
from stevedore.extension import ExtensionManager

if TYPE_CHECKING:
    from qiskit.transpiler import PassManager, PassManagerConfig

STAGES = ("init", "layout", "routing", "translation", "optimization", "scheduling")


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


def defer_vendor_stages() -> None:
    """Have vendors' stages loaded late in this process; those of Qiskit stay as they are."""
    for stage in STAGES:
        group = f"qiskit.transpiler.{stage}"
        known: dict[str, list[Any]] = ExtensionManager.ENTRY_POINT_CACHE
        if not any(isinstance(entry, LateEntry) for entry in known.get(group, ())):
            known[group] = [
                entry if entry.value.startswith("qiskit.") else LateEntry(entry)
                for entry in entry_points(group=group)
            ]
