"""From files to the store: order, eras, dtypes, missing values, refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.data import ingest, reader
from numerai_lab.data.files import Files
from numerai_lab.data.reader import load, outline

ROWS = 9


def frame(**changes: Any) -> pl.DataFrame:
    """Three eras of three rows, in no order."""
    columns: dict[str, Any] = {
        "id": ["c", "a", "b", "f", "e", "d", "i", "h", "g"],
        "era": ["0002"] * 3 + ["0001"] * 3 + ["0010"] * 3,
        "data_type": ["train"] * 6 + ["validation"] * 3,
        "feature_x": pl.Series([0, 1, 2, 3, 4, 0, 1, 2, 3], dtype=pl.Int8),
        "feature_y": pl.Series([4, 4, 4, 2, 2, 2, 0, 0, 0], dtype=pl.Int8),
        "target_ender_20": pl.Series([0.5, 0.25, 0.75] * 3, dtype=pl.Float32),
    }
    columns |= changes
    return pl.DataFrame({name: values for name, values in columns.items() if values is not None})


def loaded(folder: Path, table: pl.DataFrame, suffix: str = ".parquet", **parameters: Any) -> reader.Loaded:
    path = folder / f"data{suffix}"
    table.write_parquet(path) if suffix == ".parquet" else table.write_csv(path)
    return load(Files(path=str(path), **{"target": "target_ender_20", **parameters}))


def refusal(folder: Path, table: pl.DataFrame, **parameters: Any) -> str:
    with pytest.raises(NlabError) as caught:
        loaded(folder, table, **parameters)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_rows_are_sorted_by_era_as_numbers_and_by_id(tmp_path: Path, suffix: str) -> None:
    panel = loaded(tmp_path, frame(), suffix).panel
    assert panel.eras.tolist() == [1, 2, 10]
    assert panel.ids.tolist() == [b"d", b"e", b"f", b"a", b"b", b"c", b"g", b"h", b"i"]
    np.testing.assert_array_equal(panel.features[:, 0], [0, 4, 3, 1, 2, 0, 3, 2, 1])
    np.testing.assert_array_equal(panel.target, np.float32([0.75, 0.25, 0.5, 0.25, 0.75, 0.5, 0.75, 0.25, 0.5]))
    assert panel.features.dtype == np.int8
    assert isinstance(panel.features, np.memmap)
    assert panel.data_types == ("train", "train", "validation")


@pytest.mark.parametrize("eras", [["era2"] * 3 + ["era1"] * 3 + ["era10"] * 3, [2] * 3 + [1] * 3 + [10] * 3])
def test_eras_may_be_written_era1_or_as_integers(tmp_path: Path, eras: list[Any]) -> None:
    assert loaded(tmp_path, frame(era=eras)).panel.eras.tolist() == [1, 2, 10]


def test_live_rows_are_left_out(tmp_path: Path) -> None:
    panel = loaded(tmp_path, frame(era=["0002"] * 3 + ["0001"] * 3 + ["X"] * 3)).panel
    assert panel.eras.tolist() == [1, 2]
    assert panel.ids.tolist() == [b"d", b"e", b"f", b"a", b"b", b"c"]
    np.testing.assert_array_equal(panel.features[:, 0], [0, 4, 3, 1, 2, 0])


def test_quarters_become_bins_and_missing_values_the_middle_one(tmp_path: Path) -> None:
    values = [0, 0.25, 0.5, 0.75, 1, None, float("nan"), 0, 1]
    data = loaded(tmp_path, frame(feature_x=pl.Series(values, dtype=pl.Float32)))
    assert data.panel.features.dtype == np.int8
    np.testing.assert_array_equal(data.panel.features[:, 0], [2, 4, 3, 1, 2, 0, 4, 0, 2])
    assert data.notes == ("2 missing feature values were set to the middle bin",)


def test_missing_integers_become_the_middle_bin_too(tmp_path: Path) -> None:
    data = loaded(tmp_path, frame(feature_x=pl.Series([0, None, 2, 3, 4, 0, 1, 2, 3], dtype=pl.Int8)))
    assert data.panel.features[:, 0].tolist() == [0, 4, 3, 2, 2, 0, 3, 2, 1]


def test_continuous_features_stay_float32(tmp_path: Path) -> None:
    values = pl.Series([0.1, 0.9, 0.3, 0.5, 0.2, 0.7, 0.4, 0.6, 0.8], dtype=pl.Float64)
    panel = loaded(tmp_path, frame(feature_x=values)).panel
    assert (panel.features.dtype, panel.top) == (np.float32, 1.0)
    np.testing.assert_array_equal(panel.features[:3, 0], np.float32([0.7, 0.2, 0.5]))
    np.testing.assert_array_equal(panel.features[:3, 1], np.float32([0.5, 0.5, 0.5]))


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    row_three = pl.Series([0, 1, 7, 3, 4, 0, 1, 2, 3], dtype=pl.Int8)
    assert "feature 'feature_x' holds 7 in row 3 (id 'b'), wanted bins 0 to 4" in refusal(tmp_path, frame(feature_x=row_three))
    assert "feature 'feature_x' holds 7" in refusal(tmp_path, frame(feature_x=pl.Series([7] * ROWS, dtype=pl.Int8)))
    assert "feature 'feature_x' holds -1" in refusal(tmp_path, frame(feature_x=pl.Series([-1] * ROWS, dtype=pl.Int8)))
    assert "id 'a' stands twice in era 2" in refusal(tmp_path, frame(id=["a", "a", "b", "f", "e", "d", "i", "h", "g"]))
    second = refusal(tmp_path, frame(era=["1"] * 6 + ["second"] * 3))
    assert "era 'second' is not a number and not a date" in second
    assert "the first such row has id 'i'" in second
    assert "data.target: " in refusal(tmp_path, frame(), target="target_ender_60")
    assert "its only target is 'target_ender_20'" in refusal(tmp_path, frame(), target="target_ender_21")
    assert "no feature set 'medium'" in refusal(tmp_path, frame(), feature_set="medium")
    assert "feature 'feature_x' holds 'u' in row 1 (id 'c')" in refusal(tmp_path, frame(feature_x=["u"] * ROWS))
    assert "holds Boolean, not numbers" in refusal(tmp_path, frame(feature_x=[True] * ROWS))
    assert "has no column 'id'" in refusal(tmp_path, frame(id=None))


def test_a_refused_file_leaves_nothing_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "cache"))
    refusal(tmp_path, frame(feature_x=pl.Series([7] * ROWS, dtype=pl.Int8)))
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_file_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data.parquet").write_text("<html>not found</html>")
    with pytest.raises(NlabError, match=r"data.parquet: can't be read"):
        load(Files(path=str(tmp_path / "data.parquet")))
    with pytest.raises(NlabError, match="no file or folder"):
        load(Files(path=str(tmp_path / "absent.parquet")))


def test_an_alias_is_resolved_to_the_target_it_equals(tmp_path: Path) -> None:
    known = [0.5, 0.25, float("nan")] * 3
    same = pl.Series(known, dtype=pl.Float32)
    words = {"target_name": ["unrelated"] * ROWS}
    other = pl.Series([0.0, 1.0, 0.5] * 3, dtype=pl.Float32)
    data = loaded(tmp_path, frame(target=same, target_other_60=other, target_ender_20=same, **words), target="target")
    assert (data.target, data.horizon_days) == ("target_ender_20", 20)
    longer = loaded(tmp_path, frame(target=other, target_other_60=other), target="target")
    assert (longer.target, longer.horizon_days) == ("target_other_60", 60)
    assert longer.panel.horizon_days == 60


def test_an_alias_that_is_no_longer_the_20_day_target_is_stamped(tmp_path: Path) -> None:
    short = pl.Series([0.0, 1.0, 0.5] * 3, dtype=pl.Float32)
    long = pl.Series([0.5, 0.25, 1.0] * 3, dtype=pl.Float32)
    moved = frame(target=long, target_ender_60=long, target_ender_20=short)
    assert loaded(tmp_path, moved, target="target").alias == (
        "ALIAS: target is target_ender_60 here, in older versions it was a 20-day one"
    )
    assert loaded(tmp_path, moved, target="target_ender_60").alias == ""
    assert loaded(tmp_path, frame(target=short, target_ender_60=long, target_ender_20=short), target="target").alias == ""


def test_another_target_takes_the_store_of_rows_that_is_there(tmp_path: Path) -> None:
    other = pl.Series([0.5, 0.25, 1.0] * 3, dtype=pl.Float32)
    first = loaded(tmp_path, frame(target_other_60=other))
    path = tmp_path / "data.parquet"
    written = (first.store.folder / "features.npy").stat().st_mtime_ns
    second = load(Files(path=str(path), target="target_other_60"))
    assert second.store.folder == first.store.folder
    assert (second.store.folder / "features.npy").stat().st_mtime_ns == written
    assert second.labels.folder != first.labels.folder
    np.testing.assert_array_equal(second.panel.target, np.float32([1.0, 0.25, 0.5, 0.25, 1.0, 0.5, 1.0, 0.25, 0.5]))


def test_batches_of_any_size_fill_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.array(loaded(tmp_path, frame()).panel.features)
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ingest, "BATCH_CELLS", 4)
    np.testing.assert_array_equal(loaded(tmp_path, frame()).panel.features, whole)


def test_a_store_is_reused_until_the_file_or_the_features_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "cache"))
    assert loaded(tmp_path, frame()).new_stores
    path = tmp_path / "data.parquet"
    source = Files(path=str(path), target="target_ender_20")
    assert not load(source).new_stores
    assert outline(source).in_store
    loaded(tmp_path, frame(feature_z=pl.Series([1] * ROWS, dtype=pl.Int8)))
    assert load(source).panel.n_raw == 3


def test_the_outline_tells_eras_and_rows_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame().write_parquet(tmp_path / "data.parquet")
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "cache"))
    planned = outline(Files(path=str(tmp_path / "data.parquet"), target="target_ender_20"))
    assert (planned.table.eras, planned.n_rows, planned.n_columns, planned.horizon_days) == ((1, 2, 10), (3, 3, 3), 2, 20)
    assert not (tmp_path / "cache").exists()


def test_pandas_index_files_are_read_by_their_index(tmp_path: Path) -> None:
    frame().to_pandas().set_index("id").rename_axis(None).to_parquet(tmp_path / "data.parquet")
    panel = load(Files(path=str(tmp_path / "data.parquet"), target="target_ender_20")).panel
    assert panel.ids[0] == b"d"
