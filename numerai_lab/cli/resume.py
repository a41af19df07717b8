"""`nlab resume`: goes on with a killed run."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.conclusion import TableOption
from numerai_lab.cli.run import run_and_print
from numerai_lab.cli.terminal import FormatOption, Plugins, expanded


def resume(
    folder: Annotated[
        Path, typer.Argument(callback=expanded, help="the .unfinished-… folder of a run that was killed", show_default=False)
    ],
    plugin: Plugins = None,
    force: Annotated[bool, typer.Option("--force", help="run even if memory or disk seem too small")] = False,
    table: TableOption = False,
    table_format: FormatOption = "table",
) -> None:
    """Go on with a run that was killed."""
    from numerai_lab.config.loading import load_resumed
    from numerai_lab.experiment import RunOptions
    from numerai_lab.runs.layout import CONFIG
    from numerai_lab.runs.unfinished import asked_config_of, unfinished_run

    unfinished = unfinished_run(folder)
    loaded = load_resumed(unfinished / CONFIG, asked_config_of(unfinished))
    options = RunOptions(unfinished=unfinished, force=force)
    run_and_print(loaded, unfinished.parent, [], options, table_format, table)
