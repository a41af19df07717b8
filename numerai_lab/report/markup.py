"""Self-contained HTML pages: escaping templates, the plotting library, cells that sort."""

import base64
import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from numerai_lab import __version__
from numerai_lab.core.formatting import printable
from numerai_lab.report.conclusion_text import seconds_text
from numerai_lab.report.figure import Figure
from numerai_lab.report.tables import TableColumn, formatted

if TYPE_CHECKING:
    import polars as pl
    from jinja2 import Environment

SORTED_BY = {"interval": "delta_corr_mean_sim_low"}
"""Columns of text → the column of numbers that they sort by."""
SINGLED_OUT = ("run", "variant", "corr_mean")
"""Columns in bold where a single row is in the model confidence set."""


@dataclass(frozen=True)
class Cell:
    """The text of a table cell, and the number that it sorts by: None for text, "" for nothing. title: what it means."""

    text: str
    value: float | str | None
    best: bool = False
    link: str = ""
    title: str = ""


def render(template: str, figures: Sequence[Figure], **values: Any) -> str:
    """A page from a template of this package; all values are escaped."""
    described = {figure.key: figure.as_dict() for figure in figures}
    return fragment(template, figures=described, library=_library() if figures else "", version=__version__, **values)


def fragment(template: str, **values: Any) -> str:
    """The text of a template with these values, which are all escaped, control characters too."""
    return str(_templates().get_template(template).render(**values))


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("numerai_lab.report", "")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, loader=loader, finalize=_shown)
    environment.filters["cost"] = seconds_text
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "allow_nan": False}
    return environment


def _shown(value: Any) -> Any:
    """What a template says of a value: half a character could not be written."""
    return printable(value, lines=True) if type(value) is str else value


def cells(table: "pl.DataFrame", columns: Sequence[TableColumn]) -> list[list[Cell]]:
    """The cells of a score table by row. Bold: the variant that is alone in the model confidence set, and its corr."""
    within = table["in_mcs"].to_list() if "in_mcs" in table.columns else []
    single = within.index(True) if within.count(True) == 1 else None
    by_column = [_column(table, column, single if column.name in SINGLED_OUT else None) for column in columns]
    return [list(row) for row in zip(*by_column, strict=True)]


def _column(table: "pl.DataFrame", column: TableColumn, single: int | None) -> list[Cell]:
    contents, behind = table[column.name].to_list(), SORTED_BY.get(column.name, column.name)
    if column.style == "s" and behind == column.name:
        return [Cell(formatted(value, "s"), None, i == single) for i, value in enumerate(contents)]
    values = [math.nan if value is None else float(value) for value in table[behind].to_list()]
    return [
        Cell(formatted(text, column.style), value if math.isfinite(value) else "", i == single)
        for i, (text, value) in enumerate(zip(contents, values, strict=True))
    ]


@cache
def _library() -> str:
    """plotly.js from the PyPI package `plotly`, as base64 of its gzip: a third of its size in every report."""
    script = files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    return base64.b64encode(gzip.compress(script, 6, mtime=0)).decode()
