"""Eras as files write them: every dtype and notation, dates kept for display, and one notation over all files."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.data.files import Files
from numerai_lab.data.inventory import inventory
from numerai_lab.data.live import live_rows
from numerai_lab.data.reader import Loaded, load, outline

FRIDAYS = [date(2020, 1, 3), date(2020, 1, 10), date(2020, 1, 31)]
ISO = {1: "2020-01-03", 2: "2020-01-10", 5: "2020-01-31"}


def frame(eras: Any, **changes: Any) -> pl.DataFrame:
    """Three eras of two rows, the last era first."""
    columns: dict[str, Any] = {
        "id": ["e", "f", "a", "b", "c", "d"],
        "era": pl.Series("era", [eras[2], eras[2], eras[0], eras[0], eras[1], eras[1]]),
        "feature_x": pl.Series([4, 4, 0, 1, 2, 3], dtype=pl.Int8),
        "target_x_20": pl.Series([0.25, 0.75] * 3, dtype=pl.Float32),
    }
    return pl.DataFrame(columns | changes)


def loaded(folder: Path, table: pl.DataFrame, suffix: str = ".parquet", **parameters: Any) -> Loaded:
    path = folder / f"data{suffix}"
    table.write_parquet(path) if suffix == ".parquet" else table.write_csv(path)
    return load(Files(path=str(path), target="target_x_20", **parameters))


def refusal(folder: Path, table: pl.DataFrame, **parameters: Any) -> str:
    with pytest.raises(NlabError) as caught:
        loaded(folder, table, **parameters)
    return str(caught.value)


@pytest.mark.parametrize(
    "eras",
    [
        pl.Series([1, 2, 5], dtype=pl.Int8),
        pl.Series([1, 2, 5], dtype=pl.UInt64),
        pl.Series([1, 2, 5], dtype=pl.Float32),
        pl.Series(["1.0", "2.0", "5.0"]),
        pl.Series(["week 0001", "week 0002", "week 0005"]),
        pl.Series(["era1", "era 2", "0005"]),
        pl.Series(["0001", "0002", "0005"], dtype=pl.Categorical),
        pl.Series(["week1", "week2", "week5"], dtype=pl.Enum(["week5", "week2", "week1"])),
        pl.Series([1, 2, 5]).cast(pl.Decimal(10, 1)),
    ],
    ids=lambda eras: str(eras.dtype),
)
def test_numbers_are_read_from_every_dtype(tmp_path: Path, eras: pl.Series) -> None:
    table = frame([1, 2, 5]).with_columns(pl.concat([eras[2:], eras[2:], eras[:1], eras[:1], eras[1:2], eras[1:2]]).alias("era"))
    data = loaded(tmp_path, table)
    assert data.panel.eras.tolist() == [1, 2, 5]
    assert data.panel.ids.tolist() == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert data.panel.dates == {}
    assert "era_dates" not in data.store.meta


@pytest.mark.parametrize(
    "eras",
    [
        [20200103, 20200110, 20200131],
        [20200103.0, 20200110.0, 20200131.0],
        ["2020-01-03", "2020-01-10", "2020-01-31"],
        ["2020-01-03 00:00:00", "2020/01/10", "20200131"],
        FRIDAYS,
        [datetime(2020, 1, 3), datetime(2020, 1, 10), datetime(2020, 1, 31)],
    ],
    ids=lambda eras: str(eras[0]),
)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_dates_become_weeks_and_are_kept(tmp_path: Path, suffix: str, eras: list[Any]) -> None:
    data = loaded(tmp_path, frame(eras), suffix)
    assert data.panel.eras.tolist() == [1, 2, 5]
    assert data.panel.eras.dtype == np.int32
    assert data.panel.ids.tolist() == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert data.panel.dates == ISO
    assert outline(Files(path=str(tmp_path / f"data{suffix}"), target="target_x_20")).table.dates == ISO
    facts = inventory(data)
    assert facts.facts["eras"].startswith("20200103 to 20200131, weeks 1 to 5 (3)")
    assert [era["date"] for era in facts.as_dict()["by_era"]] == list(ISO.values())


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/New_York", "UTC"])
def test_a_time_zone_keeps_its_own_days(tmp_path: Path, zone: str) -> None:
    days = pl.Series(frame(FRIDAYS)["era"]).cast(pl.Datetime("ns")).dt.replace_time_zone(zone)
    assert loaded(tmp_path, frame(FRIDAYS, era=days)).panel.dates == ISO


def test_daily_data_need_their_step_and_get_it(tmp_path: Path) -> None:
    days = [20200102, 20200103, 20200107]
    assert "eras 2020-01-02 and 2020-01-03 fall into one week; set data.days_per_era" in refusal(tmp_path, frame(days))
    data = loaded(tmp_path, frame(days), days_per_era=1)
    assert (data.panel.eras.tolist(), data.panel.days_per_era) == ([1, 2, 4], 1)


def test_another_step_does_not_take_the_store_of_the_first(tmp_path: Path) -> None:
    fortnights = frame([20200103, 20200117, 20200131])
    assert loaded(tmp_path, fortnights).panel.eras.tolist() == [1, 3, 5]
    assert loaded(tmp_path, fortnights, days_per_era=10).panel.eras.tolist() == [1, 2, 3]


def test_live_rows_of_dated_data_are_left_out_and_follow_the_last_week(tmp_path: Path) -> None:
    data = loaded(tmp_path, frame(["2020-01-03", "2020-01-10", "X"]))
    assert data.panel.eras.tolist() == [1, 2]
    live = live_rows(Files(path=str(tmp_path / "data.parquet"), target="target_x_20"), data.panel)
    assert live is not None
    assert (live.ids, live.block.era) == (["e", "f"], 3)


def folder_of(folder: Path, train: pl.DataFrame, validation: pl.DataFrame) -> Files:
    train.write_parquet(folder / "train.parquet")
    validation.write_parquet(folder / "validation.parquet")
    return Files(path=str(folder), target="target_x_20")


def test_files_of_one_folder_may_write_the_same_eras_in_other_ways(tmp_path: Path) -> None:
    more = {"id": ["k", "l", "g", "h", "i", "j"]}
    numbered = load(folder_of(tmp_path, frame(["0001", "0002", "0005"]), frame([5.0, 6.0, 7.0], **more)))
    assert numbered.panel.eras.tolist() == [1, 2, 5, 6, 7]
    assert numbered.panel.ids[4:8].tolist() == [b"e", b"f", b"g", b"h"]
    later = [datetime(2020, 1, 31), datetime(2020, 2, 6), datetime(2020, 2, 14)]
    dated = load(folder_of(tmp_path, frame([20200103, 20200110, 20200131]), frame(later, **more)))
    assert dated.panel.eras.tolist() == [1, 2, 5, 6, 7]
    assert dated.panel.dates[6] == "2020-02-06"


def test_dates_in_one_file_and_numbers_in_another_are_refused(tmp_path: Path) -> None:
    source = folder_of(tmp_path, frame(FRIDAYS), frame([7, 8, 9], id=["k", "l", "g", "h", "i", "j"]))
    with pytest.raises(NlabError, match=r"validation\.parquet: era '2020-01-03' is a date and era '7' is a number; write all"):
        load(source)


def test_eras_that_can_not_be_read_are_named(tmp_path: Path) -> None:
    assert "a row has no era" in refusal(tmp_path, frame([1, None, 3]))
    assert "era 'NaN' is not a number and not a date" in refusal(tmp_path, frame([1.0, float("nan"), 3.0]))
    assert "year and month or week" in refusal(tmp_path, frame([202001, 202002, 202003]))
    times = [datetime(2020, 1, 3, 9), datetime(2020, 1, 3, 16), datetime(2020, 1, 10)]
    assert "two times of one day" in refusal(tmp_path, frame(times))
    twice = frame(FRIDAYS, id=["e", "f", "a", "a", "c", "d"])
    assert "id 'a' stands twice in era 20200103" in refusal(tmp_path, twice)
