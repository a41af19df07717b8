"""The synthetic tournament: the real one's files, and a truth that holds."""

import functools
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from numerai_lab.config.loading import parse_config
from numerai_lab.config.yaml_file import parse_yaml
from numerai_lab.core.errors import NlabError
from numerai_lab.data import synthetic_files
from numerai_lab.data.reader import Loaded, load, outline
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.data.synthetic_files import TARGETS, feature_sets, files_bytes, write_tournament
from numerai_lab.data.world import World, ranks
from numerai_lab.data.world_features import Features, fifths
from numerai_lab.data.world_size import SIZES, Size
from numerai_lab.metrics.era import numerai_corr
from numerai_lab.storage.folders import build_resumably

SMALL = Size.even(n_eras=40, n_rows=60, n_small=6, n_medium=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world")
    write_tournament(path, World(SMALL, 3))
    return path


def test_files_have_the_tournaments_names_columns_and_dtypes(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "features.json", "train.parquet", "validation.parquet", "live.parquet", "meta_model.parquet", "truth.parquet",
        "train_benchmark_models.parquet", "validation_benchmark_models.parquet", "live_benchmark_models.parquet",
    }  # fmt: skip
    train = pl.read_parquet(folder / "train.parquet")
    assert train["era"][0] == "0001"
    assert set(train["data_type"]) == {"train"}
    assert all(train.schema[name] == pl.Int8 for name in train.columns if name.startswith("feature"))
    assert all(train.schema[name] == pl.Float32 for name in TARGETS)
    assert set(pl.read_parquet(folder / "live.parquet")["era"]) == {"X"}
    assert pl.read_parquet(folder / "validation.parquet")["data_type"].unique(maintain_order=True).to_list() == [
        "validation",
        "test",
    ]


def test_files_hold_what_pandas_would_write(folder: Path) -> None:
    for path in folder.glob("*.parquet"):
        frame = pd.read_parquet(path)
        assert frame.index.name == "id"
        assert pq.read_table(path).equals(pa.Table.from_pandas(frame)), path.name  # an unknown target is null, not NaN


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(folder: Path, tmp_path: Path) -> None:
    for seed, same in ((3, True), (4, False)):
        (tmp_path / str(seed)).mkdir()
        write_tournament(tmp_path / str(seed), World(SMALL, seed))
        for name in ("train.parquet", "truth.parquet", "meta_model.parquet"):
            assert ((tmp_path / str(seed) / name).read_bytes() == (folder / name).read_bytes()) is same


def test_the_bytes_do_not_depend_on_the_number_of_processes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic_files, "CELLS_WORTH_A_PROCESS", 0)
    write_tournament(tmp_path, World(SMALL, 3), processes=2)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_what_was_broken_off_goes_on_and_ends_with_the_same_bytes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic_files, "CELLS_WORTH_PARTS", 0)
    made: list[int] = []
    bins = Features.bins
    monkeypatch.setattr(Features, "bins", lambda self, era, state: made.append(era) or bins(self, era, state))

    def power_cut(done: int, total: int) -> None:
        if done == 30:
            raise KeyboardInterrupt

    write = functools.partial(write_tournament, world=World(SMALL, 3))
    with pytest.raises(KeyboardInterrupt):
        build_resumably(tmp_path / "world", functools.partial(write, progress=power_cut))
    assert not (tmp_path / "world").exists()
    build_resumably(tmp_path / "world", write)
    assert made == [*range(1, 31), *range(25, 42)]
    assert [path.name for path in tmp_path.iterdir()] == ["world"]
    assert {path.name for path in (tmp_path / "world").iterdir()} == {path.name for path in folder.iterdir()}
    for path in folder.iterdir():
        assert (tmp_path / "world" / path.name).read_bytes() == path.read_bytes()


