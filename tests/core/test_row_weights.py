"""Weights of rows in the training stream: multiplied, of mean 1, and read by every model."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.augmenters.weigher import Weigher
from numerai_lab.core.arrays import Float32
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.panel import Panel
from numerai_lab.core.row_weights import Weight
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models import MODELS
from tests.conftest import component, make_panel


class ByEra(Weigher):
    """Era e weighs e."""

    def weigh(self, era: int, n_rows: int) -> Weight:
        return float(era)


class ByRow(Weigher):
    """The i-th row of era e weighs i, from 0, plus `base`."""

    base: float = 1.0

    def weigh(self, era: int, n_rows: int) -> Float32:
        return np.arange(n_rows, dtype=np.float32) + np.float32(self.base)


def stream(panel: Panel, **augmenters: object) -> TrainingStream:
    return TrainingStream(panel, ("raw",), panel.raw_names, 0, augmenters)  # type: ignore[arg-type]


def test_an_augmenter_that_weighs_adds_no_rows_and_divides_its_weights_by_their_mean_over_the_rows(panel: Panel) -> None:
    bounds = panel.bounds.copy()
    bounds[0, 1] -= 30  # 10 rows of weight 1 and 40 of weight 2: their mean is 1.8
    blocks = stream(replace(panel, bounds=bounds).only([1, 2]), w=ByEra())
    assert [origin.era for origin in blocks.origins] == [1, 2]
    np.testing.assert_allclose([batch.weight for batch in blocks], [1 / 1.8, 2 / 1.8])
    np.testing.assert_allclose(blocks.weights(), np.repeat(np.float32([1 / 1.8, 2 / 1.8]), [10, 40]))


def test_several_weighers_multiply_row_by_row(panel: Panel) -> None:
    weights = stream(panel.only([1, 3]), a=ByEra(), b=ByRow()).weights()
    product = np.outer([1, 3], np.arange(40) + 1).ravel()
    np.testing.assert_allclose(weights, product / product.mean(), rtol=1e-6)


def test_a_synthetic_row_weighs_the_mean_of_its_era_and_an_invented_era_the_weight_of_its_augmenter(panel: Panel) -> None:
    law = component("covariance_path", weight=0.5).fit(panel, np.random.default_rng(0))
    blocks = stream(panel.only([1, 3]), w=ByEra(), r=ByRow(), cut=component("cutout", weight=0.25))
    plain = stream(panel.only([1, 3]), w=ByEra())
    assert [blocks.weight_of(i) for i in (2, 3)] == pytest.approx([0.25 * plain.weight_of(i) for i in (0, 1)])  # type: ignore[operator]
    assert [batch.weight for batch in stream(panel.only([1, 3]), w=ByEra(), law=law)] == [0.5, 1.5, 0.5, 0.5]


def test_weights_of_shuffled_rows_come_from_one_other_era_at_as_many_quantiles(panel: Panel) -> None:
    class Distinct(Weigher):
        def weigh(self, era: int, n_rows: int) -> Float32:
            return np.float32(100 * era) + np.arange(n_rows, dtype=np.float32) * 40 / n_rows

    bounds = panel.bounds.copy()
    bounds[0, 1] -= 20
    train = replace(panel, bounds=bounds).only([1, 2, 3])
    ratios = [batch.weight for batch in stream(train, w=Distinct(shuffle_eras=True))]
    sources = [weight.mean() / min(float(w.mean()) for w in ratios) for weight in ratios]  # type: ignore[union-attr]
    np.testing.assert_allclose(sorted(sources), np.array([120, 220, 320]) / 120, rtol=0.02)
    assert [len(weight) for weight in ratios] == [20, 40, 40]  # type: ignore[arg-type]
    assert not np.all(np.diff(ratios[1]) > 0)  # rows are dealt anew within the era too


@pytest.mark.parametrize("kind", MODELS)
def test_a_row_of_weight_0_teaches_nothing_and_one_of_weight_2_what_two_rows_teach(kind: str, panel: Panel) -> None:
    class Halves(Weigher):
        low: float = 0.0
        high: float = 1.0

        def weigh(self, era: int, n_rows: int) -> Float32:
            return np.where(np.arange(n_rows) < n_rows // 2, self.low, self.high).astype(np.float32)

    train, X = panel.only(range(1, 21)), panel.block(25).matrix(["raw"])
    quick = {"subsample": 1.0, "colsample_bytree": 1.0} if kind in ("xgboost", "lightgbm", "catboost") else {}
    quick |= {"min_data_in_leaf": 1} if kind == "lightgbm" else {}

    def learned(stream: TrainingStream) -> Float32:
        predictions: Float32 = component(kind, **quick).fit(stream, np.random.default_rng(0)).predict(X)
        return predictions

    plain = learned(stream(train))
    garbage = train.target.copy()  # type: ignore[union-attr]
    garbage[np.arange(len(garbage)) % 40 < 20] = 1.0
    weighted = learned(stream(replace(train, target=garbage), w=Halves()))
    assert np.corrcoef(weighted, plain)[0, 1] > 0.5
    assert np.corrcoef(learned(stream(replace(train, target=garbage))), plain)[0, 1] < np.corrcoef(weighted, plain)[0, 1]
    np.testing.assert_allclose(learned(stream(train, w=Halves(low=2.0, high=2.0))), plain, rtol=0, atol=1e-6)


def test_ridge_with_weights_is_scikit_learns(panel: Panel) -> None:
    from sklearn.linear_model import Ridge

    train = panel.only(range(1, 6))
    blocks = stream(train, a=ByEra(), b=ByRow())
    X = np.concatenate([batch.X for batch in blocks])
    y, weights = blocks.targets(), blocks.weights()
    assert weights is not None
    ours = component("ridge", alpha=0.0).fit(blocks, np.random.default_rng(0)).predict(X)
    theirs = Ridge(alpha=1e-9).fit(X.astype(np.float64), y, sample_weight=weights).predict(X)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("base", [-1.0, np.nan])
def test_weights_that_are_negative_or_not_finite_stop_the_run(base: float, panel: Panel) -> None:
    broken = ByRow.model_construct(base=base)
    with pytest.raises(NlabFailure, match=r"augmenters\.w: a weight of era 1 is negative or not finite"):
        stream(panel.only([1, 2]), w=broken).weights()


def test_weights_that_are_all_0_stop_the_run() -> None:
    class Nothing(Weigher):
        def weigh(self, era: int, n_rows: int) -> Weight:
            return 0.0

    with pytest.raises(NlabFailure, match="augmenters w: the product of their weights is 0 in every row"):
        stream(make_panel().only([1, 2]), w=Nothing()).weights()
