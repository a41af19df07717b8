"""Realism of synthetic eras: tables in the run folder and remarks."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from numerai_lab.core.errors import NlabError
from numerai_lab.fitting.realism import Judged
from numerai_lab.metrics.realism import Realism
from numerai_lab.metrics.realism_measures import REALISM_MEASURES, columns_of
from numerai_lab.report.markup import cells
from numerai_lab.report.tables import TableColumn, formatted, markdown, with_values
from numerai_lab.runs.layout import CURVE, REALISM
from numerai_lab.runs.reading import Run, damaged_run
from numerai_lab.runs.writing import RunFolder

if TYPE_CHECKING:
    import polars as pl

COLUMNS = (
    TableColumn("augmenter", "augmenter", "s"),
    TableColumn("eras", "eras", "d"),
    TableColumn("rows", "rows", ",d"),
    TableColumn("corr_ratio", "corr ÷ floor", ".2f"),
    TableColumn("target_corr_ratio", "y corr ÷ floor", ".2f"),
    TableColumn("auc", "AUC", ".3f"),
    TableColumn("auc_real", "real", ".3f"),
    TableColumn("coverage", "coverage", ".3f"),
    TableColumn("coverage_real", "real", ".3f"),
    TableColumn("copies", "copies", ".3f"),
    TableColumn("memorised", "memory", ".3f"),
    TableColumn("tstr", "learned", "+.4f"),
    TableColumn("trtr", "real", "+.4f"),
)
LEGEND = (
    "corr, y corr ÷ floor: rms difference of correlations (with the target) to held-out eras, over that of the training eras",
    "real: what real rows give in their place",
    "AUC: how well trees tell the rows from held-out ones; 0.5 = not at all",
    "coverage: share of held-out rows that have one of the rows near; 0.97 is expected where eras are alike",
    "copies: share of the rows that are training rows",
    "memory: distance to the nearest training row over that of held-out rows; well below 1 = training rows are copied",
    "learned: corr on held-out eras of trees that learned from the rows alone; real: from as many training rows",
)
MEASURES = (
    TableColumn("augmenter", "augmenter", "s"),
    TableColumn("measure", "measure", "s"),
    TableColumn("value", "value", "s"),
    TableColumn("between", "95 %", "s"),
    TableColumn("real", "real rows", "s"),
    TableColumn("sdmetrics", "in SDMetrics", "s"),
    TableColumn("of", "which real rows", "s"),
)
MEASURES_LEGEND = (
    "95 %: the interval by a jackknife that leaves out runs of eras, of the invented and of the real rows",
    "`nlab describe realism.MEASURE` explains a measure",
)
CURVE_COLUMNS = (
    TableColumn("augmenter", "augmenter", "s"),
    TableColumn("share", "invented ÷ real", ".2f"),
    TableColumn("real_rows", "real rows", ",d"),
    TableColumn("invented_rows", "invented rows", ",d"),
    TableColumn("corr", "corr"),
    TableColumn("corr_low", "95 % from"),
    TableColumn("corr_high", "to"),
    TableColumn("change", "Δ corr"),
    TableColumn("change_low", "95 % of Δ from"),
    TableColumn("change_high", "to"),
)
CURVE_LEGEND = (
    "corr on held-out eras of trees that learned from the same real rows and ever more invented rows; Δ: from none",
    "95 %: over held-out eras, and draws of rows and trees",
)
NEEDED = ("augmenter", "seed", "eras", "rows", "corr_ratio", "memorised")
COPIES_TOO_MANY = 0.01
MEMBERSHIP_TOO_CLEAR = 0.05


def write_realism(folder: RunFolder, judged: Sequence[Judged]) -> None:
    """Writes realism.csv, realism.md, realism_curve.csv and realism_bins.parquet; nothing where `judged` is empty."""
    import polars as pl

    if not judged:
        return
    table = pl.DataFrame([{"augmenter": entry.augmenter, "seed": entry.seed, **_row(entry.realism)} for entry in judged])
    folder.write_table(REALISM, table)
    about = [(entry, {"augmenter": entry.augmenter, "seed": entry.seed}) for entry in judged]
    curve = pl.DataFrame([{**who, **asdict(point)} for entry, who in about for point in entry.curve])
    folder.write_table(CURVE, curve)
    folder.write_text("realism.md", "\n".join(["# Realism of invented rows", "", *_sections(table, curve, "##"), ""]))
    folder.write_table("realism_bins.parquet", pl.DataFrame([row for entry in judged for row in _bins(entry)]))
    for line in remarks(table):
        folder.warn(line)


def realism_table(run: Run) -> "pl.DataFrame":
    """The realism table of a finished run.

    Raises NlabError when no augmenter of the run invents eras, or the file is damaged.
    """
    if not (run.path / REALISM).is_file():
        raise NlabError(f"{run.path}: nothing to inspect, no augmenter of this run invents rows")
    return _read(run, REALISM, NEEDED)


def curve_table(run: Run) -> "pl.DataFrame | None":
    """The augmentation curves of a finished run; None where it has none. Raises NlabError where the file is damaged."""
    if not (run.path / CURVE).is_file():
        return None
    return _read(run, CURVE, [column.name for column in CURVE_COLUMNS])


def measures_table(table: "pl.DataFrame") -> "pl.DataFrame":
    """A row for each augmenter and measure, as text: value, interval, the value of real rows, which ones, name in SDMetrics."""
    import polars as pl

    rows = []
    for row in table.to_dicts():
        for name, measure in REALISM_MEASURES.items():
            if name in row:
                text = {column: formatted(row.get(column), measure.style) for column in columns_of(name)}
                interval = f"{text[f'{name}_low']} … {text[f'{name}_high']}" if text.get(f"{name}_low") else ""
                real = text[measure.real] if measure.real else formatted(1.0, measure.style)
                rows.append([row["augmenter"], name, text[name], interval, real, measure.sdmetrics, measure.real_says])
    return pl.DataFrame(rows, schema=dict.fromkeys((column.name for column in MEASURES), pl.String), orient="row")


def realism_cells(run: Run) -> dict[str, Any] | None:
    """Columns, rows and legends of the tables for pages; None where no augmenter invents eras."""
    if not (run.path / REALISM).is_file():
        return None
    table, curve = realism_table(run), curve_table(run)
    return {
        **_grid(table, COLUMNS, LEGEND),
        "measures": _grid(measures_table(table), MEASURES, MEASURES_LEGEND),
        "curve": None if curve is None else _grid(curve, CURVE_COLUMNS, CURVE_LEGEND),
    }


def realism_lines(run: Run, augmenter: str) -> list[str]:
    """The realism of an augmenter's rows in a finished run, as Markdown; nothing where the run did not measure it."""
    if not (run.path / REALISM).is_file():
        return []
    table, curve = realism_table(run).filter(augmenter=augmenter), curve_table(run)
    if table.is_empty():
        return []
    own_curve = None if curve is None else curve.filter(augmenter=augmenter)
    return ["## Realism, against held-out eras of the run", "", *_sections(table, own_curve, "###")]


