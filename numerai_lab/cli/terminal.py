"""Output of commands: tables on stdout, everything else on stderr."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from numerai_lab.core.formatting import indented, printable

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from numerai_lab.cluster.connection import ClusterConnection

TableFormat = Literal["table", "json", "csv", "md"]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="override a key of the config, such as data.size=tiny; repeatable"),
]


def expanded(value: Any) -> Any:
    """The path or paths of an argument, with `~` replaced by the home folder, which not every shell does."""
    from numerai_lab.storage.folders import user_path

    if value is None:
        return None
    return [user_path(path) for path in value] if isinstance(value, list | tuple) else user_path(value)


ConfigFile = Annotated[Path, typer.Argument(help="a YAML config", callback=expanded, show_default=False)]


def _with_plugins(context: typer.Context, value: list[str] | None) -> list[str]:
    """Loads plug-ins before the command reads a config: those named, of NLAB_PLUGINS, and of installed packages."""
    if not context.resilient_parsing:
        from numerai_lab.config.plugins import load_plugins

        load_plugins(value or [])
    return value or []


Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        callback=_with_plugins,
        help="a Python file with methods of your own, or an installed module; repeatable",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="WHERE", help="run on workers: local:N, tls://HOST:PORT, a scheduler file, slurm.yaml; see `nlab docs cluster`"
    ),
]
FormatOption = Annotated[TableFormat, typer.Option("--format", help="how the table is printed")]


def print_table(
    table: "pl.DataFrame", table_format: TableFormat, columns: Any, head: Any = (), out: Path | None = None, *, wrap: bool = False
) -> None:
    """Prints a table, with `head` above and notes of variants below; without `wrap`, columns that do not fit are left out."""
    from numerai_lab.report.tables import exported, footnoted, left_out, rendered, with_interval

    if table_format != "table":
        text = exported(table, table_format)
        if out is None:
            put_text(text)
            return
        from numerai_lab.runs.output_files import write_page

        write_page(out, f"{text}\n")
        return
    console = _console()
    print_lines(head)
    below: list[str] = []
    if "corr_mean" in table.columns:
        table, below = footnoted(with_interval(table))
    console.print(rendered(table, columns, None if wrap else console.width))
    narrow = "" if wrap else left_out(table, columns, console.width)
    print_lines([*below, *([narrow] if narrow else [])])


def print_lines(lines: Iterable[str]) -> None:
    """Prints lines of prose; a line that is wider than the terminal is wrapped between words."""
    from numerai_lab.report.conclusion_text import wrapped

    console = _console()
    for line in map(printable, lines):
        for part in wrapped(line, console.width) if len(line) > console.width else [line]:
            console.print(part, markup=False, soft_wrap=True)


def terminal_width() -> int:
    """The width of the terminal in characters; 120 where stdout is none."""
    return _console().width


def _console() -> "Console":
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120, highlight=False)


@contextmanager
def on_cluster(where: str | None, n_workers: int = 1) -> Iterator["ClusterConnection | None"]:
    """The cluster that `--cluster` names; None without it. n_workers: how many an address must have."""
    if where is None:
        yield None
        return
    from numerai_lab.cluster.connection import connected
    from numerai_lab.cluster.places import place_of

    with connected(place_of(where, n_workers)) as connection:
        yield connection


def by_suffix(out: Path | None) -> TableFormat:
    """The format that a file's suffix stands for. Raises NlabError for any other suffix."""
    suffixes: dict[str, TableFormat] = {".json": "json", ".csv": "csv", ".md": "md"}
    if out is None or out.suffix not in suffixes:
        stop(f"--out: {out} ends in none of {', '.join(suffixes)}; or say --format")
    return suffixes[out.suffix]


def confirmed(text: str, yes: bool) -> bool:
    """Says what will happen and asks whether it shall; `yes` answers for scripts. Raises NlabError where nobody can answer."""
    say(text)
    if yes:
        return True
    if not sys.stdin.isatty():
        stop("nobody is there to answer; --yes says yes")
    return typer.confirm("Go on?", err=True)


def stop(message: str) -> NoReturn:
    """Ends the command with an error message for the user. Raises NlabError."""
    from numerai_lab.core.errors import NlabError

    raise NlabError(message)


def say(line: str) -> None:
    """Prints a line on stderr. The further lines of a text are indented: none of them passes for a message of its own."""
    print(indented(line), file=sys.stderr)


def put(*lines: object) -> None:
    """Prints lines on stdout; whatever an argument holds, it takes one line."""
    for line in lines:
        print(printable(str(line)))


def put_text(text: str) -> None:
    """Prints a text of several lines on stdout, such as JSON or a page."""
    print(printable(text.rstrip("\n"), lines=True))
