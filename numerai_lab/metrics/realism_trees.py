"""What trees learn from invented rows: telling them from real ones, the target, and each column from the others."""

from typing import Any

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64
from numerai_lab.metrics.era import numerai_corr, pearson
from numerai_lab.metrics.jackknife import Measure, mean_measure, means_without, measure
from numerai_lab.metrics.row_sample import RowSample

N_TREES = 100
PREDICTED = 5
"""Columns that are predicted from the others."""
PREDICTORS = 60
"""Columns that the others are predicted from, at most."""
UTILITY_ROWS, UTILITY_TREES = 5000, 30


def classifier_auc(own: RowSample, other: RowSample, rng: np.random.Generator) -> Measure:
    """Area under the ROC curve of trees that separate two samples' rows, on eras that the trees did not learn from."""
    n = min(len(own), len(other))
    parts = [sample.some(n, rng) for sample in (own, other)]
    x = np.concatenate([np.column_stack([part.features, part.target]) for part in parts]).astype(np.float32)
    label = np.repeat([1, 0], n)
    first = np.concatenate([_half(part.era, rng) for part in parts])
    groups = np.concatenate([part.groups() for part in parts])
    above = np.empty(len(x))
    for learn in (first, ~first):
        judged = np.flatnonzero(~learn)
        scores = predicted(x[learn], label[learn], x[judged], "binary", rng)
        is_own = label[judged] == 1
        above[judged[is_own]], above[judged[~is_own]] = share_above(scores[is_own], scores[~is_own])
    sides = [means_without(above[label == side], groups[label == side]) for side in (1, 0)]
    return measure(float(above[label == 1].mean()), *sides, within=(0, 1))


def share_above(high: Array, low: Array) -> tuple[Float64, Float64]:
    """For each of `high` the share of `low` below it, for each of `low` the share of `high` above it; ties count half.

    The mean of either is the area under the ROC curve of the scores. Source: DeLong et al., Biometrics 44 (1988).
    """
    shares = []
    for values, opposite in ((high, low), (-low, -high)):
        ordered = np.sort(opposite)
        places = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
        shares.append(places / (2 * len(opposite)))
    return shares[0], shares[1]


def corr_by_era(learn: RowSample, held: RowSample, rng: np.random.Generator, n_trees: int = N_TREES) -> Float64:
    """Corr in each held-out era of trees that learned the target from `learn`."""
    predictions = predicted(_float32(learn), learn.target, _float32(held), "regression", rng, n_trees)
    rows_of_eras = [held.era == era for era in np.unique(held.era)]
    return np.array([numerai_corr(predictions[rows, None], held.target[rows].astype(np.float64))[0] for rows in rows_of_eras])


def column_utility(invented: RowSample, real: RowSample, held: RowSample, rng: np.random.Generator) -> Measure:
    """How well trees that learned from invented rows predict columns of held-out rows from the other columns.

    A mean over PREDICTED columns and over eras of the correlation of prediction and value; `real` gives the same of trees
    that learned from as many real rows. A constant prediction counts as 0. Source: the "global utility" of TabStruct
    (Jiang et al., 2025), with correlations in the place of its error ratio.
    """
    p = held.features.shape[1]
    if p < 2:
        return measure(float("nan"))
    chosen = np.sort(rng.permutation(p)[: PREDICTORS + PREDICTED])
    n = min(UTILITY_ROWS, len(invented), len(real))
    samples = [sample.some(n, rng).with_columns(chosen) for sample in (invented, real)]
    judge = held.some(UTILITY_ROWS, rng).with_columns(chosen)
    rows_of_eras = [rows for era in np.unique(judge.era) if (rows := judge.era == era).sum() > 2]
    targets = rng.permutation(len(chosen))[:PREDICTED]
    seed = int(rng.integers(2**31 - 1))
    by_era = [
        np.mean([_predictability(sample, judge, column, rows_of_eras, seed) for column in targets], 0) for sample in samples
    ]
    eras = np.array([judge.era[rows][0] for rows in rows_of_eras])
    return mean_measure(by_era[0], era_groups(eras), float(by_era[1].mean()))


def era_groups(eras: Array) -> Array:
    """The group of each of a sample's eras, as `RowSample.groups` has them of rows; eras ascend."""
    if len(eras) == 1:
        return np.zeros(1, np.int64)
    return RowSample(eras[:, None], eras, eras).groups()


def predicted(x: Array, y: Array, new: Array, objective: str, rng: np.random.Generator, n_trees: int = N_TREES) -> Float64:
    """Predictions for new rows of trees that learned y from x; with "binary", probabilities."""
    import lightgbm

    settings = _settings(objective, rng)
    model = lightgbm.train(settings, lightgbm.Dataset(x, label=y, params=settings), n_trees)
    return np.asarray(model.predict(new, num_threads=1))


def _predictability(learn: RowSample, held: RowSample, column: int, rows_of_eras: list[Array], seed: int) -> Float64:
    """Correlation in each era of a column's values with their prediction from the other columns; 0 where either is constant."""
    x, new = (np.delete(_float32(sample), column, 1) for sample in (learn, held))
    rng = np.random.default_rng([seed, column])
    predictions = predicted(x, learn.features[:, column].astype(np.float32), new, "regression", rng, UTILITY_TREES)
    values = held.features[:, column].astype(np.float64)
    correlations: Float64 = np.nan_to_num([pearson(predictions[rows, None], values[rows])[0] for rows in rows_of_eras])
    return correlations


def _float32(sample: RowSample) -> Float32:
    return sample.features.astype(np.float32)


def _settings(objective: str, rng: np.random.Generator) -> dict[str, Any]:
    return {
        "objective": objective,
        "num_leaves": 31,
        "learning_rate": 0.1,
        "feature_fraction": 0.5,
        "max_bin": 15,
        "seed": int(rng.integers(2**31 - 1)),
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _half(era: Array, rng: np.random.Generator) -> Array:
    """Whether each row is in a random half of the eras; of a single era, in a random half of its rows."""
    eras = np.unique(era)
    if len(eras) == 1:
        return rng.permutation(len(era)) < len(era) / 2
    return np.isin(era, rng.permutation(eras)[: (len(eras) + 1) // 2])
