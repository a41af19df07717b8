"""Probes of representations: ridge and neighbours against scikit-learn's, and errors of means over overlapping eras."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from numerai_lab.core.arrays import Float32, Float64
from numerai_lab.metrics.probes import PENALTIES, Moments, NeighbourProbe, linear_probe, mean_and_error

N_ROWS, N_COLUMNS = 50, 6


def era(rng: np.random.Generator, weights: Float64, noise: float) -> tuple[Float32, Float64]:
    """Columns, one of them ten times as wide and one constant, and a target; both have another level in every era."""
    columns = rng.normal(size=(N_ROWS, N_COLUMNS)) * [1, 10, 1, 1, 1, 0] + rng.normal(size=N_COLUMNS)
    target = columns @ weights + noise * rng.normal(size=N_ROWS) + rng.normal()
    return columns.astype(np.float32), target


def moments(eras: list[tuple[Float32, Float64]]) -> Moments:
    out = Moments()
    for columns, target in eras:
        out.add(columns, target)
    return out


def eras_of(weights: Float64, noise: float, n: int = 30) -> list[tuple[Float32, Float64]]:
    rng = np.random.default_rng(0)
    return [era(rng, weights, noise) for _ in range(n)]


def ridge(eras: list[tuple[Float32, Float64]], penalty: float) -> Float64:
    """Scikit-learn's ridge of columns scaled to deviation 1, all centred within eras, in units of the columns."""
    centred = np.concatenate([columns - columns.mean(0, dtype=np.float64) for columns, _ in eras])
    target = np.concatenate([values - values.mean() for _, values in eras])
    spread = centred.std(0)
    scale = np.where(spread > 1e-6, spread, np.inf)
    fit = Ridge(alpha=penalty * len(target), fit_intercept=False).fit(centred / scale, target)
    return np.asarray(fit.coef_ / scale, np.float64)


@pytest.mark.parametrize(("noise", "weak"), [(0.1, True), (20.0, False)])
def test_the_linear_probe_is_ridge_with_the_penalty_that_later_eras_like_best(noise: float, weak: bool) -> None:
    weights = np.array([0.5, 0.05, -0.5, 0, 0, 0])
    eras = eras_of(weights, noise)
    first, last = eras[:20], eras[20:]
    centred = [(columns - columns.mean(0), values - values.mean()) for columns, values in last]
    errors = [
        sum(((values - columns @ ridge(first, penalty)) ** 2).sum() for columns, values in centred) for penalty in PENALTIES
    ]
    best = float(PENALTIES[int(np.argmin(errors))])
    assert (best < 0.1) is weak
    np.testing.assert_allclose(linear_probe(moments(first), moments(last)), ridge(eras, best), atol=1e-6)


def test_a_column_that_only_the_era_decides_has_no_weight() -> None:
    columns = [(np.full((N_ROWS, 1), i, np.float32), np.linspace(0, 1, N_ROWS) + i) for i in range(6)]
    np.testing.assert_array_equal(linear_probe(moments(columns[:4]), moments(columns[4:])), 0)


def test_neighbours_are_those_by_scaled_columns_and_predict_their_mean_target() -> None:
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(300, 2)) * [1, 1000]
    target = rng.normal(size=300)
    scaled = (columns - columns.mean(0)) / columns.std(0)
    asked = columns[:5] + np.array([0.01, 10])
    at = (asked - columns.mean(0)) / columns.std(0)
    nearest = np.argsort(((at[:, None] - scaled) ** 2).sum(2), axis=1)[:, :7]
    probe = NeighbourProbe(columns.astype(np.float32), target, 7)
    np.testing.assert_allclose(probe.predict(asked.astype(np.float32)), target[nearest].mean(1), atol=1e-9)


def test_few_rows_have_few_neighbours() -> None:
    rows = np.arange(20, dtype=np.float32)[:, None]
    predictions = NeighbourProbe(rows, rows[:, 0].astype(np.float64), 100).predict(rows)
    np.testing.assert_allclose(predictions, rows[:, 0], atol=1)  # of 2 rows, not of all


def test_the_error_of_a_mean_counts_overlapping_eras() -> None:
    rng = np.random.default_rng(2)
    shocks = rng.normal(size=(2000, 64))
    overlapping = sum(shocks[:, lag : lag + 60] for lag in range(4)) / 2
    means, errors = np.array([mean_and_error(scores, np.arange(60), 4) for scores in overlapping]).T
    naive = overlapping.std(1, ddof=1) / np.sqrt(60)
    assert 0.8 < np.sqrt((errors**2).mean()) / means.std() < 1.1
    assert np.sqrt((naive**2).mean()) / means.std() < 0.6
    alone = np.array([mean_and_error(scores, np.arange(60) * 10, 4)[1] for scores in overlapping[:20]])
    np.testing.assert_allclose(alone, naive[:20])  # eras that far apart share nothing


def test_eras_without_a_score_are_left_out_and_one_score_has_no_error() -> None:
    scores, eras = np.array([0.1, np.nan, 0.3, 0.2]), np.array([1, 2, 30, 60])
    assert mean_and_error(scores, eras, 4) == pytest.approx((0.2, 0.1 / np.sqrt(3)))
    assert np.isnan(mean_and_error(scores[:2], eras[:2], 4)[1])
    assert np.isnan(mean_and_error(scores[1:2], eras[1:2], 4)).all()
