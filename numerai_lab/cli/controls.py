"""`nlab controls`: methods in synthetic worlds whose truth is known."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.cli.terminal import Cluster, FormatOption, Plugins, TableFormat, expanded, on_cluster, print_table, put, say

if TYPE_CHECKING:
    from numerai_lab.studies.controls import ControlSpec


def controls(
    world: Annotated[list[str] | None, typer.Option(metavar="WORLD", help="this world alone; repeatable")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="METHOD", help="this method alone, in its own world and where none may help; repeatable"),
    ] = None,
    plugin: Plugins = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(min=0, max=2**32 - 1, metavar="N", help="seed of the worlds; repeatable; default 11, 12 and 13"),
    ] = None,
    configs: Annotated[Path, typer.Option(callback=expanded, help="folder with a config for each world")] = Path(
        "configs/controls"
    ),
    runs_dir: Annotated[Path, typer.Option(callback=expanded, help="where run folders go")] = Path("runs"),
    cluster: Cluster = None,
    out: Annotated[Path | None, typer.Option(callback=expanded, help="write it as Markdown too, and as .json")] = None,
    table_format: FormatOption = "table",
) -> None:
    """Run methods through worlds in which they must help, and worlds in which none may.

    The worlds are synthetic, so that it is known what can be found. Try a new idea here first: a
    method that fails in the world made for it will not help anywhere else. Without
    --only, the methods of a plug-in that is named run alone. Exit code 1 if a gain that must be found
    is missed, or one is found where there is none.
    """
    from numerai_lab.config.plugins import load_plugins
    from numerai_lab.studies.controls import SEEDS, ControlSpec

    seeds = tuple(dict.fromkeys(seed or SEEDS))
    kinds = [kind for loaded in load_plugins(plugin or []) for kind in loaded.kinds_of("generators", "augmenters")]
    with on_cluster(cluster) as connection:
        spec = ControlSpec(configs, runs_dir, seeds, tuple(world or ()), tuple(only or kinds), connection)
        _run(spec, out, table_format)


def _run(spec: "ControlSpec", out: Path | None, table_format: TableFormat) -> None:
    """Runs the controls, prints their table and requirements, and fails where one does not hold."""
    from numerai_lab.report.progress import progress_display
    from numerai_lab.runs.output_files import check_writable, write_page
    from numerai_lab.studies.control_findings import findings
    from numerai_lab.studies.control_outcomes import outcomes_of
    from numerai_lab.studies.control_page import COLUMNS, failures, outcome_table, page, results_text
    from numerai_lab.studies.controls import control_configs, run_controls

    chosen = control_configs(spec)
    if out:
        check_writable(out)
    runs = list(run_controls(spec, chosen, progress_display(), say))
    results, failed = findings(runs, outcomes_of(runs)), failures(runs)
    if out:
        write_page(out, page(runs))
        write_page(out.with_suffix(".json"), results_text(runs))
    print_table(outcome_table(runs), table_format, COLUMNS)
    if table_format == "table":
        put("", *results)
    _end([*failed, *(str(finding) for finding in results if not finding.holds)], len(results))


def _end(broken: list[str], n_asked: int) -> None:
    """Ends with exit code 1 where something does not hold."""
    from numerai_lab.core.errors import NlabFailure

    if broken:
        problems = f"{len(broken)} problem{'s' * (len(broken) != 1)}"
        raise NlabFailure("\n".join([f"controls: {problems}, {n_asked} requirements", *broken]))
    say(f"controls: all {n_asked} requirements hold" if n_asked else "controls: nothing is required of these worlds")
