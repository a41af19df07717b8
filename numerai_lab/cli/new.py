"""`nlab new`: a config to begin with."""

from typing import Annotated

import typer


def kinds() -> list[str]:
    """Names that the shell completes."""
    from numerai_lab.config.messages import KINDS

    return list(KINDS)


def new(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="generators, augmenters, a model, a source", show_default=False, autocompletion=kinds),
    ] = None,
) -> None:
    """Print a commented config to begin with.

    Every parameter of the methods that are named, with its default and what it does: `nlab new umap cutout > my.yaml`.
    """
    from numerai_lab.config.starter import starter

    print(starter(names or []), end="")
