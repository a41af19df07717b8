"""`nlab methods`: compares all methods under one config."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.cli.outcome import OutcomeOption
from numerai_lab.cli.terminal import Cluster, ConfigFile, Plugins, Set, expanded, on_cluster, put_text, say

if TYPE_CHECKING:
    from numerai_lab.studies.methods import MethodRun


def methods(
    config: ConfigFile,
    overrides: Set = None,
    plugin: Plugins = None,
    runs_dir: Annotated[Path, typer.Option(callback=expanded, help="where run folders go, a folder a method")] = Path("runs"),
    jobs: Annotated[int, typer.Option(min=1, help="methods at a time; seconds and memory are best measured alone")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="this method alone; repeatable")] = None,
    worlds: Annotated[
        int, typer.Option(min=1, help="synthetic worlds: of data.seed and the seeds after it; several are pooled into one table")
    ] = 1,
    cluster: Cluster = None,
    out: Annotated[
        Path | None,
        typer.Option(
            callback=expanded, help="the table, as Markdown; default beside the config. Its numbers are put beside it as .json"
        ),
    ] = None,
    outcome_format: OutcomeOption = "text",
) -> None:
    """Run every generator and augmenter there is under one config's data, splits and model.

    Each has a run of its own, with raw features and against its placebo: the config's methods with their parameters there,
    all others with their defaults. Stages come from the cache, and the table gains a row after each method. Exit code 1 if a
    method fails.
    """
    from numerai_lab.config.loading import load_config
    from numerai_lab.core.errors import NlabFailure
    from numerai_lab.runs.output_files import check_writable, write_page
    from numerai_lab.studies.method_worlds import page_over_worlds, results_text
    from numerai_lab.studies.methods import MethodPlan, page, run_each, run_over_worlds

    loaded, remarks = load_config(config, overrides or [])
    for remark in remarks:
        say(remark)
    trials: list[MethodRun] = []
    place = out or config.with_suffix(".md")
    check_writable(place)
    with on_cluster(cluster, jobs) as connection:
        planned = MethodPlan(runs_dir / f"{loaded.name}_each", jobs, tuple(only or []), connection)
        for trial in run_over_worlds(loaded, planned, say, worlds) if worlds > 1 else run_each(loaded, planned, say):
            trials.append(trial)
            write_page(place, (page_over_worlds if worlds > 1 else page)(loaded, trials))  # the table so far: all take hours
            write_page(place.with_suffix(".json"), results_text(loaded, trials))
    put_text(results_text(loaded, trials) if outcome_format == "json" else str(place))
    if failed := [trial for trial in trials if trial.run is None]:
        raise NlabFailure(f"methods: {len(failed)} of {len(trials)} failed, the first: {failed[0].name}: {failed[0].failure}")
