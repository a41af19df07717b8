"""`nlab watch`: shows the runs of a folder, and how far those in progress are."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from numerai_lab.cli.show import RunsDir
from numerai_lab.cli.terminal import FormatOption, TableFormat, print_lines, print_table, put, say, stop, terminal_width

if TYPE_CHECKING:
    from rich.console import Console

    from numerai_lab.report.overview import Overview

EVERY = 1.0
"""Seconds between two looks."""


def watch(
    runs_dir: RunsDir = Path("runs"),
    once: Annotated[bool, typer.Option("--once", help="print all runs and end")] = False,
    table_format: FormatOption = "table",
) -> None:
    """Watch the runs of a folder: how far each is, and what those show that ended.

    Off a terminal a line a change, with --format json as an object. Nothing is written. Ctrl-C ends it.
    """
    from numerai_lab.report.overview import Overview

    overview = Overview(runs_dir)
    overview.look()
    if once:
        _print_once(overview, table_format)
        return
    if table_format not in ("table", "json"):
        stop(f"--format {table_format} prints all runs at once: give --once too")
    try:
        _follow(overview, as_json=table_format == "json")
    except KeyboardInterrupt:
        return


def _print_once(overview: "Overview", table_format: TableFormat) -> None:
    import polars as pl

    from numerai_lab.report.overview_text import overview_lines

    while not overview.refresh():
        pass
    if table_format == "table":
        print_lines(overview_lines(overview.states(), terminal_width()))
        return
    rows = [state.as_row() for state in overview.states()]
    print_table(pl.DataFrame(rows, infer_schema_length=None), table_format, ())


def _follow(overview: "Overview", *, as_json: bool) -> None:
    """Shows the runs until the process is interrupted."""
    from rich.console import Console

    console = Console()
    if console.is_terminal and not as_json:
        _redraw(overview, console)
    _print_changes(overview, as_json=as_json)


def _redraw(overview: "Overview", console: "Console") -> NoReturn:
    """Draws the runs anew at every look, in the lines that the terminal has."""
    from rich.live import Live
    from rich.text import Text

    from numerai_lab.report.overview_text import overview_lines

    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            lines = overview_lines(overview.states(), console.width, console.height)
            live.update(Text("\n".join(lines), overflow="fold"), refresh=True)
            if overview.refresh():
                time.sleep(EVERY)


def _print_changes(overview: "Overview", *, as_json: bool) -> NoReturn:
    """Prints the runs in progress, then a line whenever a run begins, goes on to its next stage, or ends."""
    from numerai_lab.report.overview_text import change_line, counted

    while not overview.refresh():
        pass
    say(counted(overview.states()))
    known = {state.folder: state.milestone for state in overview.states() if state.status != "running"}
    while True:
        for state in overview.states():
            if state.status != "unread" and known.get(state.folder) != state.milestone:
                known[state.folder] = state.milestone
                put(json.dumps(state.as_row(), ensure_ascii=False) if as_json else change_line(state))
        sys.stdout.flush()
        time.sleep(EVERY)
        overview.refresh()
