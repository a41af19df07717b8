"""The meta model and benchmarks: each value reaches the row of its own era and id."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.data.files import Files
from numerai_lab.data.reader import Loaded, load

IDS, ERAS = ["a", "b", "c", "d"] * 3, ["0001"] * 4 + ["0002"] * 4 + ["0010"] * 4


def folder(at: Path, meta: dict[str, Any], ids: list[str] = IDS, **more: dict[str, Any]) -> Files:
    """Three eras of four rows, the last one validation, and the meta model as given."""
    table = pl.DataFrame(
        {
            "id": ids,
            "era": ERAS,
            "data_type": ["train"] * 8 + ["validation"] * 4,
            "feature_x": pl.Series([0, 1, 2, 3] * 3, dtype=pl.Int8),
            "target_a_20": pl.Series([0.0, 0.25, 0.75, 1.0] * 3, dtype=pl.Float32),
        }
    )
    table.head(8).write_parquet(at / "train.parquet")
    table.tail(4).write_parquet(at / "validation.parquet")
    for name, columns in {"meta_model": meta, **more}.items():
        pl.DataFrame(columns).write_parquet(at / f"{name}.parquet")
    return Files(path=str(at), target="target_a_20")


def read(at: Path, meta: dict[str, Any], ids: list[str] = IDS, **more: dict[str, Any]) -> Loaded:
    return load(folder(at, meta, ids, **more))


def refusal(at: Path, meta: dict[str, Any], ids: list[str] = IDS, **more: dict[str, Any]) -> str:
    with pytest.raises(NlabError) as caught:
        read(at, meta, ids, **more)
    return str(caught.value)


def test_ids_that_repeat_between_eras_get_the_value_of_their_own_era(tmp_path: Path) -> None:
    meta = {"id": ["d", "a", "a"], "era": ["0002", "0010", "0001"], "numerai_meta_model": [0.4, 0.9, 0.1]}
    found = read(tmp_path, meta).panel.extras["numerai_meta_model"]
    nan = np.nan
    np.testing.assert_array_equal(found, np.float32([0.1, nan, nan, nan, nan, nan, nan, 0.4, 0.9, nan, nan, nan]))


@pytest.mark.parametrize("eras", [["0001", "0002", "0010"], ["era1", "era2", "era10"], [1, 2, 10]])
def test_eras_of_the_meta_model_may_be_written_otherwise_than_in_the_data(tmp_path: Path, eras: list[Any]) -> None:
    found = read(tmp_path, {"id": ["a"] * 3, "era": eras, "numerai_meta_model": [1, 2, 3]}).panel
    np.testing.assert_array_equal(found.extras["numerai_meta_model"][::4], [1, 2, 3])


def test_without_eras_ids_alone_are_enough_where_each_stands_in_one_era(tmp_path: Path) -> None:
    own = [f"n{i}" for i in range(12)]
    found = read(tmp_path, {"id": ["n11", "n0", "absent"], "numerai_meta_model": [0.9, 0.1, 0.5]}, own).panel
    known = np.flatnonzero(np.isfinite(found.extras["numerai_meta_model"]))
    assert found.ids[known].tolist() == [b"n0", b"n11"]
    np.testing.assert_array_equal(found.extras["numerai_meta_model"][known], np.float32([0.1, 0.9]))


def test_what_ids_alone_cannot_tell_is_refused(tmp_path: Path) -> None:
    assert "meta_model.parquet: ids of this data repeat between eras; give the file a column `era`" in refusal(
        tmp_path, {"id": ["a"], "numerai_meta_model": [0.5]}
    )


def test_two_values_for_a_row_are_refused_in_one_file_and_in_two(tmp_path: Path) -> None:
    twice = {"id": ["a", "b", "a"], "era": ["0001", "0001", "0001"], "numerai_meta_model": [0.1, 0.2, 0.3]}
    assert "id 'a' of era 1 has two values of 'numerai_meta_model'" in refusal(tmp_path, twice)
    once, model = {"id": ["a"], "era": ["0010"]}, {"v53_lgbm_ender20": [0.5]}
    message = refusal(
        tmp_path, once | {"m": [1.0]}, train_benchmark_models=once | model, validation_benchmark_models=once | model
    )
    assert "validation_benchmark_models.parquet: id 'a' of era 10 has two values of 'v53_lgbm_ender20'" in message


def test_an_id_in_another_era_than_in_the_data_is_refused(tmp_path: Path) -> None:
    own = [f"n{i}" for i in range(12)]
    message = refusal(tmp_path, {"id": ["n0"], "era": ["0002"], "numerai_meta_model": [0.5]}, own)
    assert message.endswith("meta_model.parquet: id 'n0' stands in era 2, in the data in era 1")


def test_neither_an_index_nor_an_era_nor_a_target_is_another_model(tmp_path: Path) -> None:
    meta = {"id": ["a"], "era": [1], "numerai_meta_model": [0.5], "target": [0.5], "__index_level_0__": [17]}
    assert list(read(tmp_path, meta).panel.extras) == ["numerai_meta_model"]
