"""Generators that need no training: noise, group statistics, log-ratios, density and the era's number, against planted truth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from numerai_lab.core.arrays import arrays_from_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.fitted import FittedGenerator
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.variants import fit_generators
from numerai_lab.generators.density import TILE_CELLS, LocalDensity
from numerai_lab.generators.era import EraCode
from numerai_lab.generators.groups import GroupStats
from numerai_lab.generators.noise import RandomColumns
from numerai_lab.generators.ratios import LogRatioPairs
from numerai_lab.storage.scratch import Scratch
from tests.conftest import Quiet, make_config, make_panel
from tests.test_leakage import SPLITS

RNG = np.random.default_rng(0)


def holding(features: np.ndarray, n_eras: int = 1) -> Panel:
    """A panel of these cells, cut into eras of equal size."""
    return replace(make_panel(n_eras, len(features) // n_eras, features.shape[1]), features=features)


def cells(n_rows: int, n_features: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, (n_rows, n_features)).astype(np.int8)


def test_random_columns_are_independent_standard_normal_and_unrelated_to_features() -> None:
    from scipy.stats import kstest

    panel = holding(cells(20_000, 30))
    values = RandomColumns(n_columns=4).fit(panel, RNG).transform(panel.block(1))
    # 20,000 rows: a correlation of independent columns has a standard error of .007, and 4 of them lie outside once in 16,000.
    assert all(kstest(column, "norm").pvalue > 1e-3 for column in values.T)
    together = np.corrcoef(np.column_stack([values, panel.features]).T)
    assert np.abs(together[:4] - np.eye(34)[:4]).max() < 4 * 0.00707


def test_the_noise_of_a_row_differs_by_era_and_by_any_change_of_one_cell() -> None:
    panel = holding(cells(100, 30))
    fitted = RandomColumns(n_columns=2).fit(panel, RNG)
    block = panel.block(1)
    changed = block.features.copy()
    changed[:, 7] = (changed[:, 7] + 1) % 5
    here, there = fitted.transform(block), fitted.transform(Block(2, block.features, 4.0))
    moved = fitted.transform(Block(1, changed, 4.0))
    assert not np.isin(here, there).any()
    assert not np.isin(here, moved).any()


def test_a_generator_whose_width_the_data_decide_gets_a_placebo_that_follows_it(tmp_path: Path) -> None:
    generators = {"p": {"kind": "pca", "n_components": 5}, "g": {"kind": "group_stats"}}
    config = make_config(generators=generators)
    assert [name for name in config.variants if "placebo" in name] == ["raw+placebo_5", "raw+placebo_g"]
    saved: dict[str, bytes] = {}
    context = RunContext(config, make_panel(), FitPlan.of(config, SPLITS), Scratch(tmp_path), Quiet(), saved.__setitem__)
    fitted = fit_generators(context)
    assert fitted["g", 0].columns.shape == fitted["placebo_g", 0].columns.shape == (1200, 3)  # one group: mean, std, skew
    again = FittedGenerator.restored(
        config.generators["placebo_g"], arrays_from_bytes(saved["models/generator-placebo_g@0.safetensors"])
    )
    assert len(again.names) == again.columns_for(context.panel.block(3)).shape[1] == 3
    noise = {"n": {"kind": "random_columns", "like": "g"}, "g": {"kind": "group_stats"}}
    with pytest.raises(NlabError, match=r"generators\.n\.like: no generator above it 'g'"):
        make_config(generators=noise)


def test_group_stats_equal_those_of_each_groups_columns() -> None:
    from scipy.stats import skew

    features = cells(50, 12)
    sets = {"all": np.arange(12), "wisdom": np.array([0, 3, 5, 11]), "rain": np.arange(6, 11), "faith": np.array([2])}
    panel = replace(holding(features), feature_sets=sets)
    fitted = GroupStats().fit(panel, RNG)
    assert fitted.names_out() == ["wisdom_mean", "wisdom_std", "wisdom_skew", "rain_mean", "rain_std", "rain_skew"]
    parts = [features[:, sets[name]] / 4 for name in ("wisdom", "rain")]
    wanted = [stat for part in parts for stat in (part.mean(1), part.std(1), np.nan_to_num(skew(part, axis=1)))]
    np.testing.assert_allclose(fitted.transform(panel.block(1)), np.column_stack(wanted), rtol=0, atol=1e-6)


def test_group_stats_of_equal_features_are_0_where_they_are_undefined() -> None:
    for features in (np.full((5, 4), 3, np.int8), np.full((5, 4), 0.7, np.float32)):
        panel = replace(holding(features), top=4.0 if features.dtype == np.int8 else 1.0)
        values = GroupStats().fit(panel, RNG).transform(panel.block(1))
        np.testing.assert_allclose(values, np.tile([[features[0, 0] / panel.top, 0, 0]], (5, 1)), rtol=1e-6)


def test_groups_are_the_named_sets_else_words_of_names_else_all_features() -> None:
    panel = replace(
        make_panel(1, 20, 5), feature_names=("feature_vol_1", "feature_vol_2", "feature_age", "feature_ret1", "feature_ret2")
    )
    assert GroupStats(stats=["mean"]).fit(panel, RNG).names_out() == ["vol_mean", "ret_mean"]
    assert GroupStats(stats=["mean"]).fit(make_panel(), RNG).names_out() == ["all_mean"]
    named = replace(panel, feature_sets={"mine": np.array([0, 2])})
    assert GroupStats(groups=["mine"], stats=["std"]).fit(named, RNG).names_out() == ["mine_std"]
    with pytest.raises(NlabError, match="no feature set 'mein'; did you mean 'mine'"):
        GroupStats(groups=["mein"]).fit(named, RNG)


def test_features_that_only_scoring_reads_belong_to_no_group() -> None:
    panel = replace(make_panel(n_features=12), n_raw=4, feature_sets={"rain": np.array([0, 1, 8, 9])})
    values = GroupStats(stats=["mean"]).fit(panel, RNG).transform(panel.block(1))
    np.testing.assert_allclose(values[:, 0], panel.features[:40, :2].mean(1) / 4, rtol=1e-6)


def planted_pairs() -> Panel:
    """12 features: 0 and 1 opposite to each other, 2 and 3 equal but for a tenth, the rest independent; 4 and 5 hardly vary."""
    features = cells(4000, 12)
    features[:, 1] = 4 - features[:, 0]
    features[400:, 3] = features[400:, 2]
    features[:, 4:6] = 2
    features[::50, 4:6] = cells(80, 2)
    return holding(features, 4)


def test_the_most_variable_pair_is_the_opposite_one_and_the_least_correlated_are_not_the_equal_ones() -> None:
    panel = planted_pairs()
    variable = LogRatioPairs(n_pairs=1).fit(panel, RNG)
    assert variable.pairs_.tolist() == [[0, 1]]
    uncorrelated = LogRatioPairs(n_pairs=20, pairs="least_correlated").fit(panel, RNG).pairs_.tolist()
    assert [0, 1] not in uncorrelated
    assert [2, 3] not in uncorrelated
    assert not {4, 5} & set(np.ravel(LogRatioPairs(n_pairs=5).fit(panel, RNG).pairs_).tolist())


def test_log_ratios_are_the_logs_of_ratios_of_their_pairs() -> None:
    panel = planted_pairs()
    fitted = LogRatioPairs(n_pairs=6, offset=0.5).fit(panel, RNG)
    x = panel.features[:1000] / 4 + 0.5
    wanted = np.column_stack([np.log(x[:, i] / x[:, j]) for i, j in fitted.pairs_])
    np.testing.assert_allclose(fitted.transform(panel.block(1)), wanted, rtol=0, atol=1e-6)


def test_no_feature_makes_up_all_pairs_and_no_pair_comes_twice() -> None:
    features = cells(2000, 20)
    features[:, 0] = np.where(features[:, 0] > 2, 4, 0)  # in every pair the most variable
    chosen = LogRatioPairs(n_pairs=15).fit(holding(features), RNG).pairs_
    assert (chosen == 0).sum() == 3  # 4 × 15 pairs / 20 features
    every = LogRatioPairs(n_pairs=190).fit(holding(features), RNG).pairs_
    assert len({tuple(pair) for pair in every.tolist()}) == 190
    with pytest.raises(NlabError, match="20 features make only 190 pairs"):
        LogRatioPairs(n_pairs=191).fit(holding(features), RNG)


def test_local_density_is_the_mean_log_distance_to_the_nearest_landmarks() -> None:
    from sklearn.neighbors import NearestNeighbors

    for binned in (True, False):
        panel = make_panel(n_eras=10, n_rows=50, binned=binned)
        fitted = LocalDensity(n_neighbors=4, landmarks=100).fit(panel.only(range(1, 6)), np.random.default_rng(0))
        block = panel.block(9)
        distances, _ = NearestNeighbors(n_neighbors=4).fit(fitted.landmarks_ / panel.top).kneighbors(block.features / panel.top)
        strangers = distances[:, 0] > 0
        assert strangers.sum() > 40
        wanted = np.log(distances[strangers]).mean(1)
        np.testing.assert_allclose(fitted.transform(block)[strangers, 0], wanted, rtol=0, atol=2e-5)


def test_local_density_follows_a_planted_density() -> None:
    rng = np.random.default_rng(1)
    spread = np.repeat([0.05, 0.1, 0.2], 1000)  # three clouds around one centre: the narrower, the denser
    x = np.clip(0.5 + rng.normal(size=(3000, 6)) * spread[:, None], 0, 1).astype(np.float32)
    panel = replace(holding(rng.permutation(x)), top=1.0)
    fitted = LocalDensity(landmarks=1500).fit(panel, rng)
    radius = np.abs(x - 0.5).max(1)
    values = fitted.transform(Block(1, x, 1.0))[:, 0]
    # The true density falls with the distance from the centre; 10 neighbours of 1,500 tell it with a tenth of noise.
    assert np.corrcoef(np.argsort(np.argsort(radius)), np.argsort(np.argsort(values)))[0, 1] > 0.9


def test_rows_that_are_landmarks_look_no_more_crowded_than_others() -> None:
    panel = holding(cells(3000, 40), 10)
    fitted = LocalDensity(landmarks=1500).fit(panel, np.random.default_rng(0))
    values = np.concatenate([fitted.transform(block)[:, 0] for block in panel.blocks()])
    landmarks = {row.tobytes() for row in fitted.landmarks_}
    chosen = np.array([row.tobytes() in landmarks for row in panel.features])
    assert chosen.sum() == 1500
    # Standard error of the difference of means: values spread by about .02 over 1,500 rows each.
    assert abs(values[chosen].mean() - values[~chosen].mean()) < 4 * values.std() * np.sqrt(2 / 1500)


def test_landmarks_come_evenly_from_the_eras_even_when_they_are_fewer_than_these() -> None:
    marked = replace(make_panel(30, 40), features=np.repeat(np.arange(30), 40)[:, None].astype(np.float32), n_raw=1, top=30.0)
    many = LocalDensity(landmarks=75).fit(marked, np.random.default_rng(0)).landmarks_
    assert set(np.bincount(many[:, 0].astype(int)).tolist()) == {2, 3}
    few = LocalDensity(landmarks=15).fit(marked, np.random.default_rng(0)).landmarks_[:, 0]
    assert few.max() >= 28
    assert few.min() <= 2
    assert len(set(few.tolist())) == 15


def test_local_density_is_the_same_in_one_tile_and_in_many(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = make_panel()
    fitted = LocalDensity(landmarks=200).fit(panel, np.random.default_rng(0))
    whole = fitted.transform(panel.block(3))
    monkeypatch.setattr("numerai_lab.generators.density.TILE_CELLS", 200 * 7)
    assert TILE_CELLS > 200 * 40
    np.testing.assert_array_equal(whole, fitted.transform(panel.block(3)))


def test_a_row_equal_to_every_landmark_gets_a_finite_value() -> None:
    panel = holding(np.full((40, 6), 2, np.int8))
    assert np.isfinite(LocalDensity(landmarks=20).fit(panel, RNG).transform(panel.block(1))).all()


def test_the_era_code_rises_from_0_to_1_and_stays_there_unless_asked_to_go_on() -> None:
    panel = make_panel()
    codes = {emit: EraCode(emit_era=emit).fit(panel.only(range(1, 12)), RNG) for emit in ("max", "own")}

    def of(emit: str, era: int) -> float:
        values = codes[emit].transform(panel.block(era))
        assert len(np.unique(values)) == 1
        return float(values[0, 0])

    assert [of("max", era) for era in (1, 6, 11, 21)] == [0, 0.5, 1, 1]
    assert [of("own", era) for era in (1, 6, 11, 21)] == [0, 0.5, 1, 2]
    late = EraCode(emit_era="own").fit(panel.only(range(5, 12)), RNG)
    assert late.transform(panel.block(3)).max() == 0
