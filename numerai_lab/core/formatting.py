"""Bytes, seconds and parameters as people read them."""

import re
from collections.abc import Mapping

from numerai_lab.core.errors import NlabError

SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600}


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


def named_values(parameters: Mapping[str, object]) -> str:
    """`max_depth 5, subsample 1.0`, without parameters that are None."""
    return ", ".join(f"{name} {value}" for name, value in parameters.items() if value is not None)


def seconds_of(text: str, where: str) -> float:
    """The seconds of `90s`, `45m` or `1.5h`. Raises NlabError for anything else; where: begins the message."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?) *(s|m|min|h)", text.strip())
    if not parts:
        raise NlabError(f"{where}: {text!r} is no time; wanted a number with its unit, such as 90s, 45m or 2h")
    return float(parts[1]) * SECONDS[parts[2]]
