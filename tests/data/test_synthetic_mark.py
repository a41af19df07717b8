"""Made-up data says so by itself, whatever its files are called and whoever reads them."""

import shutil
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from numerai_lab.data.files import Files
from numerai_lab.data.inventory import inventory
from numerai_lab.data.older import LAYOUTS, ROWS, write_older
from numerai_lab.data.reader import load
from numerai_lab.data.synthetic_files import write_tournament
from numerai_lab.data.synthetic_mark import KEY
from numerai_lab.data.world import World
from numerai_lab.data.world_size import SIZES
from numerai_lab.experiment import run
from numerai_lab.studies.rescore import score_predictions
from tests.conftest import Quiet, make_config

COMPLETE = {"v5": "train.parquet", "v4": "train_int8.parquet", "v3": "numerai_training_data.parquet"}
COMPLETE |= {"nomi": "numerai_training_data.csv", "kazutsugi": "numerai_training_data.csv", "2018": "numerai_2018.csv.gz"}


def stamped(path: Path) -> bool:
    target = "target_bernie" if path.name.endswith(".gz") else "target"
    return load(Files(path=str(path), horizon_days=20, target=target)).synthetic


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train.parquet of a tiny world."""
    folder = tmp_path_factory.mktemp("world")
    write_tournament(folder, World(SIZES["tiny"], 0))
    return folder / COMPLETE["v5"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_file_of_an_older_layout_is_known_for_made_up_under_another_name(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROWS, "tiny", 5)
    write_older(tmp_path, layout, "tiny", 0)
    made = tmp_path / COMPLETE[layout]
    copy = tmp_path / f"real{''.join(made.suffixes)}"
    if layout == "kazutsugi":
        text = made.read_text().replace("target_kazutsugi", "target", 1)
        made.write_text(text)
    shutil.copy(made, copy)
    assert stamped(copy)


def test_a_file_that_another_program_wrote_anew_is_known_by_its_ids(train: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(train)
    rows.write_parquet(tmp_path / "anew.parquet")
    assert KEY not in pl.read_parquet_metadata(tmp_path / "anew.parquet")
    assert stamped(tmp_path / "anew.parquet")
    rows.with_columns(pl.format("n{}", pl.int_range(pl.len())).alias("id")).write_parquet(tmp_path / "other_ids.parquet")
    assert not stamped(tmp_path / "other_ids.parquet")


def test_a_file_with_other_ids_is_known_by_its_metadata(train: Path, tmp_path: Path) -> None:
    rows = pq.read_table(train)
    ids = pa.array([f"n{i:015x}" for i in range(len(rows))])
    pq.write_table(rows.set_column(rows.schema.get_field_index("id"), "id", ids), tmp_path / "train.parquet")
    assert stamped(tmp_path / "train.parquet")


def test_a_made_up_model_beside_other_rows_stamps_them(train: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(train).with_columns(pl.format("n{}", pl.int_range(pl.len())).alias("id"))
    rows.write_parquet(tmp_path / "train.parquet")
    assert not load(Files(path=str(tmp_path))).synthetic
    shutil.copy(train.parent / "meta_model.parquet", tmp_path)
    assert load(Files(path=str(tmp_path))).synthetic


def test_a_run_a_score_and_an_inventory_of_made_up_files_say_synthetic(train: Path, tmp_path: Path) -> None:
    config = make_config(data={"source": "files", "path": str(train.parent), "feature_set": "small"})
    done = run(config, tmp_path, Quiet())
    assert done.manifest["data"]["synthetic"] is True
    assert "SYNTHETIC data: train.parquet" in (done.path / "scores.md").read_text()
    scored = score_predictions(done.path / "predictions.parquet", config, Quiet())
    assert scored.head[0].startswith("SYNTHETIC data: train.parquet")
    assert "SYNTHETIC" in inventory(load(config.data)).facts
