"""From predictions to tables: per-era scores of every variant and seed, then a row a variant and split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.basics import Float32, Float64, Int64, Tick, silent
from numerai_lab.metrics import METRICS
from numerai_lab.metrics.era import EraData, score_era
from numerai_lab.metrics.significance import Difference, block_length, paired_difference
from numerai_lab.metrics.summary import summarise
from numerai_lab.metrics.threads import side_by_side
from numerai_lab.panel import Panel
from numerai_lab.splits import Splits

if TYPE_CHECKING:
    import polars as pl

SPLITS = {"val1": ("val1",), "val2": ("val2",), "val": ("val1", "val2")}
"""Rows of a score table: each half of the validation period, and both."""
DELTAS = (("corr", "sharpe"), ("fnc", "mean"), ("max_feature_exposure", "mean"), ("mmc", "mean"))


@dataclass(frozen=True)
class Column:
    """One prediction column: a variant trained with a seed."""

    variant: str
    seed: int


@dataclass(frozen=True)
class Predictions:
    """Predictions of every variant and seed. rows: panel rows, rising; values: float32, rows × columns, no NaN."""

    columns: tuple[Column, ...]
    rows: Int64
    values: Float32

    def at(self, panel: Panel, era: int) -> Float32:
        """The rows of an era × columns."""
        place = panel.rows(era)
        first, last = np.searchsorted(self.rows, [place.start, place.stop])
        return self.values[first:last]


@dataclass(frozen=True)
class Scoring:
    """What scores are computed against."""

    reference: str
    fnc_features: str
    meta_model: str | None
    benchmark: str | None
    horizon_days: int | None


def per_era(panel: Panel, predictions: Predictions, splits: Splits, scoring: Scoring, tick: Tick = silent) -> "pl.DataFrame":
    """A row a variant × seed × scored era, a column a metric; `max_feature` names the feature of the largest exposure."""
    import polars as pl

    columns = predictions.columns
    reference = [columns.index(Column(scoring.reference, column.seed)) for column in columns]
    of_set = panel.feature_sets[scoring.fnc_features]
    names = [panel.feature_names[i] for i in of_set]

    def score(era: int) -> tuple[int, dict[str, Float64]]:
        return _scores_of(era, panel, predictions, scoring, reference)

    rows: list[dict[str, object]] = []
    for done, (era, (n_rows, scores)) in enumerate(zip(splits.scored, side_by_side(score, splits.scored), strict=True), start=1):
        holders = scores.pop("max_feature")
        for i, column in enumerate(columns):
            holder = names[int(holders[i])] if np.isfinite(scores["max_feature_exposure"][i]) else None
            values = {name: float(values[i]) for name, values in scores.items()}
            head = {"variant": column.variant, "seed": column.seed, "era": era, "split": splits.name_of(era)}
            rows.append({**head, "n_rows": n_rows, **values, "max_feature": holder})
        tick(done, len(splits.scored))
    schema = {"variant": pl.String, "seed": pl.Int64, "era": pl.Int32, "split": pl.String, "n_rows": pl.Int64}
    return pl.DataFrame(rows, schema={**schema, **dict.fromkeys(METRICS, pl.Float64), "max_feature": pl.String})


def _scores_of(
    era: int, panel: Panel, predictions: Predictions, scoring: Scoring, reference: list[int]
) -> tuple[int, dict[str, Float64]]:
    """Rows with a known target, and the scores of every column. Safe to call from several threads."""
    place = panel.rows(era)
    assert panel.target is not None
    data = EraData(
        target=panel.target[place].astype(np.float64),
        features=panel.set_of(scoring.fnc_features, era),
        meta_model=_extra(panel, scoring.meta_model, place),
        benchmark=_extra(panel, scoring.benchmark, place),
        reference=reference,
    )
    scores = score_era(predictions.at(panel, era).astype(np.float64), data)
    panel.release()
    return int(np.isfinite(data.target).sum()), scores


def _extra(panel: Panel, name: str | None, place: slice) -> Float64 | None:
    return None if name is None else panel.extras[name][place].astype(np.float64)


def score_table(table: "pl.DataFrame", scoring: Scoring, notes: Mapping[str, str]) -> "pl.DataFrame":
    """A row a variant × split (val1, val2, val): `<metric>_<stat>`, then the change against the reference.

    Statistics are taken over eras for each seed and then averaged over seeds; `corr_mean_seed_std` is their spread.
    Eras without a score (constant predictions, no meta model) are left out and counted in `corr_n_missing`, `mmc_n_eras`.
    Differences are paired by era and seed; `delta_corr_mean` comes with a 95 % interval and a p-value.
    """
    import polars as pl

    rows = []
    for split, parts in SPLITS.items():
        within = table.filter(pl.col("split").is_in(parts))
        series = {variant: _series(within.filter(variant=variant)) for variant in dict.fromkeys(table["variant"].to_list())}
        for variant, own in series.items():
            row: dict[str, object] = {
                "variant": variant,
                "split": split,
                "notes": notes.get(variant, ""),
                **_stats(own),
            }
            if variant != scoring.reference:
                row |= _deltas(own, series[scoring.reference], block_length(scoring.horizon_days))
            rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None).select(_order(rows))


Series = dict[str, Float64]
"""Metric name → seeds × eras."""


def _series(table: "pl.DataFrame") -> Series:
    ordered = table.sort("seed", "era")
    shape = (ordered["seed"].n_unique(), -1)
    return {name: ordered[name].to_numpy().reshape(shape) for name in METRICS}


def _stats(series: Series) -> dict[str, object]:
    corr = series["corr"]
    out: dict[str, object] = {
        "n_eras": corr.shape[1],
        "corr_n_missing": int(np.isnan(corr).any(0).sum()),
        "mmc_n_eras": int(np.isfinite(series["mmc"]).all(0).sum()),
    }
    for name, metric in METRICS.items():
        for stat in metric.stats:
            out[f"{name}_{stat}"] = mean_over_seeds(series[name], stat)
    if len(corr) > 1:
        out["corr_mean_seed_std"] = float(np.std([summarise(seed, "mean") for seed in corr]))
    return out


def mean_over_seeds(scores: Float64, stat: str) -> float:
    """A statistic over eras, averaged over seeds (rows); NaN when any seed has no score."""
    return float(np.mean([summarise(seed, stat) for seed in scores]))


def _deltas(own: Series, reference: Series, block: int) -> dict[str, object]:
    found = paired(own["corr"], reference["corr"], block)
    out: dict[str, object] = {
        "delta_corr_mean": found.mean,
        "delta_corr_mean_low": found.low,
        "delta_corr_mean_high": found.high,
        "delta_corr_mean_p": found.p,
    }
    for name, stat in DELTAS:
        out[f"delta_{name}_{stat}"] = mean_over_seeds(own[name], stat) - mean_over_seeds(reference[name], stat)
    return out


def paired(own: Float64, reference: Float64, block: int) -> Difference:
    """The bootstrap of the per-era difference (seeds × eras, averaged over seeds), over eras both have."""
    return paired_difference((own - reference).mean(0), block)


def _order(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Column names as they first appear, differences last."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [name for name in names if not name.startswith("delta_")] + [name for name in names if name.startswith("delta_")]
