"""The table of probes: how well simple predictors do that read a representation alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from numerai_lab.core.arrays import Float64
from numerai_lab.metrics.probes import mean_and_error
from numerai_lab.report.markup import cells
from numerai_lab.report.tables import TableColumn, with_values

if TYPE_CHECKING:
    import polars as pl

RAW = "raw features"
COLUMNS = (
    TableColumn("columns_of", "columns of", "s"),
    TableColumn("kind", "kind", "s"),
    TableColumn("columns", "columns", "d"),
    TableColumn("linear", "linear"),
    TableColumn("linear_error", "±", ".4f"),
    TableColumn("delta_linear", "Δ raw"),
    TableColumn("delta_linear_error", "±", ".4f"),
    TableColumn("neighbours", "k-NN"),
    TableColumn("neighbours_error", "±", ".4f"),
    TableColumn("delta_neighbours", "Δ raw"),
    TableColumn("delta_neighbours_error", "±", ".4f"),
    TableColumn("eras", "eras", "d"),
)
LEGEND = (
    "Probes are yardsticks of what columns hold, and no models. Columns that score low may still help beside raw features: only "
    "variants of a run, beside their placebos, show that",
    "linear: mean corr on validation eras of a ridge regression on these columns alone, its penalty chosen on the last third of "
    "the training eras",
    "k-NN: mean corr of the mean target of the nearest training rows by these columns, 100 of at most 20,000",
    "±: standard error over eras; Δ raw: difference from the same probe of raw features, paired by era",
)


@dataclass(frozen=True)
class Probed:
    """Scores of the probes of a generator's columns, or of raw features.

    name: of the generator; empty for raw features. linear, neighbours: corr by era, NaN where predictions are constant.
    overlap: eras that the target looks ahead.
    """

    name: str
    kind: str
    n_columns: int
    eras: tuple[int, ...]
    linear: Float64
    neighbours: Float64
    overlap: int

    def row(self, raw: "Probed") -> dict[str, object]:
        """A row of the table, beside the probes of raw features."""
        out: dict[str, object] = {"columns_of": self.name or RAW, "kind": self.kind, "columns": self.n_columns}
        for probe in ("linear", "neighbours"):
            own, beside = getattr(self, probe), getattr(raw, probe)
            out |= self._summary(probe, own) | (self._summary(f"delta_{probe}", own - beside) if self.name else {})
        return out | {"eras": len(self.eras)}

    def _summary(self, name: str, scores: Float64) -> dict[str, float | None]:
        """Mean and standard error of per-era scores; None where there is none."""
        summary = zip((name, f"{name}_error"), mean_and_error(scores, np.array(self.eras), self.overlap), strict=True)
        return {key: value if np.isfinite(value) else None for key, value in summary}


def probe_table(probes: Sequence[Probed]) -> "pl.DataFrame":
    """One row for raw features, which come first, and one for each generator."""
    import polars as pl

    return pl.DataFrame([probed.row(probes[0]) for probed in probes], infer_schema_length=None)


def probe_cells(probes: Sequence[Probed]) -> dict[str, Any] | None:
    """Columns, rows and legend of the table in a page; None without probes."""
    if not probes:
        return None
    table = probe_table(probes)
    columns = with_values(table, COLUMNS)
    return {"columns": columns, "rows": cells(table, columns), "legend": LEGEND}
