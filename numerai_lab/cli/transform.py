"""`nlab transform`: writes the columns of a config's generators without training a model."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.export import exported_facts, exported_line
from numerai_lab.cli.outcome import OutcomeOption, print_outcome
from numerai_lab.cli.terminal import ConfigFile, Plugins, Set, expanded, say


def transform(
    config: ConfigFile,
    overrides: Set = None,
    plugin: Plugins = None,
    out: Annotated[
        Path | None, typer.Option(callback=expanded, help="a new folder; default NAME_columns", show_default=False)
    ] = None,
    outcome_format: OutcomeOption = "text",
) -> None:
    """Download, fit generators and write their columns.

    One file per generator in a new folder, as `nlab export` writes them; no model is trained.
    """
    from numerai_lab.config.loading import load_config
    from numerai_lab.report.progress import progress_display
    from numerai_lab.studies.export import transform as transform_config

    loaded, remarks = load_config(config, overrides or [])
    for remark in remarks:
        say(remark)
    done = transform_config(loaded, out or Path(f"{loaded.name}_columns"), progress_display())
    print_outcome(outcome_format, lambda: [exported_facts(exported) for exported in done], map(exported_line, done))
