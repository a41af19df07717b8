"""Score tables for the terminal, and as JSON, CSV and Markdown."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from numerai_lab.core.formatting import printable
from numerai_lab.metrics import METRICS

if TYPE_CHECKING:
    import polars as pl
    from rich.table import Table

Format = Literal["table", "json", "csv", "md"]


@dataclass(frozen=True)
class TableColumn:
    """A column of a printed table: the name of its values, its heading, and the format of its numbers."""

    name: str
    heading: str
    style: str = "+.4f"


LABELS = (
    TableColumn("run", "run", "s"),
    TableColumn("variant", "variant", "s"),
    TableColumn("split", "split", "s"),
)
CORR = (
    TableColumn("corr_mean", "corr"),
    TableColumn("delta_corr_mean", "Δ corr"),
    TableColumn("verdict", "verdict", "s"),
    TableColumn("delta_corr_mean_p_adjusted", "p adj", ".3f"),
    TableColumn("interval", "95 % of Δ", "s"),
)
SURE = (
    TableColumn("corr_sharpe", "sharpe", ".2f"),
    TableColumn("delta_placebo_corr_mean", "Δ placebo"),
    TableColumn("share_of_truth", "of truth", ".0%"),
    TableColumn("share_of_oracle", "of oracle", ".0%"),
    TableColumn("delta_bmc_mean", "Δ bmc"),
    TableColumn("delta_bmc_last200_mean", "Δ bmc 200"),
    TableColumn("delta_payout_proxy_mean", "Δ payout"),
    TableColumn("delta_untrained_corr_mean", "Δ untrained"),
    TableColumn("n_eras", "eras", "d"),
    TableColumn("delta_corr_mean_p", "p alone", ".3f"),
    TableColumn("mcs", "MCS", "s"),
)
REST = (
    TableColumn("fnc_mean", "fnc"),
    TableColumn("mmc_mean", "mmc"),
    TableColumn("bmc_mean", "bmc"),
    TableColumn("max_feature_exposure_mean", "max exp", ".3f"),
    TableColumn("corr_max_drawdown", "drawdown", ".3f"),
)
LEGACY = (
    TableColumn("rank_corr_mean", "rank corr"),
    TableColumn("rank_corr_std", "std", ".4f"),
    TableColumn("rank_corr_sharpe", "sharpe", ".3f"),
    TableColumn("rank_corr_max_drawdown_compound", "drawdown", ".3f"),
    TableColumn("max_feature_exposure_mean", "max exp", ".3f"),
)
NOTES = TableColumn("notes", "notes", "s")
MARKS = "†‡§¶*"
"""Marks of notes; after the last one they are doubled."""
FOLDED = {**dict.fromkeys(("run", "gives", "type", "says", "check", "numbers"), 16), "verdict": 13}
"""Columns of prose, which may wrap over several lines, and the width in characters that a narrow table needs for each."""
KEPT = ("run", "variant", "split", "delta_corr_mean", "verdict", "interval", "corr_mean", "delta_corr_mean_p_adjusted")
"""Columns that a narrow terminal shows first, in the order of their importance."""


def summary_columns(legacy: bool, keys: Sequence[str] = ()) -> tuple[TableColumn, ...]:
    """Columns of the printed score table, most important first. legacy: as `scoring.legacy`; keys: config keys to add."""
    config_columns = [TableColumn(key, key, "s") for key in keys]
    return (*LABELS, *config_columns, *LEGACY, *CORR, *SURE) if legacy else (*LABELS, *config_columns, *CORR, *SURE, *REST)


def with_interval(scores: "pl.DataFrame") -> "pl.DataFrame":
    """The score table with the simultaneous interval of Δ corr and `in_mcs` as text, empty where not compared."""
    import polars as pl

    for name in ("delta_corr_mean", "delta_corr_mean_sim_low", "delta_corr_mean_sim_high", "delta_corr_mean_p"):
        if name not in scores.columns:
            scores = scores.with_columns(pl.lit(None, pl.Float64).alias(name))
    ends = scores.select("delta_corr_mean_sim_low", "delta_corr_mean_sim_high").rows()
    text = ["" if _blank(low) or _blank(high) else f"{low:+.4f} … {high:+.4f}" for low, high in ends]
    within = scores["in_mcs"].to_list() if "in_mcs" in scores.columns else [None] * len(scores)
    mcs = ["" if _blank(value) else "in" if value else "out" for value in within]
    return scores.with_columns(pl.Series("interval", text), pl.Series("mcs", mcs))


def coverage(scores: "pl.DataFrame") -> list[str]:
    """Lines where mmc or bmc covers fewer eras than the other scores, and where a variant has no corr in some eras."""
    lines = []
    for name in ("mmc", "bmc"):
        columns = ("split", f"{name}_n_eras", "n_eras")
        if not set(columns) <= set(scores.columns):
            continue
        counts = dict.fromkeys(scores.select(columns).drop_nulls().rows())
        fewer = [f"{split} {n} of {of} eras" for split, n, of in counts if 0 < n < of]
        if fewer:
            lines.append(f"{name} over fewer eras: {', '.join(fewer)} (corr over the same eras: corr_mean_{name}_eras)")
    if "corr_n_missing" in scores.columns:
        rows = scores.filter(scores["corr_n_missing"] > 0).select("variant", "split", "corr_n_missing", "n_eras").rows()
        lines += [
            f"{who}: no corr in {n} of {of} eras of {split} (constant predictions or targets)" for who, split, n, of in rows
        ]
    return lines


def footnoted(table: "pl.DataFrame") -> tuple["pl.DataFrame", list[str]]:
    """The table with a mark behind each variant that has notes, and the lines below it: the notes, and `coverage`."""
    import polars as pl

    notes = table["notes"].fill_null("").to_list()
    marks = marked(notes)
    names = [f"{name} {marks[note]}" if note else name for name, note in zip(table["variant"].to_list(), notes, strict=True)]
    return table.with_columns(pl.Series("variant", names)), [
        *(f"{mark} {note}" for note, mark in marks.items()),
        *coverage(table),
    ]


def marked(notes: Sequence[str]) -> dict[str, str]:
    """Note → its mark, for those that are not empty."""
    distinct = dict.fromkeys(note for note in notes if note)
    return {note: MARKS[i % len(MARKS)] * (1 + i // len(MARKS)) for i, note in enumerate(distinct)}


def rendered(table: "pl.DataFrame", columns: Sequence[TableColumn], width: int | None = None) -> "Table":
    """A rich table of the columns that the data has and that fit the width."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    visible = with_values(table, columns)
    cells = {column.name: [formatted(value, column.style) for value in table[column.name].to_list()] for column in visible}
    if width is not None:
        visible = _fitting(visible, cells, width)
    out = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    columns_of_lines = [[printable(column.heading), *cells[column.name]] for column in visible]
    widths = [max(map(cell_len, lines)) for lines in columns_of_lines]
    if width is not None and sum(widths) + 2 * len(widths) <= width:  # one column of whole lines is drawn ten times faster
        padded = [_padded(*column) for column in zip(columns_of_lines, widths, visible, strict=True)]
        heading, *lines = ["  ".join(parts) for parts in zip(*padded, strict=True)] or [""]
        out.add_column(Text(heading), no_wrap=True)
        if lines:
            out.add_row(Text("\n".join(lines)))
        return out
    for column in visible:
        out.add_column(
            printable(column.heading),
            justify="left" if column.style == "s" else "right",
            no_wrap=column.name not in FOLDED,
            overflow="fold",
        )
    for i in range(len(table)):
        out.add_row(*[Text(cells[column.name][i]) for column in visible])  # Text, so that names are not read as markup
    return out


