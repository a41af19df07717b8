"""gmm_targets: exact bins, planted regimes found, a relation of its own for every era."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.augmenters import mixture
from numerai_lab.augmenters.mixture import GMMTargets
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from tests.conftest import make_panel

MIXTURES = ["bayes", "gmm_diag", "pca_gmm"]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def regimes_panel(n_eras: int = 60, n_rows: int = 300) -> Panel:
    """Odd eras follow β, even eras −β / 2 of other features."""
    panel = make_panel(n_eras=n_eras, n_rows=n_rows)
    x = panel.features / 4 - 0.5
    one, other = x @ np.repeat([1.0, 0], 6), x @ np.repeat([0, -1.0], 6)
    odd = np.repeat(panel.eras % 2 == 1, n_rows)
    signal = np.where(odd, one, other) + rng().normal(0, 0.7, len(x))
    ranks = np.argsort(np.argsort(signal.reshape(n_eras, n_rows), axis=1), axis=1).ravel() / n_rows
    return replace(panel, target=(np.searchsorted([0.05, 0.25, 0.75, 0.95], ranks) / 4).astype(np.float32))


@pytest.mark.parametrize("noise_sd", [0.0, 1.0])
def test_999_rows_get_exactly_50_200_499_200_50_targets(noise_sd: float) -> None:
    panel = make_panel(n_eras=10, n_rows=999)
    made = GMMTargets(noise_sd=noise_sd).fit(panel, rng()).augment(panel.block(3), rng(1))
    values, counts = np.unique(made.target, return_counts=True)  # type: ignore[arg-type]
    assert values.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert counts.tolist() == [50, 200, 499, 200, 50]
    np.testing.assert_array_equal(made.features, panel.block(3).features)
    assert made.features.dtype == np.int8


def test_rows_of_equal_features_get_their_targets_in_random_order() -> None:
    panel = make_panel(n_eras=10)
    fitted = GMMTargets().fit(panel, rng())
    same = replace(panel.block(1), features=np.tile(panel.features[:1], (1000, 1)), target=np.zeros(1000, np.float32))
    target = fitted.augment(same, rng(1)).target
    assert abs(np.corrcoef(target, np.arange(1000))[0, 1]) < 0.13  # type: ignore[arg-type]  # four standard errors


@pytest.mark.parametrize("how", MIXTURES)
def test_two_planted_regimes_are_told_apart_and_equally_likely(how: str) -> None:
    panel = regimes_panel()
    fitted = GMMTargets(mixture=how, n_components=2).fit(panel, rng())  # type: ignore[arg-type]
    odd = fitted.eras_ % 2 == 1
    right = np.mean(fitted.regimes_ == odd)
    assert max(right, 1 - right) >= 0.95
    slopes = np.array([fitted.beta(1, rng(i))[:6].mean() > 0.1 for i in range(200)])
    assert 0.4 < slopes.mean() < 0.6


def test_a_regime_of_three_eras_in_sixty_is_drawn_as_often_as_the_other() -> None:
    panel = regimes_panel(n_eras=120)
    rare = panel.only([e for e in range(1, 121) if e % 2 == 1 or e in (2, 40, 80)])
    fitted = GMMTargets(mixture="pca_gmm", n_components=2, beta_components=2).fit(rare, rng())
    assert np.bincount(fitted.regimes_).min() == 3
    assert 0.4 < np.mean([fitted.beta(1, rng(i))[:6].mean() > 0.1 for i in range(200)]) < 0.6


@pytest.mark.parametrize("draw", ["mixture", "path"])
def test_relations_differ_from_era_to_era_and_from_copy_to_copy(draw: str) -> None:
    panel = regimes_panel()
    fitted = GMMTargets(draw=draw).fit(panel, rng())  # type: ignore[arg-type]
    betas = [fitted.beta(era, rng(10 * era + copy)) for era in (5, 6) for copy in range(3)]
    distances = [np.abs(one - other).max() for i, one in enumerate(betas) for other in betas[:i]]
    assert min(distances) > 1e-3
    made = fitted.augment(panel.block(5), rng(1))
    x = panel.features[panel.rows(5)] / 4 - 0.5
    assert abs(np.corrcoef(x @ fitted.beta(5, rng(1)), made.target)[0, 1]) > 0.85  # type: ignore[arg-type]


def test_a_path_goes_on_from_the_era_before_by_the_inertia_asked_for() -> None:
    panel = regimes_panel()
    for inertia in (0.0, 0.9):
        fitted = GMMTargets(draw="path", inertia=inertia).fit(panel, rng())
        drawn = np.array([fitted.beta(era, rng(era)) for era in range(2, 61)]) - fitted.path_mean_
        scores = drawn @ fitted.path_directions_.T
        assert np.corrcoef(scores[:, 0], fitted.path_scores_[:-1, 0])[0, 1] == pytest.approx(inertia, abs=0.25)
        assert scores[:, 0].std() / fitted.path_sd_[0] == pytest.approx(1, abs=0.3)


def test_the_bayesian_mixture_reports_that_it_draws_too_narrowly_where_features_outnumber_eras() -> None:
    narrow = make_panel(n_eras=12, n_rows=400, n_features=60)
    few = GMMTargets(n_components=1).fit(narrow, rng()).dispersion_
    many = GMMTargets(n_components=1).fit(make_panel(n_eras=120, n_rows=100, n_features=6), rng()).dispersion_
    assert few < 0.75
    assert many == pytest.approx(1, abs=0.1)


def test_dispersion_is_the_spread_of_what_is_drawn() -> None:
    panel = make_panel(n_eras=40, n_rows=100, n_features=20)
    fitted = GMMTargets(n_components=1).fit(panel, rng())
    drawn = np.array([fitted.beta(1, rng(i)) for i in range(1000)])
    own = fitted._betas(panel, mixture.NO_CONTEXT)[1]
    spread = np.sqrt(drawn.var(0).sum() / ((own - fitted.means_[0]) ** 2).sum(1).mean())
    assert spread == pytest.approx(float(fitted.dispersion_), rel=0.05)


def test_more_features_than_500_are_stood_for_by_their_principal_components(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixture, "MOST_FEATURES", 10)
    panel = regimes_panel()
    fitted = GMMTargets(scores=4, n_components=2).fit(panel, rng())
    assert fitted.factors_.shape[1:] == (4, 4)
    right = np.mean(fitted.regimes_ == (fitted.eras_ % 2 == 1))
    assert max(right, 1 - right) >= 0.95
    assert fitted.augment(panel.block(1), rng()).target.mean() == pytest.approx(0.5)  # type: ignore[union-attr]


def test_targets_of_other_releases_keep_their_own_values_and_shares() -> None:
    panel = make_panel()
    binary = replace(panel, target=(panel.target > 0.5).astype(np.float32))  # type: ignore[operator]
    made = GMMTargets(bins="train").fit(binary, rng()).augment(binary.block(2), rng()).target
    assert np.unique(made).tolist() == [0, 1]  # type: ignore[arg-type]
    assert made.mean() == pytest.approx(0.25, abs=0.03)  # type: ignore[union-attr]


def test_too_few_eras_are_refused_with_a_sentence() -> None:
    with pytest.raises(NlabError, match="n_components is 6, but 4 eras have two rows with a target"):
        GMMTargets().fit(make_panel().only([1, 2, 3, 4]), rng())
