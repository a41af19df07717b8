"""Score tables of predictions: scores of every variant, seed and era, then a row per variant and split."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64, Int64
from numerai_lab.core.eras import DAYS_PER_ERA
from numerai_lab.core.integer_products import prepare
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.core.splits import Splits
from numerai_lab.metrics import ERA_METRICS, METRICS
from numerai_lab.metrics.changes import VERDICT_COLUMNS, Judging, Series, changes, series_of, typed
from numerai_lab.metrics.churn import seed_churn
from numerai_lab.metrics.coverage import Coverage, too_wide_for_fnc
from numerai_lab.metrics.era import EraData, score_era
from numerai_lab.metrics.payout import multipliers
from numerai_lab.metrics.significance import block_length
from numerai_lab.metrics.summary import summarise
from numerai_lab.metrics.threads import side_by_side
from numerai_lab.metrics.verdict import SMALLEST_EFFECT
from numerai_lab.metrics.windows import with_windows

if TYPE_CHECKING:
    import polars as pl

SPLITS = {"val1": ("val1",), "val2": ("val2",), "val": ("val1", "val2")}
"""Rows of a score table: each half of the validation period, and both."""
HOLDOUT = "holdout"
"""The split of eras that only `nlab unseal` scores."""
FOLD = "cv"
"""Prefix of the names of cross-validation folds; together they are the split `cv`, apart from validation."""
STEP = "walk"
"""Prefix of the names of steps of walk-forward validation; together they are the split `walk`, apart from the one fit."""


@dataclass(frozen=True)
class Column:
    """One prediction column: a variant trained with a seed."""

    variant: str
    seed: int


@dataclass(frozen=True)
class Predictions:
    """Predictions of every variant and seed. rows: panel rows, rising; values: floats, rows × columns, NaN where missing."""

    columns: tuple[Column, ...]
    rows: Int64
    values: Float32 | Float64

    def at(self, panel: Panel, era: int) -> Float32 | Float64:
        """The predictions of an era: rows × columns."""
        place = panel.rows(era)
        first, last = np.searchsorted(self.rows, [place.start, place.stop])
        return self.values[first:last]


@dataclass(frozen=True)
class Scoring:
    """The terms of scoring. payout_date: ISO day whose payout multipliers are taken if none are given."""

    reference: str
    fnc_features: str
    meta_model: str | None
    benchmark: str | None
    horizon_days: int | None
    payout: tuple[float, float] | None = None
    payout_date: str | None = None
    least_rows: int = 20
    smallest_effect: float = SMALLEST_EFFECT
    days_per_era: int = DAYS_PER_ERA

    @property
    def multipliers(self) -> tuple[float, float]:
        """Multipliers of corr and mmc in `payout_proxy`: the given ones, else the tournament's for this horizon.

        Raises NlabError for a payout_date before the first known day.
        """
        return self.payout or multipliers(self.horizon_days, self.payout_date)


def per_era(
    panel: Panel, predictions: Predictions, splits: Splits, scoring: Scoring, progress: Progress = no_progress
) -> "pl.DataFrame":
    """A row per variant, seed and scored era, and a column per metric. Raises NlabError when no era can be scored.

    `max_feature` names the feature of the largest exposure; `date` is there where eras are dates.
    Eras that `covered` leaves out have no rows.
    """
    import polars as pl

    columns = predictions.columns
    reference = [columns.index(Column(scoring.reference, column.seed)) for column in columns]
    exposed = panel.feature_sets[scoring.fnc_features]
    names = [panel.feature_names[i] for i in exposed]

    def score(era: int) -> tuple[int, dict[str, Float64]]:
        return _scores_of(era, panel, predictions, scoring, reference)

    rows: list[dict[str, object]] = []
    eras = covered(panel, predictions, splits, scoring).scored
    prepare(sum(panel.rows(era).stop - panel.rows(era).start for era in eras) * len(exposed) ** 2)
    for done, (era, (n_rows, scores)) in enumerate(zip(eras, side_by_side(score, eras), strict=True), start=1):
        holders = scores.pop("max_feature")
        for i, column in enumerate(columns):
            holder = names[int(holders[i])] if np.isfinite(scores["max_feature_exposure"][i]) else None
            values = {name: float(values[i]) for name, values in scores.items()}
            head = {"variant": column.variant, "seed": column.seed, "era": era, "split": splits.name_of(era)}
            day = {"date": date.fromisoformat(panel.dates[era])} if panel.dates else {}
            rows.append({**head, "n_rows": n_rows, **values, "max_feature": holder, **day})
        progress(done, len(eras))
    schema = {"variant": pl.String, "seed": pl.Int64, "era": pl.Int32, "split": pl.String, "n_rows": pl.Int64}
    schema |= dict.fromkeys(ERA_METRICS, pl.Float64) | {"max_feature": pl.String}
    return pl.DataFrame(rows, schema={**schema, **({"date": pl.Date} if panel.dates else {})})


def check_rows(panel: Panel, splits: Splits, scoring: Scoring) -> None:
    """Raises NlabError when no scored era has `scoring.least_rows` rows with a target."""
    assert panel.target is not None
    coverage = Coverage(scoring.least_rows)
    for era in splits.scored:
        target = panel.target[panel.rows(era)]
        coverage.add(era, target, np.zeros((len(target), 1), np.float32))
    coverage.lines()


def fnc_remark(panel: Panel, splits: Splits, scoring: Scoring) -> str | None:
    """A remark on scored eras that have too few rows for FNC."""
    n_rows = [panel.rows(era).stop - panel.rows(era).start for era in splits.scored]
    width = len(panel.feature_sets[scoring.fnc_features])
    return too_wide_for_fnc(scoring.fnc_features, width, n_rows, scoring.least_rows)


def covered(panel: Panel, predictions: Predictions, splits: Splits, scoring: Scoring) -> Coverage:
    """The coverage of the scored eras: rows with a target and a prediction. Raises NlabError when no era has enough."""
    assert panel.target is not None
    coverage = Coverage(scoring.least_rows)
    for era in splits.scored:
        coverage.add(era, panel.target[panel.rows(era)], predictions.at(panel, era))
    coverage.lines()
    return coverage


def _scores_of(
    era: int, panel: Panel, predictions: Predictions, scoring: Scoring, reference: list[int]
) -> tuple[int, dict[str, Float64]]:
    """Rows with a known target, and the scores of every column. Safe to call from several threads."""
    place, values = panel.rows(era), predictions.at(panel, era).astype(np.float64)
    predicted = np.asarray(np.isfinite(values).all(axis=1))
    rows = slice(None) if predicted.all() else predicted
    assert panel.target is not None
    data = EraData(
        target=panel.target[place][rows].astype(np.float64),
        features=panel.set_of(scoring.fnc_features, era)[rows],
        meta_model=_extra(panel, scoring.meta_model, place, rows),
        benchmark=_extra(panel, scoring.benchmark, place, rows),
        reference=reference,
    )
    scores = score_era(values[rows], data)
    scores["payout_proxy"] = np.array(scoring.multipliers) @ [scores["corr"], scores["mmc"]]
    scores["seed_churn"] = seed_churn(values[rows], [column.variant for column in predictions.columns])
    panel.release()
    return int(np.isfinite(data.target).sum()), scores


def _extra(panel: Panel, name: str | None, place: slice, rows: slice | Array) -> Float64 | None:
    return None if name is None else panel.extras[name][place][rows].astype(np.float64)


def split_names(table: "pl.DataFrame") -> dict[str, tuple[str, ...]]:
    """The splits of a score table by name, each with the splits of the per-era table that it covers."""
    present = {*table["split"].to_list()}
    numbered = {prefix: tuple(sorted(name for name in present if name.startswith(prefix))) for prefix in (FOLD, STEP)}
    known = {**SPLITS, HOLDOUT: (HOLDOUT,), **numbered}
    return {name: parts for name, parts in known.items() if present.intersection(parts)}


def score_table(
    table: "pl.DataFrame",
    scoring: Scoring,
    notes: Mapping[str, str],
    placebos: Mapping[str, Mapping[str, str]] | None = None,
    compared: Collection[str] | None = None,
) -> "pl.DataFrame":
    """A row per variant and split (val1, val2, val; cv and walk where there are such): `<metric>_<stat>`, then the changes.

    Statistics are taken over eras for each seed and then averaged over seeds; `corr_mean_seed_std`
    is their spread. Eras without a score (constant predictions, no meta model) are left out and
    counted in `corr_n_missing`, `mmc_n_eras`, `bmc_n_eras`, `bmc_last200_n_eras`;
    `corr_mean_mmc_eras` is corr over the eras that have mmc. Changes against the reference are
    those of `changes`. placebos: kind → variant → its placebo, named in columns of their own.
    compared: variants that are compared with the reference, by default all others.
    """
    import polars as pl

    rows = []
    for split, parts in split_names(table).items():
        within = table.filter(pl.col("split").is_in(parts))
        eras = within["era"].unique().sort().to_list()
        names = dict.fromkeys(table["variant"].to_list())
        series = with_windows({variant: series_of(within.filter(variant=variant), eras) for variant in names})
        judging = Judging(block_length(scoring.horizon_days, scoring.days_per_era), scoring.smallest_effect)
        changed = changes(series, scoring.reference, judging, placebos, compared)
        for variant, own in series.items():
            head = {"variant": variant, "split": split, "notes": notes.get(variant, "")}
            rows.append({**head, **_stats(own), **changed[variant]})
    return typed(pl.DataFrame(rows, infer_schema_length=None).select(_order(rows)))


def _stats(series: Series) -> dict[str, object]:
    corr = series["corr"]
    out: dict[str, object] = {
        "n_eras": corr.shape[1],
        "corr_n_missing": int(np.isnan(corr).any(0).sum()),
    }
    for name in ("mmc", "bmc"):
        has = np.isfinite(series[name]).all(0)
        out[f"{name}_n_eras"] = int(has.sum())
        out[f"corr_mean_{name}_eras"] = mean_over_seeds(corr[:, has], "mean")
    for name, metric in METRICS.items():
        for stat in metric.stats:
            out[f"{name}_{stat}"] = mean_over_seeds(series[name], stat)
    out["bmc_last200_n_eras"] = int(np.isfinite(series["bmc_last200"]).all(0).sum())
    if len(corr) > 1:
        out["corr_mean_seed_std"] = float(np.std([summarise(seed, "mean") for seed in corr]))
    return out


def mean_over_seeds(scores: Float64, stat: str) -> float:
    """A statistic over eras, averaged over seeds (rows); NaN when any seed has no score."""
    return float(np.mean([summarise(seed, stat) for seed in scores]))


def _order(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Column names as they first appear, differences last."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    last = [name for name in names if name.startswith("delta_")] + list(VERDICT_COLUMNS)
    return [name for name in names if name not in last] + last
