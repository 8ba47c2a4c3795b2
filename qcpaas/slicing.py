"""The part of a script or notebook that a class needs: its slice, never the code that submits.

Every top-level statement is analysed for the names that it binds, the names that it reads while
the module is executed (eager), and those that it reads only when a function is called (lazy). The
slice follows them backwards from the class. Kept lines stay where they were, so that tracebacks
show the user's own line numbers.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from qcpaas.errors import PackingError

# A statement that reads one of these while it runs cannot be repeated on a worker.
_NOT_REPEATABLE = frozenset({"open", "input", "argparse", "RuntimeProvider", "get_ipython"})
_COMPREHENSIONS = frozenset({"listcomp", "setcomp", "dictcomp", "genexpr"})
_MODULE_NAMES = frozenset(
    {*dir(builtins), "__name__", "__file__", "__doc__", "__package__", "__spec__"}
)
_MAX_LITERAL = 100_000


@dataclass(frozen=True, eq=False)
class _Statement:
    """One top-level statement."""

    node: ast.stmt
    binds: frozenset[str]
    stores: frozenset[str]  # names whose items or attributes it sets
    calls: frozenset[str]  # names whose methods it calls for their effect
    eager: frozenset[str]
    lazy: frozenset[str]
    repeatable: bool = True

    @cached_property
    def is_definition(self) -> bool:
        return isinstance(self.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)

    @cached_property
    def is_guard(self) -> bool:
        """``if __name__ == "__main__":``."""
        return isinstance(self.node, ast.If) and any(
            isinstance(part, ast.Name) and part.id == "__name__"
            for part in ast.walk(self.node.test)
        )

    @cached_property
    def is_future(self) -> bool:
        return isinstance(self.node, ast.ImportFrom) and self.node.module == "__future__"

    @cached_property
    def is_star(self) -> bool:
        return any(
            isinstance(part, ast.ImportFrom) and part.names[0].name == "*"
            for part in ast.walk(self.node)
        )

    def replaces(self, name: str) -> bool:
        """Whether it binds the name afresh, whatever stood there before."""
        simple = self.is_definition or isinstance(
            self.node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign
        )
        return simple and name in self.binds and name not in self.eager

    @property
    def first_line(self) -> int:
        decorators: list[ast.expr] = getattr(self.node, "decorator_list", [])
        return min([self.node.lineno, *(decorator.lineno for decorator in decorators)])


def cut(
    source: str,
    roots: Iterable[str],
    namespace: Mapping[str, Any] | None,
    label: str,
) -> str:
    """The slice of ``source`` that defines the names in ``roots``.

    Args:
        source: A module's text, or the cells of a notebook one after another.
        roots: Top-level names; one that the text does not define is passed over.
        namespace: Live values, for names that the text cannot rebuild but a literal can.
        label: What the text is called in messages.

    Raises:
        PackingError: The text has a syntax error, or a needed value cannot be rebuilt from it.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise PackingError(f"{label}, line {error.lineno}: {error.msg}.") from error
    return _Slice([_analyse(node) for node in tree.body], source, namespace, label).text(roots)


