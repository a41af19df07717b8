"""Era labels as numbers: the notations that files use, and which week a date is."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.core.arrays import Int64
from numerai_lab.core.errors import NlabError

if TYPE_CHECKING:
    import polars as pl

DAYS_PER_ERA = 5
"""Business days from one era to the next: the tournament's eras are weeks."""
LIVE = ("X", "eraX", "era X")
"""Labels of live rows, which have no era yet."""
WANTED = "wanted: 0001, era1, week 1 or 1; dates as 2020-01-03 or 20200103; X for live"

# At most nine digits: invented eras are numbered beyond all others, and int32 must hold them.
_NUMBER = re.compile(r"(?:(?:era|week)[\s_]*)?0*([0-9]{1,9})(?:\.0*)?", re.IGNORECASE)
_TIME = r"(?P<time>\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?"
_DATE = re.compile(rf"(?P<year>\d{{4}})([-/.])(?P<month>\d{{1,2}})\2(?P<day>\d{{1,2}})(?:[T ]{_TIME})?")
DAY_COUNTS = range(7_000, 75_000)
"""Integers that may count the days since 1970 or 1900, for eras since 1989."""
_YEARS = range(1900, 2200)
"""Years that make an integer of eight digits a date."""


class EraError(NlabError, ValueError):
    """Era labels that can't be read; `label` is the one at fault, None where it is not about one label."""

    def __init__(self, message: str, label: str | None = None) -> None:
        super().__init__(message)
        self.label = label


