"""Eras as text: ranges and shares that users write, and the shortest text for a set of eras."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from fractions import Fraction

from numerai_lab.core.eras import date_of, era_name

_BOUND = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d+"


def parse_era_range(text: str) -> tuple[int, int] | tuple[date, date]:
    """`579-880` as two numbers, `2020-01-03..2020-12-25` as two dates; both ends are meant. Raises ValueError."""
    match = re.fullmatch(rf"\s*({_BOUND})\s*(?:-|\.\.)\s*({_BOUND})\s*", text)
    if match is not None:
        if match[1].isdecimal() and match[2].isdecimal() and int(match[1]) <= int(match[2]):
            return int(match[1]), int(match[2])
        first, last = date_of(match[1]), date_of(match[2])
        if first is not None and last is not None and first <= last:
            return first, last
    raise ValueError(f"not a range of eras such as '579-880', or of dates such as '2020-01-03..2020-12-25': {text!r}")


def parse_share(text: str) -> Fraction | None:
    """`60%` → 3/5, exactly; None for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text)
    if match is None or not 0 < Fraction(match[1]) < 100:
        return None
    return Fraction(match[1]) / 100


def exact_share(share: float, n: int) -> Fraction:
    """`share` of n as it is written in decimals: .29 of 100 is 29, where floats give 28.999…"""
    return Fraction(str(share)) * int(n)


def stretches(eras: Iterable[int]) -> list[tuple[int, int]]:
    """First and last era of each stretch without a gap: 1, 2, 3, 7 → (1, 3), (7, 7)."""
    ends: list[tuple[int, int]] = []
    for era in eras:
        if ends and era == ends[-1][1] + 1:
            ends[-1] = (ends[-1][0], era)
        else:
            ends.append((era, era))
    return ends


def ranges_text(eras: Iterable[int]) -> str:
    """Eras in few words, losing nothing: `1-3, 7`."""
    return spans_text(stretches(eras))


def spans_text(spans: Iterable[tuple[int, int]]) -> str:
    """First and last eras as text: `1-3, 7`."""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def shortened(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans; of more than three, as monthly dates make them, one from the first era to the last."""
    return spans if len(spans) <= 3 else [(spans[0][0], spans[-1][1])]


def span_text(eras: tuple[int, ...], dates: Mapping[int, str] | None = None) -> str:
    """`579-880 (302 eras)`; with gaps `61-68, 79-86 (16 eras)`; `20200103-20201225 (52 eras)` where eras have dates."""
    if not eras:
        return "none"
    spans = shortened(stretches(eras))
    names = [f"{era_name(first, dates or {})}-{era_name(last, dates or {})}" for first, last in spans]
    return f"{', '.join(names)} ({len(eras)} eras)"
