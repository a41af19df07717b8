"""Files as others write them: ids, eras and numbers reach the store as they stand in the file, or the file is refused."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.data.files import Files
from numerai_lab.data.reader import Loaded, load

N = 6


def table(**changes: Any) -> pl.DataFrame:
    """Two eras of three rows."""
    columns: dict[str, Any] = {
        "id": ["a", "b", "c", "d", "e", "f"],
        "era": ["0001"] * 3 + ["0002"] * 3,
        "feature_x": pl.Series([0, 1, 2, 3, 4, 0], dtype=pl.Int8),
        "target_a_20": pl.Series([0.0, 0.5, 1.0] * 2, dtype=pl.Float32),
    }
    columns |= changes
    return pl.DataFrame({name: values for name, values in columns.items() if values is not None})


def read(path: Path, **parameters: Any) -> Loaded:
    return load(Files(path=str(path), **{"target": "target_a_20", **parameters}))


def csv(folder: Path, content: bytes | str, **parameters: Any) -> Loaded:
    path = folder / "data.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read(path, **parameters)


def refusal(read_it: Callable[[], Loaded]) -> str:
    with pytest.raises(NlabError) as caught:
        read_it()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def text(frame: pl.DataFrame, **how: Any) -> str:
    return frame.write_csv(**how)


@pytest.mark.parametrize(
    "ids",
    [
        ["000038", "000039", "00004", "1", "01", "001"],
        ["3e17", "30e16", "300000000000000000", "3e+17", "3E17", "0.3e18"],
        ["true", "false", "null", "NaN", "nan", "None"],
        ["1", "2", "3", "4", "5", "x"],
        ["2020-01-01", "20200101", "2020/01/01", "1.0", "1", "1."],
        ["with, comma", 'with "quotes"', " leading", "trailing ", "in the middle", "é"],
        ["9007199254740993", "9007199254740992", "18446744073709551616", "-1", "+1", "1_0"],
        ["日本", "ü", "u\u0308", "\U0001f600", "ß", "ss"],
        ["x" * 300, "x" * 299, "y", "z", "w", "v"],
    ],
    ids=["zeros", "exponents", "words", "late", "dates", "quoted", "large", "unicode", "long"],
)
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_ids_are_kept_letter_by_letter(tmp_path: Path, ids: list[str], suffix: str) -> None:
    frame = table(id=ids)
    if suffix == ".parquet":
        frame.write_parquet(tmp_path / "data.parquet")
    else:
        written = text(frame).encode()
        (tmp_path / f"data{suffix}").write_bytes(gzip.compress(written) if suffix == ".csv.gz" else written)
    found = read(tmp_path / f"data{suffix}").panel
    assert {name.decode() for name in found.ids} == set(ids)
    order = sorted(range(3), key=lambda i: ids[i].encode())
    np.testing.assert_array_equal(found.features[:3, 0], np.array([0, 1, 2])[order])


@pytest.mark.parametrize(
    ("how", "separator"),
    [({}, ","), ({"separator": ";"}, ";"), ({"separator": "\t"}, "\t"), ({"quote_style": "always"}, ",")],
    ids=["comma", "semicolon", "tab", "quoted"],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_dialects_of_csv_hold_the_same(tmp_path: Path, how: dict[str, Any], separator: str, mark: bytes, end: str) -> None:
    panel = csv(tmp_path, mark + text(table(), line_terminator=end, **how).encode()).panel
    assert panel.ids.tolist() == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert panel.features[:, 0].tolist() == [0, 1, 2, 3, 4, 0]
    np.testing.assert_array_equal(panel.target, np.float32([0.0, 0.5, 1.0] * 2))


@pytest.mark.parametrize("missing", ["", "NaN", "nan", "NA", "N/A", "null", "NULL", "None", "<NA>", "#N/A"])
def test_missing_numbers_may_be_written_as_pandas_r_and_spreadsheets_do(tmp_path: Path, missing: str) -> None:
    lines = ["id,era,feature_x,target_a_20", "a,1,0,0", f"b,1,{missing},{missing}", "c,1,4,1", "d,2,1,0.25"]
    loaded = csv(tmp_path, "\n".join(lines))
    assert loaded.panel.features[:, 0].tolist() == [0, 2, 4, 1]
    np.testing.assert_array_equal(loaded.panel.target, np.float32([0, np.nan, 1, 0.25]))
    assert "1 missing feature values were set to the middle bin" in loaded.notes


@pytest.mark.parametrize("value", ["abc", "0,5", "inf", "-inf", "1 000", "True", "0x1", "5"])
def test_a_feature_that_is_none_is_named_with_its_row_and_value(tmp_path: Path, value: str) -> None:
    lines = ["id,era,feature_x,target_a_20", "a,1,0,0", f'b,1,"{value}",0.5', "c,2,4,1"]
    message = refusal(lambda: csv(tmp_path, "\n".join(lines)))
    assert f"feature 'feature_x' holds {value!r} in row 2 (id 'b'), wanted bins 0 to 4" in message


@pytest.mark.parametrize("value", ["abc", "0,5", "inf", "True"])
def test_a_target_that_is_no_number_is_named_with_its_id_and_value(tmp_path: Path, value: str) -> None:
    lines = ["id,era,feature_x,target_a_20", "a,1,0,0", f'b,1,4,"{value}"', "c,2,4,1"]
    assert f"target 'target_a_20' holds {value!r} for id 'b', not a number" in refusal(lambda: csv(tmp_path, "\n".join(lines)))


def test_decimals_with_a_comma_are_refused_with_the_way_out(tmp_path: Path) -> None:
    advice = "write decimals with a point"
    for feature, target in (("0,25", "0.5"), ("0.25", "0,5")):
        lines = ["id;era;feature_x;target_a_20", "a;1;0;0", f"b;1;{feature};{target}", "c;2;1;1"]
        assert advice in refusal(lambda lines=lines: csv(tmp_path, "\n".join(lines)))
    letters = ["id,era,feature_x,target_a_20", "a,1,0,0", "b,1,1,abc", "c,2,1,1"]
    assert advice not in refusal(lambda: csv(tmp_path, "\n".join(letters)))


def test_rows_of_the_second_file_are_counted_from_its_own_first(tmp_path: Path) -> None:
    table(era=["1"] * 6).write_parquet(tmp_path / "train.parquet")
    table(era=["2"] * 6, feature_x=[0, 1, 9, 0, 0, 0]).write_parquet(tmp_path / "validation.parquet")
    assert "validation.parquet: feature 'feature_x' holds 9 in row 3 (id 'c')" in refusal(lambda: read(tmp_path))


def test_the_types_of_a_csv_do_not_hang_on_its_first_rows(tmp_path: Path) -> None:
    n = 5000
    rows = [f"{i},{1 + i // 100},{i % 5},{'' if i < 3000 else 0.5}" for i in range(n)]
    rows += ["n1,X,0,", "n2,X,1,"]
    panel = csv(tmp_path, "id,era,feature_x,target_a_20\n" + "\n".join(rows)).panel
    assert (len(panel.ids), panel.eras.tolist()) == (n, list(range(1, 51)))
    assert np.isfinite(panel.target).sum() == 2000  # type: ignore[arg-type]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    content = "id,era,feature_x,feature_x,target_a_20\na,1,0,1,0\nb,2,1,2,1\n"
    assert "two columns are named 'feature_x'; rename or remove one" in refusal(lambda: csv(tmp_path, content))


def test_a_csv_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    whole = text(table())
    assert "its last line has 2 of 4 fields: the file was cut off" in refusal(
        lambda: csv(tmp_path, whole[: whole.rindex(",0") - 1])
    )
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress(text(table(id=[f"n{i * 7919 % 1000}" for i in range(6)])).encode())[:-20])
    assert "data.csv.gz: can't be read" in refusal(lambda: read(path))


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"PK\x03\x04 spreadsheet", "id,era\nä,1".encode("utf-16"), b"id,era,feature_x\n\xe4,1,0\n", b"\x00" * 50],
)
def test_what_is_no_csv_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    assert refusal(lambda: csv(tmp_path, content)).startswith(("data.", str(tmp_path)))


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        (pl.Series([38, 5, 6, 7, 8, 9], dtype=pl.Int64), {"38", "5", "6", "7", "8", "9"}),
        (pl.Series([2**63 + 1, 5, 6, 7, 8, 9], dtype=pl.UInt64), {"9223372036854775809", "5", "6", "7", "8", "9"}),
        (pl.Series([38.0, 5, 6, 7, 8, 9]), {"38", "5", "6", "7", "8", "9"}),
        (pl.Series(list("abcdef"), dtype=pl.Categorical), set("abcdef")),
        (pl.Series(list("abcdef"), dtype=pl.Enum(list("fedcba"))), set("abcdef")),
        (pl.Series([b"a", b"b", b"c", b"d", b"e", b"f"]), set("abcdef")),
    ],
    ids=["integers", "large integers", "whole floats", "categorical", "enum", "binary"],
)
def test_ids_of_a_parquet_file_may_have_any_type(tmp_path: Path, ids: pl.Series, wanted: set[str]) -> None:
    table(id=ids).write_parquet(tmp_path / "data.parquet")
    assert {name.decode() for name in read(tmp_path / "data.parquet").panel.ids} == wanted


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_ids_and_eras_of_every_arrow_type_of_text_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    plain = table().to_arrow()
    columns = {
        name: plain[name].cast(pa.string()).cast(kind) if name in ("id", "era") else plain[name] for name in plain.column_names
    }
    pq.write_table(pa.table(columns), tmp_path / "data.parquet")
    panel = read(tmp_path / "data.parquet").panel
    assert (panel.ids.tolist(), panel.eras.tolist()) == ([b"a", b"b", b"c", b"d", b"e", b"f"], [1, 2])


def test_float_ids_that_others_may_have_been_rounded_to_are_refused(tmp_path: Path) -> None:
    for odd in (0.5, 2.0**53 + 2):
        table(id=[odd, 1, 2, 3, 4, 5]).write_parquet(tmp_path / "data.parquet")
        assert f"id {odd!r} is a float" in refusal(lambda: read(tmp_path / "data.parquet"))
    table(id=[1.0, None, 2, 3, 4, 5]).write_parquet(tmp_path / "data.parquet")
    assert "a row of era '0001' has no id" in refusal(lambda: read(tmp_path / "data.parquet"))


def test_an_index_that_pandas_wrote_is_the_id_where_it_holds_ids(tmp_path: Path) -> None:
    frame = table().to_pandas()
    for at, index in (("named", "id"), ("unnamed", None), ("other", "ticker")):
        frame.set_index("id").rename_axis(index).to_parquet(tmp_path / f"{at}.parquet")
        assert read(tmp_path / f"{at}.parquet").panel.ids[0] == b"a"
    frame.set_index("id").rename_axis(None).to_csv(tmp_path / "data.csv")
    assert read(tmp_path / "data.csv").panel.ids[0] == b"a"


def test_an_index_that_merely_numbers_the_rows_is_no_id(tmp_path: Path) -> None:
    frame = table(id=None).to_pandas()
    frame.index = pd.Index([5, 3, 1, 0, 2, 4])
    frame.to_parquet(tmp_path / "data.parquet")
    frame.to_csv(tmp_path / "data.csv")
    for name in ("data.parquet", "data.csv"):
        message = refusal(lambda name=name: read(tmp_path / name))  # type: ignore[misc]
        assert "has no column 'id', and its index" in message
        assert "numbers the rows" in message
    assert read(tmp_path / "data.parquet", id_column="__index_level_0__").panel.ids[0] == b"1"


def test_an_index_beside_ids_is_neither_id_nor_feature(tmp_path: Path) -> None:
    frame = table().to_pandas()
    frame.index = pd.Index([5, 3, 1, 0, 2, 4], name="feature_row")
    frame.to_parquet(tmp_path / "data.parquet")
    message = refusal(lambda: read(tmp_path / "data.parquet"))
    assert "feature set 'all' holds 'feature_row', which is an index that pandas wrote and no feature" in message


def test_the_same_rows_in_two_notations_are_the_same_cells(tmp_path: Path) -> None:
    bins = np.random.default_rng(0).integers(0, 5, (12, 4))
    notations: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "int8": lambda x: x.astype(np.int8),
        "int64": lambda x: x.astype(np.int64),
        "float bins": lambda x: x.astype(np.float64),
        "quarters": lambda x: (x / 4).astype(np.float32),
        "quarters as text": lambda x: (x / 4).astype(str).astype(object),
    }
    for first, one in notations.items():
        for second, other in notations.items():
            for name, era, values in (("train", "1", one(bins[:6])), ("validation", "2", other(bins[6:]))):
                columns = {f"feature_{i}": values[:, i].tolist() for i in range(4)}
                frame = table(era=[era] * 6, feature_x=None, **columns)
                narrow = dict.fromkeys(columns, pl.Int8) if (first if name == "train" else second) == "int8" else {}
                frame.cast(narrow).write_parquet(tmp_path / f"{name}.parquet")  # type: ignore[arg-type]
            panel = read(tmp_path).panel
            assert panel.features.dtype == np.int8, (first, second)
            np.testing.assert_array_equal(panel.features, bins, err_msg=f"{first} then {second}")


def test_continuous_rows_after_bins_are_kept_as_floats_on_one_scale(tmp_path: Path) -> None:
    table(era=["1"] * 6).write_parquet(tmp_path / "train.parquet")
    table(era=["2"] * 6, feature_x=[0.1, 0.9, 0.3, 0.5, 0.2, 0.7]).write_parquet(tmp_path / "validation.parquet")
    loaded = read(tmp_path)
    wanted = np.float32([0, 0.25, 0.5, 0.75, 1, 0, 0.1, 0.9, 0.3, 0.5, 0.2, 0.7])
    np.testing.assert_array_equal(loaded.panel.features[:, 0], wanted)
    assert "1 of 1 features, such as feature_x, are no bins" in loaded.notes[0]


def test_zeros_and_ones_are_read_as_the_other_file_tells(tmp_path: Path) -> None:
    few = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0]
    table(era=["2"] * 6, feature_x=few).write_parquet(tmp_path / "validation.parquet")
    for first, wanted in (([0, 1, 2, 3, 4, 0], 1), ([0, 0.25, 0.5, 0.75, 1, 0], 4)):
        table(era=["1"] * 6, feature_x=[float(value) for value in first]).write_parquet(tmp_path / "train.parquet")
        assert read(tmp_path).panel.features[6:, 0].max() == wanted


def test_an_era_of_two_data_types_is_refused(tmp_path: Path) -> None:
    table(data_type=["train", "validation", "validation"] + ["validation"] * 3).write_parquet(tmp_path / "data.parquet")
    assert "era 1 has rows of data_type train and validation" in refusal(lambda: read(tmp_path / "data.parquet"))
    table(data_type=["train", None, "train"] + ["validation"] * 3).write_parquet(tmp_path / "data.parquet")
    assert "era 1 has rows of data_type train and none" in refusal(lambda: read(tmp_path / "data.parquet"))
