"""`nlab query`: SQL over all run folders."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.show import RunsDir
from numerai_lab.cli.terminal import FormatOption, print_table


def query(
    sql: Annotated[str, typer.Argument(help="a SELECT over the tables of `nlab docs query`", show_default=False)],
    runs_dir: RunsDir = Path("runs"),
    table_format: FormatOption = "table",
) -> None:
    """Ask all run folders in SQL.

    Tables: runs, variants, scores, per_era, settings, stages, warnings. For example:
    nlab query "SELECT run, variant, delta_corr FROM variants WHERE verdict = 'better'"
    """
    import polars as pl

    from numerai_lab.report.tables import TableColumn
    from numerai_lab.studies.query import query as rows_of

    table = rows_of(sql, runs_dir)
    style = {True: ".4g", False: "s"}
    columns = [TableColumn(name, name, style[table[name].dtype.is_float()]) for name in table.columns]
    texts = [pl.col(name).cast(pl.String) for name in table.columns if not table[name].dtype.is_float()]
    print_table(table.with_columns(texts) if table_format == "table" else table, table_format, columns)
