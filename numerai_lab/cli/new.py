"""`nlab new`: prints a starter config."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.outcome import OutcomeOption, file_facts, print_outcome
from numerai_lab.cli.terminal import Plugins, expanded, put_text


def kinds() -> list[str]:
    """Shell completions: names of methods."""
    from numerai_lab.config.messages import KINDS

    return list(KINDS)


def new(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="generators, augmenters, a target transform, a model, a source", show_default=False, autocompletion=kinds
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            callback=expanded, help="write it there instead, with schema.json beside it, by which editors complete keys"
        ),
    ] = None,
    plugin: Plugins = None,
    outcome_format: OutcomeOption = "text",
) -> None:
    """Print a commented config to begin with.

    It lists every parameter of the named methods with its default and description: `nlab new umap cutout > my.yaml`.
    """
    from numerai_lab.config.starter import starter

    text = starter(names or [])
    if out is not None:
        from numerai_lab.runs.new_workspace import write_starter

        write_starter(out, text)
    elif outcome_format == "text":
        put_text(text)
    print_outcome(outcome_format, lambda: {"config": text, "files": file_facts(out) if out else []})
