"""Writes the functions of a deployed model, and all that they use of this package, into one file that reads no other."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TypeGuard

PACKAGE = "numerai_lab"
ENTRY = "numerai_lab.tournament.container.frame"
HEAD = '''"""A model deployed by numerai_lab: what is inside predict.pkl.

Numerai calls `predict` with the live features. This file is for reading: `MODEL`, which holds what was learned, is in
predict.pkl alone. It needs numpy, scipy and pandas.
"""

from __future__ import annotations
'''


@dataclass(frozen=True)
class _Module:
    """A module: its source lines, what it defines, and where its imported names come from."""

    lines: tuple[str, ...]
    definitions: dict[str, tuple[ast.stmt, ...]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    statements: dict[str, str] = field(default_factory=dict)

    def text_of(self, name: str) -> str:
        """The source of a definition, with the comment of a constant that follows it."""
        first, last = self.definitions[name][0], self.definitions[name][-1]
        return "\n".join(self.lines[first.lineno - 1 : last.end_lineno])


def predict_source() -> str:
    """The Python source of a deployed model. Raises ValueError where two modules define a name that it needs."""
    order: dict[str, str] = {}
    imports: dict[str, None] = {}
    for name in [*_module(ENTRY).definitions]:
        _collect(ENTRY, name, order, imports)
    parts = [f"# {module}\n{_module(module).text_of(name)}" for name, module in order.items()]
    return "\n".join([HEAD, *sorted(imports), "", "", "\n\n\n".join(parts), ""])


def _collect(module: str, name: str, order: dict[str, str], imports: dict[str, None]) -> None:
    """Adds a definition after all that it uses: to `order`, name → module, and other packages' import statements to `imports`."""
    owner = _module(module)
    if name in owner.statements:
        imports[owner.statements[name]] = None
    elif name in owner.imports:
        _collect(*owner.imports[name], order, imports)
    elif name in owner.definitions and order.get(name) != module:
        if name in order:
            raise ValueError(f"{name} is defined in {order[name]} and in {module}; a deployed model needs one name for one thing")
        order[name] = module
        for used in _names_used(owner.definitions[name][0]):
            _collect(module, used, order, imports)
        order[name] = order.pop(name)  # behind what it uses


@cache
def _module(name: str) -> _Module:
    text = files(PACKAGE).joinpath(*name.split(".")[1:-1], f"{name.split('.')[-1]}.py").read_text(encoding="utf-8")
    module = _Module(tuple(text.splitlines()))
    body = ast.parse(text).body
    for i, node in enumerate(body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                bound = alias.asname or alias.name
                if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{PACKAGE}."):
                    module.imports[bound] = (str(node.module), alias.name)
                else:
                    module.statements[bound] = _statement(node, alias)
        for bound in _bound(node):
            follows = body[i + 1 : i + 2]
            comment = [after for after in follows if not isinstance(node, ast.FunctionDef) and isinstance(after, ast.Expr)]
            module.definitions[bound] = (node, *comment)
    return module


def _statement(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    renamed = f" as {alias.asname}" if alias.asname else ""
    origin = f"from {node.module} " if isinstance(node, ast.ImportFrom) else ""
    return f"{origin}import {alias.name}{renamed}"


def _bound(node: ast.stmt) -> list[str]:
    """The names that a statement of a module defines: functions and constants. Classes can't be deployed and are left out."""
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _names_used(node: ast.AST) -> Iterator[str]:
    """Names of its module that a definition reads, in their order. Annotations don't count: they are never evaluated."""
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        own = {part.arg if isinstance(part, ast.arg) else part.id for part in ast.walk(node) if _binds(part)}
        yield from (name for child in _evaluated(node) for name in _names_used(child) if name not in own)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield node.id
    else:
        yield from (name for child in _evaluated(node) for name in _names_used(child))


def _binds(node: ast.AST) -> TypeGuard[ast.arg | ast.Name]:
    return isinstance(node, ast.arg) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    for key, value in ast.iter_fields(node):
        if key not in ("annotation", "returns"):
            yield from (child for child in (value if isinstance(value, list) else [value]) if isinstance(child, ast.AST))
