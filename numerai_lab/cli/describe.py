"""`nlab describe`: a method's parameters, output and source."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.cli.new import kinds
from numerai_lab.cli.terminal import HowShown, print_table

if TYPE_CHECKING:
    pass


def describe(
    name: Annotated[str, typer.Argument(help="a generator, augmenter, model, metric or source", autocompletion=kinds)],
    how: HowShown = "table",
) -> None:
    """Explain a method: parameters, output, source. As CSV, its parameters alone."""
    import polars as pl

    from numerai_lab.config.catalogue import description
    from numerai_lab.report.tables import Shown

    found = description(name)
    if how == "json":
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return
    parameters = pl.DataFrame(found["parameters"], schema=dict.fromkeys(("name", "type", "default", "of", "says"), pl.String))
    columns = ["name", "type", "default", "says"]
    if how == "csv" or parameters.get_column("of").str.len_chars().sum():
        columns.insert(3, "of")
    headings = {"name": "parameter", "of": "only of"}
    if how != "csv":
        mark, end = ("# ", "\n") if how == "md" else ("", "")
        print(f"{mark}{found['name']} ({found['family']})\n\n{found['text']}\n\nEmits: {found['emits']}.{end}")
    print_table(
        parameters,
        how,
        tuple(Shown(column, headings.get(column, column), "s") for column in columns),
        wrap=True,
    )
