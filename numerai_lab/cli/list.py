"""`nlab list`: lists the methods, metrics and sources that configs may name, and finished runs."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.show import RunsDir
from numerai_lab.cli.terminal import FormatOption, Plugins, print_table, say


def families() -> list[str]:
    """Shell completions after `nlab list`."""
    from numerai_lab.config.catalogue import CATALOGUE

    return [*CATALOGUE, "runs"]


def list_(
    family: Annotated[
        str,
        typer.Argument(
            help="generators, augmenters, models, target_transforms, metrics, realism, sources or runs", autocompletion=families
        ),
    ],
    runs_dir: RunsDir = Path("runs"),
    sort: Annotated[
        str | None,
        typer.Option(help="of runs: the column that the best variant, and the order, is chosen by; default newest first"),
    ] = None,
    plugin: Plugins = None,
    table_format: FormatOption = "table",
) -> None:
    """List generators, augmenters, models, target transforms, metrics, measures of realism, sources or runs, one line each."""
    import polars as pl

    from numerai_lab.config.catalogue import entries
    from numerai_lab.report.listing import columns, listing
    from numerai_lab.report.tables import TableColumn

    if family != "runs":
        print_table(
            pl.DataFrame(entries(family)), table_format, (TableColumn("name", family, "s"), TableColumn("gives", "gives", "s"))
        )
        return
    rows = listing(runs_dir, sort)
    if rows:
        print_table(pl.DataFrame(rows, infer_schema_length=None), table_format, columns(sort))
    else:
        say(f"no run in {runs_dir}")
