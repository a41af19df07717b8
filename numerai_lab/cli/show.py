"""`nlab show`: prints a run's table and verdicts."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.terminal import FormatOption, expanded, print_table, say

RunsDir = Annotated[Path, typer.Option(callback=expanded, help="where run folders are")]
RunArgument = Annotated[
    Path | None, typer.Argument(callback=expanded, help="a run folder; default the newest", show_default=False)
]


def show(
    run: RunArgument = None,
    runs_dir: RunsDir = Path("runs"),
    sort: Annotated[str | None, typer.Option(help="column to rank by, over val1 and val2 together; best first")] = None,
    table_format: FormatOption = "table",
) -> None:
    """Print a run's table and verdicts."""
    from numerai_lab.report.listing import newest
    from numerai_lab.report.page import heading
    from numerai_lab.report.ranking import ranked, sort_column
    from numerai_lab.report.tables import summary_columns
    from numerai_lab.report.verdicts import lines_below
    from numerai_lab.runs.reading import read_run

    done = read_run(run or newest(runs_dir))
    scores = ranked(done.scores, sort_column(sort, done.scores)) if sort else done.scores
    print_table(scores, table_format, summary_columns(False), [done.name, *heading(done.manifest)])
    if table_format == "table":
        print("", *lines_below(scores), sep="\n")
        for warning in done.manifest["warnings"]:
            say(f"warning: {warning}")
