"""`nlab ledger`: lists all looks at holdouts."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.terminal import FormatOption, expanded, print_table, say


def ledger(
    runs_dir: Annotated[Path, typer.Option(callback=expanded, help="where run folders are")] = Path("runs"),
    table_format: FormatOption = "table",
) -> None:
    """List all looks at holdouts, oldest first."""
    import polars as pl

    from numerai_lab.report.looks import LOOKS, look_row
    from numerai_lab.runs.ledger import Ledger

    holdout_ledger = Ledger(runs_dir)
    looks, remarks = holdout_ledger.looks()
    for remark in remarks:
        say(remark)
    if looks:
        print_table(pl.DataFrame([look_row(look) for look in looks], infer_schema_length=None), table_format, LOOKS)
    else:
        say(f"no look in {holdout_ledger.path}")