@dataclass(frozen=True)
class Calendar:
    """Numbers of dates. `first` is era 1, and `days_per_era` business days pass from one era to the next.

    Where days_per_era is a multiple of 5, calendar days are counted, 7 for every 5. Two dates whose numbers differ by n are
    more than n − 1 steps apart, whatever the weekday. offset: units (calendar or business days) that are added before the
    division; half a step rounds to the nearest number.
    """

    first: date
    days_per_era: int = DAYS_PER_ERA
    offset: int = 3

    @property
    def step(self) -> int:
        """Units from one era to the next."""
        return self.days_per_era * 7 // 5 if self.days_per_era % 5 == 0 else self.days_per_era

    def numbers_of(self, days: Iterable[date]) -> list[int]:
        """The number of each date: 1 for `first`, below 1 for earlier ones."""
        numbers: list[int] = (1 + (self._units(days) + self.offset) // self.step).tolist()
        return numbers

    def _units(self, days: Iterable[date]) -> Int64:
        """Units that passed since `first`."""
        ends, start = np.array(list(days), "datetime64[D]"), np.datetime64(self.first, "D")
        if self.days_per_era % 5 == 0:
            return (ends - start).astype(np.int64)
        return np.asarray(np.busday_count(start, ends), np.int64)


@dataclass(frozen=True)
class EraNumbers:
    """Era labels as numbers.

    numbers: era number by label as it is written; labels of live rows are not among them. dates: ISO date by era number;
    empty where eras are plain numbers. calendar: how dates were numbered, else None.
    """

    numbers: Mapping[str, int]
    dates: Mapping[int, str]
    calendar: Calendar | None


def calendar_of(dates: Mapping[int, str], days_per_era: int) -> Calendar:
    """The calendar that numbers dates as a data set did. dates: ISO date by era number."""
    days = {era: date.fromisoformat(text) for era, text in sorted(dates.items())}
    first = next(iter(days.values()))
    usual = Calendar(first, days_per_era)
    offsets = dict.fromkeys((usual.step // 2, first.weekday(), *range(usual.step)))
    return next(
        calendar
        for calendar in (replace(usual, offset=offset) for offset in offsets)
        if calendar.numbers_of(days.values()) == list(days)
    )


def number_eras(labels: Iterable[str | None], days_per_era: int = DAYS_PER_ERA, calendar: Calendar | None = None) -> EraNumbers:
    """Numbers for the distinct era labels of a data set.

    Integers stay the numbers they are: `0001`, `1`, `era1`, `era 1`, `1.0`, `week 0001`. Dates become consecutive numbers
    whose differences are the weeks (or steps of days_per_era business days) that passed: ISO text with or without a time,
    `2020/01/03`, and integers where every one reads as yyyymmdd. calendar: numbers dates as data seen before did.

    Raises EraError for other labels, for dates mixed with numbers, and for two dates that get one number.
    """
    integers, dates = _parsed(labels)
    _refuse_year_and_week(integers)
    _refuse_counted_days(integers)
    days = _as_dates(integers, dates)
    if not days:
        return EraNumbers(integers, {}, None)
    used = calendar or _fitting(sorted(set(days.values())), days_per_era)
    numbers = dict(zip(days, used.numbers_of(days.values()), strict=True))
    return EraNumbers(numbers, {numbers[label]: day.isoformat() for label, day in days.items()}, used)


def match_eras(labels: Iterable[str | None], known: Mapping[int, str]) -> dict[str, int]:
    """Numbers for the era labels of a further file, by date or by number as the file has them.

    known: ISO date by era number of the data, empty where its eras are plain numbers. Labels of live rows, and of dates that
    the data lack, are left out. Raises EraError for labels that are neither, and where the file has dates and the data none.
    """
    integers, dates = _parsed(labels)
    if dates and not known:
        raise EraError(f"era {next(iter(dates))!r} is a date, and the eras of the data are numbers")
    days = _as_dates(integers, dates) if known else {}
    if not days:
        return integers
    number_of = {day: number for number, day in known.items()}
    numbers = {label: number_of.get(day.isoformat()) for label, day in days.items()}
    return {label: number for label, number in numbers.items() if number is not None}


def era_label(column: str) -> "pl.Expr":
    """A column of eras of whatever dtype as the text that `number_eras` reads."""
    import polars as pl

    return pl.col(column).cast(pl.String)


def era_number(label: "pl.Expr", numbers: Mapping[str, int]) -> "pl.Expr":
    """Labels as int32 numbers; null where `numbers` has none, such as live rows."""
    import polars as pl

    return label.replace_strict(list(numbers), list(numbers.values()), default=None, return_dtype=pl.Int32)


def is_live(label: str) -> bool:
    """Whether an era label stands for live rows."""
    return label.strip() in LIVE


def date_of(text: str) -> date | None:
    """`2020-01-03`, `2020/01/03` or `20200103` as a date; None for anything else."""
    try:
        match = _DATE.fullmatch(text.strip())
        if match is not None:
            return date(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:
        return None
    return _compact_date(int(text)) if re.fullmatch(r"\s*\d{8}\s*", text) else None


def era_name(era: int, dates: Mapping[int, str]) -> str:
    """An era as the user knows it: its date as 20200103 where eras are dates, else its number."""
    return dates[era].replace("-", "") if era in dates else str(era)


def _parsed(labels: Iterable[str | None]) -> tuple[dict[str, int], dict[str, date]]:
    """Labels that are integers, and labels that are dates; live ones are in neither."""
    integers: dict[str, int] = {}
    dates: dict[str, date] = {}
    times: dict[date, tuple[str, str]] = {}
    for label in labels:
        if label is None:
            raise EraError(f"a row has no era ({WANTED})")
        text = label.strip()
        number, written = _NUMBER.fullmatch(text), _DATE.fullmatch(text)
        day = date_of(text) if written else None
        if number is not None:
            integers[label] = int(number[1])
        elif written is not None and day is not None:
            dates[label] = day
            other = times.setdefault(day, (_time_of_day(written["time"]), label))
            if other[0] != _time_of_day(written["time"]):
                raise EraError(f"eras {other[1]!r} and {label!r} are two times of one day; an era is a day or longer", label)
        elif not is_live(text):
            raise EraError(f"era {label!r} is not a number and not a date ({WANTED})", label)
    return integers, dates


def _as_dates(integers: Mapping[str, int], dates: Mapping[str, date]) -> dict[str, date]:
    """The date of every label; empty where no label is a date. Raises EraError where some are dates and others are not."""
    compact = {label: _compact_date(value) for label, value in integers.items()}
    days = {**dates, **{label: day for label, day in compact.items() if day is not None}}
    plain = next((label for label in integers if label not in days), None)
    if days and plain is not None:
        raise EraError(f"era {next(iter(days))!r} is a date and era {plain!r} is a number; write all eras in one way", plain)
    return days


def _time_of_day(text: str | None) -> str:
    """Comparable text of a time; empty for midnight and where there is none."""
    return (text or "").rstrip("0:.")


def _compact_date(value: int) -> date | None:
    """20200103 as a date; None where the integer is none."""
    year, month, day = value // 10000, value // 100 % 100, value % 100
    try:
        return date(year, month, day) if year in _YEARS else None
    except ValueError:
        return None


def _refuse_year_and_week(integers: Mapping[str, int]) -> None:
    """Integers such as 202052, 202101 jump at the end of a year, so their differences are no distances."""
    if integers and all(value // 100 in _YEARS and 1 <= value % 100 <= 53 for value in integers.values()):
        label = next(iter(integers))
        raise EraError(
            f"era {label!r} and all others read as year and month or week (yyyymm, yyyyww), which do not tell how far eras are "
            "apart; write dates such as 2020-01-31, or consecutive numbers",
            label,
        )


def _refuse_counted_days(integers: Mapping[str, int]) -> None:
    """Integers such as 43833, 43840: days since some first day, of which seven make an era."""
    values = sorted(set(integers.values()))
    if len(values) < 2 or not DAY_COUNTS.start <= values[0] <= values[-1] < DAY_COUNTS.stop:
        return
    if not math.gcd(*(later - values[0] for later in values[1:])) % 7:
        label = next(label for label, value in integers.items() if value == values[0])
        raise EraError(
            f"era {label!r} and all others are whole weeks apart if they count days, as spreadsheets do; write dates such as "
            "2020-01-31, or consecutive numbers",
            label,
        )


def _fitting(days: list[date], days_per_era: int) -> Calendar:
    """The calendar of dates (rising, distinct): numbers are rounded; weeks begin on Mondays where only that parts all dates."""
    rounded = Calendar(days[0], days_per_era)
    rounded = replace(rounded, offset=rounded.step // 2)
    weeks = replace(rounded, offset=days[0].weekday())
    for calendar in (rounded, weeks) if days_per_era == DAYS_PER_ERA else (rounded,):
        if len(set(calendar.numbers_of(days))) == len(days):
            return calendar
    numbers = rounded.numbers_of(days)
    at = next(i for i in range(1, len(days)) if numbers[i] == numbers[i - 1])
    both = f"eras {days[at - 1].isoformat()} and {days[at].isoformat()}"
    weekend = next((day for day in days[at - 1 : at + 1] if day.weekday() >= 5), None)
    if days_per_era == 1 and weekend is not None:
        raise EraError(
            f"{both} are one business day, by which data.days_per_era: 1 counts: {weekend.isoformat()} is at a weekend; "
            "leave such rows out"
        )
    within = "one week" if days_per_era == DAYS_PER_ERA else f"one step of {days_per_era} business days"
    raise EraError(
        f"{both} fall into {within}; set data.days_per_era to the business days from one era to the next (1 for daily data)"
    )