def _padded(lines: Sequence[str], width: int, column: TableColumn) -> list[str]:
    """The lines of a column, each as wide as the widest: text to the left, numbers to the right."""
    from rich.cells import cell_len

    spaces = [" " * (width - cell_len(line)) for line in lines]
    if column.style == "s":
        return [line + space for line, space in zip(lines, spaces, strict=True)]
    return [space + line for line, space in zip(lines, spaces, strict=True)]


def with_values(table: "pl.DataFrame", columns: Sequence[TableColumn]) -> list[TableColumn]:
    """The columns that have a value to show."""
    return [c for c in columns if c.name in table.columns and any(formatted(v, c.style) for v in table[c.name].to_list())]


def best_is_high(column: str) -> bool | None:
    """Whether the best value of a column of the score table is the largest; None where neither end is best."""
    metric = re.sub(r"^delta_(placebo_|untrained_)?", "", column)
    names = [name for name in METRICS if metric.startswith(f"{name}_")]
    if not names or column.endswith(("_p", "_p_adjusted", "_resolution", "_n_missing", "_n_eras")):
        return None
    return METRICS[max(names, key=len)].higher_is_better and not metric.endswith(("_std", "_max_drawdown"))


def left_out(table: "pl.DataFrame", columns: Sequence[TableColumn], width: int) -> str:
    """A line with the columns that do not fit a terminal of this width; empty where all fit."""
    visible = with_values(table, columns)
    cells = {column.name: [formatted(value, column.style) for value in table[column.name].to_list()] for column in visible}
    fitting = _fitting(visible, cells, width)
    gone = [column.heading for column in visible if column not in fitting]
    return f"left out at {width} columns: {', '.join(gone)} (a wider terminal, or --format csv)" if gone else ""


