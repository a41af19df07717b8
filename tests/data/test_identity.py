"""What a store is named by: the content of files and the code that reads them, and nothing else."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.data import ingest
from numerai_lab.data.files import Files
from numerai_lab.data.reader import Loaded, load
from numerai_lab.storage import checksums
from numerai_lab.storage.code_version import library_versions
from tests.data.test_reader import frame

TARGET = "target_ender_20"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test ingests for itself."""
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "cache"))


def read(path: Path, also: tuple[str, ...] = (), **parameters: Any) -> Loaded:
    return load(Files(path=str(path), target=TARGET, **parameters), also)


def folder_of(path: Path, sets: dict[str, list[str]] | None = None) -> Path:
    """A folder in the tournament's layout, with a meta model."""
    path.mkdir(parents=True)
    table = frame()
    table.filter(pl.col("data_type") == "train").write_parquet(path / "train.parquet")
    table.filter(pl.col("data_type") != "train").write_parquet(path / "validation.parquet")
    meta_model(path, 0.5)
    (path / "features.json").write_text(json.dumps({"feature_sets": sets or {"small": ["feature_x"]}}))
    return path


def meta_model(path: Path, value: float) -> None:
    eras = {"g": "0010", "h": "0010", "i": "0010"}
    table = pl.DataFrame({"id": list(eras), "era": list(eras.values()), "numerai_meta_model": [value] * 3})
    table.write_parquet(path / "meta_model.parquet")


def test_two_files_of_the_same_name_size_and_time_of_change_are_two_data_sets(tmp_path: Path) -> None:
    found = []
    for name, x in (("one", 0), ("two", 1)):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "a.parquet"
        table = frame(feature_x=pl.Series([x, 4] + [2] * 7, dtype=pl.Int8))
        table.write_parquet(path, compression="uncompressed", use_pyarrow=True, pyarrow_options={"use_dictionary": False})
        os.utime(path, (1, 1))
        found.append(path)
    assert found[0].stat().st_size == found[1].stat().st_size
    one, two = (read(path) for path in found)
    assert one.identity != two.identity
    assert [int(each.panel.features[5, 0]) for each in (one, two)] == [0, 1]


@pytest.mark.parametrize("young", [True, False])
def test_a_file_changed_in_place_is_read_again_though_its_time_of_change_is_set_back(
    tmp_path: Path, young: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not young:
        now = checksums.time.time
        monkeypatch.setattr(checksums.time, "time", lambda: now() + 10)
    monkeypatch.setattr(checksums, "SMALL", 0)
    path = tmp_path / "a.csv"
    frame().write_csv(path)
    os.utime(path, (1, 1))
    assert read(path).panel.features[5, 1] == 4
    content = path.read_bytes().replace(b"c,0002,train,0,4", b"c,0002,train,0,3")
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, (1, 1))
    assert read(path).panel.features[5, 1] == 3


def test_the_same_bytes_elsewhere_under_another_name_are_the_same_store(tmp_path: Path) -> None:
    path, other = tmp_path / "a.parquet", tmp_path / "elsewhere" / "b.parquet"
    other.parent.mkdir()
    frame().write_parquet(path)
    first = read(path)
    shutil.copy(path, other)
    os.utime(other, (5, 5))
    again = read(other)
    assert first.new_stores
    assert not again.new_stores
    assert (again.store, again.labels, again.identity) == (first.store, first.labels, first.identity)


def test_another_meta_model_makes_its_own_store_and_leaves_the_rows(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "data")
    first = read(path)
    os.utime(path / "meta_model.parquet")
    assert not read(path).new_stores
    meta_model(path, 0.25)
    second = read(path)
    assert (second.store, second.labels, second.identity) == (first.store, first.labels, first.identity)
    assert second.stores.extras != first.stores.extras
    assert second.extras_identity != first.extras_identity
    np.testing.assert_array_equal(second.panel.extras["numerai_meta_model"][-3:], np.float32([0.25] * 3))


def test_feature_sets_that_are_listed_otherwise_leave_the_store_and_are_read_anew(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "data", {"small": ["feature_x"]})
    first = read(path)
    sets = {"small": ["feature_x"], "y": ["feature_y"], "both": ["feature_y", "feature_x"]}
    (path / "features.json").write_text(json.dumps({"feature_sets": sets}))
    second = read(path)
    assert not second.new_stores
    assert second.store == first.store
    assert second.panel.feature_sets["both"].tolist() == [0, 1]


def test_feature_sets_that_are_nested_deep_are_one_sentence(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "data")
    (path / "features.json").write_text('{"feature_sets": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(NlabError, match=r"not a features\.json of the tournament \(RecursionError"):
        read(path)


def test_features_for_scoring_alone_are_a_store_of_their_own(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "data", {"small": ["feature_x"], "y": ["feature_y"], "both": ["feature_y", "feature_x"]})
    plain = read(path, feature_set="small")
    wider = read(path, ("both",), feature_set="small")
    assert wider.store == plain.store
    assert wider.panel.n_raw == wider.panel.features.shape[1] == 1
    assert wider.panel.feature_names == ("feature_x", "feature_y")
    everything = read(path, feature_set="both").panel
    for era in (1, 2, 10):
        np.testing.assert_array_equal(wider.panel.set_of("both", era), everything.features[everything.rows(era)][:, ::-1])
        np.testing.assert_array_equal(wider.panel.set_of("y", era)[:, 0], everything.features[everything.rows(era), 0])
    assert not read(path, ("both",), feature_set="small").new_stores


def test_another_version_of_a_library_or_of_the_reader_is_another_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    frame().write_parquet(path)
    first = read(path)
    assert {"polars", "numpy"} <= set(library_versions(Loaded))
    for name, value in (("library_versions", lambda *_: {"polars": "0"}), ("code_version", lambda *_: "other")):
        with monkeypatch.context() as patch:
            patch.setattr(f"numerai_lab.data.keys.{name}", value)
            other = read(path)
        assert other.new_stores
        assert other.store != first.store
    assert not read(path).new_stores


def test_eras_that_stayed_have_the_same_content_after_validation_has_grown(tmp_path: Path) -> None:
    table = frame()
    for name, rows in (("short", table.filter(pl.col("era") != "0010")), ("long", table)):
        rows.write_parquet(tmp_path / f"{name}.parquet")
    short, long = (read(tmp_path / f"{name}.parquet") for name in ("short", "long"))
    assert short.store != long.store
    assert short.content.rows_of([1, 2]) == long.content.rows_of([1, 2]) != long.content.rows_of([1, 2, 10])
    assert short.content.labels_of([1, 2]) == long.content.labels_of([1, 2]) != long.content.labels_of([1, 10])


def test_a_file_that_changes_while_it_is_read_is_refused_and_leaves_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, fill = tmp_path / "a.parquet", ingest.read_features
    frame().write_parquet(path)

    def changing(*arguments: Any) -> int:
        done = fill(*arguments)
        frame(feature_x=pl.Series([4] * 9, dtype=pl.Int8)).write_parquet(path)
        return done

    monkeypatch.setattr(ingest, "read_features", changing)
    with pytest.raises(NlabError, match="a data file changed while the data was read; run again"):
        read(path)
    assert [each for each in (tmp_path / "cache" / "stores").iterdir() if each.is_dir()] == []
