"""Horizons in the names of targets."""

import re
from collections.abc import Sequence

from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.core.formatting import listed

HORIZONS = (20, 60)
"""Business days at the end of the tournament's target names."""


def horizon_in(name: str) -> int | None:
    """The business days at the end of a target's name: `target_ender_20` → 20, `target_10d` → 10, `target_mine_2` → None."""
    match = re.search(r"_(\d{1,3})(d?)$", name)
    days = int(match[1]) if match else 0
    return days if match and days and (match[2] or days in HORIZONS) else None


def refuse_shorter_horizon(target: str, horizon_days: int | None) -> None:
    """Raises NlabError where the config's horizon is shorter than the one in the target's name, as its embargo would leak."""
    named = horizon_in(target)
    if horizon_days and named and horizon_days < named:
        raise NlabError(
            f"data.horizon_days: {horizon_days}, but {target!r} looks {named} days ahead by its name; leave horizon_days out, "
            "or rename the column if the name is wrong"
        )


def horizon_note(target: str, horizon_days: int | None) -> str:
    """A note where the config's horizon is longer than the one in the target's name; empty otherwise."""
    named = horizon_in(target)
    if not horizon_days or not named or horizon_days <= named:
        return ""
    return f"the horizon is {horizon_days} days, as data.horizon_days says; the name {target} says {named}"


def targets_there(name: str, columns: Sequence[str]) -> str:
    """A text of the targets among columns, the nearest first; empty where there are none."""
    targets = [column for column in columns if column.startswith("target")]
    if len(targets) < 2:
        return f"its only target is {targets[0]!r}" if targets else ""
    close = nearest(name, targets)
    there = f"its targets are {listed(targets)}"
    return f"{close} {there}" if close.startswith("did") else there
