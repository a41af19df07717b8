"""What a run shows, on the terminal: the sentence and a line for each variant, and the score table on request."""

from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.cli.terminal import TableFormat, print_lines, print_table, terminal_width

if TYPE_CHECKING:
    import polars as pl

    from numerai_lab.runs.reading import Run

TableOption = Annotated[bool, typer.Option("--table", help="print the score table too: every split and score")]
SHOWN = ("variant", "split", "delta_corr_mean", "verdict", "interval", "delta_placebo_corr_mean", "delta_untrained_corr_mean")
"""Columns of the score table that the lines of variants show already."""


def print_run(run: "Run", table_format: TableFormat, with_table: bool = False, sort: str | None = None) -> None:
    """Prints the conclusion of a run; with_table or sort: also its score table, best first by the column `sort`.

    Formats other than `table` are the score table alone. Raises NlabError where there is no such column.
    """
    from numerai_lab.report.conclusion import conclusion_of
    from numerai_lab.report.conclusion_text import conclusion_text
    from numerai_lab.report.page import heading
    from numerai_lab.report.ranking import ranked, sort_column
    from numerai_lab.report.tables import summary_columns

    scores = ranked(run.scores, sort_column(sort, run.scores)) if sort else run.scores
    legacy = run.manifest.get("legacy_scores") is True
    if table_format == "table":
        print_lines(conclusion_text(conclusion_of(run), terminal_width(), [run.name, *heading(run.manifest)]))
        if not (with_table or sort or legacy):
            print_lines(["", left_out_of_lines(scores, legacy)])
            return
    print_table(scores, table_format, summary_columns(legacy))


def left_out_of_lines(scores: "pl.DataFrame", legacy: bool) -> str:
    """A line with what the score table has beyond the lines of variants."""
    from numerai_lab.report.tables import summary_columns, with_interval, with_values

    columns = with_values(with_interval(scores), summary_columns(legacy))
    headings = [column.heading for column in columns if column.name not in SHOWN]
    splits = " and ".join(name for name in scores["split"].unique(maintain_order=True).to_list() if name != "val")
    return f"left out here, shown by --table: {splits} alone; {', '.join(headings)}"
