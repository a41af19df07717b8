"""`nlab doctor`: what this machine and installation offer, and what is slow here."""

from dataclasses import asdict

import typer

from numerai_lab.cli.terminal import FormatOption, print_table


def doctor(table_format: FormatOption = "table") -> None:
    """Check versions, extras, threads, memory, GPU, cache, disk and clock.

    State `slow` names what makes runs slower than they need be, and `broken` what must be mended; with one of the latter the
    exit code is 1.
    """
    import polars as pl

    from numerai_lab.report.tables import TableColumn
    from numerai_lab.studies.doctor import checks

    results = checks()
    columns = (TableColumn("name", "what", "s"), TableColumn("state", "state", "s"), TableColumn("says", "says", "s"))
    print_table(pl.DataFrame([asdict(check) for check in results]), table_format, columns, wrap=True)
    if any(check.state == "broken" for check in results):
        raise typer.Exit(1)
