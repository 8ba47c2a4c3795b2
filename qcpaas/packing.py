"""A workload class to a bundle: its source, the local modules it imports, what it needs installed.

A class of an importable module travels with that module as it stands. A class of a script or a
notebook travels as the slice of it that the class needs, so that nothing is submitted twice.
"""

from __future__ import annotations

import ast
import linecache
import platform
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from qcpaas.errors import PackingError
from qcpaas.local_modules import LocalModules
from qcpaas.needs import read_needs
from qcpaas.schemas import Bundle
from qcpaas.slicing import cut
from qcpaas.unpacking import check_worker_class, loaded
from qcpaas.worker import RuntimeWorkerBase

MAX_BUNDLE_BYTES = 5_000_000
_MAIN = "__main__"


def pack(worker_class: type[RuntimeWorkerBase], *, also: Iterable[str] = ()) -> Bundle:
    """Pack a worker class, wherever it is defined.

    Args:
        also: Names of its script or notebook to take along, such as options of the job that are
            defined there. A name that is not defined there is passed over.

    Raises:
        PackingError: It, or something that it needs, cannot travel as source.
    """
    name = getattr(worker_class, "__qualname__", repr(worker_class))
    check_worker_class(worker_class, name)
    if "." in name:
        raise PackingError(
            f"{name} is defined inside a function or a class. Move it to the top of its module."
        )
    if worker_class.__module__ == _MAIN:
        return _with_needs(_pack_main(name, also), worker_class)
    return _with_needs(_pack_module(worker_class.__module__, name), worker_class)


def pack_file(
    path: str | Path, class_name: str | None = None, *, also: Iterable[str] = ()
) -> tuple[type[RuntimeWorkerBase], Bundle]:
    """Pack a worker class of a Python file; nothing of the file runs but what the class needs.

    Args:
        also: As for `pack`.

    Raises:
        PackingError: There is no such file or class, or several classes and no name.
    """
    path = Path(path)
    source = _read_file(path)
    modules = LocalModules([str(path.resolve().parent), *sys.path])
    stem = path.stem if path.stem.isidentifier() else "workload"
    with _importing(path):
        if class_name is None:
            class_name = _only_worker(path, source, stem)
        elif class_name not in _top_classes(source, path):
            names = ", ".join(_top_classes(source, path)) or "none"
            raise PackingError(f"{path} defines no class {class_name!r}; it defines {names}.")
        part = cut(source, [class_name, *also], None, str(path))
        _add_slice(modules, stem, part, source)
        bundle = _bundle(f"{stem}:{class_name}", modules)
        with loaded(bundle) as worker_class:
            return worker_class, _with_needs(bundle, worker_class)


def _with_needs(bundle: Bundle, worker_class: type[RuntimeWorkerBase]) -> Bundle:
    return bundle.model_copy(update={"needs": read_needs(worker_class.needs)})


