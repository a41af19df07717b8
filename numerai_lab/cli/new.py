"""`nlab new`: prints a starter config."""

from typing import Annotated

import typer

from numerai_lab.cli.terminal import Plugins


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
    plugin: Plugins = None,
) -> None:
    """Print a commented config to begin with.

    It lists every parameter of the named methods with its default and description: `nlab new umap cutout > my.yaml`.
    """
    from numerai_lab.config.starter import starter

    print(starter(names or []), end="")
