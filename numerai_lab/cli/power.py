"""`nlab power`: estimates the difference that a run can detect."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.terminal import ConfigFile, FormatOption, Plugins, Set, expanded, print_table, say


def power(
    config: ConfigFile,
    overrides: Set = None,
    plugin: Plugins = None,
    gain: Annotated[float, typer.Option(min=1e-6, help="the gain of mean corr to be seen; default 0.002")] = 0.002,
    run: Annotated[
        Path | None,
        typer.Option(callback=expanded, help="take the noise of this finished run; default one of this config, else a pilot"),
    ] = None,
    runs_dir: Annotated[Path, typer.Option(callback=expanded, help="where run folders are")] = Path("runs"),
    table_format: FormatOption = "table",
) -> None:
    """Estimate the difference that a run can detect, before the run.

    For several numbers of seeds: the difference that the eras at hand can show, and the eras that --gain needs.
    """
    import polars as pl

    from numerai_lab.config.loading import load_config
    from numerai_lab.report.progress import progress_display
    from numerai_lab.report.tables import TableColumn
    from numerai_lab.runs.reading import read_run
    from numerai_lab.studies.power import power as power_of
    from numerai_lab.studies.power import run_of

    loaded, remarks = load_config(config, overrides or [])
    for remark in remarks:
        say(remark)
    result = power_of(loaded, gain, progress_display(), read_run(run) if run else run_of(loaded, runs_dir))
    columns = (
        TableColumn("seeds", "seeds", "d"),
        TableColumn("eras", "eras", "d"),
        TableColumn("resolves", "resolves", ".4f"),
        TableColumn("eras_for_gain", f"eras for {gain:g}", "s"),
    )
    print_table(pl.DataFrame(list(result.rows)), table_format, columns, result.lines)
