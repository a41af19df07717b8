"""`nlab new`: prints a starter config."""

from pathlib import Path
from typing import Annotated

import typer

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
) -> None:
    """Print a commented config to begin with.

    It lists every parameter of the named methods with its default and description: `nlab new umap cutout > my.yaml`.
    """
    from numerai_lab.config.starter import starter

    text = starter(names or [])
    if out is None:
        put_text(text)
    else:
        from numerai_lab.runs.new_workspace import write_starter

        write_starter(out, text)
