"""Bytes, seconds and parameters as people read them."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence

from numerai_lab.core.errors import NlabError

UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that turn the direction of text, ends of lines, halves of characters."""
LONGEST_VALUE = 100
SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600}


def printable(text: str, *, lines: bool = False) -> str:
    """The text with control characters escaped as `\\u001b`, so that no name can move a cursor or begin a line of its own.

    lines: keeps the ends of lines and tabs, for texts of several lines.
    """
    kept = "\n\t" if lines else ""
    return UNPRINTABLE.sub(lambda match: match[0] if match[0] in kept else f"\\u{ord(match[0]):04x}", text)


def indented(text: str) -> str:
    """`printable`, where every line but the first begins with blanks."""
    first, *further = printable(text, lines=True).split("\n")
    return "\n".join([first, *(line if line.startswith("  ") or not line else f"  {line}" for line in further)])


def brief(value: object) -> str:
    """`repr` of a value, at most 100 characters of it."""
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


class Printable(logging.Formatter):
    """Formats records as lines of a log: what a record holds, it begins no line that passes for another record."""

    def format(self, record: logging.LogRecord) -> str:
        return indented(super().format(record))


def human_bytes(n_bytes: float) -> str:
    """`1.4 GB`: decimal units, as disks are sold and `du --si` counts."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def human_seconds(seconds: float) -> str:
    """`40 s`, `12 min`, `1.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def joined(words: Iterable[str]) -> str:
    """`a`, `a and b`, or `a, b and c`."""
    *first, last = [*words] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def listed(names: Sequence[str], most: int = 10) -> str:
    """`a, b, c`; of more than `most` names the first, `a, b and 3 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def named_values(parameters: Mapping[str, object]) -> str:
    """`max_depth 5, subsample 1.0`, without parameters that are None."""
    return ", ".join(f"{name} {value}" for name, value in parameters.items() if value is not None)


def seconds_of(text: str, where: str) -> float:
    """The seconds of `90s`, `45m` or `1.5h`. Raises NlabError for anything else; where: begins the message."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?) *(s|m|min|h)", text.strip())
    if not parts:
        raise NlabError(f"{where}: {text!r} is no time; wanted a number with its unit, such as 90s, 45m or 2h")
    return float(parts[1]) * SECONDS[parts[2]]
