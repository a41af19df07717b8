"""`nlab run`: runs a config into a scored run folder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.cli.conclusion import TableOption, print_run
from numerai_lab.cli.terminal import (
    Cluster,
    ConfigFile,
    FormatOption,
    Plugins,
    Set,
    TableFormat,
    expanded,
    on_cluster,
    put_text,
    say,
)

if TYPE_CHECKING:
    from numerai_lab.config.schema import Config
    from numerai_lab.experiment import RunOptions


def run(
    config: ConfigFile,
    overrides: Set = None,
    plugin: Plugins = None,
    runs_dir: Annotated[Path, typer.Option(callback=expanded, help="where run folders go")] = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be done, and do nothing")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the newest killed run of this config")] = False,
    force: Annotated[bool, typer.Option("--force", help="run even if memory or disk seem too small")] = False,
    cached: Annotated[bool, typer.Option("--cache/--no-cache", help="take finished stages from the cache")] = True,
    verify: Annotated[
        bool, typer.Option("--verify", help="read data and cache through, not only what changed since it was last read")
    ] = False,
    table: TableOption = False,
    cluster: Cluster = None,
    table_format: FormatOption = "table",
) -> None:
    """Run a config into a new, scored run folder."""
    from numerai_lab.config.loading import load_config
    from numerai_lab.runs.unfinished import unfinished_runs

    loaded, remarks = load_config(config, overrides or [])
    if dry_run:
        _print_plan(loaded, remarks, table_format)
        return
    from numerai_lab.experiment import RunOptions

    unfinished = unfinished_runs(runs_dir, loaded)
    if resume and not unfinished:
        say(f"no unfinished run of this config in {runs_dir}: starting a new one")
    if unfinished and not resume:
        say(f"unfinished run of this config: `nlab resume {unfinished[0]}` goes on with it")
    go_on_in = unfinished[0] if resume and unfinished else None
    options = RunOptions(cached, go_on_in, force, verify=verify)
    with _helped(options, cluster, loaded) as helped:
        run_and_print(loaded, runs_dir, remarks, helped, table_format, table)


@contextmanager
def _helped(options: "RunOptions", cluster: str | None, config: "Config") -> Iterator["RunOptions"]:
    """The options with stages that workers of the cluster made, and with training on them; the same without a cluster."""
    n_parts = max(config.model_of(name).n_parts for name in config.trained)
    with on_cluster(cluster, n_parts) as connection:
        if connection is None:
            yield options
            return
        from numerai_lab.cluster.gang import check_number, parts_on
        from numerai_lab.cluster.stages import stages_on

        check_number(connection, n_parts)
        with stages_on(connection, config) as offered:
            yield replace(options, offered=offered, together=partial(parts_on, connection))


def run_and_print(
    config: "Config", runs_dir: Path, remarks: list[str], options: "RunOptions", table_format: TableFormat, table: bool
) -> None:
    """Runs a config and prints what it shows, and its folder. table: with the score table."""
    from numerai_lab.experiment import run as run_experiment
    from numerai_lab.report.progress import progress_display

    done = run_experiment(config, runs_dir, progress_display(), remarks, options)
    print_run(done, table_format, table)
    say(f"run folder: {done.path}")


def _print_plan(config: "Config", remarks: list[str], table_format: TableFormat) -> None:
    from numerai_lab.fitting.plan import plan

    run_plan = plan(config)
    for remark in remarks:
        say(remark)
    if table_format == "json":
        put_text(json.dumps({"config": config.resolved(), **run_plan.as_dict()}, indent=1, ensure_ascii=False))
        return
    put_text(config.to_yaml())
    put_text("\n".join(run_plan.lines()))
