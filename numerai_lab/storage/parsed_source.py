"""What the syntax tree of a source file says: a digest of its code, its imports and its classes.

A process asks for some sixty files before it computes anything, and processes are many (each trial of a sweep or an audit is
one). So a file is parsed once, its statements are walked once, and the tree is let go.
"""

import ast
import gc
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = "numerai_lab"
BODIES = ("body", "orelse", "finalbody")
"""Fields of nodes that hold lists of statements."""
BRANCHES = ("handlers", "cases")
"""Fields that hold parts of a statement with statements of their own."""
IMPORTERS = (b"import_module", b"__import__")
"""Functions that import; files that name one are searched for calls."""

ImportedName = tuple[str, str, str]
"""Of an import: the module, with its leading dots; the name that is taken from it, or ""; what that is called here."""


@dataclass(frozen=True)
class SourceFacts:
    """What a source file says.

    digest: a hash of its code without docstrings, descriptions of constants and imports from this package. imports: pairs of
    a module, with its leading dots, and a name, or ""; all but those under `if TYPE_CHECKING:`. own_imports: imports from this
    package, wherever they stand. passed_on: imports of names at the top level. classes: qualified names.
    """

    digest: bytes
    imports: frozenset[tuple[str, str]]
    own_imports: tuple[ImportedName, ...]
    passed_on: tuple[ImportedName, ...]
    classes: frozenset[str]


@cache
def parsed(path: Path) -> SourceFacts | None:
    """What a file says; None for what is no Python source."""
    if path.suffix != ".py":
        return None
    content = path.read_bytes()
    with _no_collection():
        try:
            return _parsed(ast.parse(content), any(name in content for name in IMPORTERS))
        except (SyntaxError, ValueError, RecursionError):
            return None


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pauses the garbage collector, which otherwise walks all of a process's objects again and again as a tree grows."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _parsed(tree: ast.Module, calls: bool) -> SourceFacts:
    """What a tree says, which is stripped on the way. calls: it may import by calls of functions."""
    imports: set[tuple[str, str]] = set()
    own_imports: list[ImportedName] = []
    classes: set[str] = set()
    passed_on = [names for node in tree.body if isinstance(node, ast.ImportFrom) for names in _names(node)]
    ahead: list[tuple[ast.AST, str, bool]] = [(tree, "", True)]
    while ahead:
        node, scope, runs = ahead.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = list(_names(node))
            own_imports += names if _is_own_import(node) else []
            imports |= {(module, "" if name == "*" else name) for module, name, _ in names} if runs else set()
        elif isinstance(node, ast.Call) and runs and (module := _literal_import(node)):
            imports.add((module, ""))
        elif isinstance(node, ast.ClassDef):
            scope += node.name
            classes.add(scope)
            scope += "."
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            scope += f"{node.name}.<locals>."
        for_types = {id(part) for part in (node.test, *node.body)} if isinstance(node, ast.If) and _is_for_types(node) else set()
        children = ast.iter_child_nodes(node) if calls else _statements(node)
        ahead += [(child, scope, runs and id(child) not in for_types) for child in children]
        _strip(node)
    digest = hashlib.sha256(ast.dump(tree).encode()).digest()
    return SourceFacts(digest, frozenset(imports), tuple(own_imports), tuple(passed_on), frozenset(classes))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yields the statements of a node, and its parts that hold statements."""
    for field in (*BODIES, *BRANCHES):
        nested = getattr(node, field, None)
        if isinstance(nested, list):
            yield from nested


def _strip(node: ast.AST) -> None:
    """Removes docstrings, descriptions of constants and imports from this package from the statements of a node."""
    for field in BODIES:
        statements = getattr(node, field, None)
        if isinstance(statements, list):
            setattr(node, field, [part for part in statements if not (_is_text(part) or _is_own_import(part))])


def _names(node: ast.Import | ast.ImportFrom) -> Iterable[ImportedName]:
    if isinstance(node, ast.Import):
        return [(alias.name, "", alias.asname or alias.name) for alias in node.names]
    module = "." * node.level + (node.module or "")
    return [(module, alias.name, alias.asname or alias.name) for alias in node.names]


def _is_own_import(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == PACKAGE


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_for_types(node: ast.If) -> bool:
    return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _literal_import(call: ast.Call) -> str:
    """The name in `import_module("name")` and `__import__("name")`; empty for any other call."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    first = call.args[0] if call.args else None
    literal = isinstance(first, ast.Constant) and isinstance(first.value, str)
    return str(first.value) if literal and called in ("import_module", "__import__") else ""  # type: ignore[union-attr]
