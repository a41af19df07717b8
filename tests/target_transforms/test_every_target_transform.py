"""Target transforms: what they leave of a target, and that an era's labels depend on nothing but its own rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, rankdata

from numerai_lab.core.arrays import Float32, Float64
from numerai_lab.core.panel import Panel
from numerai_lab.fitting.learned_targets import _labels
from numerai_lab.target_transforms import TARGET_TRANSFORMS, TargetTransform
from numerai_lab.target_transforms.within_era import Neutralized, RankGauss, ResidualToBenchmark
from tests.conftest import make_panel

QUICK: dict[str, dict[str, Any]] = {
    "residual_to_benchmark": {"benchmark": "model"},
    "neutralized": {"features": "all"},
}
ERAS = range(1, 16)
kinds = pytest.mark.parametrize("kind", TARGET_TRANSFORMS)


def transform_of(kind: str) -> TargetTransform:
    return TARGET_TRANSFORMS[kind](**QUICK.get(kind, {}))


def panel_with_model() -> Panel:
    """A panel with a model's predictions, which know of the target; a tenth of the rows of each kind is unknown."""
    panel, rng = make_panel(), np.random.default_rng(3)
    assert panel.target is not None
    predictions = (panel.target + rng.normal(size=len(panel.ids))).astype(np.float32)
    target = panel.target.copy()
    predictions[rng.permutation(len(target))[::10]], target[rng.permutation(len(target))[::10]] = np.nan, np.nan
    return replace(panel, target=target, extras={"model": predictions})


def labels_of(transform: TargetTransform | None, panel: Panel) -> Float32:
    assert panel.target is not None
    return _labels(panel, panel.target, transform, ERAS)


def target_of(panel: Panel) -> Float32:
    assert panel.target is not None
    return panel.target


@kinds
def test_a_kind_is_called_what_the_registry_calls_it_and_its_note_says_what_is_learned(kind: str) -> None:
    transform = transform_of(kind)
    assert transform.kind == kind
    assert transform.note.startswith("learns ")


@kinds
def test_labels_of_an_era_depend_on_its_own_rows_alone(kind: str) -> None:
    panel, rng = panel_with_model(), np.random.default_rng(4)
    before, own = labels_of(transform_of(kind), panel), panel.rows(7)
    others = np.ones(len(panel.ids), bool)
    others[own] = False
    target, model, features = target_of(panel).copy(), panel.extras["model"].copy(), panel.features.copy()
    target[others] = rng.permutation(target[others])
    model[others], features[others] = rng.permutation(model[others]), rng.permutation(features[others])
    after = labels_of(transform_of(kind), replace(panel, target=target, extras={"model": model}, features=features))
    np.testing.assert_array_equal(before[own], after[own])
    assert not np.array_equal(before[others], after[others], equal_nan=True)


@kinds
def test_labels_are_given_for_known_rows_of_the_eras_alone(kind: str) -> None:
    panel = panel_with_model()
    labels, known = labels_of(transform_of(kind), panel), np.isfinite(target_of(panel))
    if kind == "residual_to_benchmark":
        known &= np.isfinite(panel.extras["model"])
    last = panel.rows(15).stop
    np.testing.assert_array_equal(np.isfinite(labels[:last]), known[:last])
    assert np.isnan(labels[last:]).all()


@kinds
def test_labels_of_an_era_do_not_depend_on_the_order_of_its_rows(kind: str) -> None:
    panel = panel_with_model()
    order = np.arange(len(panel.ids)).reshape(-1, 40)[:, ::-1].ravel()
    turned = replace(panel.relabelled(order), features=panel.features[order], extras={"model": panel.extras["model"][order]})
    np.testing.assert_allclose(labels_of(transform_of(kind), panel)[order], labels_of(transform_of(kind), turned), atol=1e-6)


@kinds
def test_it_is_shown_no_target(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    transform, seen = transform_of(kind), []
    plain = type(transform).covariates

    def curious(self: TargetTransform, panel: Panel, era: int) -> Any:
        seen.append((panel.target, panel.eras.tolist()))
        return plain(self, panel, era)

    monkeypatch.setattr(type(transform), "covariates", curious)
    labels_of(transform, panel_with_model())
    assert seen == [(None, [era]) for era in ERAS]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 60), st.booleans())
def test_the_residual_to_a_benchmark_is_uncorrelated_with_it_within_an_era(seed: int, n_rows: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    target = rng.choice([0, 0.25, 0.5, 0.75, 1], n_rows, p=[0.05, 0.2, 0.5, 0.2, 0.05])
    benchmark = (target + rng.normal(size=n_rows)).round(0 if ties else 6)
    residual = ResidualToBenchmark(benchmark="b").transform(target, benchmark[:, None])
    normal = norm.ppf((rankdata(benchmark) - 0.5) / n_rows)
    scale = max(1.0, float(np.linalg.norm(normal - normal.mean()) * np.linalg.norm(target)))
    assert abs((normal - normal.mean()) @ (residual - residual.mean())) < 1e-12 * scale
    assert residual.mean() == pytest.approx(target.mean(), abs=1e-12)


def test_a_proportion_of_the_fit_is_subtracted() -> None:
    rng = np.random.default_rng(0)
    target, other = rng.uniform(size=200), rng.normal(size=(200, 1))
    whole, half, none = (
        target - ResidualToBenchmark(benchmark="b", proportion=p).transform(target, other) for p in (1.0, 0.5, 0.0)
    )
    assert whole.std() > 0.01
    np.testing.assert_allclose(half, whole / 2, atol=1e-15)
    np.testing.assert_array_equal(none, 0)
    features = rng.integers(0, 5, (200, 4)).astype(np.int8)
    whole, half = (target - Neutralized(features="f", proportion=p).transform(target, features) for p in (1.0, 0.5))
    np.testing.assert_allclose(half, whole / 2, atol=1e-12)


def test_a_constant_benchmark_explains_nothing() -> None:
    target = np.array([0.0, 0.5, 1.0])
    np.testing.assert_array_equal(ResidualToBenchmark(benchmark="b").transform(target, np.ones((3, 1))), target)


def test_a_neutralized_target_is_the_residual_of_least_squares_and_keeps_its_mean() -> None:
    rng = np.random.default_rng(1)
    features, target = rng.integers(0, 5, (80, 6)).astype(np.int8), rng.uniform(size=80)
    given = np.column_stack([np.ones(80), features])
    fit: Float64 = given @ np.linalg.lstsq(given, target, rcond=None)[0]
    neutral = Neutralized(features="f").transform(target, features)
    np.testing.assert_allclose(neutral, target - fit + target.mean(), atol=1e-12)
    whole = np.column_stack([features, target * 4])
    assert np.isnan(Neutralized(features="f").transform(target, whole)).all()  # nothing is left


def test_normal_scores_are_those_of_mean_ranks() -> None:
    target = np.repeat([0, 0.25, 0.5, 0.75, 1], [50, 200, 500, 200, 50])
    scores = RankGauss().transform(target, np.empty((1000, 0)))
    np.testing.assert_allclose(scores, norm.ppf((rankdata(target) - 0.5) / 1000))
    np.testing.assert_allclose(np.unique(scores), [-1.96, -1.04, 0, 1.04, 1.96], atol=0.01)
