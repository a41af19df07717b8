"""`nlab describe`: a method's parameters, output and source."""

import json
from typing import Annotated

import typer

from numerai_lab.cli.new import kinds
from numerai_lab.cli.terminal import FormatOption, Plugins, print_table, put, put_text


def describe(
    name: Annotated[
        str, typer.Argument(help="a generator, augmenter, model, metric, measure of realism or source", autocompletion=kinds)
    ],
    plugin: Plugins = None,
    table_format: FormatOption = "table",
) -> None:
    """Explain a method: parameters, output, source. As CSV, its parameters alone."""
    import polars as pl

    from numerai_lab.config.catalogue import description
    from numerai_lab.report.tables import TableColumn

    entry = description(name)
    if table_format == "json":
        put_text(json.dumps(entry, indent=1, ensure_ascii=False))
        return
    parameters = pl.DataFrame(entry["parameters"], schema=dict.fromkeys(("name", "type", "default", "of", "says"), pl.String))
    columns = ["name", "type", "default", "says"]
    if table_format == "csv" or parameters.get_column("of").str.len_chars().sum():
        columns.insert(3, "of")
    headings = {"name": "parameter", "of": "only of"}
    if table_format != "csv":
        mark = "# " if table_format == "md" else ""
        control = f"\n\nControl: {entry['control']}" if entry["control"] else ""
        put_text(f"{mark}{entry['name']} ({entry['family']})\n\n{entry['text']}\n\nEmits: {entry['emits']}.{control}")
        if mark:
            put("")
    print_table(
        parameters,
        table_format,
        tuple(TableColumn(column, headings.get(column, column), "s") for column in columns),
        wrap=True,
    )
