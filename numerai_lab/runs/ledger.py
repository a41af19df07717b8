"""The ledger of looks at holdouts: a line of JSON an event, only ever appended to, shared by all runs of a folder."""

import getpass
import json
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from numerai_lab.core.era_ranges import stretches
from numerai_lab.core.errors import NlabError
from numerai_lab.runs.layout import LEDGER
from numerai_lab.storage.event_log import EventLog

OPENED, SCORED = "opened", "scored"


@dataclass(frozen=True)
class Holdout:
    """The target and eras of a look. data: identity of the files; source: where the config found them; eras: sealed, rising."""

    data: str
    source: str
    target: str
    eras: tuple[int, ...]

    def overlaps(self, other: "Holdout") -> bool:
        """Whether both have the same target, an era in common, and the same data or source.

        Data that has grown or was written anew has another identity and the same source.
        """
        same_data = self.data == other.data or self.source == other.source
        return same_data and self.target == other.target and not set(self.eras).isdisjoint(other.eras)


@dataclass(frozen=True)
class Look:
    """One look at a holdout. number: 1 for the first at any of its eras; result: what was scored, empty if that never came.

    before: runs whose looks came before, in order, `run/variant`.
    """

    holdout: Holdout
    run: str
    variant: str
    reference: str
    seeds: tuple[int, ...]
    number: int = 1
    before: tuple[str, ...] = ()
    time: str = ""
    user: str = ""
    host: str = ""
    id: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`run/variant`."""
        return f"{self.run}/{self.variant}"

    def facts(self) -> dict[str, Any]:
        """The look as the ledger writes it down when it is opened, without its result."""
        return {
            "event": OPENED,
            "id": self.id,
            "time": self.time,
            "user": self.user,
            "host": self.host,
            "run": self.run,
            "variant": self.variant,
            "reference": self.reference,
            "seeds": list(self.seeds),
            "data": self.holdout.data,
            "source": self.holdout.source,
            "target": self.holdout.target,
            "eras": [list(ends) for ends in stretches(self.holdout.eras)],
            "look": self.number,
            "looks_before": list(self.before),
        }

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Look":
        """The inverse of `facts`. Raises KeyError, TypeError or ValueError for anything else."""
        holdout = Holdout(facts["data"], facts["source"], facts["target"], _eras(facts["eras"]))
        texts = {key: str(facts[key]) for key in ("run", "variant", "reference", "time", "user", "host", "id")}
        seeds, before = tuple(map(int, facts["seeds"])), tuple(map(str, facts["looks_before"]))
        return cls(holdout=holdout, seeds=seeds, number=int(facts["look"]), before=before, result={}, **texts)


class Ledger:
    """The ledger of a folder of runs."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER
        self._log = EventLog(self.path)

    def looks(self) -> tuple[list[Look], list[str]]:
        """All looks, in order, and a sentence for each line that can't be read, such as one that a killed writer left."""
        looks: dict[str, Look] = {}
        remarks = []
        for number, line in self._log.lines():
            try:
                facts = json.loads(line)
                if facts["event"] == OPENED:
                    looks[facts["id"]] = Look.of(facts)
                elif facts["event"] == SCORED:
                    looks[facts["id"]] = _with_result(looks[facts["id"]], facts["result"])
            except (ValueError, KeyError, TypeError, RecursionError):
                remarks.append(f"{self.path}: line {number} can't be read and is passed over (a killed writer leaves such lines)")
        return list(looks.values()), remarks

    def before(self, holdout: Holdout) -> list[Look]:
        """Looks at any era of a holdout, in order."""
        return [look for look in self.looks()[0] if look.holdout.overlaps(holdout)]

    def open(self, look: Look, *, again: bool) -> Look:
        """Records a look before its scores are known; returns it with its number, time and user.

        Raises NlabError when the holdout was looked at before, unless `again`.
        """
        with self.owned():
            earlier = self.before(look.holdout)
            if earlier and not again:
                raise already_looked_at(earlier)
            opened = Look(
                look.holdout,
                look.run,
                look.variant,
                look.reference,
                look.seeds,
                len(earlier) + 1,
                tuple(previous.name for previous in earlier),
                datetime.now(UTC).isoformat(timespec="seconds"),
                _user(),
                platform.node(),
                uuid4().hex,
            )
            self._log.append(opened.facts())
        return opened

    def close(self, look: Look, result: Mapping[str, Any]) -> Look:
        """Records the result of an opened look."""
        with self.owned():
            time = datetime.now(UTC).isoformat(timespec="seconds")
            self._log.append({"event": SCORED, "id": look.id, "time": time, "result": dict(result)})
        return _with_result(look, result)

    def owned(self) -> AbstractContextManager[None]:
        """Keeps every other process from writing to the ledger meanwhile."""
        return self._log.owned()


def already_looked_at(earlier: Sequence[Look]) -> NlabError:
    """The error for a holdout that was looked at before."""
    last = earlier[-1]
    n = f"{len(earlier)} look{'s' * (len(earlier) > 1)}"
    return NlabError(
        f"unseal: this holdout has been looked at ({n}, the last at {last.name} by {last.user} on {last.time[:10]}); what is "
        "seen twice is a validation set. `nlab ledger` lists all looks; --again takes another, and counts it on every table"
    )


def _with_result(look: Look, result: Mapping[str, Any]) -> Look:
    return Look(**{**vars(look), "result": dict(result)})


def _eras(spans: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(era for first, last in spans for era in range(first, last + 1))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user id without a name
        return str(os.getuid())
