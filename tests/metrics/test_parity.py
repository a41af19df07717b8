"""Per-era scores against numerai-tools: ties, constants, missing targets, collinear features, two rows."""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numerai_tools import scoring

from numerai_lab.core import integer_products
from numerai_lab.metrics.era import EraData, contribution, gauss, numerai_corr, rank_corr, score_era
from numerai_lab.metrics.exposures import Exposures

CASES = [
    "plain",
    "tied",
    "few rows",
    "two rows",
    "missing targets",
    "collinear",
    "continuous",
    "constant feature",
    "binary target",
]


def era(case: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Predictions (rows × 3, the last constant), target, features, meta model."""
    rng = np.random.default_rng(seed)
    n = {"few rows": 9, "two rows": 2}.get(case, 300)
    p = {"few rows": 3, "two rows": 1}.get(case, 20)
    features = rng.integers(0, 5, (n, p)).astype(np.int8)
    if case == "two rows":
        features[:, 0] = [1, 4]
    if case == "continuous":
        features = rng.uniform(size=(n, p)).astype(np.float32)
    if case == "collinear":
        features[:, 5:10] = features[:, :5]
        features[:, 11] = 4 - features[:, 12]
    if case == "constant feature":
        features[:, 7] = 2
    predictions = np.column_stack([features[:, :3].sum(1) + rng.normal(size=n), rng.uniform(size=n), np.full(n, 0.5)])
    if case == "tied":
        predictions[:, 0] = np.round(predictions[:, 0])
        predictions[:, 1] = np.round(predictions[:, 1], 1)
    target = rng.choice([0, 0.25, 0.5, 0.75, 1], n, p=[0.05, 0.2, 0.5, 0.2, 0.05])
    target[:2] = [0.25, 0.75]
    if case == "binary target":
        target = (target > 0.5).astype(float)
    if case == "missing targets":
        target[rng.permutation(n)[: n // 10]] = np.nan
    return predictions, target, features, rng.uniform(size=n)


def official(function: Callable[..., object], *arguments: object) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(function(*arguments), float)


cases = pytest.mark.parametrize("case", CASES)
seeds = pytest.mark.parametrize("seed", range(5))


@cases
@seeds
def test_every_score_agrees_with_numerai_tools(case: str, seed: int) -> None:
    predictions, target, features, meta = era(case, seed)
    scores = score_era(predictions, EraData(target, features, meta, None, [0, 0, 0]))
    index = [f"n{i:05d}" for i in range(len(target))]
    frame = pd.DataFrame(predictions, index=index, columns=list("abc"))
    truth = pd.Series(target, index=index, name="target")
    known = truth.dropna().index
    factors = pd.DataFrame(features.astype(float), index=index)

    np.testing.assert_allclose(scores["corr"], official(scoring.numerai_corr, frame, truth), rtol=0, atol=1e-9)
    ranks = [official(scoring.tie_broken_rank_correlation, truth[known], frame.loc[known, name]) for name in "ab"]
    np.testing.assert_allclose(scores["rank_corr"][:2], ranks, rtol=0, atol=1e-9)
    wanted = official(scoring.correlation_contribution, frame, pd.Series(meta, index=index, name="meta"), truth)
    np.testing.assert_allclose(scores["mmc"][:2], wanted[:2], rtol=0, atol=1e-9)
    assert np.isnan([scores["mmc"][2], scores["rank_corr"][2], scores["fnc"][2], scores["max_feature_exposure"][2]]).all()

    def correlations(column: str) -> np.ndarray:
        return official(lambda: factors.apply(lambda f: f.corr(frame[column])))

    for i, name in enumerate("ab"):
        wanted = np.abs(correlations(name))
        np.testing.assert_allclose(scores["max_feature_exposure"][i], np.nanmax(wanted), rtol=0, atol=1e-5)
        np.testing.assert_allclose(scores["feature_exposure"][i], np.sqrt(np.nanmean(wanted**2)), rtol=0, atol=1e-5)
        assert wanted[int(scores["max_feature"][i])] == pytest.approx(np.nanmax(wanted), abs=1e-9)
    if case != "two rows":  # two rows: the fit is exact and nothing is left to score
        neutral = official(scoring.feature_neutral_corr, frame[["a", "b"]], factors, truth)
        np.testing.assert_allclose(scores["fnc"][:2], neutral, rtol=0, atol=1e-5)
    else:
        assert np.isnan(scores["fnc"]).all()


@seeds
def test_max_exposure_names_the_feature_numerai_tools_names(seed: int) -> None:
    predictions, target, features, _ = era("plain", seed)
    scores = score_era(predictions, EraData(target, features, None, None, [0, 0, 0]))
    index = [f"n{i:05d}" for i in range(len(target))]
    factors = pd.DataFrame(features.astype(float), index=index, columns=[str(i) for i in range(features.shape[1])])
    name, value = scoring.max_feature_correlation(pd.Series(predictions[:, 0], index=index), factors)
    assert int(name) == scores["max_feature"][0]
    assert value == pytest.approx(scores["max_feature_exposure"][0], abs=1e-12)


def test_without_a_meta_model_or_with_too_little_of_it_mmc_is_missing_never_0() -> None:
    predictions, target, features, meta = era("plain", 0)
    meta[:100] = np.nan
    scores = score_era(predictions, EraData(target, features, meta, None, [0, 0, 0]))
    assert np.isnan(scores["mmc"]).all()
    assert np.isnan(scores["bmc"]).all()
    assert np.isnan(scores["corr_with_meta_model"]).all()


def test_more_features_than_rows_leave_nothing_to_score() -> None:
    rng = np.random.default_rng(0)
    predictions, target = rng.normal(size=(30, 1)), rng.uniform(size=30)
    scores = score_era(predictions, EraData(target, rng.integers(0, 5, (30, 50)).astype(np.int8), None, None, [0]))
    assert np.isnan(scores["fnc"][0])


@pytest.mark.parametrize("case", ["plain", "collinear", "constant feature", "continuous"])
def test_neutralised_predictions_have_no_exposure_and_half_as_much_at_one_half(case: str) -> None:
    predictions, _, features, _ = era(case, 0)
    exposures = Exposures.of(features)
    normal = gauss(predictions[:, :2])
    assert np.abs(exposures.correlations(exposures.neutralised(normal))).max() < 1e-10
    half = exposures.neutralised(normal, 0.5)
    full = exposures.neutralised(normal)
    np.testing.assert_allclose(half - half.mean(0), (normal - normal.mean(0) + full) / 2, atol=1e-10)


@pytest.mark.parametrize("scale", [1e-7, 1e5])
def test_the_scale_of_features_changes_nothing(scale: float) -> None:
    predictions, target, features, _ = era("continuous", 0)
    plain, scaled = (
        score_era(predictions, EraData(target, x, None, None, [0, 0, 0])) for x in (features, features * np.float64(scale))
    )
    for name in ("fnc", "max_feature_exposure", "feature_exposure"):
        np.testing.assert_allclose(plain[name], scaled[name], rtol=0, atol=1e-9)


def test_neutralising_agrees_with_numerai_tools() -> None:
    predictions, _, features, _ = era("collinear", 0)
    wanted = scoring.neutralize(pd.DataFrame(predictions[:, :2]), pd.DataFrame(features.astype(float)), 0.7).to_numpy()
    np.testing.assert_allclose(Exposures.of(features).neutralised(predictions[:, :2], 0.7), wanted, atol=1e-8)


values = st.lists(st.integers(-50, 50), min_size=12, max_size=40, unique=True)


@settings(max_examples=100, deadline=None)
@given(values, st.integers(0, 1000))
def test_corr_and_mmc_do_not_change_under_increasing_maps(numbers: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    predictions = np.array(numbers, float)[:, None]
    target, meta = rng.choice([0, 0.25, 0.5, 0.75, 1], len(numbers)), rng.uniform(size=len(numbers))
    for increasing in (lambda x: 3 * x + 7, lambda x: np.exp(x / 20), lambda x: x**3):
        for score in (numerai_corr, rank_corr, lambda p, t: contribution(p, meta, t)):
            np.testing.assert_allclose(score(increasing(predictions), target), score(predictions, target), atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000))
def test_a_linear_combination_of_features_has_no_fnc_and_the_meta_model_no_mmc(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Features that are gaussianised already: gauss(p) is then the feature itself.
    feature = gauss(rng.uniform(size=(200, 1)))
    features = np.column_stack([feature, rng.normal(size=(200, 3))]).astype(np.float64)
    target = rng.choice([0, 0.25, 0.5, 0.75, 1], 200)
    scores = score_era(feature, EraData(target, features, feature[:, 0], None, [0]))
    assert np.isnan(scores["fnc"][0])
    assert scores["mmc"][0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("redundant", [0, 8])
@pytest.mark.parametrize("q", [1, 2, 16, 60])
@pytest.mark.parametrize("m", [1, 3])
def test_scores_are_the_same_bytes_by_integers_and_by_floats(
    monkeypatch: pytest.MonkeyPatch, q: int, m: int, redundant: int
) -> None:
    rng = np.random.default_rng(q)
    features = rng.integers(0, 5, (400, q)).astype(np.int8)
    features = np.column_stack([features, features[:, :redundant]])
    predictions, target, meta = rng.normal(size=(400, m)), rng.choice([0, 0.25, 0.5, 0.75, 1], 400), rng.normal(size=400)
    tables = []
    for by_integers in (True, False):
        monkeypatch.setattr(integer_products, "integers_are_faster", lambda by=by_integers: by)
        scores = score_era(predictions, EraData(target, features, meta, None, [0] * m))
        neutral = Exposures.of(features).neutralised(np.asfortranarray(predictions))
        tables.append({name: values.tobytes() for name, values in {**scores, "neutral": neutral}.items()})
    assert tables[0] == tables[1]
    assert np.isfinite(scores["fnc"]).all()
