"""`nlab submit`: submits a file of predictions to Numerai, once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from numerai_lab.cli.terminal import FormatOption, expanded, print_table, say


def submit(
    file: Annotated[
        Path, typer.Argument(callback=expanded, help="a CSV of id,prediction, as `nlab live` writes it", show_default=False)
    ],
    model: Annotated[str | None, typer.Option(help="name or id of your model; default: MODEL_ID of the environment")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check everything, ask Numerai, and upload nothing")] = False,
    late: Annotated[Literal["refuse", "queue"], typer.Option(help="what to do while no round is open")] = "refuse",
    wait: Annotated[str | None, typer.Option(metavar="TIME", help="wait for the final state, such as 90s, 45m or 2h")] = None,
    again: Annotated[bool, typer.Option("--again", help="upload a file that this round has already")] = False,
    table_format: FormatOption = "table",
) -> None:
    """Submit a file of predictions to Numerai, once.

    The keys come from NUMERAI_PUBLIC_ID and NUMERAI_SECRET_KEY of the environment. The same file for the same model and round is
    uploaded once, however often and by how many processes it is submitted. Exit codes: 0 submitted or there already, 3 no round
    is open, 1 failed, 2 bad input.
    """
    import polars as pl

    from numerai_lab.core.formatting import seconds_of
    from numerai_lab.report.tables import TableColumn
    from numerai_lab.tournament.submit import SubmitOptions, failure_of
    from numerai_lab.tournament.submit import submit as submit_file

    options = SubmitOptions(dry_run, late, seconds_of(wait, "--wait") if wait else 0.0, again)
    outcome = submit_file(file, model, options)
    for note in outcome.notes:
        say(note)
    row = outcome.row()
    table = pl.DataFrame([{key: value if value is None else str(value) for key, value in row.items()}], infer_schema_length=None)
    print_table(table, table_format, [TableColumn(key, key, "s") for key in row], wrap=True)
    if failure := failure_of(outcome):
        raise failure
