"""`nlab sweep`: runs and ranks many trials of one config."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.cli.terminal import (
    Cluster,
    ConfigFile,
    FormatOption,
    Plugins,
    Set,
    TableFormat,
    expanded,
    on_cluster,
    print_lines,
    print_table,
    say,
    stop,
)

if TYPE_CHECKING:
    from numerai_lab.studies.sweep import Sweep


def sweep(
    config: ConfigFile,
    overrides: Set = None,
    plugin: Plugins = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUES", help="all of these: a.b=1,2,3 or seed=0:5 (0 to 4); repeatable: every combination"),
    ] = None,
    optuna: Annotated[int | None, typer.Option(min=1, help="so many trials, proposed by optuna within --search")] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=RANGE", help="low:high, low:high:log or a,b,c; repeatable"),
    ] = None,
    objective: Annotated[
        str, typer.Option(help="[VARIANT:]SPLIT.METRIC.STAT to rank by; SPLIT is val1 or cv")
    ] = "val1.corr.mean",
    jobs: Annotated[int, typer.Option(min=1, help="trials side by side")] = 1,
    folder: Annotated[
        Path | None, typer.Option(callback=expanded, help="where the run folders go; default runs/sweep_NAME", show_default=False)
    ] = None,
    cluster: Cluster = None,
    table_format: FormatOption = "table",
) -> None:
    """Run many trials of a config, and rank them.

    Each trial is a run folder; shared stages come from the cache. Called again, the sweep goes on. val2 does not rank trials.
    """
    from numerai_lab.config.loading import load_config
    from numerai_lab.report.progress import progress_display
    from numerai_lab.studies.sweep import SweepSpec
    from numerai_lab.studies.sweep import grid as grid_of
    from numerai_lab.studies.sweep import search as search_by

    if bool(grid) == (optuna is not None):
        stop("sweep: say either --grid KEY=VALUES, or --optuna N with --search KEY=RANGE")
    name = load_config(config, overrides or [])[0].name
    with on_cluster(cluster, jobs) as connection:
        spec = SweepSpec(config, overrides or [], folder or Path("runs") / f"sweep_{name}", jobs, connection)
        if optuna is not None:
            done = search_by(spec, search or [], optuna, objective, progress_display())
        else:
            done = grid_of(spec, grid or [], objective, progress_display())
    _print_leaderboard(done, spec.folder, name, table_format)


def _print_leaderboard(done: "Sweep", folder: Path, name: str, table_format: TableFormat) -> None:
    """Writes the leaderboard of a sweep into its folder and prints it."""
    from numerai_lab.report.sweep_page import leaderboard, readable
    from numerai_lab.studies.sweep import summary, write_leaderboard

    rows, says = summary(done)
    page = write_leaderboard(folder, name, done)
    table, columns = leaderboard(rows, done.objective.column)
    in_terminal = table_format == "table"
    print_table(readable(table, rows) if in_terminal else table, table_format, columns, says[:1])
    if in_terminal:
        print_lines(["Δ: to the reference of the same run", "", *says[1:]])
    say(f"leaderboard: {page}")
