"""`nlab unseal`: scores a run on its holdout, once."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.terminal import FormatOption, Plugins, expanded, print_lines, print_table, say


def unseal(
    run: Annotated[Path, typer.Argument(callback=expanded, help="a finished run folder", show_default=False)],
    variant: Annotated[str, typer.Option(help="the variant to score, beside the reference", show_default=False)],
    again: Annotated[bool, typer.Option("--again", help="look at a holdout that was looked at before")] = False,
    runs_dir: Annotated[
        Path | None,
        typer.Option(callback=expanded, help="the folder whose ledger counts looks; default that of the run", show_default=False),
    ] = None,
    plugin: Plugins = None,
    table_format: FormatOption = "table",
) -> None:
    """Score a variant on the run's holdout, once.

    Its saved models predict the eras sealed by splits.holdout. The output shows how much of the gain on validation is left. The
    look enters the ledger of the runs folder before scores are computed, so that it also counts when interrupted.
    """
    from numerai_lab.report.page import heading
    from numerai_lab.report.progress import progress_display
    from numerai_lab.report.tables import TableColumn, summary_columns
    from numerai_lab.studies.unseal import stamp
    from numerai_lab.studies.unseal import unseal as unseal_run

    unsealed = unseal_run(run, variant, progress_display(), again=again, runs_dir=runs_dir)
    for remark in unsealed.remarks:
        say(f"note: {remark}")
    first, rest = summary_columns(False)[:4], summary_columns(False)[4:]
    columns = (*first, TableColumn("look", "look", "d"), TableColumn("gain_retained", "retained", ".0%"), *rest)
    print_table(
        unsealed.scores, table_format, columns, [unsealed.run.name, *heading(unsealed.run.manifest), stamp(unsealed.look)]
    )
    if table_format == "table":
        print_lines(["", *unsealed.lines])
    say(f"written to {run / 'holdout.csv'}")
