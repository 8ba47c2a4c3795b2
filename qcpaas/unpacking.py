"""A packed workload back to a class, in a process that has none of the user's files.

Each load has a namespace of its own, so that two workloads with modules of the same name stand
side by side and none of them hides a module of the platform.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib
import linecache
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from qcpaas.errors import PackingError
from qcpaas.local_modules import import_call
from qcpaas.schemas import Bundle
from qcpaas.worker import RuntimeWorkerBase

NAMESPACE = "_qcpaas_workload_"


def load(bundle: Bundle) -> type[RuntimeWorkerBase]:
    """Execute a bundle's modules and return its class; they stay loaded.

    Raises:
        PackingError: The bundle holds no such worker class.
        Exception: Whatever the user's modules raise while they are imported.
    """
    return _Namespace(bundle).open()


@contextmanager
def loaded(bundle: Bundle) -> Iterator[type[RuntimeWorkerBase]]:
    """As `load`, and forget the modules afterwards."""
    namespace = _Namespace(bundle)
    try:
        yield namespace.open()
    finally:
        namespace.close()


def is_user_file(filename: str) -> bool:
    """Whether a traceback's file is a module of a bundle."""
    return filename.startswith(NAMESPACE)


def as_named_by_user(text: str) -> str:
    """A traceback or message with the modules' own names: ``lab/vqe.py``, ``lab.vqe``."""
    return re.sub(rf"{NAMESPACE}\w+[./]", "", text)


def check_worker_class(found: object, name: str) -> type[RuntimeWorkerBase]:
    """Raises `PackingError` unless ``found`` is a worker class with a ``run`` of its own."""
    if not isinstance(found, type) or not issubclass(found, RuntimeWorkerBase):
        raise PackingError(f"{name} is not a subclass of RuntimeWorkerBase.")
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise PackingError(f"{name} does not implement {', '.join(missing)}().")
    return found


class _Namespace(MetaPathFinder, Loader):
    """Finds, loads and links the modules of one bundle below one unique name."""

    def __init__(self, bundle: Bundle) -> None:
        digest = hashlib.sha256(bundle.model_dump_json().encode()).hexdigest()[:8]
        self.root = f"{NAMESPACE}{digest}_{secrets.token_hex(4)}"
        self._bundle = bundle
        self._packages = set(bundle.packages)
        self._builtins = {**vars(builtins), "__import__": self._import}

    def open(self) -> type[RuntimeWorkerBase]:
        root = ModuleType(self.root)
        root.__path__ = []
        sys.modules[self.root] = root
        sys.meta_path.insert(0, self)
        module_name, _, class_name = self._bundle.entry.partition(":")
        try:
            module = importlib.import_module(f"{self.root}.{module_name}")
            return check_worker_class(getattr(module, class_name, None), self._bundle.entry)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name in [n for n in sys.modules if n == self.root or n.startswith(f"{self.root}.")]:
            del sys.modules[name]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        own = fullname.removeprefix(f"{self.root}.")
        if own == fullname or own not in self._bundle.modules:
            return None
        return ModuleSpec(fullname, self, is_package=own in self._packages)

    def exec_module(self, module: ModuleType) -> None:
        own = module.__name__.removeprefix(f"{self.root}.")
        source = self._bundle.modules[own]
        filename = f"{self.root}/{own.replace('.', '/')}"
        filename += "/__init__.py" if own in self._packages else ".py"
        # Without a modification time, linecache keeps what has no file.
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
        tree = _Literals(self.root, self._bundle.modules).visit(ast.parse(source, filename))
        vars(module)["__builtins__"] = self._builtins
        exec(compile(tree, filename, "exec", dont_inherit=True), vars(module))  # noqa: S102

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """``__import__`` of the user's modules: theirs first, then what is installed."""
        top = name.partition(".")[0]
        if level or top not in self._bundle.modules:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = builtins.__import__(f"{self.root}.{name}", globals, locals, fromlist or ("",), 0)
        return module if fromlist else sys.modules[f"{self.root}.{top}"]


class _Literals(ast.NodeTransformer):
    """Points ``importlib.import_module("helpers")`` at the bundle's module."""

    def __init__(self, root: str, modules: Mapping[str, str]) -> None:
        self._root = root
        self._modules = modules

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = import_call(node)
        called = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
        if name is not None and called == "import_module" and name in self._modules:
            node.args[0] = ast.copy_location(ast.Constant(f"{self._root}.{name}"), node.args[0])
        return node
