"""Boosted trees give back tables of features that no correlation shows, and their fits go on after a kill."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from numerai_lab.augmenters import xgen
from numerai_lab.augmenters.copula import Copula
from numerai_lab.augmenters.ordinal_trees import Trees, draw_column, halvings
from numerai_lab.augmenters.xgen import XGen
from numerai_lab.core.arrays import arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import FitContext
from tests.augmenters.test_copula import correlations, rms, two_halves
from tests.conftest import component, make_panel

N_ROWS = 500


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def planted(n_eras: int = 24, n_rows: int = N_ROWS) -> Panel:
    """Six features of equal bins without any correlation, that depend on each other; a target of the product of two.

    Feature 1 is the distance of feature 0 from the middle, feature 2 the sum of 0 and 3 modulo five;
    a fifth of either is replaced by noise. Features 4 and 5 are noise.
    """
    panel = make_panel(n_eras=n_eras, n_rows=n_rows, n_features=6)
    draw, n = rng(7), n_eras * n_rows
    features = draw.integers(0, 5, (n, 6))
    noise = draw.random((n, 2)) < 0.2
    vee = np.array([4, 2, 0, 1, 3])[features[:, 0]]
    features[:, 1] = np.where(noise[:, 0], features[:, 1], vee)
    features[:, 2] = np.where(noise[:, 1], features[:, 2], (features[:, 0] + features[:, 3]) % 5)
    signal = (features[:, 0] - 2.0) * (features[:, 3] - 2.0) + draw.normal(0, 2, n)
    target = np.searchsorted([0.05, 0.25, 0.75, 0.95], np.argsort(np.argsort(signal)) / n) / 4
    return replace(panel, features=features.astype(np.int8), target=target.astype(np.float32))


def table(blocks: list[Block], *columns: int) -> np.ndarray:
    """Shares of the cells of some columns; the target is column 6."""
    cells = np.concatenate([np.column_stack([block.features, np.rint(4 * block.target)]) for block in blocks])  # type: ignore[operator]
    counts = np.histogramdd(cells[:, columns], bins=5, range=[(-0.5, 4.5)] * len(columns))[0]
    return counts / counts.sum()


def test_planted_tables_of_two_and_three_columns_come_back_where_a_copula_loses_them() -> None:
    panel = planted()
    train = panel.only(range(1, 17))
    fitted, copula = XGen().fit(train, rng()), Copula(scope="pooled").fit(train, rng())
    real = [panel.block(era) for era in range(17, 25)]
    invented = [fitted.invent(number, N_ROWS, rng(number)) for number in range(8)]
    drawn = [copula.augment(block, rng(block.era)) for block in train.blocks()][:8]
    for columns in ((0, 1), (0, 3, 2), (0, 3, 6)):
        truth = table(real, *columns)
        ours, theirs = (np.abs(table(rows, *columns) - truth).sum() / 2 for rows in (invented, drawn))
        floor = np.abs(table([train.block(era) for era in range(1, 9)], *columns) - truth).sum() / 2
        assert ours < 2.5 * floor, columns
        assert ours < 0.5 * theirs, columns


def test_columns_are_independent_where_the_real_ones_are() -> None:
    fitted = XGen().fit(planted(n_eras=10), rng())
    made = [fitted.invent(number, N_ROWS, rng(number)) for number in range(20)]
    np.testing.assert_allclose(table(made, 4, 5), 0.04, atol=0.01)  # five standard errors
    np.testing.assert_allclose(np.bincount(np.rint(4 * made[0].target).astype(int)) / N_ROWS, [0.05, 0.2, 0.5, 0.2, 0.05])  # type: ignore[operator]


def test_trees_are_kept_where_they_help_on_held_out_rows_alone() -> None:
    inputs, held = rng(1).standard_normal((4000, 3)).astype(np.float32), np.arange(4000) >= 3000
    trees = Trees(n_estimators=50, learning_rate=0.1, max_depth=3, patience=5)
    chance = rng(2).random(4000)
    model, share = trees.fitted(inputs, chance < 1 / (1 + np.exp(-inputs[:, 0] * inputs[:, 1])), held)
    assert len(model) > 5000
    assert share == pytest.approx(0.5, abs=0.05)
    noise = [trees.fitted(inputs, rng(seed).random(4000) < 0.3, held) for seed in range(10)]
    assert sum(not model for model, _ in noise) >= 6
    assert max(len(model) for model, _ in noise) < len(model) / 2
    assert [share for _, share in noise] == pytest.approx([0.3] * 10, abs=0.05)
    assert trees.fitted(inputs, np.ones(4000, bool), held) == (b"", 1.0)
    assert trees.fitted(inputs[:, :0], chance < 0.3, held)[0] == b""


@pytest.mark.parametrize("n_classes", [1, 2, 5, 16])
def test_shares_of_the_halvings_give_the_distribution_of_the_classes(n_classes: int) -> None:
    wanted = rng(3).dirichlet(np.ones(n_classes))
    shares = np.array([wanted[middle:high].sum() / wanted[low:high].sum() for low, middle, high in halvings(0, n_classes)])
    drawn = draw_column(np.zeros((50_000, 0), np.float32), n_classes, [None] * len(shares), shares, rng())
    np.testing.assert_allclose(
        np.bincount(drawn, minlength=n_classes) / 50_000, wanted, atol=1 / 5000
    )  # counts are exact, to whole rows


def test_many_features_go_through_factor_scores_and_keep_their_correlations() -> None:
    panel = make_panel(n_eras=40, n_rows=300)
    fitted = XGen(most_features=5, factors=4, n_estimators=60, learning_rate=0.2).fit(panel, rng())
    assert 2 <= len(fitted.n_classes_) <= 5
    made = [fitted.invent(number, 300, rng(number)) for number in range(40)]
    own, other = two_halves(panel)
    assert rms(correlations(made), correlations(own + other)) < 0.2 * rms(correlations(own), np.eye(13))
    np.testing.assert_allclose(np.unique(made[0].features), [0, 1, 2, 3, 4])


def test_continuous_features_and_targets_keep_a_dependence_without_correlation() -> None:
    panel = make_panel(n_eras=12, n_rows=400, n_features=2, binned=False)
    draw = rng(5)
    features = draw.random((panel.n_rows, 2)).astype(np.float32)
    features[:, 1] = np.abs(features[:, 0] - 0.5) * 2
    target = np.where(draw.random(panel.n_rows) < 0.5, features[:, 1], draw.random(panel.n_rows)).astype(np.float32)
    fitted = XGen().fit(replace(panel, features=features, target=target), rng())
    made = fitted.invent(0, 2000, rng(1))
    assert np.corrcoef(np.abs(made.features[:, 0] - 0.5), made.features[:, 1])[0, 1] > 0.97
    assert abs(np.corrcoef(made.features.T)[0, 1]) < 0.1
    assert np.corrcoef(made.features[:, 1], made.target)[0, 1] == pytest.approx(0.5, abs=0.12)  # type: ignore[arg-type]
    assert len(np.unique(made.features[:, 0])) > 90


def test_a_feature_that_some_eras_lack_has_the_tables_of_the_others() -> None:
    panel = planted(n_eras=16)
    features = panel.features.copy()
    features[: 6 * N_ROWS, 1] = 2
    fitted = XGen().fit(replace(panel, features=features), rng())
    made = [fitted.invent(number, N_ROWS, rng(number)) for number in range(8)]
    assert np.abs(table(made, 0, 1) - table(list(panel.blocks()), 0, 1)).sum() / 2 < 0.1  # .3 with the middle bin for lacking


def killed_after(n_columns: int) -> Callable[[int, int, str], None]:
    def progress(done: int, total: int, note: str = "", /) -> None:
        if done == n_columns:
            raise KeyboardInterrupt

    return progress  # type: ignore[return-value]


def test_a_fit_killed_between_columns_goes_on_to_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xgen, "KEEP_EVERY", 0.0)
    panel, template = planted(n_eras=6, n_rows=100), component("xgen")
    whole = arrays_to_bytes(template.fresh().fit(panel, rng()).state())
    checkpoints: list[Mapping[str, Any]] = []
    for n_columns in (2, 5):
        context = FitContext(
            killed_after(n_columns),
            lambda: arrays_from_bytes(arrays_to_bytes(checkpoints[-1])) if checkpoints else None,
            checkpoints.append,
        )
        with pytest.raises(KeyboardInterrupt):
            template.fresh().fit(panel, rng(), context)
    assert [int(arrays["columns"]) for arrays in checkpoints] == [1, 2, 3, 4, 5]
    again = template.fresh().fit(panel, rng(), FitContext(load_checkpoint=lambda: dict(checkpoints[-1])))
    assert arrays_to_bytes(again.state()) == whole


def test_one_era_is_refused_with_a_sentence() -> None:
    with pytest.raises(NlabError, match="xgen: at least 2 eras with targets to learn from are needed, got 1"):
        XGen().fit(make_panel(n_eras=1), rng())
