"""`nlab open`: opens a run's report in the browser."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.show import RunArgument, RunsDir
from numerai_lab.cli.terminal import put, say
from numerai_lab.runs.layout import REPORT


def open_(
    run: RunArgument = None,
    runs_dir: RunsDir = Path("runs"),
    redraw: Annotated[bool, typer.Option("--redraw", help="draw report.html anew first, as this version draws it")] = False,
) -> None:
    """Open a run's report in the browser."""
    import webbrowser

    from numerai_lab.report.listing import newest
    from numerai_lab.report.page import redrawn
    from numerai_lab.runs.reading import read_run

    done = read_run(run or newest(runs_dir))
    page = done.path / REPORT
    if redraw or not page.is_file() or not done.own:  # the page of a stranger may hold anything
        redrawn(done)
    else:
        done.content(REPORT)
    put(page.resolve())
    if not webbrowser.open(page.resolve().as_uri()):
        say("no browser found: open that file yourself")
