"""`nlab compare`: runs side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.cli.terminal import FormatOption, by_suffix, expanded, print_table, say

if TYPE_CHECKING:
    pass


def compare(
    runs: Annotated[list[Path], typer.Argument(callback=expanded, help="run folders", show_default=False)],
    sort: Annotated[str, typer.Option(help="column to rank by, over val1 and val2 together; best first")] = "corr_mean",
    reference: Annotated[str | None, typer.Option(help="variant, or run/variant, that others are compared with")] = None,
    table_format: FormatOption = "table",
    out: Annotated[
        Path | None, typer.Option(callback=expanded, help="write the table into this file instead of printing it")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(callback=expanded, help="also write a page to sort and filter, with plots, into this file")
    ] = None,
    only_changed: Annotated[
        bool, typer.Option("--only-changed", help="add the config's keys that are not the same in all runs")
    ] = False,
) -> None:
    """Set runs side by side.

    One table a group of runs that saw the same data, target, horizon and eras.
    """
    import polars as pl

    from numerai_lab.report.comparison import compare as compare_runs
    from numerai_lab.report.differing import with_config
    from numerai_lab.report.tables import summary_columns
    from numerai_lab.report.verdicts import lines_of_comparison

    found = compare_runs(runs, sort, reference)
    for line in (*found.skipped, *found.differences):
        say(line)
    if html is not None:
        from numerai_lab.report.comparison_page import comparison_page
        from numerai_lab.runs.output_files import write_page

        write_page(html, comparison_page(found, html))
        say(f"page: {html}")
    told = [with_config(group.table, group.members) if only_changed else (group.table, []) for group in found.groups]
    if table_format == "table" and out is None:
        for group, (table, keys) in zip(found.groups, told, strict=True):
            same = "; ".join(f"{key} {value}" for key, value in group.comparable.items())
            print_table(table, table_format, summary_columns(False, keys), [f"Δ against {group.reference}", same])
            print("", *lines_of_comparison(group.table), sep="\n")
        return
    tables = [table.with_columns(pl.lit(i).alias("group")) for i, (table, _) in enumerate(told, start=1)]
    print_table(
        pl.concat(tables, how="diagonal_relaxed"),
        table_format if table_format != "table" else by_suffix(out),
        (),
        (),
        out,
    )
