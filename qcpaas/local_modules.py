"""Which imports of a workload are the user's own source, and which come with an installation."""

from __future__ import annotations

import ast
import pkgutil
import re
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.metadata import packages_distributions as all_packages_distributions
from pathlib import Path

from qcpaas.errors import PackingError
from qcpaas.schemas import Requirement

# What stands beside the SDK in a checkout of the platform; every worker has it.
_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}
_PLATFORM = {"adapters", "blocks", "calibration", "deployments", "flows", "gateway"}
_PLATFORM |= {"pipeline", "qcpaas", "store", "tasks"}


@dataclass
class LocalModules:
    """The user's modules that a piece of source imports, transitively.

    Attributes:
        search_path: Folders where top-level modules are looked for, first match wins.
        sources: Module name to source text.
        packages: Names in ``sources`` that are packages.
        requirements: Installed distributions, by name.
        imported: All names that the modules import, whether found or not.
    """

    search_path: list[str]
    sources: dict[str, str] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    requirements: dict[str, Requirement] = field(default_factory=dict)
    imported: set[str] = field(default_factory=set)

    def add(self, name: str, source: str, *, is_package: bool = False) -> None:
        """Take in a module and everything local that it imports.

        Raises:
            PackingError: A module has a syntax error, or is local but has no source.
        """
        self.sources[name] = source
        if is_package:
            self.packages.add(name)
        try:
            tree = ast.parse(source)
        except SyntaxError as error:
            raise PackingError(f"module {name}, line {error.lineno}: {error.msg}.") from error
        package = name if is_package else name.rpartition(".")[0]
        for imported in imported_names(tree, package):
            self.imported.add(imported)
            self.follow(imported)

    def follow(self, name: str) -> None:
        """Take in a module by name, with the packages that it lies in."""
        base, star, _ = name.partition(".*")
        parts = base.split(".")
        for depth in range(1, len(parts) + 1):
            if not self._take(".".join(parts[:depth])):
                return
        if star and base in self.packages:
            spec = self._spec(base)
            locations = list((spec and spec.submodule_search_locations) or [])
            for module in pkgutil.iter_modules(locations):
                self.follow(f"{base}.{module.name}")

    def _take(self, name: str) -> bool:
        """Whether the module is local, so that what lies in it may be local too."""
        if name in self.sources:
            return True
        spec = self._spec(name)
        if spec is None:  # an optional import that is absent here too
            return False
        place = _place(spec)
        if _is_platform(name, place):
            self._require(name, "qcpaas")
            return False
        if place is None or self._is_standard(place):
            return False
        if self._is_installed(place):
            self._require(name, None)
            return False
        self.add(name, _read(name, spec), is_package=spec.submodule_search_locations is not None)
        return True

    def _spec(self, name: str) -> ModuleSpec | None:
        """Find a module without executing its packages."""
        parent, _, _ = name.rpartition(".")
        if not parent:
            if name in sys.builtin_module_names:
                return None
            return PathFinder.find_spec(name, self.search_path)
        above = self._spec(parent)
        locations = above.submodule_search_locations if above else None
        return PathFinder.find_spec(name, list(locations)) if locations else None

    def _require(self, name: str, owner: str | None) -> None:
        found = [distribution(owner)] if owner else list(self._owners(name))
        for dist in found:
            self.requirements[dist.name] = Requirement(name=dist.name, version=dist.version)

    def _owners(self, name: str) -> Iterator[Distribution]:
        top = name.partition(".")[0]
        try:  # the usual case, without reading every installed distribution's file list
            likely = distribution(top)
            if any(str(file).startswith((f"{top}/", f"{top}.")) for file in likely.files or []):
                yield likely
                return
        except PackageNotFoundError:
            pass
        owners = [distribution(owner) for owner in dict.fromkeys(self._by_package.get(top, []))]
        if len(owners) > 1:  # a namespace package: the one that holds this very module
            prefix = name.replace(".", "/")
            owners = [d for d in owners if any(str(f).startswith(prefix) for f in d.files or [])]
        yield from owners

    @cached_property
    def _by_package(self) -> Mapping[str, list[str]]:
        return all_packages_distributions()

    @cached_property
    def _installed_folders(self) -> list[Path]:
        paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        paths |= {*site.getsitepackages(), site.getusersitepackages()}
        # A path file of this environment may lead to the packages of another one.
        paths |= {entry for entry in sys.path if Path(entry).name in _PACKAGE_FOLDERS}
        return [Path(path).resolve() for path in paths]

    def _is_installed(self, place: Path) -> bool:
        return any(place.is_relative_to(folder) for folder in self._installed_folders)

    def _is_standard(self, place: Path) -> bool:
        folders = {Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib")}
        return not self._is_installed(place) and any(place.is_relative_to(f) for f in folders)


def imported_names(tree: ast.AST, package: str) -> Iterator[str]:
    """Absolute names that a module may import, wherever the statement stands.

    ``from a import b`` gives ``a`` and ``a.b``, ``from a import *`` gives ``a.*``.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node.module or "", node.level, package)
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and (literal := import_call(node)) is not None:
            yield _absolute(literal.lstrip("."), _dots(literal), package)


def import_call(node: ast.Call) -> str | None:
    """The literal name in ``importlib.import_module("name")`` or ``__import__("name")``."""
    name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
    if name not in {"import_module", "__import__"} or not node.args:
        return None
    first = node.args[0]
    is_name = isinstance(first, ast.Constant) and isinstance(first.value, str)
    if not is_name or not re.fullmatch(r"[\w.]*\w", str(getattr(first, "value", ""))):
        return None
    return str(getattr(first, "value", ""))


def _dots(name: str) -> int:
    return len(name) - len(name.lstrip("."))


def _absolute(module: str, level: int, package: str) -> str:
    if level == 0:
        return module
    parts = package.split(".") if package else []
    base = parts[: len(parts) - level + 1]
    return ".".join([*base, *([module] if module else [])])


def _place(spec: ModuleSpec) -> Path | None:
    if spec.has_location and spec.origin:
        return Path(spec.origin).resolve()
    locations = list(spec.submodule_search_locations or [])
    return Path(locations[0]).resolve() if locations else None


def _is_platform(name: str, place: Path | None) -> bool:
    """Whether a module is the SDK, or a part of the platform beside it."""
    top = name.partition(".")[0]
    root = Path(__file__).resolve().parent.parent
    return top in _PLATFORM and place is not None and place.is_relative_to(root / top)


def _read(name: str, spec: ModuleSpec) -> str:
    if spec.origin is None:  # a namespace package has no text
        return ""
    if spec.origin.endswith(tuple(EXTENSION_SUFFIXES)):
        raise PackingError(
            f"module {name} is compiled ({spec.origin}) and cannot travel as source. "
            "Install it on the worker as a package."
        )
    try:
        get_source = getattr(spec.loader, "get_source", None)
        source: str | None = get_source(name) if get_source else None
    except (OSError, ImportError, SyntaxError) as error:
        raise PackingError(f"module {name} ({spec.origin}) cannot be read: {error}.") from error
    if source is None:
        raise PackingError(f"module {name} ({spec.origin}) has no source text.")
    return source