def remarks(table: "pl.DataFrame") -> list[str]:
    """A sentence for each reason to doubt an augmenter's rows."""
    lines = []
    for row in table.to_dicts():
        who = f"augmenter {row['augmenter']}"
        if row["eras"] < 2:
            lines.append(f"{who}: one era was invented, so nothing is known of how eras differ, and little of its correlations")
        if row["memorised"] < 0.8:
            lines.append(
                f"{who}: rows lie at {row['memorised']:.2f} of the distance of held-out rows to training rows: copies of them"
            )
        if row["corr_ratio"] > 5:
            lines.append(
                f"{who}: correlations of features are {row['corr_ratio']:.1f} times as far from held-out eras as real ones are"
            )
        lines += [f"{who}: {line}" for line in _of_memory(row)]
    return lines


def _of_memory(row: dict[str, Any]) -> list[str]:
    """Sentences about training rows that invented rows repeat or give away; older runs have no such measures."""
    lines = []
    for name, says in (("copies", "are training rows"), ("near_copies", "differ from a training row in at most 3 features")):
        share, real = row.get(name), row.get(f"{name}_real")
        if share is not None and real is not None and share > real + COPIES_TOO_MANY:
            lines.append(f"{share:.0%} of its rows {says}, and {real:.0%} of held-out rows")
            break
    low, real = row.get("membership_low"), row.get("membership_real")
    if low is not None and real is not None and low > real + MEMBERSHIP_TOO_CLEAR:
        lines.append(
            f"distances to its rows tell training rows from held-out rows: area {row['membership']:.2f}, for real rows {real:.2f}"
        )
    return lines


def _row(realism: Realism) -> dict[str, Any]:
    """Plain values by column of realism.csv."""
    row: dict[str, Any] = {"rows": realism.rows, "eras": realism.eras}
    for name in REALISM_MEASURES:
        measure = realism[name]
        row |= dict(zip(columns_of(name), (measure.value, measure.low, measure.high, measure.real), strict=False))
    return row


def _sections(table: "pl.DataFrame", curve: "pl.DataFrame | None", level: str) -> list[str]:
    """The tables and their legends as Markdown."""
    lines = [markdown(table, COLUMNS), "", *(f"- {line}" for line in LEGEND)]
    lines += ["", f"{level} Every measure", "", markdown(measures_table(table), MEASURES), ""]
    lines += [f"- {line}" for line in MEASURES_LEGEND]
    if curve is not None:
        lines += [
            "",
            f"{level} Augmentation curve",
            "",
            markdown(curve, CURVE_COLUMNS),
            "",
            *(f"- {line}" for line in CURVE_LEGEND),
        ]
    return lines


def _grid(table: "pl.DataFrame", columns: Sequence[TableColumn], legend: Sequence[str]) -> dict[str, Any]:
    visible = with_values(table, columns)
    return {"columns": visible, "rows": cells(table, visible), "legend": legend}


def _read(run: Run, name: str, needed: Sequence[str]) -> "pl.DataFrame":
    import polars as pl

    try:
        table = pl.read_csv(run.content(name), infer_schema_length=None, schema_overrides={"augmenter": pl.String})
        table.select(needed)
    except (ValueError, pl.exceptions.PolarsError) as error:
        raise damaged_run(run.path, f"{name}: {error}") from error
    return table


def _bins(judged: Judged) -> list[dict[str, Any]]:
    return [
        {"augmenter": judged.augmenter, "feature": name, **{f"share_{i}": float(share) for i, share in enumerate(shares)}}
        for name, shares in zip(judged.features, judged.realism.proportions, strict=True)
    ]
