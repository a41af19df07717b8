"""`nlab init`: a folder to begin in, for an installation without a checkout."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.outcome import OutcomeOption, file_facts, print_outcome
from numerai_lab.cli.terminal import expanded, say


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", callback=expanded, help="a new or empty folder", show_default=False)],
    outcome_format: OutcomeOption = "text",
) -> None:
    """Make a folder to begin in: the shipped configs, their schema for editors, and a folder for runs."""
    from numerai_lab.runs.new_workspace import write_workspace

    n_configs = write_workspace(folder)
    print_outcome(outcome_format, lambda: {"files": file_facts(folder)})
    say(f"{folder}: {n_configs} configs, schema.json for editors, runs/")
    say(f"next: cd {folder} && nlab run configs/quickstart.yaml --set data.size=tiny")
