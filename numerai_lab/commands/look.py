"""`nlab show`, `nlab open` and `nlab list`: looking at what there is."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.commands.terminal import HowShown, expanded, print_table, say
from numerai_lab.runs.layout import REPORT

RunsDir = Annotated[Path, typer.Option(callback=expanded, help="where run folders are")]
RunArgument = Annotated[
    Path | None, typer.Argument(callback=expanded, help="a run folder; default the newest", show_default=False)
]


def families() -> list[str]:
    """What the shell completes after `nlab list`."""
    from numerai_lab.commands.catalogue import CATALOGUE

    return [*CATALOGUE, "runs"]


def show(
    run: RunArgument = None,
    runs_dir: RunsDir = Path("runs"),
    sort: Annotated[str | None, typer.Option(help="column to rank by, over val1 and val2 together; best first")] = None,
    how: HowShown = "table",
) -> None:
    """Print a run's table and verdicts."""
    from numerai_lab.report.listing import newest
    from numerai_lab.report.page import heading
    from numerai_lab.report.ranking import ranked, sort_column
    from numerai_lab.report.tables import summary_columns
    from numerai_lab.report.verdicts import lines_below
    from numerai_lab.runs.reading import read_run

    found = read_run(run or newest(runs_dir))
    scores = ranked(found.scores, sort_column(sort, found.scores)) if sort else found.scores
    print_table(scores, how, summary_columns(False), [found.name, *heading(found.manifest)])
    if how == "table":
        print("", *lines_below(scores), sep="\n")
        for warning in found.manifest["warnings"]:
            say(f"warning: {warning}")


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

    found = read_run(run or newest(runs_dir))
    page = found.path / REPORT
    if redraw or not page.is_file():
        redrawn(found)
    print(page.resolve())
    if not webbrowser.open(page.resolve().as_uri()):
        say("no browser found: open that file yourself")


def list_(
    family: Annotated[
        str, typer.Argument(help="generators, augmenters, models, metrics, sources or runs", autocompletion=families)
    ],
    runs_dir: RunsDir = Path("runs"),
    sort: Annotated[
        str | None,
        typer.Option(help="of runs: the column that the best variant, and the order, is chosen by; default newest first"),
    ] = None,
    how: HowShown = "table",
) -> None:
    """List what there is of a family, a line each."""
    import polars as pl

    from numerai_lab.commands.catalogue import entries
    from numerai_lab.report.listing import columns, listing
    from numerai_lab.report.tables import Shown

    if family != "runs":
        print_table(pl.DataFrame(entries(family)), how, (Shown("name", family, "s"), Shown("gives", "gives", "s")))
        return
    rows = listing(runs_dir, sort)
    if rows:
        print_table(pl.DataFrame(rows, infer_schema_length=None), how, columns(sort))
    else:
        say(f"no run in {runs_dir}")
