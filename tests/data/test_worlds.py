"""The worlds: components with the stated correlations, features that show them, damage where it is stated."""

import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.data import synthetic_files
from numerai_lab.data.reader import load
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.data.synthetic_files import write_tournament
from numerai_lab.data.world import Era, World
from numerai_lab.data.world_premia import Component, Factors
from numerai_lab.data.world_size import SIZES, Size
from numerai_lab.data.world_state import State
from numerai_lab.data.worlds import WORLDS, Block, Premium, WorldDescription
from numerai_lab.metrics.era import numerai_corr, pearson

OVERLAP = 2
"""20-day returns of four neighbouring eras overlap: standard errors are twice those of independent eras."""
CONTROL = SIZES["control"]
NARROW = Size((60,) * 50, n_train=32, n_small=0, n_medium=160)
PREMIA = {
    (world, premium.kind): (description.blocks, Premium(premium.kind, premium.rho, premium.factors))
    for world, description in WORLDS.items()
    for premium in description.premia
    if isinstance(premium, Premium)
}


@dataclass(frozen=True)
class Drawn:
    """A few eras of a world and their features."""

    eras: list[Era]
    bins: list[np.ndarray]


def drawn(name: str, size: Size = NARROW, seed: int = 3) -> Drawn:
    world = World(size, seed, WORLDS[name])
    eras = list(world.eras())
    return Drawn(eras, [world.features.bins(era.number, era.state) for era in eras])


def many_stocks(world: World, n_rows: int) -> State:
    """Independent stocks in one week."""
    return State.first(n_rows, world.features.n_own, seed=9)


@pytest.mark.parametrize(("world", "kind"), PREMIA)
def test_a_component_alone_has_the_stated_correlation_with_returns(world: str, kind: str) -> None:
    blocks, premium = PREMIA[world, kind]
    size = Size((1600,) * 60, n_train=24, n_small=0, n_medium=160)
    eras = [era for era in World(size, 5, WorldDescription(blocks, (premium,))).eras() if era.number <= 60]
    corr = np.array([np.corrcoef(era.components[kind], era.returns[:, 0])[0, 1] for era in eras])
    error = OVERLAP * corr.std() / np.sqrt(len(corr))
    assert abs(corr.mean() - premium.rho) < 3 * error
    assert error < premium.rho / 4


@pytest.mark.parametrize("name", WORLDS)
def test_components_are_uncorrelated_and_of_unit_variance(name: str) -> None:
    world = World(CONTROL, 0, WORLDS[name])
    state = many_stocks(world, 100_000)
    drivers = np.hstack([component.driver.of(state) for component in world.components] or [np.zeros((2, 0))])
    correlations = np.atleast_2d(np.corrcoef(drivers.T)) if drivers.shape[1] else np.eye(0)
    assert np.all(np.abs(correlations - np.eye(len(correlations))) < 0.02)
    np.testing.assert_allclose(drivers.var(0), 1, atol=0.03)


@pytest.mark.parametrize(
    ("name", "kind"), [("clusters", "member"), ("flip", "convex"), ("torus", "torus"), ("default", "convex")]
)
def test_no_line_through_the_features_shows_a_curved_component(name: str, kind: str) -> None:
    world = World(CONTROL, 0, WORLDS[name])
    state = many_stocks(world, 40_000)
    features = world.features.bins(100, state).astype(np.float64)
    (driver,) = [component.driver for component in world.components if component.name == kind]
    g = driver.of(state)[:, 0]
    x = np.column_stack([np.ones(len(features)), features])
    residual = g - x @ np.linalg.lstsq(x, g, rcond=None)[0]
    n, p = features.shape
    assert 1 - residual.var() / g.var() * (n - 1) / (n - p - 1) < 0.01


def test_autocorrelations_of_drivers_are_those_that_premia_are_divided_by() -> None:
    for name in ("clusters", "flip", "torus", "default"):
        world = World(CONTROL, 0, WORLDS[name])
        now = later = many_stocks(world, 60_000)
        for week in range(4):
            later = later.later(np.random.default_rng(week))
        for component in world.components:
            g, then = component.driver.of(now), component.driver.of(later)
            np.testing.assert_allclose((g * then).mean(0) / (g**2).mean(0), component.decay[3], atol=0.02)