def _fitting(columns: list[TableColumn], cells: dict[str, list[str]], width: int) -> list[TableColumn]:
    """The columns that fit: those of `KEPT` first, then the others in their order."""
    fitting, used = [], 0
    rank = {name: i for i, name in enumerate(KEPT)}
    for column in sorted(columns, key=lambda column: rank.get(column.name, len(KEPT))):  # stable: the others keep their order
        wide = max(map(len, [column.heading, *cells[column.name]]))
        needed = min(wide, FOLDED.get(column.name, wide)) + 2
        if used + needed <= width:
            fitting.append(column)
            used += needed
    return [column for column in columns if column in fitting]


def exported(table: "pl.DataFrame", how: Format) -> str:
    """The whole table, every column and digit, as JSON (a list of objects), CSV or Markdown."""
    if how == "json":
        rows = [{key: None if _blank(value) else value for key, value in row.items()} for row in table.to_dicts()]
        return json.dumps(rows, indent=1, ensure_ascii=False)
    if how == "csv":
        return table.write_csv().rstrip("\n")
    return markdown(table, [TableColumn(name, name, "s" if table[name].dtype.is_(str) else ".6g") for name in table.columns])


def markdown(table: "pl.DataFrame", columns: Sequence[TableColumn]) -> str:
    """A Markdown table of some columns."""
    present = [column for column in columns if column.name in table.columns]
    lines = ["| " + " | ".join(printable(column.heading) for column in present) + " |", "|" + " --- |" * len(present)]
    for row in table.select([column.name for column in present]).rows():
        cells = [formatted(value, column.style).replace("|", "\\|") for value, column in zip(row, present, strict=True)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def formatted(value: Any, style: str) -> str:
    """The text of a cell; empty for None, NaN and infinity."""
    if _blank(value):
        return ""
    if style == "d" and isinstance(value, float):  # other tools write counts as 60.0
        return f"{value:.15g}"
    return printable(str(value)) if isinstance(value, str) or style == "s" else format(value, style)


def short(values: Sequence[Any]) -> list[str]:
    """Values as text: floats with the fewest digits, at least four, that tell different ones apart."""
    numbers = {value for value in values if isinstance(value, float) and math.isfinite(value)}
    for digits in range(4, 18):
        texts = {value: _digits(value, digits) for value in numbers}
        if len({*texts.values()}) == len(numbers):
            break
    return [texts[value] if isinstance(value, float) and value in numbers else str(value) for value in values]


def _digits(value: float, digits: int) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e6 else f"{value:.{digits}g}"


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))
