"""Files as people have them, in one table: each is read as the clean file is, or refused in one sentence that says what to do.

The shapes are those that public reports of other readers of CSV and parquet name: separators of spreadsheets, lines with a field
too few or too many, encodings, compressed files, days counted since 1900, indices that pandas wrote.
"""

import bz2
import gzip
import zipfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.data.files import Files
from numerai_lab.data.reader import load

N = 12
CELLS = np.random.default_rng(0).permutation([[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 2, 2]] * 3, axis=1).T
CLEAN = pl.DataFrame(
    {
        "id": [f"n{i:03d}" for i in range(N)],
        "era": [f"{1 + i // 4:04d}" for i in range(N)],
        **{f"feature_{name}": pl.Series(CELLS[:, i], dtype=pl.Int8) for i, name in enumerate("abc")},
        "target_x_20": pl.Series([0, 0.25, 0.5, 0.75, 1, 0] * 2, dtype=pl.Float32),
    }
)
TEXT = CLEAN.write_csv()
FRAME = CLEAN.to_pandas()
DAYS = [date(2020, 1, 3) + timedelta(weeks=i // 4) for i in range(N)]
ALL = pl.col("^feature_.*$")
Maker = Callable[[Path], Path]
SAME = ""
"""The outcome of a file that is read as the clean one is."""


def csv(content: bytes | str, name: str = "data.csv") -> Maker:
    """A file with this content."""

    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return make


def parquet(*changes: Any, **columns: Any) -> Maker:
    """The clean rows with some columns changed, as polars writes them."""

    def make(folder: Path) -> Path:
        CLEAN.with_columns(*changes, **columns).write_parquet(folder / "data.parquet")
        return folder / "data.parquet"

    return make


def arrow(table: pa.Table) -> Maker:
    def make(folder: Path) -> Path:
        pq.write_table(table, folder / "data.parquet")
        return folder / "data.parquet"

    return make


def by_pandas(frame: pd.DataFrame) -> Maker:
    def make(folder: Path) -> Path:
        frame.to_parquet(folder / "data.parquet")
        return folder / "data.parquet"

    return make


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "data.csv.zip", "w") as archive:
        archive.writestr("data.csv", TEXT)
    return folder / "data.csv.zip"


def feathered(folder: Path) -> Path:
    feather.write_feather(CLEAN.to_arrow(), folder / "data.feather")
    return folder / "data.feather"


def shuffled(folder: Path) -> Path:
    CLEAN.sample(fraction=1, shuffle=True, seed=3).write_parquet(folder / "data.parquet")
    return folder / "data.parquet"


def without_target(folder: Path) -> Path:
    CLEAN.drop("target_x_20").write_parquet(folder / "data.parquet")
    return folder / "data.parquet"


def renamed(make: Maker, name: str) -> Maker:
    """The file under another name."""
    return lambda folder: make(folder).rename(folder / name)


def spoilt(make: Maker, spoil: Callable[[bytes], bytes]) -> Maker:
    """The file with other bytes."""

    def made(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(spoil(path.read_bytes()))
        return path

    return made


def line(number: int, change: Callable[[str], str]) -> str:
    """The clean text with one line changed; the first has number 1."""
    return "".join(change(text) if i == number else text for i, text in enumerate(TEXT.splitlines(keepends=True), start=1))


def written(days: str) -> Maker:
    return csv(CLEAN.with_columns(era=pl.Series([day.strftime(days) for day in DAYS])).write_csv())


def quoted(mark: str) -> str:
    return CLEAN.write_csv(quote_style="always").replace('"', mark)


FILES: dict[str, tuple[Maker, str]] = {
    # text
    "comma": (csv(TEXT), SAME),
    "semicolon": (csv(CLEAN.write_csv(separator=";")), SAME),
    "tab": (csv(CLEAN.write_csv(separator="\t"), "data.tsv"), SAME),
    "bar": (csv(CLEAN.write_csv(separator="|"), "data.txt"), SAME),
    "blank between columns": (csv(CLEAN.write_csv(separator=" ")), "begins with the names of its columns, with , ; | or a tab"),
    "the line sep= of Excel": (csv("sep=;\n" + CLEAN.write_csv(separator=";")), "first line, 'sep=;', is for Excel; remove it"),
    "blanks after commas": (csv(TEXT.replace(",", ", ")), "set data.feature_prefix"),
    "decimal commas": (csv(FRAME.to_csv(index=False, sep=";", decimal=",")), "write decimals with a point"),
    "thousands": (csv(TEXT.replace(",4,", ',"4,000",')), "write decimals with a point"),
    "byte order mark": (csv(b"\xef\xbb\xbf" + TEXT.encode()), SAME),
    "UTF-16": (csv(TEXT.encode("utf-16")), "is text in UTF-16; save it as a CSV in UTF-8"),
    "UTF-16 without a mark": (csv(TEXT.encode("utf-16-le")), "save it as a CSV in UTF-8"),
    "Latin-1": (csv(TEXT.replace("n009", "né09").encode("latin-1")), "save it as a CSV in UTF-8"),
    "line ends of Windows": (csv(TEXT.replace("\n", "\r\n")), SAME),
    "line ends of old Macs": (csv(TEXT.replace("\n", "\r")), "save it with line ends of Unix or Windows"),
    "everything in quotes": (csv(quoted('"')), SAME),
    "everything in other quotes": (csv(quoted("'")), "did you mean \"'id'\""),
    "a quote that never ends": (csv(TEXT.replace("n005", '"n005')), "fetch or write it again"),
    "a comma at the end of all lines": (csv(TEXT.replace("\n", ",\n")), SAME),
    "a comma at the end of all rows": (csv(TEXT.replace("\n", ",\n").replace("20,\n", "20\n", 1)), SAME),
    "a field too few": (csv(line(6, lambda text: text.rpartition(",")[0] + "\n")), "line 6 has 5 fields instead of 6"),
    "a field too many": (csv(line(6, lambda text: text.replace("n004", "n0,4"))), "line 6 has 7 fields instead of 6"),
    "a number too many": (csv(line(6, lambda text: text.rstrip() + ",9\n")), "line 6 has 7 fields instead of 6"),
    "a comment first": (csv("# made by hand\n" + TEXT), "its first line is '# made by hand'; a CSV begins with the names"),
    "a comment between": (csv(line(6, lambda text: "# later\n" + text)), "the first such row has id '# later'"),
    "blank lines": (csv(TEXT.replace("\n", "\n\n")), "a row has no era"),
    "a blank line first": (csv("\n" + TEXT), SAME),
    "two files in one": (csv(TEXT + TEXT), "holds 'target_x_20' for id 'id'"),
    "a line of totals": (csv(TEXT + "12 rows\n"), "its last line has 1 of 6 fields"),
    "no header": (csv(TEXT.partition("\n")[2]), "seems to be a row"),
    "two columns of one name": (csv(TEXT.replace("feature_b", "feature_a")), "rename or remove one"),
    "one column": (csv("id\n" + "\n".join(CLEAN["id"])), "its first line is 'id'; a CSV begins with"),
    "empty": (csv(b""), "empty CSV"),
    "a header alone": (csv(TEXT.partition("\n")[0]), "holds no rows"),
    "NUL in an id": (csv(TEXT.replace("n003", "n\x0003")), "holds a NUL byte: the file is damaged"),
    "NUL in a number": (csv(TEXT.replace(",0.75", ",0.7\x005")), "not a number; leave it empty where it is not known"),
    "NUL at the end": (csv(TEXT + "\x00" * 50), "the file was cut off; fetch it again"),
    "JSON lines": (csv(CLEAN.write_ndjson(), "data.jsonl"), "neither .parquet, .csv nor .csv.gz; save it as CSV"),
    "JSON lines as CSV": (csv(CLEAN.write_ndjson()), "is JSON; a CSV begins with the names of its columns"),
    # compressed, and files of another kind
    "gzip": (csv(gzip.compress(TEXT.encode()), "data.csv.gz"), SAME),
    "gzip under another name": (csv(gzip.compress(TEXT.encode())), SAME),
    "gzip of two parts": (csv(gzip.compress(TEXT[:99].encode()) + gzip.compress(TEXT[99:].encode()), "data.csv.gz"), SAME),
    "gzip that was cut off": (csv(gzip.compress(TEXT.encode())[:-12], "data.csv.gz"), "fetch or write it again"),
    "zip": (zipped, "neither .parquet, .csv nor .csv.gz; unpack it"),
    "zip as CSV": (renamed(zipped, "data.csv"), "is a zip archive or a workbook of Excel; unpack it"),
    "bzip2": (csv(bz2.compress(TEXT.encode()), "data.csv.bz2"), "unpack it"),
    "bzip2 as CSV": (csv(bz2.compress(TEXT.encode())), "is compressed by bzip2; unpack it"),
    "zstd as CSV": (csv(bytes(pa.compress(TEXT.encode(), "zstd", asbytes=True))), "is compressed by zstd; unpack it"),
    "a workbook": (csv(b"PK\x03\x04 workbook", "data.xlsx"), "save the sheet as CSV"),
    "Feather": (feathered, "save it as parquet (pandas: read_feather, to_parquet)"),
    "Feather as parquet": (renamed(feathered, "data.parquet"), "is an Arrow or Feather file; save it as parquet"),
    "parquet as CSV": (renamed(parquet(), "data.csv"), "is a parquet file; name it .parquet"),
    "CSV as parquet": (csv(TEXT, "data.parquet"), "can't be read as parquet: name it .csv if it is text"),
    "capital suffixes": (renamed(parquet(), "DATA.PARQUET"), SAME),
    "no suffix": (csv(TEXT, "data"), "neither .parquet, .csv nor .csv.gz; save it as one of them"),
    "parquet that was cut off": (spoilt(parquet(), lambda content: content[:-30]), "fetch or write it again"),
    "parquet with damage": (
        spoilt(parquet(), lambda content: content[:99] + bytes(60) + content[159:]),
        "the file is damaged: get or write it anew",
    ),
    # ids
    "an index of ids": (by_pandas(FRAME.set_index("id")), SAME),
    "an index of eras and ids": (by_pandas(FRAME.set_index(["era", "id"])), SAME),
    "an index of row numbers": (csv(FRAME.to_csv()), SAME),
    "no id": (by_pandas(FRAME.drop(columns="id")), "has no column 'id'"),
    "an id missing": (csv(TEXT.replace("n003", "")), "a row of era '0001' has no id"),
    "an id twice in an era": (csv(TEXT.replace("n001", "n000")), "id 'n000' stands twice in era 1"),
    "ids as bytes": (parquet(pl.col("id").cast(pl.Binary)), SAME),
    # eras
    "rows in no order": (shuffled, SAME),
    "eras as categories": (parquet(pl.col("era").cast(pl.Categorical)), SAME),
    "eras as floats": (parquet(pl.col("era").cast(pl.Float64)), SAME),
    "halves of eras": (parquet(pl.col("era").cast(pl.Float64) + 0.5), "era '1.5' is not a number and not a date (wanted:"),
    "eras below zero": (parquet(pl.col("era").cast(pl.Int64) - 3), "is not a number and not a date (wanted:"),
    "an era missing": (csv(TEXT.replace("n003,0001", "n003,")), "a row has no era (wanted:"),
    "no era but live": (parquet(era=pl.lit("X")), "holds no rows but live ones"),
    "dates": (written("%Y-%m-%d"), SAME),
    "dates with slashes": (written("%Y/%m/%d"), SAME),
    "dates as integers": (written("%Y%m%d"), SAME),
    "dates with a time": (written("%Y-%m-%dT00:00:00Z"), SAME),
    "dates of parquet": (parquet(era=pl.Series(DAYS)), SAME),
    "nanoseconds": (parquet(era=pl.Series(DAYS).cast(pl.Datetime("ns"))), SAME),
    "a time zone": (parquet(era=pl.Series(DAYS).cast(pl.Datetime("us", "America/New_York"))), SAME),
    "German dates": (written("%d.%m.%Y"), "dates as 2020-01-03 or 20200103"),
    "American dates": (written("%m/%d/%Y"), "dates as 2020-01-03 or 20200103"),
    "names of months": (written("%d %b %Y"), "dates as 2020-01-03 or 20200103"),
    "weeks of a year": (written("%G-W%V"), "dates as 2020-01-03 or 20200103"),
    "year and week": (written("%G%V"), "write dates such as 2020-01-31"),
    "days since 1900": (
        parquet(era=pl.Series([(day - date(1899, 12, 30)).days for day in DAYS])),
        "write dates such as 2020-01-31",
    ),
    "milliseconds": (parquet(era=pl.Series(DAYS).cast(pl.Datetime("ms")).cast(pl.Int64)), "dates as 2020-01-03 or 20200103"),
    "dates and numbers": (csv(TEXT.replace(",0001,", ",2020-01-03,")), "write all eras in one way"),
    # features
    "no prefix": (csv(TEXT.replace("feature_", "")), "set data.feature_prefix to how features begin (columns: a, b, c)"),
    "quarters": (parquet((ALL / 4).cast(pl.Float32)), SAME),
    "bins as floats": (parquet(ALL.cast(pl.Float64)), SAME),
    "bins as text": (parquet(ALL.cast(pl.String)), SAME),
    "bins as 64 bits": (parquet(ALL.cast(pl.UInt64)), SAME),
    "bins as decimals": (parquet(ALL.cast(pl.Decimal(5, 2))), SAME),
    "bins as 16-bit floats": (by_pandas(FRAME.astype({"feature_b": "float16"})), SAME),
    "bins of several types": (parquet(pl.col("feature_b").cast(pl.Float64), pl.col("feature_c").cast(pl.String)), SAME),
    "bins as categories": (
        parquet(pl.col("feature_b").cast(pl.String).cast(pl.Categorical)),
        "save it as numbers, or leave it out",
    ),
    "truth values": (parquet(feature_b=pl.Series([True, False] * 6)), "save it as numbers, or leave it out"),
    "lists": (parquet(feature_b=pl.Series([[1, 2]] * N)), "save it as numbers, or leave it out"),
    "a struct beside them": (parquet(extra=pl.struct("feature_a", "feature_b")), SAME),
    "two features of one name": (
        arrow(CLEAN.to_arrow().rename_columns(["id", "era", "feature_a", "feature_a", "feature_c", "target_x_20"])),
        "'feature_a' has more than one occurrence",
    ),
    "bins from −2 to 2": (parquet(ALL - 2), "wanted bins 0 to 4, or 0, .25 … 1"),
    "bins from 1 to 5": (parquet((ALL + 1).cast(pl.Float32)), "wanted bins 0 to 4, or 0, .25 … 1"),
    "infinity": (parquet(feature_b=pl.Series([float("inf")] + [1.0] * 11)), "holds inf in row 1 (id 'n000'), wanted bins"),
    "a huge integer": (parquet(feature_b=pl.Series([2**62] + [1] * 11)), "in row 1 (id 'n000'), wanted bins 0 to 4"),
    "percent": (csv(TEXT.replace(",4,", ",4%,")), "holds '4%' in row"),
    "a dash for nothing": (csv(TEXT.replace(",4,", ",-,")), "holds '-' in row"),
    # targets
    "targets as decimals": (parquet(pl.col("target_x_20").cast(pl.Decimal(5, 2))), SAME),
    "no target": (without_target, "has no column 'target_x_20'"),
    "words for targets": (parquet(target_x_20=pl.lit("up")), "not a number; leave it empty where it is not known"),
    "truth values for targets": (parquet(target_x_20=pl.lit(True)), "holds Boolean, not numbers"),
    "infinite targets": (parquet(target_x_20=pl.lit(float("inf"))), "holds inf for id 'n000', not a number"),
}
"""What a file looks like → how it is made, and a part of the sentence that refuses it."""


def read(path: Path) -> Panel:
    return load(Files(path=str(path), target="target_x_20")).panel


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_the_clean_one_or_refused_in_a_sentence_with_a_way_out(kind: str, tmp_path: Path) -> None:
    make, refusal = FILES[kind]
    path = make(tmp_path)
    if refusal:
        with pytest.raises(NlabError) as caught:
            read(path)
        assert refusal in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    panel = read(path)
    assert panel.ids.tolist() == [name.encode() for name in CLEAN["id"]]
    assert panel.eras.tolist() == [1, 2, 3]
    assert panel.features.dtype == np.int8
    np.testing.assert_array_equal(panel.features, CELLS)
    np.testing.assert_array_equal(panel.target, CLEAN["target_x_20"])


@pytest.mark.parametrize("values", [[None] * N, [0.5] * N, [-3.0, 4.0] * 6], ids=["missing", "constant", "beyond 0 to 1"])
def test_targets_reach_the_panel_as_they_stand(values: list[float | None], tmp_path: Path) -> None:
    panel = read(parquet(target_x_20=pl.Series(values, dtype=pl.Float32))(tmp_path))
    np.testing.assert_array_equal(panel.target, np.array(values, np.float32))


def test_ids_may_repeat_between_eras_and_an_era_may_have_one_row(tmp_path: Path) -> None:
    panel = read(parquet(id=pl.Series([f"n{i % 4}" for i in range(N)]))(tmp_path))
    np.testing.assert_array_equal(panel.features, CELLS)
    alone = read(parquet(era=pl.Series(range(1, N + 1)))(tmp_path))
    assert (alone.eras.tolist(), len(alone.bounds)) == ([*range(1, N + 1)], N)
