"""The truth of synthetic data beside the scores of a run. It is read after scoring, and by nothing else."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import Float64
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.data.extras import RowIndex, find_rows, numbered
from numerai_lab.data.parquet_pages import refuse_damaged_pages
from numerai_lab.data.scan import as_bytes, number, reading, scan, schema_of
from numerai_lab.metrics.era import numerai_corr
from numerai_lab.metrics.scoring import SPLITS, Scoring
from numerai_lab.metrics.shares import BOTH, with_shares

if TYPE_CHECKING:
    import polars as pl

LONG = 60
"""The horizon in business days from which the expected 60-day returns are the truth."""


@dataclass(frozen=True)
class Truth:
    """Expected returns of the rows of a panel. values: float64, NaN where the file has none."""

    panel: Panel
    values: Float64

    @classmethod
    def of(cls, path: Path, panel: Panel, horizon_days: int | None) -> "Truth":
        """Reads a file of expected returns. Raises NlabError where it is no such file."""
        import polars as pl

        name = f"expected_{LONG if (horizon_days or 0) >= LONG else 20}"
        lazy = scan(path)
        missing = {"id", "era", name} - set(schema_of(lazy, path))
        if missing:
            raise NlabError(f"{path}: has no column {min(missing)!r}; the truth.parquet of a synthetic tournament has")
        refuse_damaged_pages(path, ["id", "era", name])
        with reading(path):
            frame = lazy.select("id", pl.col("era").cast(pl.String), number(name, pl.Float64).alias("value")).collect()
        index = RowIndex(panel.ids, panel.eras, panel.bounds, panel.dates)
        rows = find_rows(path, index, as_bytes(frame["id"]), numbered(path, frame["era"], panel.dates))
        values = np.full(len(panel.ids), np.nan)
        values[rows[rows >= 0]] = frame["value"].to_numpy()[rows >= 0]
        return cls(panel, values)

    def corr(self, era: int) -> float:
        """Corr of the expected returns with the target; NaN where one is not known for any row."""
        rows = self.panel.rows(era)
        assert self.panel.target is not None
        expected, target = self.values[rows], self.panel.target[rows].astype(np.float64)
        known = np.isfinite(expected) & np.isfinite(target)
        return float(numerai_corr(expected[known][:, None], target[known])[0])


def beside_truth(
    scores: "pl.DataFrame", eras: "pl.DataFrame", truth: Truth, reference: str, oracle: str | None
) -> "tuple[pl.DataFrame, float]":
    """The score table with shares of truth and oracle, and the mean corr of the truth over both halves of validation.

    eras: the per-era scores. oracle: the variant that reads the oracle, where there is one.
    """
    import polars as pl

    scored = eras.filter(pl.col("split").is_in(SPLITS[BOTH]))["era"].unique().to_list()
    corr = np.array([truth.corr(era) for era in scored])
    mean = float(corr[np.isfinite(corr)].mean()) if np.isfinite(corr).any() else float("nan")
    return with_shares(scores, reference, mean, oracle), mean


def beside_truth_of_data(
    scores: "pl.DataFrame", eras: "pl.DataFrame", config: Config, panel: Panel, scoring: Scoring
) -> "tuple[pl.DataFrame, dict[str, Any], list[str]]":
    """The score table of a run with shares of truth and oracle, facts for the manifest, and remarks.

    The table is as it was where the data have no truth, and where it can't be read, which is a remark.
    """
    path, oracle = config.data.truth, _oracle_variant(config)
    if path is None:
        return scores, {}, []
    try:
        truth = Truth.of(path, panel, scoring.horizon_days)
    except NlabError as error:
        return scores, {}, [f"no share of truth: {error}"]
    scores, corr = beside_truth(scores, eras, truth, scoring.reference, oracle)
    return scores, {"truth": {"corr_mean": corr if np.isfinite(corr) else None, "oracle": oracle}}, []


def _oracle_variant(config: Config) -> str | None:
    """The first variant, but for the reference, that reads a feature set beside its own."""
    names = (name for name, variant in config.variants.items() if set(variant.inputs) & set(config.input_sets))
    return next((name for name in names if name != config.reference), None)
