"""What must hold of scores whatever the numbers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from numerai_lab.core.splits import Splits
from numerai_lab.metrics.era import EraData, contribution, gauss, numerai_corr, rank, score_era
from numerai_lab.metrics.exposures import Exposures
from numerai_lab.metrics.scoring import Column, Predictions, Scoring, per_era
from tests.conftest import make_panel

seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.int8, np.float32])
quick = settings(max_examples=20, deadline=None)

INCREASING = [lambda x: 3 * x + 7, lambda x: np.exp(x / 3), lambda x: x**3, np.arctan]


def features_of(rng: np.random.Generator, dtype: type, n: int = 120, q: int = 12) -> np.ndarray:
    """Bins or continuous values; the last four columns are combinations of the others."""
    # Continuous ones in steps of 1/1024, so that float32 holds the combinations without rounding.
    values = (rng.integers(0, 5, (n, q)) if dtype is np.int8 else np.round(rng.normal(size=(n, q)) * 1024) / 1024).astype(dtype)
    values[:, -4:-2] = values[:, :2]
    values[:, -2:] = 4 - values[:, 2:4]
    return values


def target_of(rng: np.random.Generator, n: int = 120) -> np.ndarray:
    target = rng.choice([0, 0.25, 0.5, 0.75, 1], n)
    target[:2] = [0.25, 0.75]
    return target


@quick
@given(seeds, st.sampled_from(INCREASING), st.booleans())
def test_corr_does_not_change_under_increasing_maps_of_the_predictions(seed: int, increasing, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    predictions = rng.integers(-9, 9, (120, 2)).astype(float) if tied else rng.permutation(120)[:, None] / 20 - 3
    target = target_of(rng)
    np.testing.assert_allclose(numerai_corr(increasing(predictions), target), numerai_corr(predictions, target), atol=1e-12)


@quick
@given(seeds, dtypes)
def test_a_linear_combination_of_the_features_leaves_nothing_to_score(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    features = features_of(rng, dtype)
    combination = features.astype(float) @ rng.normal(size=(12, 3)) + 5
    assert np.isnan(Exposures.of(features).neutralised(combination)).all()


@quick
@given(seeds)
def test_fnc_of_a_linear_combination_of_the_features_is_missing_never_noise(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(120, 6))
    # Ranks gaussianised are a feature again: what FNC neutralises is that very combination.
    predictions = features @ rng.normal(size=(6, 1))
    features[:, [0]] = gauss(predictions) - features[:, 1:] @ rng.normal(size=(5, 1))
    assert np.isnan(score_era(predictions, EraData(target_of(rng), features, None, None, [0]))["fnc"][0])


@quick
@given(seeds, st.booleans())
def test_mmc_of_the_meta_model_itself_is_0(seed: int, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    meta = np.round(rng.uniform(size=120), 1 if tied else 9)
    assert contribution(meta[:, None], meta, target_of(rng))[0] == pytest.approx(0, abs=1e-14)


@quick
@given(seeds, st.lists(st.floats(-6, 6), min_size=12, max_size=12))
def test_exposures_and_neutralisation_do_not_change_when_each_feature_gets_another_scale(seed: int, powers: list[float]) -> None:
    rng = np.random.default_rng(seed)
    features = features_of(rng, np.float32).astype(float)
    predictions = rng.normal(size=(120, 2)) + features[:, :2]
    plain, scaled = Exposures.of(features), Exposures.of(features * 10.0 ** np.array(powers))
    np.testing.assert_allclose(scaled.correlations(predictions), plain.correlations(predictions), atol=1e-12)
    np.testing.assert_allclose(scaled.neutralised(predictions), plain.neutralised(predictions), atol=1e-9)


@quick
@given(seeds, dtypes, st.booleans())
def test_what_is_left_is_what_lstsq_of_minimum_norm_leaves(seed: int, dtype: type, constant: bool) -> None:
    rng = np.random.default_rng(seed)
    features = features_of(rng, dtype)
    if constant:
        features[:, 4] = 3
    values = rng.normal(size=(120, 3)) + features[:, :3]
    wide = np.column_stack([features.astype(float), np.ones(120)])
    wanted = values - wide @ np.linalg.lstsq(wide, values, rcond=1e-6)[0]
    np.testing.assert_allclose(Exposures.of(features).neutralised(values), wanted, atol=1e-10)


@quick
@given(seeds)
def test_features_that_are_almost_combinations_of_others_are_neutralised_as_by_lstsq(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(120, 12))
    # Singular values far above and far below the cut of lstsq at 1e-6 of the largest.
    features[:, -2] = features[:, 0] + 1e-4 * rng.normal(size=120)
    features[:, -1] = features[:, 1] + 1e-8 * rng.normal(size=120)
    values = rng.normal(size=(120, 2))
    wide = np.column_stack([features, np.ones(120)])
    wanted = values - wide @ np.linalg.lstsq(wide, values, rcond=1e-6)[0]
    np.testing.assert_allclose(Exposures.of(features).neutralised(values), wanted, atol=1e-5)


@quick
@given(seeds)
def test_the_rounding_that_a_gram_matrix_of_near_twins_brings_is_taken_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(120, 12))
    features[:, -1] = features[:, 0] + 3e-5 * rng.normal(size=120)
    values = features[:, [0]] + 0.1 * rng.normal(size=(120, 1))
    left = Exposures.of(features).neutralised(values)
    assert np.abs(np.linalg.qr(features - features.mean(0))[0].T @ left).max() < 1e-9


@quick
@given(seeds, st.floats(-1e6, 1e6), dtypes)
def test_constant_predictions_score_nothing_and_leave_the_others_alone(seed: int, value: float, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    features, target, meta = features_of(rng, dtype), target_of(rng), rng.uniform(size=120)
    own = rng.normal(size=(120, 1))
    both = score_era(np.column_stack([own, np.full(120, value)]), EraData(target, features, meta, meta, [0, 0]))
    alone = score_era(own, EraData(target, features, meta, meta, [0]))
    for name, scores in both.items():
        if name != "max_feature":  # of two features that are one another's copies, rounding chooses
            assert np.isnan(scores[1]), name
            np.testing.assert_allclose(scores[0], alone[name][0], atol=1e-12, err_msg=name)


SETTING = Scoring(reference="a", fnc_features="all", meta_model="numerai_meta_model", benchmark=None, horizon_days=None)


@settings(max_examples=8, deadline=None)
@given(st.permutations(range(10)))
def test_permuted_eras_change_nothing_but_the_order(order: list[int]) -> None:
    panel = make_panel(n_eras=10)
    values = np.random.default_rng(0).normal(size=(panel.n_rows, 2)).astype(np.float32)
    columns = (Column("a", 0), Column("b", 0))
    rows = np.arange(panel.n_rows)
    splits = Splits(train=(), embargo=(), val1=tuple(range(1, 6)), val2=tuple(range(6, 11)), embargo_eras=0, required_eras=0)
    plain = per_era(panel, Predictions(columns, rows, values), splits, SETTING)

    moved = np.concatenate([rows[panel.rows(era + 1)] for era in order])
    assert panel.target is not None
    other = replace(
        panel,
        features=panel.features[moved],
        target=panel.target[moved],
        extras={name: extra[moved] for name, extra in panel.extras.items()},
    )
    permuted = per_era(other, Predictions(columns, rows, values[moved]), splits, SETTING)
    for name in ("corr", "rank_corr", "fnc", "max_feature_exposure", "max_feature", "feature_exposure", "mmc"):
        by_era = plain[name].to_numpy().reshape(10, 2)
        assert (permuted[name].to_numpy().reshape(10, 2) == by_era[order]).all(), name


def test_scores_are_the_same_bytes_whatever_the_number_of_threads() -> None:
    panel = make_panel(n_eras=8, n_rows=300, n_features=60)
    values = np.random.default_rng(0).normal(size=(panel.n_rows, 3)).astype(np.float32)
    predictions = Predictions(tuple(Column(name, 0) for name in "abc"), np.arange(panel.n_rows), values)
    splits = Splits(train=(), embargo=(), val1=(1, 2, 3, 4), val2=(5, 6, 7, 8), embargo_eras=0, required_eras=0)
    tables = []
    for n_threads in (1, 2, 3):
        with threadpool_limits(n_threads):
            tables.append(per_era(panel, predictions, splits, SETTING))
    assert tables[0].equals(tables[1], null_equal=True)
    assert tables[0].equals(tables[2], null_equal=True)


@quick
@given(seeds, dtypes, st.integers(-3, 3))
def test_features_that_outnumber_the_rows_leave_nothing(seed: int, dtype: type, more: int) -> None:
    rng = np.random.default_rng(seed)
    features, values = features_of(rng, dtype, n=40, q=60 + more), rng.normal(size=(40, 2))
    exposures = Exposures.of(features)
    assert np.isnan(exposures.neutralised(values)).all()
    np.testing.assert_allclose(exposures.neutralised(values, 0.25), 0.75 * values, atol=1e-7)
    centred = features - features.mean(0, dtype=float)
    wanted = [[np.corrcoef(column, value)[0, 1] for value in values.T] for column in centred[:, exposures.alive].T]
    np.testing.assert_allclose(exposures.correlations(values), wanted, atol=1e-10)


@quick
@given(seeds, dtypes)
def test_many_copies_of_few_features_leave_what_the_few_leave(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    features, values = features_of(rng, dtype, n=40, q=12), rng.normal(size=(40, 2))
    few, many = (Exposures.of(columns).neutralised(values) for columns in (features, np.tile(features, 5)))
    np.testing.assert_allclose(many, few, atol=1e-8)


@quick
@given(seeds, st.integers(1, 40))
def test_ranks_are_those_of_scipy_with_ties_and_without(seed: int, n_values: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.column_stack([rng.normal(size=30), rng.integers(0, n_values, 30), np.where(np.arange(30) == 3, np.nan, 1.0)])
    np.testing.assert_array_equal(rank(values), (rankdata(values, axis=0) - 0.5) / 30)
    np.testing.assert_array_equal(rank(values[:1, :2]), [[0.5, 0.5]])
    assert rank(values[:0]).shape == (0, 3)