class _Slice:
    def __init__(
        self,
        statements: list[_Statement],
        source: str,
        namespace: Mapping[str, Any] | None,
        label: str,
    ) -> None:
        self._statements = statements
        self._source = source
        self._namespace = namespace
        self._label = label
        self._kept: set[int] = set()
        self._literals: dict[int, dict[str, str]] = {}
        self._classes = {
            name
            for statement in statements
            if isinstance(statement.node, ast.ClassDef | ast.ImportFrom)
            for name in statement.binds
            if name[:1].isupper() and name not in _NOT_REPEATABLE
        }
        self._visited: set[tuple[str, int]] = set()

    def text(self, roots: Iterable[str]) -> str:
        for root in roots:
            self._need(root, len(self._statements))
        original = self._source.split("\n")  # as the tokenizer counts lines
        lines: list[list[str]] = [[] for _ in original]
        for index, statement in enumerate(self._statements):
            if index in self._kept and not statement.is_future:
                _place(lines, original, statement)
            for name, literal in self._literals.get(index, {}).items():
                lines[statement.first_line - 1].append(f"{name} = {literal}")
        futures = [ast.unparse(s.node) for s in self._statements if s.is_future]
        if lines[0] and futures:  # they come first, though the lines shift
            lines.insert(0, [])
        lines[0] += dict.fromkeys(futures)
        return "\n".join("; ".join(parts) for parts in lines).rstrip() + "\n"

    def _need(self, name: str, position: int) -> None:
        """Keep what gives ``name`` its value for a reader at ``position``."""
        if (name, position) in self._visited:
            return
        self._visited.add((name, position))
        found = list(self._givers(name, position))
        if not found and name not in _MODULE_NAMES and name in (self._namespace or {}):
            self._refuse(name, "it is set by something other than a statement here")
        for index in found:
            statement = self._statements[index]
            if not self._is_tainted(index, position, statement.is_definition, set()):
                self._keep(index, position)
            elif name in statement.binds or self._is_variable(name, position):
                self._substitute(name, index)
                return  # the live value is the last one: nothing before it matters

    def _keep(self, index: int, position: int) -> None:
        statement = self._statements[index]
        self._kept.add(index)
        for reference in statement.eager:
            if reference not in statement.binds or any(self._givers(reference, index)):
                self._need(reference, index)
        for reference in [*statement.lazy, *self._named_options(statement)]:
            self._need(reference, position)

    def _named_options(self, statement: _Statement) -> Iterator[str]:
        """Classes that a statement names in a string, as options are."""
        for part in ast.walk(statement.node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                name = part.value.partition("(")[0].strip()
                if name in self._classes:
                    yield name

    def _givers(self, name: str, position: int) -> Iterator[int]:
        """Indices of the statements that bind or change a name, the last first."""
        is_variable = self._is_variable(name, position)
        found = False
        for index in range(position - 1, -1, -1):
            statement = self._statements[index]
            changes = name in statement.stores or (is_variable and name in statement.calls)
            if changes or name in statement.binds:
                found = True
                yield index
                if statement.replaces(name):
                    return
        if not found and name not in _MODULE_NAMES:
            yield from (i for i in range(position) if self._statements[i].is_star)

    def _is_variable(self, name: str, position: int) -> bool:
        """Whether a name holds a value, not a module, a function or a class."""
        binders = (s for s in reversed(self._statements[:position]) if name in s.binds)
        last = next(binders, None)
        return last is not None and not (
            last.is_definition or isinstance(last.node, ast.Import | ast.ImportFrom)
        )

    def _is_tainted(
        self, index: int, position: int, definition: bool, seen: set[tuple[str, int, bool]]
    ) -> bool:
        """Whether executing a statement would read a file, ask, or submit a job."""
        statement = self._statements[index]
        executed = statement.eager if definition else statement.eager | statement.lazy
        if statement.is_guard or not statement.repeatable:
            return True
        if not isinstance(statement.node, ast.Import | ast.ImportFrom) and (
            executed & _NOT_REPEATABLE
        ):
            return True
        steps = [(name, index) for name in statement.eager]
        if not definition:
            steps += [(name, position) for name in statement.lazy]
        return any(self._leads_to_taint(name, where, seen) for name, where in steps)

    def _leads_to_taint(self, name: str, position: int, seen: set[tuple[str, int, bool]]) -> bool:
        key = (name, position, True)
        if key in seen:
            return False
        seen.add(key)
        return any(
            self._is_tainted(index, position, definition=False, seen=seen)
            for index in self._givers(name, position)
        )

    def _substitute(self, name: str, index: int) -> None:
        """Put the live value in place of a statement that cannot be repeated."""
        values = self._namespace or {}
        literal = _literal(values[name]) if name in values else None
        if literal is None or self._statements[index].is_definition:
            line = self._statements[index].first_line
            self._refuse(
                name, f"line {line} reads a file, asks for input, submits a job or is guarded"
            )
        self._literals.setdefault(index, {})[name] = str(literal)

    def _refuse(self, name: str, reason: str) -> None:
        raise PackingError(
            f"{self._label}: the value of {name!r} cannot be rebuilt on a worker ({reason}). "
            "Pass it as an input of run(), or set it inside the class."
        )


def _literal(value: object) -> str | None:
    text = repr(value)
    try:
        same = len(text) <= _MAX_LITERAL and ast.literal_eval(text) == value
        return text if isinstance(same, bool) and same else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _place(lines: list[list[str]], original: list[str], statement: _Statement) -> None:
    """Copy a statement's text to its own lines; neighbours on the same line stay behind."""
    node = statement.node
    first, last = statement.first_line - 1, (node.end_lineno or node.lineno) - 1
    for row in range(first, last + 1):
        encoded = original[row].encode()
        start = node.col_offset if row == node.lineno - 1 else 0
        end = (node.end_col_offset or len(encoded)) if row == last else len(encoded)
        if encoded[end:].lstrip().startswith(b"#"):
            end = len(encoded)
        lines[row].append(encoded[start:end].decode())


def _analyse(node: ast.stmt) -> _Statement:
    stores, calls = frozenset(_stored(node)), frozenset(_called(node))
    try:
        table = symtable.symtable(ast.unparse(node), "<statement>", "exec")
    except SyntaxError:  # `await` at the top level of a notebook cell
        bound = (
            part.id
            for part in ast.walk(node)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
        )
        return _Statement(node, frozenset(bound), stores, calls, frozenset(), frozenset(), False)
    symbols = table.get_symbols()
    eager = {s.get_name() for s in symbols if s.is_referenced()} | set(_class_rebinds(node))
    lazy: set[str] = set()
    _collect(table, False, eager, lazy)
    eager |= {
        part.attr
        for part in _executed(node)
        if isinstance(part, ast.Attribute) and part.attr == "RuntimeProvider"
    }
    binds = {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}
    return _Statement(node, frozenset(binds), stores, calls, frozenset(eager), frozenset(lazy))


def _collect(table: symtable.SymbolTable, inside: bool, eager: set[str], lazy: set[str]) -> None:
    """Global names read in nested scopes: at once in class bodies, later in functions."""
    for child in table.get_children():
        later = inside or (
            child.get_type() == "function" and child.get_name() not in _COMPREHENSIONS
        )
        names = {s.get_name() for s in child.get_symbols() if s.is_global() and s.is_referenced()}
        (lazy if later else eager).update(names)
        _collect(child, later, eager, lazy)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a statement, but not into function bodies."""
    yield node
    skipped = (
        set(node.body)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        else {node.body}
        if isinstance(node, ast.Lambda)
        else set()
    )
    for child in ast.iter_child_nodes(node):
        if child not in skipped:
            yield from _executed(child)


def _stored(node: ast.stmt) -> Iterator[str]:
    """Names that a statement changes in place: ``x[k] = v``, ``x.a = v``, ``@x.register``."""
    for part in _executed(node):
        if isinstance(part, ast.Subscript | ast.Attribute) and not isinstance(part.ctx, ast.Load):
            name = _root_name(part)
            if name is not None:
                yield name
    for decorator in getattr(node, "decorator_list", []):
        if (name := _root_name(decorator)) is not None:
            yield name


def _called(node: ast.stmt) -> Iterator[str]:
    """Names whose methods are called as statements: ``x.append(v)``."""
    for part in _executed(node):
        if isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
            method = part.value.func
            if isinstance(method, ast.Attribute) and (name := _root_name(method)):
                yield name


def _root_name(node: ast.expr) -> str | None:
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def _class_rebinds(node: ast.stmt) -> Iterator[str]:
    """Names that a class body reads from the module and binds anew: ``shots = shots``."""
    if not isinstance(node, ast.ClassDef):
        return
    for part in node.body:
        if isinstance(part, ast.Assign):
            read = {n.id for n in ast.walk(part.value) if isinstance(n, ast.Name)}
            yield from (t.id for t in part.targets if isinstance(t, ast.Name) and t.id in read)
