"""`nlab show`: prints what a run shows."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.conclusion import TableOption, print_run
from numerai_lab.cli.terminal import FormatOption, expanded, say

RunsDir = Annotated[Path, typer.Option(callback=expanded, help="where run folders are")]
RunArgument = Annotated[
    Path | None, typer.Argument(callback=expanded, help="a run folder; default the newest", show_default=False)
]


def show(
    run: RunArgument = None,
    runs_dir: RunsDir = Path("runs"),
    sort: Annotated[
        str | None, typer.Option(help="column to rank the score table by, over val1 and val2 together; best first")
    ] = None,
    table: TableOption = False,
    table_format: FormatOption = "table",
) -> None:
    """Print what a run shows: a sentence, and a line for each variant."""
    from numerai_lab.report.listing import newest
    from numerai_lab.runs.reading import read_run

    done = read_run(run or newest(runs_dir))
    print_run(done, table_format, table, sort)
    if not done.own:
        say(f"{done.path}: from elsewhere, this installation did not write it")
    if table_format == "table":
        for warning in done.manifest["warnings"]:
            say(f"warning: {warning}")
