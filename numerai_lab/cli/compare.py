"""`nlab compare`: ranks the variants of several runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.cli.terminal import FormatOption, TableFormat, by_suffix, expanded, print_lines, print_table, say

if TYPE_CHECKING:
    import polars as pl

    from numerai_lab.report.comparison import Comparison


def compare(
    runs: Annotated[list[Path], typer.Argument(callback=expanded, help="run folders", show_default=False)],
    sort: Annotated[str, typer.Option(help="column to rank by; best first")] = "corr_mean",
    split: Annotated[
        str | None,
        typer.Option(help="val1, val2, val, cv or walk: rank, judge and print this split alone; default val, and all in files"),
    ] = None,
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

    One table for each group of runs that saw the same data, target, horizon and eras.
    """
    from numerai_lab.report.comparison import compare as compare_runs
    from numerai_lab.report.differing import with_config

    in_terminal = table_format == "table" and out is None
    comparison = compare_runs(runs, sort, reference, split or "val", brief=in_terminal and html is None)
    for line in (*comparison.skipped, *comparison.differences, *filter(None, [comparison.foreign])):
        say(line)
    if html is not None:
        from numerai_lab.report.comparison_page import comparison_page
        from numerai_lab.runs.output_files import write_page

        write_page(html, comparison_page(comparison, html))
        say(f"page: {html}")
    tables = [with_config(group.table, group.members) if only_changed else (group.table, []) for group in comparison.groups]
    if in_terminal:
        _print_groups(comparison, tables)
    else:
        kept = [(table if split is None else table.filter(split=split), keys) for table, keys in tables]
        _print_as_one(kept, table_format, out)


def _print_groups(comparison: "Comparison", tables: list[tuple["pl.DataFrame", list[str]]]) -> None:
    """Prints for each group its sentence, what differs between its runs, the table of one split, and verdicts.

    tables: each with the config keys among its columns.
    """
    from numerai_lab.report.differing import lines_of_differences
    from numerai_lab.report.group_sentence import group_sentence
    from numerai_lab.report.tables import summary_columns
    from numerai_lab.report.verdicts import lines_of_comparison

    for group, (table, keys) in zip(comparison.groups, tables, strict=True):
        same = "; ".join(f"{key} {value}" for key, value in group.comparable.items())
        both = "val (val1 and val2 together)" if group.split == "val" else group.split
        print_lines([group_sentence(group), ""])
        print_lines([f"Δ against {group.reference} over {both}", same, *lines_of_differences(group.members)])
        columns = [column for column in summary_columns(False, keys) if column.name != "split"]
        print_table(table.filter(split=group.split), "table", columns)
        print_lines(["", *lines_of_comparison(group.table, group.split)])


def _print_as_one(tables: list[tuple["pl.DataFrame", list[str]]], table_format: TableFormat, out: Path | None) -> None:
    """Prints all groups as one table with a column `group`, or writes it into `out`."""
    import polars as pl

    numbered = [table.with_columns(pl.lit(i).alias("group")) for i, (table, _) in enumerate(tables, start=1)]
    print_table(
        pl.concat(numbered, how="diagonal_relaxed"),
        table_format if table_format != "table" else by_suffix(out),
        (),
        (),
        out,
    )
