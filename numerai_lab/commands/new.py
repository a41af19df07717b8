"""`nlab new` and `nlab schema`: configs to begin with, and what editors need to complete them."""

import json
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
    from numerai_lab.commands.starter import starter

    print(starter(names or []), end="")


def schema() -> None:
    """Print the JSON schema of configs, for editors."""
    from numerai_lab.commands.starter import schema as schema_of_configs

    print(json.dumps(schema_of_configs(), indent=1, ensure_ascii=False))
