"""Finds words of tests/retired_words.txt in identifiers and in texts for users."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("retired_words.txt")
PACKAGE = "numerai_lab"
IDENTIFIERS = (PACKAGE,)
"""Folders whose identifiers are read."""
PAGES = ("README.md", "configs/*.yaml", f"{PACKAGE}/**/*.html", f"{PACKAGE}/**/*.js", f"{PACKAGE}/**/*.md")
"""Files for users, beside the strings of the package's modules."""
COMMANDS = (f"{PACKAGE}/cli", f"{PACKAGE}/commands")
"""Where docstrings of functions are help texts."""
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@dataclass(frozen=True)
class Entry:
    """A retired word: where it is looked for (name, part, text or once), and what to write in its place."""

    where: str
    word: str
    instead: str


@dataclass(frozen=True)
class Words:
    """The list. allowed: (path, word), where a word stays, for the reason beside it in the list."""

    entries: tuple[Entry, ...]
    allowed: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Found:
    """A retired word in a file."""

    path: str
    line: int
    entry: Entry
    seen: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.seen!r} ({self.entry.where} {self.entry.word} → {self.entry.instead})"


def read_list(text: str) -> Words:
    """Reads `WHERE WORD → INSTEAD` and `allow WORD PATH because REASON` lines. Raises ValueError for any other."""
    entries, allowed = [], set()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if entry := re.fullmatch(r"(name|part|text|once)\s+(\S+)\s+→\s+(\S.*)", line):
            entries.append(Entry(*entry.groups()))
        elif place := re.fullmatch(r"allow\s+(\S+)\s+(\S+)\s+because\s+\S.*", line):
            allowed.add((place[2], place[1]))
        else:
            raise ValueError(f"{LIST.name}:{number}: neither `WHERE WORD → INSTEAD` nor `allow WORD PATH because REASON`: {line}")
    return Words(tuple(entries), frozenset(allowed))


def retired_words(root: Path, words: Words) -> list[Found]:
    """Every retired word under a root, in the order of files and lines."""
    found = [*_in_modules(root, words.entries), *_in_pages(root, words.entries), *_defined_twice(root, words.entries)]
    kept = [each for each in found if (each.path, each.entry.word) not in words.allowed]
    return sorted(kept, key=lambda each: (each.path, each.line, each.entry.word))


def modules(root: Path, folder: str = PACKAGE) -> dict[str, ast.Module]:
    """The syntax tree of every module of a folder, by its path from the root."""
    paths = sorted((root / folder).rglob("*.py"))
    return {path.relative_to(root).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def _in_modules(root: Path, entries: tuple[Entry, ...]) -> Iterator[Found]:
    for folder in IDENTIFIERS:
        for path, tree in modules(root, folder).items():
            stems = [(part.removesuffix(".py"), 1) for part in path.split("/")[1:]]
            for name, line in [*stems, *identifiers(tree)]:
                yield from (Found(path, line, entry, name) for entry in entries if _is_named(name, entry))
            if folder == PACKAGE:
                for text, line in texts(tree, with_docstrings=path.startswith(COMMANDS)):
                    yield from (Found(path, line, entry, _around(text, entry)) for entry in entries if _is_said(text, entry))


def _in_pages(root: Path, entries: tuple[Entry, ...]) -> Iterator[Found]:
    for path in sorted({path for pattern in PAGES for path in root.glob(pattern)}):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            for entry in entries:
                if _is_said(line, entry):
                    yield Found(path.relative_to(root).as_posix(), number, entry, _around(line, entry))


def _defined_twice(root: Path, entries: tuple[Entry, ...]) -> Iterator[Found]:
    """Names that may stand for one thing only and are defined by several modules."""
    places = defaultdict(list)
    for path, tree in modules(root).items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                places[node.name].append((path, node.lineno))
    for entry in entries:
        if entry.where == "once" and len(places[entry.word]) > 1:
            yield from (Found(path, line, entry, entry.word) for path, line in places[entry.word])


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names that a module gives to functions, classes, parameters, attributes, variables and imports, with their lines."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.ExceptHandler(name=str(name)):
                yield name, node.lineno
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((each.asname, node.lineno) for each in names if each.asname)


def texts(tree: ast.AST, with_docstrings: bool = False) -> Iterator[tuple[str, int]]:
    """String constants with their lines. Docstrings, of attributes too, are left out unless they are help texts."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (with_docstrings or id(node) not in docstrings):
            yield node.value, node.lineno


def _is_named(name: str, entry: Entry) -> bool:
    if entry.where == "name":
        return name == entry.word
    sentence = name.startswith("test_")
    return entry.where == "part" and not sentence and entry.word in [word.lower() for word in WORDS.findall(name)]


def _is_said(text: str, entry: Entry) -> bool:
    return entry.where == "text" and _pattern(entry.word).search(text) is not None


def _pattern(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])", re.IGNORECASE)


def _around(text: str, entry: Entry) -> str:
    """The word with what stands about it."""
    at = _pattern(entry.word).search(text)
    assert at
    return " ".join(text[max(0, at.start() - 25) : at.end() + 25].split())
