"""Seconds that stages took on this machine, by kind of work: from earlier runs, for estimates of time."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from numerai_lab.storage.stamped_json import read_stamped, with_stamp
from numerai_lab.storage.whole_files import write_whole

NAME = "stage_seconds.json"
LONGEST, LEAST_AMOUNT = 1e9, 1e-9
MOST = 2000
"""Kinds of work that are remembered; those that came longest ago go first."""


@dataclass(frozen=True)
class Speed:
    """Seconds that an amount of work took; amounts of a kind are proportional to time."""

    seconds: float
    amount: float


def read_speeds(cache: Path) -> dict[str, Speed]:
    """Kind of work → its last speed here; empty where nothing is known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        recorded = read_stamped(cache / NAME)["speeds"]
        speeds = {str(kind): Speed(float(seconds), float(amount)) for kind, (seconds, amount) in recorded}
        return {kind: speed for kind, speed in speeds.items() if 0 <= speed.seconds < LONGEST and speed.amount > LEAST_AMOUNT}
    return {}


def remember_speeds(cache: Path, speeds: Mapping[str, Speed]) -> None:
    """Adds speeds to what is remembered; does nothing where the cache can't be written to."""
    if speeds:
        together = {kind: speed for kind, speed in read_speeds(cache).items() if kind not in speeds} | dict(speeds)
        last = list(together.items())[-MOST:]
        with suppress(OSError):
            write_whole(cache / NAME, with_stamp({"speeds": [(kind, (s.seconds, s.amount)) for kind, s in last]}).encode())
