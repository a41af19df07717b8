"""Realism of synthetic eras: tables in the run folder and remarks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numerai_lab.core.errors import NlabError
from numerai_lab.fitting.realism import Judged
from numerai_lab.report.markup import cells
from numerai_lab.report.tables import TableColumn, markdown, with_values
from numerai_lab.runs.layout import REALISM
from numerai_lab.runs.reading import Run, damaged_run
from numerai_lab.runs.writing import RunFolder

if TYPE_CHECKING:
    import polars as pl

COLUMNS = (
    TableColumn("augmenter", "augmenter", "s"),
    TableColumn("eras", "eras", "d"),
    TableColumn("rows", "rows", ",d"),
    TableColumn("bins_max", "bins", ".3f"),
    TableColumn("corr_ratio", "corr ÷ floor", ".2f"),
    TableColumn("target_corr_ratio", "y corr ÷ floor", ".2f"),
    TableColumn("auc", "AUC", ".3f"),
    TableColumn("auc_real", "real", ".3f"),
    TableColumn("memorised", "memory", ".3f"),
    TableColumn("tstr", "learned corr", "+.4f"),
    TableColumn("trtr", "from real", "+.4f"),
    TableColumn("diversity", "diversity", ".2f"),
)
LEGEND = (
    "bins: largest difference of a feature's bin proportions from the training rows'",
    "corr, y corr ÷ floor: rms difference of correlations (with the target) to held-out eras, over that of the training eras",
    "AUC: how well trees tell the rows from held-out ones; real: the same of training rows. 0.5 = not at all",
    "memory: distance to the nearest training row over that of held-out rows; well below 1 = training rows are copied",
    "learned corr: on held-out eras, of trees that learned from the rows alone; from real: from as many training rows",
    "diversity: spread over eras of correlations with the target, over that of training eras; empty = too few rows to tell",
)


def write_realism(folder: RunFolder, judged: Sequence[Judged]) -> None:
    """Writes realism.csv, realism.md and realism_bins.parquet (one row per feature); nothing where `judged` is empty."""
    import polars as pl

    if not judged:
        return
    table = pl.DataFrame([{"augmenter": entry.augmenter, "seed": entry.seed, **entry.realism.row()} for entry in judged])
    folder.write_table(REALISM, table)
    legend = [f"- {line}" for line in LEGEND]
    folder.write_text("realism.md", "\n".join(["# Realism of invented rows", "", markdown(table, COLUMNS), "", *legend, ""]))
    folder.write_table("realism_bins.parquet", pl.DataFrame([row for entry in judged for row in _bins(entry)]))
    for line in remarks(table):
        folder.warn(line)


def realism_table(run: Run) -> "pl.DataFrame":
    """The realism table of a finished run.

    Raises NlabError when no augmenter of the run invents eras, or the file is damaged.
    """
    import polars as pl

    if not (run.path / REALISM).is_file():
        raise NlabError(f"{run.path}: nothing to inspect, no augmenter of this run invents rows")
    try:
        table = pl.read_csv(run.content(REALISM), infer_schema_length=None, schema_overrides={"augmenter": pl.String})
        return table.select("augmenter", "seed", *(column.name for column in COLUMNS[1:]))
    except (ValueError, pl.exceptions.PolarsError) as error:
        raise damaged_run(run.path, f"{REALISM}: {error}") from error


def realism_cells(run: Run) -> dict[str, Any] | None:
    """Columns, rows and legend of the table for pages; None where no augmenter invents eras."""
    if not (run.path / REALISM).is_file():
        return None
    table = realism_table(run)
    columns = with_values(table, COLUMNS)
    return {"columns": columns, "rows": cells(table, columns), "legend": LEGEND}


def realism_lines(run: Run, augmenter: str) -> list[str]:
    """The realism of an augmenter's rows in a finished run, as Markdown; nothing where the run did not measure it."""
    if not (run.path / REALISM).is_file():
        return []
    table = realism_table(run).filter(augmenter=augmenter)
    if table.is_empty():
        return []
    return ["## Realism, against held-out eras of the run", "", markdown(table, COLUMNS), "", *(f"- {line}" for line in LEGEND)]


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
    return lines


def _bins(judged: Judged) -> list[dict[str, Any]]:
    return [
        {"augmenter": judged.augmenter, "feature": name, **{f"share_{i}": float(share) for i, share in enumerate(shares)}}
        for name, shares in zip(judged.features, judged.realism.proportions, strict=True)
    ]