def test_missing_is_steady_but_for_two_columns_after_era_36() -> None:
    missing, steady = drawn("missing"), drawn("steady")
    differing = set()
    for ours, other, era, twin in zip(missing.bins, steady.bins, missing.eras, steady.eras, strict=True):
        np.testing.assert_array_equal(era.returns, twin.returns)
        at = np.flatnonzero((ours != other).any(0)).tolist()
        assert bool(at) is (era.number > 36)
        assert np.all(ours[:, at] == 2)
        differing |= {*at}
    assert len(differing) == 2


@pytest.mark.parametrize("names", [("clusters", "unpaid", "null"), ("flip", "unflip")])
def test_worlds_that_differ_in_premia_alone_have_the_same_features(names: tuple[str, ...]) -> None:
    first, *others = (drawn(name) for name in names)
    for other in others:
        for ours, theirs in zip(first.bins, other.bins, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert not np.array_equal(first.eras[-1].returns, other.eras[-1].returns)


def test_member_features_together_tell_the_cluster_and_none_does_alone() -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    world = World(CONTROL, 0, WORLDS["clusters"])
    state = many_stocks(world, 20_000)
    (members,) = [placed.at for placed in world.features.blocks if placed.block.kind == "member"]
    features = world.features.bins(1, state)[:, members]
    half = len(features) // 2

    def share_found(columns: np.ndarray) -> float:
        fitted = LinearDiscriminantAnalysis().fit(columns[:half], state.cluster[:half])
        return float(fitted.score(columns[half:], state.cluster[half:]))

    assert share_found(features) > 0.9
    assert max(share_found(features[:, [i]]) for i in range(0, 120, 8)) < 0.22


def test_signs_flip_in_four_weeks_of_training_and_after_its_last_target() -> None:
    world = World(CONTROL, 0, WORLDS["flip"])
    signs = np.sign(world.components[0].mean[:, 0])
    assert (np.flatnonzero(signs < 0) + 1).tolist()[:6] == [9, 10, 11, 12, 37, 38]
    assert np.all(signs[36:] < 0)
    assert np.all(signs[CONTROL.n_train : CONTROL.n_train + 4] > 0)  # the weeks that the last training target is made of


def test_what_is_expected_of_a_premium_is_its_mean_ahead_and_what_persists_of_its_present_deviation() -> None:
    rng = np.random.default_rng(0)
    mean, drift, decay, g = rng.normal(size=(20, 2)), rng.normal(size=(20, 2)), 0.9 ** np.arange(1, 13), rng.normal(size=(5, 2))
    component = Component("factors", Factors(np.eye(2)), decay, mean, drift, persistence=0.8)
    wanted = sum(decay[j - 1] * g @ (mean[3 + j] + 0.8**j * drift[3]) for j in range(1, 5))
    np.testing.assert_allclose(component.expected(g, 3)[:, 0], wanted)


def test_nothing_is_found_in_null() -> None:
    world = World(Size((400,) * 110, n_train=40, n_small=0, n_medium=160), 1, WORLDS["null"])
    eras = [(world.features.bins(era.number, era.state).astype(float) - 2, era.returns[:, 0]) for era in world.eras()]
    x, y = np.vstack([bins for bins, _ in eras[:40]]), np.concatenate([returns for _, returns in eras[:40]])
    weights = np.linalg.solve(x.T @ x + 1000 * np.eye(160), x.T @ y)
    corr = np.array([numerai_corr((bins @ weights)[:, None], returns)[0] for bins, returns in eras[44:]])
    assert abs(corr.mean()) < 3 * OVERLAP * corr.std() / np.sqrt(len(corr))


@pytest.mark.parametrize("size", ["tiny", "small", "medium", "full", "wide", "control"])
@pytest.mark.parametrize("name", WORLDS)
def test_every_world_comes_in_every_size_with_blocks_in_proportion(name: str, size: str) -> None:
    features = World(SIZES[size], 0, WORLDS[name]).features
    counts = [len(placed.at) for placed in features.blocks]
    assert sum(counts) == features.n_features == len(np.unique(np.concatenate([placed.at for placed in features.blocks])))
    stated = np.array([block.n for block in WORLDS[name].blocks])
    np.testing.assert_allclose(counts, stated / stated.sum() * features.n_features, atol=1.5)
    if size == "control":
        assert counts == stated.tolist()


def test_where_a_feature_stands_does_not_tell_its_block() -> None:
    (_, members, _) = World(CONTROL, 0, WORLDS["clusters"]).features.blocks
    assert np.abs(np.diff(np.sort(members.at)) > 1).sum() > 20
    (_, others, _) = World(CONTROL, 1, WORLDS["clusters"]).features.blocks
    assert set(members.at) != set(others.at)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clusters")
    write_tournament(path, World(NARROW, 3, WORLDS["clusters"]), oracle=True)
    return path


def test_bytes_of_a_world_depend_neither_on_processes_nor_on_interruptions(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut(done: int, total: int) -> None:
        if done == 30:
            raise KeyboardInterrupt

    monkeypatch.setattr(synthetic_files, "CELLS_WORTH_A_PROCESS", 0)
    monkeypatch.setattr(synthetic_files, "CELLS_WORTH_PARTS", 0)
    world = World(NARROW, 3, WORLDS["clusters"])
    with pytest.raises(KeyboardInterrupt):
        write_tournament(tmp_path, world, power_cut, processes=2, oracle=True)
    write_tournament(tmp_path, world, processes=2, oracle=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_the_oracle_is_a_feature_set_of_its_own_and_changes_nothing_else(folder: Path, tmp_path: Path) -> None:
    write_tournament(tmp_path, World(NARROW, 3, WORLDS["clusters"]))
    for name in ("train", "validation", "live"):
        with_oracle, without = pl.read_parquet(folder / f"{name}.parquet"), pl.read_parquet(tmp_path / f"{name}.parquet")
        oracle = [column for column in with_oracle.columns if column.startswith("feature_oracle_")]
        assert with_oracle.drop(oracle).equals(without)
        assert all(with_oracle.schema[column] == pl.Int8 for column in oracle)
    sets = load(Synthetic(size="tiny", world="clusters", oracle=True), ["all", "oracle"]).panel.feature_sets
    assert not {*sets["oracle"].tolist()} & {*sets["all"].tolist()}
    assert len(sets["oracle"]) == 32


def test_the_truth_holds_components_that_add_up_and_the_latents(folder: Path) -> None:
    truth = pl.read_parquet(folder / "truth.parquet").filter(pl.col("era") != "X")
    total = truth["component_member"] + truth["component_membermean"]
    np.testing.assert_allclose(truth["expected_20"], total, rtol=1e-4, atol=1e-6)
    clusters = truth.select([f"oracle_cluster_{i}_0" for i in range(8)]).to_numpy()
    np.testing.assert_array_equal(clusters.argmax(1), truth["latent_cluster"])
    assert set(np.unique(clusters)) == {0, 4}


def test_the_oracle_of_the_torus_shows_coordinates_in_steps_that_one_split_of_a_tree_finds() -> None:
    from numerai_lab.data.world_oracle import oracle_columns

    world = World(CONTROL, 0, WORLDS["torus"])
    state = many_stocks(world, 5000)
    columns = oracle_columns(world, state, world.features.bins(1, state))
    steps = np.sum([columns[f"v0_{i}"] for i in range(5)], axis=0)
    np.testing.assert_array_equal(steps, (state.v[:, 0] * 21).astype(int))


def test_the_oracle_of_damaged_worlds_is_the_features_that_last() -> None:
    from numerai_lab.data.world_oracle import oracle_names

    assert len(oracle_names(World(CONTROL, 0, WORLDS["missing"]))) == 100
    assert len(oracle_names(World(CONTROL, 0, WORLDS["flip"]))) == 20


def test_a_world_without_latents_to_show_refuses_an_oracle(tmp_path: Path) -> None:
    plain = WorldDescription((Block("own", 160, 1),))
    with pytest.raises(NlabError, match="data.oracle: this world has no latents to show"):
        write_tournament(tmp_path, World(NARROW, 0, plain), oracle=True)


def test_an_unknown_world_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="no world 'cluster'.*clusters"):
        Synthetic(world="cluster")


def test_drawing_more_eras_takes_no_more_memory() -> None:
    def peak(n_eras: int) -> int:
        world = World(Size((500,) * n_eras, n_train=8, n_small=0, n_medium=160), 0)
        tracemalloc.start()
        for era in world.eras():
            world.features.bins(era.number, era.state)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(90) < 1.15 * peak(30)


def test_benchmarks_know_what_they_are_said_to_know_and_nothing_where_there_is_nothing() -> None:
    skilled, blind = drawn("unpaid", Size((800,) * 20, 8, 0, 160)), drawn("null", Size((800,) * 20, 8, 0, 160))
    known = [pearson(era.models, era.expected[:, 0]) for era in skilled.eras]
    np.testing.assert_allclose(np.mean(known, axis=0)[:2], [0.45, 0.35], atol=0.05)
    assert all(np.isfinite(era.models).all() and not era.expected.any() for era in blind.eras)