def test_parts_of_another_world_are_not_gone_on_with(folder: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tournament(tmp_path, World(SMALL, 4), stop)
    write_tournament(tmp_path, World(SMALL, 3))
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in folder.iterdir()}
    assert (tmp_path / "train.parquet").read_bytes() == (folder / "train.parquet").read_bytes()


def test_full_has_the_eras_and_rows_of_the_real_tournament() -> None:
    full = SIZES["full"]
    assert (full.n_eras, full.n_train, full.n_features) == (1234, 574, 780)
    assert sum(full.rows[:574]) == 2_746_268
    assert abs(sum(full.rows[574:]) - 4_130_000) < 1000
    assert (full.rows[0], full.rows[573]) == (2314, pytest.approx(6009, abs=10))


def test_wide_has_the_features_of_v5() -> None:
    wide = SIZES["wide"]
    assert (wide.n_eras, sum(wide.rows), wide.n_features) == (300, 1_500_000, 3555)
    sets = feature_sets(wide)
    assert {name: len(sets[name]) for name in ("small", "medium", "all")} == {"small": 42, "medium": 780, "all": 3555}
    assert set(sets["medium"]) < set(sets["all"])


def test_the_size_of_the_files_is_known_before_and_a_full_disk_refuses_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = files_bytes(SMALL)
    assert sum(path.stat().st_size for path in folder.iterdir()) == pytest.approx(expected, rel=0.3)
    monkeypatch.setattr(synthetic_files, "free_disk", lambda _: 2 * expected - 1)
    with pytest.raises(NlabError, match=r"of disk needed while these files are made, .* free; make room, or name a folder"):
        write_tournament(tmp_path / "full", World(SMALL, 3))
    assert not (tmp_path / "full").exists()
    planned = Synthetic(size="wide", feature_set="all").planned()
    assert planned is not None
    assert (
        planned.files_bytes == files_bytes(SIZES["wide"]) == pytest.approx(2_472_850_737, rel=0.05)
    )  # as made by `make bench-wide`


@pytest.mark.parametrize("n", [50, 60, 61, 99])
def test_features_fall_into_fifths_as_their_ranks_do(n: int) -> None:
    values = np.random.default_rng(n).normal(size=(n, 4))
    np.testing.assert_array_equal(fifths(values), 5 * ranks(values) // n)


def test_targets_have_exact_proportions_and_alias_the_20_day_one(folder: Path) -> None:
    train = pl.read_parquet(folder / "train.parquet")
    for _, era in train.group_by("era"):
        assert np.bincount((era["target"].to_numpy() * 4).astype(int)).tolist() == [3, 12, 30, 12, 3]
    assert train["target"].equals(train["target_ender_20"])
    assert not train["target"].equals(train["target_ender_60"])


def test_some_features_are_missing_in_early_eras_only(folder: Path) -> None:
    train = pl.read_parquet(folder / "train.parquet")
    features = [name for name in train.columns if name.startswith("feature")]
    early, late = train.filter(pl.col("era") <= "0006"), train.filter(pl.col("era") > "0006")
    assert sum((early[name] == 2).all() for name in features) == len(features) // 10
    assert not any((late[name] == 2).all() for name in features)


def test_targets_of_neighbouring_eras_overlap_as_far_as_their_horizon(tmp_path: Path) -> None:
    write_tournament(tmp_path, World(Size.even(n_eras=60, n_rows=400, n_small=6, n_medium=6), 0))
    train = pl.read_parquet(tmp_path / "train.parquet")
    # Rows keep their order: row i of every era is the same stock.
    returns = np.stack([era["target_ender_20"].to_numpy() for _, era in train.group_by("era", maintain_order=True)])

    def overlap(lag: int) -> float:
        return float(np.mean([np.corrcoef(returns[i], returns[i + lag])[0, 1] for i in range(len(returns) - lag)]))

    assert overlap(1) > 0.5 > overlap(2) > overlap(3) > 0.1
    assert abs(overlap(5)) < 0.1


def test_small_lies_outside_medium_and_groups_overlap_both(folder: Path) -> None:
    sets = Synthetic(size="tiny")
    found = load(sets, ["small", "intelligence"]).panel
    small, raw = set(found.feature_sets["small"].tolist()), set(range(found.n_raw))
    assert (len(raw), len(small), small & raw) == (60, 42, set())
    assert set(found.feature_sets["intelligence"].tolist()) & raw
    assert set(found.feature_sets["intelligence"].tolist()) & small


def test_what_is_planned_is_what_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path))
    for target in ("target", "target_ender_60"):
        source = Synthetic(size="tiny", target=target, auxiliary_targets=["target_cyrusd_60"], seed=5)
        planned = source.planned() or outline(source)
        loaded = load(source)
        made = outline(source)
        assert (planned.table, planned.n_rows, planned.n_columns) == (made.table, made.n_rows, made.n_columns)
        assert (planned.target, planned.horizon_days) == (loaded.target, loaded.horizon_days)
        assert planned.reach_days == loaded.panel.reach_days == 60
        monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "other"))


