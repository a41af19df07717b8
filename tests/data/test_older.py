"""Older releases of the tournament: told by their content, read to the same panel."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from numerai_lab.config.loading import load_config
from numerai_lab.core.errors import NlabError
from numerai_lab.core.split_config import SplitsConfig
from numerai_lab.core.splits import EraTable, make_splits
from numerai_lab.data.files import Files
from numerai_lab.data.older import BINARY, GROUPS, LAST_ERA, write_older
from numerai_lab.data.reader import Loaded, load
from numerai_lab.experiment import run
from numerai_lab.report.tables import summary_columns
from tests.conftest import Quiet


class Folders(dict[str, Path]):
    """A folder of each layout, made when it is asked for."""

    def __init__(self, parent: Path) -> None:
        self.parent = parent

    def __missing__(self, layout: str) -> Path:
        self[layout] = self.parent / layout
        self[layout].mkdir()
        write_older(self[layout], layout, "tiny", seed=0)
        return self[layout]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("older"))


def read(folder: Path, **parameters: object) -> Loaded:
    return load(Files(path=str(folder), **parameters))  # type: ignore[arg-type]


def test_the_legacy_csv_is_written_as_numerai_wrote_it(folders: Folders) -> None:
    train = pl.read_csv(folders["kazutsugi"] / "numerai_training_data.csv")
    later = pl.read_csv(folders["kazutsugi"] / "numerai_tournament_data.csv")
    features = [f"feature_{group}{i}" for group, n in GROUPS.items() for i in range(1, n + 1)]
    assert len(features) == 310
    assert train.columns == later.columns == ["id", "era", "data_type", *features, "target_kazutsugi"]
    assert (train["era"][0], set(train["data_type"])) == ("era1", {"train"})
    assert later["data_type"].unique(maintain_order=True).to_list() == ["validation", "test", "live"]
    assert later["era"][-1] == "eraX"
    assert set(later.filter(pl.col("data_type") == "validation")["era"]) == {
        f"era{i}" for i in (*range(121, 133), *range(197, 213))
    }
    assert later.filter(pl.col("data_type") != "validation")["target_kazutsugi"].null_count() == (64 + 4 + 1) * 40
    assert set(train[features].unpivot()["value"].unique()) == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert train.group_by("target_kazutsugi").len()["len"].to_list() == [960] * 5


@pytest.mark.parametrize(("layout", "target", "horizon"), [("kazutsugi", "target_kazutsugi", 20), ("nomi", "target", 20)])
def test_legacy_folders_are_read_as_bins_with_the_horizon_of_their_time(
    folders: Folders, layout: str, target: str, horizon: int
) -> None:
    loaded = read(folders[layout], target=target)
    assert (loaded.target, loaded.horizon_days) == (target, horizon)
    assert (loaded.panel.features.dtype, loaded.panel.n_raw) == (np.int8, 310)
    assert loaded.panel.eras.tolist() == list(range(1, LAST_ERA + 1))
    truth = pl.read_csv(folders[layout] / "numerai_training_data.csv").filter(era="era7").sort("id")
    rows = loaded.panel.rows(7)
    np.testing.assert_array_equal(loaded.panel.features[rows], (truth[list(loaded.panel.raw_names)].to_numpy() * 4).astype(int))
    np.testing.assert_array_equal(loaded.panel.target[rows], truth[target].to_numpy())


def test_feature_sets_of_the_legacy_data_follow_from_the_names(folders: Folders) -> None:
    sets = load(Files(path=str(folders["nomi"])), list(GROUPS)).panel.feature_sets
    assert {name: len(at) for name, at in sets.items()} == {"all": 310, **GROUPS}
    assert read(folders["nomi"], feature_set="charisma").panel.n_raw == 86


def test_val1_and_val2_of_the_forum_can_be_named(folders: Folders) -> None:
    panel = read(folders["kazutsugi"], target="target_kazutsugi").panel
    table = EraTable.of(panel.eras, panel.bounds, panel.data_types, panel.target)
    splits = make_splits(SplitsConfig(train="1-112", val1="121-132", val2="197-212"), table, 20)
    assert (splits.val1, splits.val2) == (tuple(range(121, 133)), tuple(range(197, 213)))


@pytest.mark.slow
def test_v3_floats_and_v4_bins_hold_the_same(folders: Folders) -> None:
    floats, bins = read(folders["v3"], feature_set="legacy"), read(folders["v4"], feature_set="legacy")
    assert pl.read_parquet_schema(folders["v3"] / "numerai_training_data.parquet")["feature_charisma1"] == pl.Float32
    assert pl.read_parquet_schema(folders["v4"] / "train_int8.parquet")["feature_charisma1"] == pl.Int8
    assert floats.panel.features.dtype == bins.panel.features.dtype == np.int8
    np.testing.assert_array_equal(floats.panel.features, bins.panel.features)
    assert (floats.target, floats.horizon_days) == (bins.target, bins.horizon_days) == ("target_nomi_20", 20)


@pytest.mark.slow
def test_fifty_continuous_features_stay_float32(folders: Folders) -> None:
    loaded = read(folders["2018"] / "numerai_2018.csv.gz", target="target_bernie", horizon_days=20)
    frame = pl.read_csv(folders["2018"] / "numerai_2018.csv.gz", infer_schema_length=None)
    assert frame.columns[-7:] == [f"target_{name}" for name in BINARY]
    assert (loaded.panel.features.dtype, loaded.panel.n_raw, loaded.panel.top) == (np.float32, 50, 1.0)
    truth = frame.filter(era="era3").sort("id")[list(loaded.panel.raw_names)].to_numpy()
    np.testing.assert_allclose(loaded.panel.features[loaded.panel.rows(3)], truth, atol=1e-7)
    assert set(np.unique(loaded.panel.target[loaded.panel.rows(3)])) == {0.0, 1.0}
    assert "50 of 50 features, such as feature1, are no bins" in loaded.notes[0]


def test_floats_counted_in_whole_bins_are_told_by_the_largest_value(tmp_path: Path) -> None:
    rows = {"id": list("abcdef"), "era": ["1"] * 3 + ["2"] * 3, "target": [0.0, 0.5, 1.0] * 2}
    counted = {"feature_a": [0.0, 1.0, 4.0, 2.0, 3.0, None], "feature_b": [0.0, 1.0, 1.0, 0.0, 1.0, 0.0]}
    pl.DataFrame({**rows, **counted}).write_parquet(tmp_path / "counted.parquet")
    panel = read(tmp_path / "counted.parquet").panel
    assert panel.features.tolist() == [[0, 0], [1, 1], [4, 1], [2, 0], [3, 1], [2, 0]]


def test_continuous_features_out_of_range_are_refused_by_column_and_row(tmp_path: Path) -> None:
    rows = {"id": list("abcdef"), "era": ["1"] * 3 + ["2"] * 3, "target": [0.0, 0.5, 1.0] * 2}
    pl.DataFrame({**rows, "feature_z": [0.1, 0.2, 0.3, -1.7, 0.4, 0.5]}).write_parquet(tmp_path / "z.parquet")
    with pytest.raises(NlabError, match=r"feature 'feature_z' holds -1.7 in row 4 \(id 'd'\), wanted 0 to 1"):
        read(tmp_path / "z.parquet")


@pytest.mark.parametrize("name", ["legacy_cutout", pytest.param("legacy_factor_analysis", marks=pytest.mark.slow)])
def test_the_legacy_configs_run_and_show_the_scores_of_their_time_first(folders: Folders, name: str, tmp_path: Path) -> None:
    settings = [f"data.path={folders['kazutsugi']}", "model.n_estimators=20", "model.learning_rate=0.1"]
    config, _ = load_config(Path(f"configs/{name}.yaml"), settings)
    done = run(config, tmp_path, Quiet())
    assert done.manifest["splits"]["val1"] == list(range(121, 133))
    assert done.manifest["splits"]["val2"] == list(range(197, 213))
    assert [column.name for column in summary_columns(config.scoring.legacy)][3] == "rank_corr_mean"
    header = next(line for line in (done.path / "scores.md").read_text().splitlines() if line.startswith("| variant"))
    assert header.startswith("| variant | split | rank corr | std | sharpe | drawdown | max exp |")
