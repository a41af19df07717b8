"""Counts what keeps the code easy to find one's way in, and fails where a rule that is enforced is broken.

python -m tests.house_rules             # a table of rules; exit code 1 beyond an enforced bound
python -m tests.house_rules --report    # the table and every place; never fails
"""

import argparse
import ast
import re
import statistics
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.retired_words import LIST, PACKAGE, modules, read_list, retired_words

ROOT = Path(__file__).resolve().parents[1]
TOP_LEVEL = {".ci", ".gitignore", "LICENSE", "Makefile", "README.md", "configs", "numerai_lab", "pyproject.toml", "runs", "tests"}
ENFORCED = (
    "top level",
    "modules at the root",
    "import layers",
    "file lines",
    "function lines",
    "parameters",
    "tuples for parameters",
    "median docstring line",
    "retired words",
    "errors named",
)
"""Rules that `make check` fails on."""
WORST = 5
ERRORS_OF_USERS = ("NlabError", "NlabFailure")
NAMES_ERRORS = re.compile(r"\b(Raises|[Rr]efuses|[Ee]xit code)\b")
"""What a docstring says of the errors that its function raises. Users of a command see its docstring, and an exit code."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Rule:
    """A count that must not pass a bound. places: what breaks the rule or comes nearest, worst first, with its number."""

    name: str
    bound: int
    now: int
    places: tuple[tuple[int, str], ...] = ()

    @property
    def holds(self) -> bool:
        return self.now <= self.bound

    @property
    def over(self) -> list[tuple[int, str]]:
        return [place for place in self.places if place[0] > self.bound]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--report", action="store_true", help="print every place beyond a bound, and fail on none")
    report = parser.parse_args().report
    rules = measured(ROOT)
    print(table(rules))
    if report:
        print("\n".join(everything(rules)))
        return 0
    broken = [rule.name for rule in rules if not rule.holds and rule.name in ENFORCED]
    if broken:
        print(f"beyond the bound: {', '.join(broken)}", file=sys.stderr)
        print("`python -m tests.house_rules --report` prints every place", file=sys.stderr)
    return 1 if broken else 0


def measured(root: Path) -> list[Rule]:
    """Every rule, measured on the package under a root."""
    trees = modules(root)
    return [
        top_level(root),
        modules_at_the_root(root),
        layers(root),
        longest("file lines", 300, ((lines_of(root / path), path) for path in trees)),
        longest("function lines", 40, ((function_lines(node), place) for node, place in functions(trees))),
        longest("parameters", 6, ((len(parameters(node)), place) for node, place in functions(trees) if not is_command(node))),
        tuples_for_parameters(trees),
        median_docstring_line(root, trees),
        words_retired(root),
        errors_named(trees),
    ]


def top_level(root: Path) -> Rule:
    """What the repository holds at its top level beside what belongs there, such as what a command leaves in the checkout."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False).stdout.splitlines()
    others = sorted({path.split("/")[0] for path in listed} - TOP_LEVEL)
    return Rule("top level", 0, len(others), tuple((1, name) for name in others))


def modules_at_the_root(root: Path) -> Rule:
    loose = sorted(path.name for path in (root / PACKAGE).glob("*.py"))
    return Rule("modules at the root", 8, len(loose), tuple((0, name) for name in loose))


def layers(root: Path) -> Rule:
    """Layers of the import contract that has most of them."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings.get("tool", {}).get("importlinter", {}).get("contracts", [])
    n_layers = [len(contract["layers"]) for contract in contracts if contract["type"] == "layers"]
    if not n_layers:
        raise ValueError("pyproject.toml has no import contract with layers")
    return Rule("import layers", 10, max(n_layers))


def longest(name: str, bound: int, places: Iterator[tuple[int, str]]) -> Rule:
    """A rule on the largest of many numbers."""
    ranked = tuple(sorted(places, key=lambda place: (-place[0], place[1])))
    return Rule(name, bound, ranked[0][0] if ranked else 0, ranked)


def tuples_for_parameters(trees: dict[str, ast.Module]) -> Rule:
    """Parameters that are tuples of unlike things, or that the first statement takes apart: several parameters in one."""
    found = []
    for path, tree in trees.items():
        aliases = {name for name, value in assigned(tree) if is_unlike_tuple(value, frozenset())}
        for node, place in functions({path: tree}):
            unlike = {each.arg for each in parameters(node) if is_unlike_tuple(each.annotation, frozenset(aliases))}
            found += [(1, f"{place}({name})") for name in sorted(unlike | unpacked_first(node))]
    return Rule("tuples for parameters", 0, len(found), tuple(found))


def median_docstring_line(root: Path, trees: dict[str, ast.Module]) -> Rule:
    """Over all lines of docstrings, as they stand in the file; the places are files by their lines above the bound."""
    bound, lengths = 100, {path: docstring_lengths(root / path, tree) for path, tree in trees.items()}
    every = [length for of_file in lengths.values() for length in of_file]
    long = Counter({path: sum(length > bound for length in of_file) for path, of_file in lengths.items()})
    places = tuple((0, f"{path} has {n} longer lines") for path, n in long.most_common() if n)
    return Rule("median docstring line", bound, round(statistics.median(every or [0])), places)


def words_retired(root: Path) -> Rule:
    places = retired_words(root, read_list(LIST.read_text(encoding="utf-8")))
    return Rule("retired words", 0, len(places), tuple((1, str(each)) for each in places))


def errors_named(trees: dict[str, ast.Module]) -> Rule:
    """Public functions and methods that raise a user's error themselves, and whose docstring does not say so."""
    found = [(1, f"{path}::{name}") for path, tree in trees.items() for name in unnamed_errors(tree.body)]
    return Rule("errors named", 0, len(found), tuple(found))