def test_a_plan_of_data_still_to_be_made_knows_its_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path))
    with pytest.raises(NlabError, match="data.auxiliary_targets: a synthetic tournament has no target 'target_enders_60'"):
        Synthetic(size="tiny", auxiliary_targets=["target_enders_60"], seed=5).planned()
    planned = Synthetic(size="tiny", horizon_days=60, seed=5).planned()
    assert planned is not None
    assert planned.horizon_days == 60


def test_the_meta_model_and_the_truth_know_what_they_are_said_to_know(tiny: Loaded) -> None:
    panel = tiny.panel
    assert panel.target is not None
    covered = [era for era in panel.eras.tolist() if np.isfinite(panel.extras["numerai_meta_model"][panel.rows(era)]).all()]
    assert covered == list(range(85, 101))
    truth = pl.read_parquet(Synthetic(size="tiny").folder / "truth.parquet").filter(pl.col("era") != "X")
    expected = dict(truth.select("id", "expected_20").iter_rows())
    scores = {"truth": [], "meta": []}
    for era in range(1, 97):
        rows = panel.rows(era)
        attainable = np.array([expected[name.decode()] for name in panel.ids[rows]], float)[:, None]
        scores["truth"].append(numerai_corr(attainable, panel.target[rows].astype(float))[0])
        if era >= 85:
            meta = panel.extras["numerai_meta_model"][rows].astype(float)[:, None]
            scores["meta"].append(numerai_corr(meta, panel.target[rows].astype(float))[0])
    assert 0.03 < np.mean(scores["truth"]) < 0.13  # about .075, two standard errors are .025 in eras of 80 rows that overlap
    assert np.isfinite(scores["meta"]).all()


def test_the_world_null_needs_no_quotes_in_yaml() -> None:
    config = parse_config(parse_yaml("{name: x, data: {source: synthetic, world: null}, model: {kind: ridge}}", "x"), "x")
    assert isinstance(config.data, Synthetic)
    assert config.data.world == "null"
    assert parse_config(parse_yaml(config.to_yaml(), "x"), "x").data == config.data


def test_files_that_broke_in_the_cache_are_made_anew(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def write(work: Path, *_: object) -> None:
        made.append(shutil.copytree(folder, work, dirs_exist_ok=True))

    monkeypatch.setenv("NLAB_CACHE", str(tmp_path))
    monkeypatch.setattr("numerai_lab.data.synthetic.write_tournament", write)
    source = Synthetic(size="tiny")
    for _ in range(2):
        source.files()
    assert len(made) == 1
    for name in ("train.parquet", "truth.parquet", "features.json", "checksums.json"):
        (source.folder / name).write_bytes(b"broken")
        source.files()
    assert len(made) == 5
    for name in ("train.parquet", "features.json"):
        assert (source.folder / name).read_bytes() == (folder / name).read_bytes()
    assert [path.name for path in source.folder.parent.iterdir() if "check" in path.name] == []