@contextmanager
def _importing(path: Path) -> Iterator[None]:
    """Raises `PackingError` where the file imports what is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise PackingError(
            f"{path} imports {error.name}, which is not installed here. Submit it from an "
            "environment that has what its worker has."
        ) from error


def _only_worker(path: Path, source: str, stem: str) -> str:
    candidates = _top_classes(source, path)
    found: list[str] = []
    refusals: list[PackingError] = []
    for name in candidates:
        modules = LocalModules([str(path.resolve().parent), *sys.path])
        try:
            _add_slice(modules, stem, cut(source, [name], None, str(path)), source)
            bundle = _bundle(f"{stem}:{name}", modules)
        except PackingError as refusal:
            refusals.append(refusal)
            continue
        with suppress(PackingError), loaded(bundle):  # another class, or an abstract one
            found.append(name)
    if len(found) == 1:
        return found[0]
    if found:
        choice = ", ".join(f"{path}:{name}" for name in found)
        raise PackingError(f"{path} defines several worker classes. Choose one: {choice}.")
    if refusals:
        raise refusals[0]
    raise PackingError(
        f"{path} defines no subclass of RuntimeWorkerBase that implements run()"
        + (f" (found {', '.join(candidates)})." if candidates else ".")
    )


def _top_classes(source: str, path: Path) -> list[str]:
    try:
        body = ast.parse(source).body
    except SyntaxError as error:
        raise PackingError(f"{path}, line {error.lineno}: {error.msg}.") from error
    return list(dict.fromkeys(node.name for node in body if isinstance(node, ast.ClassDef)))


def _pack_module(module_name: str, class_name: str) -> Bundle:
    module = sys.modules.get(module_name)
    modules = LocalModules([*sys.path])
    modules.follow(module_name)
    if module_name not in modules.sources and modules.requirements:
        # The class itself is installed: a single import travels.
        modules.add("workload", f"from {module_name} import {class_name}\n")
        module_name = "workload"
    elif module_name not in modules.sources:  # loaded from a file that no search path leads to
        filename = getattr(module, "__file__", None)
        if filename is None:
            raise PackingError(
                f"class {class_name} of module {module_name} has no source file. "
                "Define it in a file or a notebook cell."
            )
        modules.search_path.insert(0, str(Path(filename).resolve().parent))
        module_name = module_name.rpartition(".")[2]
        modules.add(module_name, _read_file(Path(filename)))
    if module_name != "workload" and class_name not in _top_classes(
        modules.sources[module_name], Path(module_name)
    ):
        raise PackingError(
            f"module {module_name} has no statement `class {class_name}`: a class that is made "
            "while the module runs has no source."
        )
    return _bundle(f"{module_name}:{class_name}", modules)


def _pack_main(class_name: str, also: Iterable[str]) -> Bundle:
    main = sys.modules[_MAIN]
    namespace = vars(main)
    name, source, label = _main_source(namespace, class_name)
    if class_name not in _top_classes(source, Path(label)):
        raise PackingError(
            f"{label} has no statement `class {class_name}`: a class that is made while the "
            "program runs has no source."
        )
    modules = LocalModules([*sys.path])
    package, _, _ = name.rpartition(".")
    if package:  # python -m package.module
        modules.follow(package)
    part = cut(source, [class_name, *_defined(also, namespace)], namespace, label)
    _add_slice(modules, name, part, source)
    return _bundle(f"{name}:{class_name}", modules)


def _add_slice(modules: LocalModules, name: str, part: str, whole: str) -> None:
    modules.add(name, part)
    if name in modules.imported:  # a helper imports the script back, and may need all of it
        modules.add(name, whole)


def _defined(names: Iterable[str], namespace: Mapping[str, Any]) -> list[str]:
    return [name for name in names if isinstance(namespace.get(name), type)]


def _main_source(namespace: Mapping[str, Any], class_name: str) -> tuple[str, str, str]:
    """Module name, text, and what to call it, of the program or notebook that is running."""
    cells = namespace.get("In")
    if isinstance(cells, list) and "get_ipython" in namespace:
        return "notebook", "\n".join(_complete(cells)), "the notebook"
    if (filename := namespace.get("__file__")) is not None:
        spec = namespace.get("__spec__")
        stem = Path(filename).stem
        name = spec.name if spec is not None else stem if stem.isidentifier() else "workload"
        return name.removesuffix(".__main__"), _read_file(Path(filename)), str(filename)
    text = "\n".join(_remembered(namespace))
    if not text:
        raise PackingError(
            f"class {class_name} was typed at a prompt that keeps no source. "
            "Define it in a file or a notebook cell."
        )
    return "notebook", text, "the session"


def _complete(cells: list[str]) -> Iterator[str]:
    """Cells that can be parsed; the others never ran."""
    for cell in cells:
        try:
            ast.parse(cell)
        except SyntaxError:
            continue
        yield cell


def _remembered(namespace: Mapping[str, Any]) -> Iterator[str]:
    """Text of executed cells that ``linecache`` keeps for tracebacks, in their order."""
    functions = [
        member
        for value in list(namespace.values())
        for member in (value, *(vars(value).values() if isinstance(value, type) else ()))
    ]
    used = {code.co_filename for f in functions if (code := getattr(f, "__code__", None))}
    for filename, entry in list(linecache.cache.items()):
        if filename in used and len(entry) == 4 and not Path(filename).exists():
            yield "".join(entry[2])


def _read_file(path: Path) -> str:
    if not path.is_file():
        raise PackingError(f"there is no file {path}.")
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise PackingError(f"{path} cannot be read as Python source: {error}.") from error


def _bundle(entry: str, modules: LocalModules) -> Bundle:
    size = sum(len(source.encode()) for source in modules.sources.values())
    if size > MAX_BUNDLE_BYTES:
        largest = max(modules.sources, key=lambda name: len(modules.sources[name]))
        raise PackingError(
            f"the workload's source has {size / 1e6:.1f} MB; {MAX_BUNDLE_BYTES / 1e6:.0f} MB can "
            f"travel. The largest module is {largest}. Pass data as inputs, or install the "
            "module on the worker as a package."
        )
    return Bundle(
        entry=entry,
        modules=dict(sorted(modules.sources.items())),
        packages=tuple(sorted(modules.packages)),
        requirements=tuple(modules.requirements[name] for name in sorted(modules.requirements)),
        python=platform.python_version(),
    )