def unnamed_errors(body: list[ast.stmt], of_class: ast.ClassDef | None = None) -> Iterator[str]:
    """Names of the functions of a module, or methods of a class, that the rule on errors finds."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from (f"{node.name}.{name}" for name in unnamed_errors(node.body, node))
        elif isinstance(node, Function) and raises_users_error(node):
            constructor = node.name in ("__init__", "__post_init__") and of_class
            text = " ".join(ast.get_docstring(part) or "" for part in (node, *([constructor] if constructor else [])))
            if (constructor or not node.name.startswith("_")) and not NAMES_ERRORS.search(text):
                yield node.name


def raises_users_error(node: ast.AST) -> bool:
    """Whether a function's own statements raise one; those of functions and classes inside it are not its own."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Raise) and isinstance(child.exc, ast.Call):
            if ast.unparse(child.exc.func).split(".")[-1] in ERRORS_OF_USERS:
                return True
        elif not isinstance(child, Function | ast.ClassDef) and raises_users_error(child):
            return True
    return False


def functions(trees: dict[str, ast.Module]) -> Iterator[tuple[Function, str]]:
    """Every function and method with its place; those inside others are counted for themselves and for the others."""

    def inside(node: ast.AST, place: str) -> Iterator[tuple[Function, str]]:
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, Function | ast.ClassDef)
            below = f"{place}{'.' if '::' in place else '::'}{child.name}" if named else place
            if isinstance(child, Function):
                yield child, below
            yield from inside(child, below)

    for path, tree in trees.items():
        yield from inside(tree, path)


def function_lines(node: Function) -> int:
    """Lines from `def` to the last one, without the docstring."""
    assert node.end_lineno
    return node.end_lineno - node.lineno + 1 - sum(last - first + 1 for first, last in docstring_spans([node]))


def parameters(node: Function) -> list[ast.arg]:
    """All parameters but `self` and `cls`."""
    given = node.args
    every = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    return [each for each in every if each and each.arg not in ("self", "cls")]


def is_command(node: Function) -> bool:
    """Whether its parameters are a command's options, which the command line passes by name: Typer knows no other way."""
    return any("typer." in ast.unparse(each.annotation) for each in parameters(node) if each.annotation)


def is_unlike_tuple(annotation: ast.expr | None, aliases: frozenset[str]) -> bool:
    """Whether an annotation is a tuple of things of several types, optional or under a name of its module."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    match annotation:
        case ast.Name(id=name):
            return name in aliases
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return is_unlike_tuple(left, aliases) or is_unlike_tuple(right, aliases)
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=parts)):
            types = {ast.unparse(part) for part in parts}
            return "..." not in types and len(types) > 1
    return False


def assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Names that a module gives to what may be a type."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Subscript() | ast.BinOp() as value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Subscript() | ast.BinOp() as value):
                yield name, value


def unpacked_first(node: Function) -> set[str]:
    """The parameter that the first statement takes apart, if it does."""
    body = node.body[1:] if docstring_spans([node]) else node.body
    match body:
        case [ast.Assign(targets=[ast.Tuple() | ast.List()], value=ast.Name(id=name)), *_]:
            return {name} & {each.arg for each in parameters(node)}
    return set()


def docstring_spans(nodes: list[ast.AST]) -> list[tuple[int, int]]:
    """First and last line of the strings that stand as statements right inside of nodes: docstrings, of attributes too."""
    bodies = [node.body for node in nodes if isinstance(node, Function | ast.ClassDef | ast.Module)]
    strings = [
        each
        for body in bodies
        for each in body
        if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) and isinstance(each.value.value, str)
    ]
    return [(each.lineno, each.end_lineno or each.lineno) for each in strings]


def docstring_lengths(path: Path, tree: ast.Module) -> list[int]:
    """Characters of every line of a docstring that is not blank, indentation included."""
    lines = path.read_text(encoding="utf-8").splitlines()
    spans = docstring_spans(list(ast.walk(tree)))
    return [len(line) for first, last in spans for line in lines[first - 1 : last] if line.strip()]


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def table(rules: list[Rule]) -> str:
    """A row a rule: its name, bound, what it is now, and the worst places."""
    rows = [("rule", "bound", "now", "worst places")]
    for rule in rules:
        enforced = "" if rule.name in ENFORCED else " (not enforced)"
        over = f" ({len(rule.over)} over)" if rule.bound and rule.over else ""
        worst = [f"{place} {number}" if number > 1 else place for number, place in rule.places[:WORST]]
        rows.append((rule.name + enforced, f"≤ {rule.bound}", f"{rule.now}{over}", "" if rule.holds else ", ".join(worst)))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    padded = [[*(row[i].ljust(widths[i]) for i in range(3)), row[3]] for row in rows]
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def everything(rules: list[Rule]) -> Iterator[str]:
    """Every place beyond a bound, rule by rule; all places of a rule on their number or on a median."""
    for rule in rules:
        places = rule.over or [place for place in rule.places if not place[0]]
        yield from ("", f"{rule.name}:", *(f"{number:5} {place}" if number > 1 else f"      {place}" for number, place in places))


if __name__ == "__main__":
    sys.exit(main())
