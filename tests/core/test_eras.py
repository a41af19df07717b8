"""Era labels: every notation, dates as weeks, and what is refused."""

from datetime import date

import pytest

from numerai_lab.core.eras import EraError, date_of, is_live, match_eras, number_eras


@pytest.mark.parametrize("label", ["0007", "7", "era7", "era 7", "era0007", "7.0", "week 0007", "week7", "Week_7", " 7 "])
def test_an_integer_is_read_in_every_notation(label: str) -> None:
    numbering = number_eras([label, "12"])
    assert numbering.numbers == {label: 7, "12": 12}
    assert (numbering.dates, numbering.calendar) == ({}, None)


def test_integers_stay_the_numbers_they_are() -> None:
    labels = ["0", "1000000", "1000059", "20201399", "999999999"]
    assert list(number_eras(labels).numbers.values()) == [0, 1000000, 1000059, 20201399, 999999999]


@pytest.mark.parametrize("label", ["X", "eraX", "era X"])
def test_live_labels_have_no_number(label: str) -> None:
    assert is_live(label)
    assert number_eras(["1", label]).numbers == {"1": 1}


@pytest.mark.parametrize(
    "written",
    [
        "%Y%m%d",
        "%Y-%m-%d",
        "%Y/%m/%d",
        "%Y-%m-%d 00:00:00",
        "%Y-%m-%d 00:00:00.000000",
        "%Y-%m-%dT00:00:00Z",
        "%Y-%m-%d 00:00:00+01:00",
        "%Y%m%d.0",
    ],
)
def test_dates_are_numbered_by_the_weeks_that_passed(written: str) -> None:
    days = [date(2020, 1, 3), date(2020, 1, 10), date(2020, 1, 16), date(2020, 2, 14), date(2021, 1, 1)]
    numbering = number_eras([day.strftime(written) for day in days])
    assert list(numbering.numbers.values()) == [1, 2, 3, 7, 53]  # the 16th is a Thursday before a holiday
    assert numbering.dates == {1: "2020-01-03", 2: "2020-01-10", 3: "2020-01-16", 7: "2020-02-14", 53: "2021-01-01"}


def test_months_are_four_or_five_weeks_apart() -> None:
    ends = ["2020-01-31", "2020-02-28", "2020-03-31", "2020-04-30", "2020-05-29", "2020-06-30"]
    assert list(number_eras(ends).numbers.values()) == [1, 5, 10, 14, 18, 23]


def test_the_week_of_a_lone_monday_is_a_week_of_its_own() -> None:
    last_days = ["2018-04-20", "2018-04-27", "2018-04-30", "2018-05-11"]  # holidays from the 1st to the 7th of May
    assert list(number_eras(last_days).numbers.values()) == [1, 2, 3, 4]


def test_the_same_dates_in_several_notations_are_the_same_eras() -> None:
    numbering = number_eras(["20200103", "2020-01-03", "2020-01-03 00:00:00", "2020/01/10"])
    assert numbering.numbers == {"20200103": 1, "2020-01-03": 1, "2020-01-03 00:00:00": 1, "2020/01/10": 2}


def test_daily_dates_are_numbered_by_business_days() -> None:
    days = ["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-14"]
    assert list(number_eras(days, days_per_era=1).numbers.values()) == [1, 2, 3, 4, 9]


def test_fortnights_and_quarters_are_numbered_by_their_own_step() -> None:
    assert list(number_eras(["2020-01-03", "2020-01-17", "2020-02-14"], days_per_era=10).numbers.values()) == [1, 2, 4]
    assert list(number_eras(["2020-03-31", "2020-06-30", "2021-03-31"], days_per_era=65).numbers.values()) == [1, 2, 5]


def test_dates_of_later_data_are_numbered_by_the_same_calendar() -> None:
    seen = number_eras(["2020-01-03", "2020-01-10"])
    assert number_eras(["2020-01-17", "2019-12-27"], calendar=seen.calendar).numbers == {"2020-01-17": 3, "2019-12-27": 0}


@pytest.mark.parametrize(
    ("labels", "days_per_era", "said"),
    [
        (["2020-01-02", "2020-01-03"], 5, r"eras 2020-01-02 and 2020-01-03 fall into one week; set data\.days_per_era"),
        (["20200106", "20200109"], 5, r"eras 2020-01-06 and 2020-01-09 fall into one week"),
        (["2020-01-03", "2020-01-10"], 20, r"fall into one step of 20 business days; set data\.days_per_era"),
        (["2020-01-03", "2020-01-04", "2020-01-06"], 1, r"2020-01-04 and 2020-01-06 are one business day.* at a weekend"),
        (["2020-01-03", "12"], 5, r"era '2020-01-03' is a date and era '12' is a number"),
        (["20200103", "20200199"], 5, r"era '20200103' is a date and era '20200199' is a number"),
        (["202011", "202012", "202101"], 5, r"year and month or week .* write dates"),
        (["2020-01-03 09:30", "2020-01-03 16:00"], 5, r"two times of one day"),
        (["1", "2.5"], 5, r"era '2\.5' is not a number and not a date \(wanted: 0001"),
        (["-1"], 5, r"era '-1' is not"),
        (["2020-02-30"], 5, r"era '2020-02-30' is not"),
        (["1234567890"], 5, r"era '1234567890' is not"),
        (["NaN"], 5, r"era 'NaN' is not"),
        (["1", None], 5, r"a row has no era"),
    ],
)
def test_what_has_no_place_in_time_is_refused(labels: list[str | None], days_per_era: int, said: str) -> None:
    with pytest.raises(EraError, match=said):
        number_eras(labels, days_per_era)


def test_a_further_file_is_matched_by_date_or_by_number() -> None:
    known = {1: "2020-01-03", 2: "2020-01-10", 5: "2020-01-31"}
    assert match_eras(["20200131", "20200103", "20200104", "X"], known) == {"20200131": 5, "20200103": 1}
    assert match_eras(["2020-01-10 00:00:00"], known) == {"2020-01-10 00:00:00": 2}
    assert match_eras(["0005", "era2"], known) == {"0005": 5, "era2": 2}
    assert match_eras(["20200131", "3.0"], {}) == {"20200131": 20200131, "3.0": 3}


def test_a_further_file_must_not_mix_dates_and_numbers() -> None:
    with pytest.raises(EraError, match="is a date, and the eras of the data are numbers"):
        match_eras(["2020-01-03"], {})
    with pytest.raises(EraError, match="write all eras in one way"):
        match_eras(["2020-01-03", "2"], {1: "2020-01-03"})


def test_text_is_a_date_or_not() -> None:
    assert [date_of(text) for text in ("2020-01-03", "2020/1/3", "20200103")] == [date(2020, 1, 3)] * 3
    assert [date_of(text) for text in ("574", "20201399", "10000101", "2020-13-01", "era1")] == [None] * 5
