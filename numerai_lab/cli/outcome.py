"""What a command did: lines for people, or one JSON value for scripts."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from numerai_lab.cli.terminal import put, put_text

OutcomeFormat = Literal["text", "json"]
OutcomeOption = Annotated[OutcomeFormat, typer.Option("--format", help="how it is printed")]


def print_outcome(how: OutcomeFormat, facts: Callable[[], Any], lines: Iterable[object] = ()) -> None:
    """Prints lines of text, or the facts as JSON: a mapping, or a list of them. Facts are made where they are printed alone."""
    if how == "json":
        put_text(json.dumps(facts(), indent=1, ensure_ascii=False, default=str))
    else:
        put(*lines)


def file_facts(*paths: Path) -> list[dict[str, Any]]:
    """Path, bytes and SHA-256 of files, and of all files in folders."""
    import hashlib

    facts = []
    for path in paths:
        for file in sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]:
            with file.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            facts.append({"path": str(file), "bytes": file.stat().st_size, "sha256": digest})
    return facts
