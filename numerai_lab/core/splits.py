"""The eras that train, embargo, val1, val2 and holdout are made of. Pure functions of era numbers."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from numerai_lab.core.era_ranges import parse_era_range, parse_share
from numerai_lab.core.eras import DAYS_PER_ERA, date_of, era_name
from numerai_lab.core.errors import NlabError
from numerai_lab.core.split_config import Embargo, EmbargoSpec, SplitsConfig

Eras = NDArray[np.int_]

MARGIN_DAYS = 20
"""Business days that an embargo lasts beyond the target's horizon."""


@dataclass(frozen=True)
class Splits:
    """Eras by what they are for, each tuple rising.

    `embargo` are eras that are predicted but never scored, `holdout` those that only `nlab unseal` predicts and scores.
    """

    train: tuple[int, ...]
    embargo: tuple[int, ...]
    val1: tuple[int, ...]
    val2: tuple[int, ...]
    embargo_eras: int
    required_eras: int
    holdout: tuple[int, ...] = ()

    @property
    def validation(self) -> tuple[int, ...]:
        """Every era that is predicted: embargo, val1 and val2."""
        return tuple(sorted((*self.embargo, *self.val1, *self.val2)))

    @property
    def scored(self) -> tuple[int, ...]:
        """val1 and val2."""
        return (*self.val1, *self.val2)

    @property
    def distance(self) -> int:
        """The fewest eras that lie between a training era and a scored one, or between val1 and val2."""
        gaps = [self.embargo_eras] if not (self.train and self.scored) else []
        if not gaps:
            train, scored = np.array(self.train), np.array(self.scored)
            place = np.searchsorted(train, scored)
            before, after = train[np.maximum(place - 1, 0)], train[np.minimum(place, len(train) - 1)]
            gaps.append(int(np.minimum(np.abs(scored - before), np.abs(scored - after)).min()) - 1)
        if self.val1 and self.val2:
            gaps.append(self.val2[0] - self.val1[-1] - 1)
        return min(gaps)

    @property
    def leak(self) -> str:
        """The stamp of every table, such as `LEAK: embargo 2 < 8`; empty where eras lie as far apart as the horizon asks."""
        return f"LEAK: embargo {self.distance} < {self.required_eras}" if self.distance < self.required_eras else ""

    def name_of(self, era: int) -> str:
        """The split of a predicted era, as predictions.parquet names it."""
        return "val1" if era in self.val1 else "val2" if era in self.val2 else "embargo"


@dataclass(frozen=True)
class EraTable:
    """The facts of the data that splits are made from: eras (rising), the data_type of each, whether its target is known.

    dates: ISO date by era, empty where eras are plain numbers. days_per_era: business days from one era to the next.
    """

    eras: tuple[int, ...]
    data_types: tuple[str, ...]
    has_target: tuple[bool, ...]
    dates: Mapping[int, str] = field(default_factory=dict)
    days_per_era: int = DAYS_PER_ERA

    @classmethod
    def of(
        cls, eras: NDArray[np.int32], bounds: NDArray[np.int64], data_types: tuple[str, ...], target: NDArray[np.float32]
    ) -> Self:
        """From a panel's arrays; an era's target is known when two rows or more have one."""
        known = tuple(bool(np.isfinite(target[first:last]).sum() >= 2) for first, last in bounds)
        return cls(tuple(eras.tolist()), data_types, known)


def embargo_for(horizon_days: int, days_per_era: int = DAYS_PER_ERA) -> int:
    """Eras to leave out for a target's horizon in business days: the horizon and 20 days more.

    8 for 20 days and 16 for 60 where eras are weeks, 40 and 80 where they are days.
    """
    return -(-(horizon_days + MARGIN_DAYS) // days_per_era)


def make_splits(config: SplitsConfig, table: EraTable, horizon_days: int | None) -> Splits:
    """Train, embargo, val1, val2 and holdout eras.

    Eras whose target is unknown are neither trained on nor scored. A holdout comes off the end first: `val1` and `val2` are
    made of the eras that lie before it and its embargo. Raises NlabError, all problems at once, when the
    splits overlap, come too near to each other for the target's horizon, or leave nothing to learn from or to score.
    """
    embargo, required = embargo_eras(config.embargo, horizon_days, "splits.embargo", table.days_per_era)
    known = np.array([era for era, has in zip(table.eras, table.has_target, strict=True) if has], dtype=int)
    if not len(known):
        raise NlabError("splits: no era has a known target")
    train = _train_eras(config.train, table, known)
    if not len(train):
        raise NlabError(f"splits.train: {config.train!r} names no era with a known target ({_span(known, table.dates)} have one)")
    holdout = _holdout_eras(config.holdout, table, known)
    val1, val2 = _validation_eras(config, table, known, _between(train, holdout, embargo), embargo)
    _check({"train": train, "val1": val1, "val2": val2, "holdout": holdout}, known, table.dates, embargo)
    scored = {*val1.tolist(), *val2.tolist()}
    between = [era for era in table.eras if train.max() < era < max(scored) and era not in scored]
    return Splits(
        train=tuple(train[:: config.era_stride].tolist()),
        embargo=tuple(between),
        val1=tuple(val1.tolist()),
        val2=tuple(val2.tolist()),
        embargo_eras=embargo,
        required_eras=required,
        holdout=tuple(holdout.tolist()),
    )


def names_no_training(config: SplitsConfig, table: EraTable) -> bool:
    """Whether neither the config nor the data says which eras train: a table of validation rows alone."""
    untouched = config.model_copy(update={"embargo": "auto"}) == SplitsConfig()
    return untouched and "train" not in table.data_types


def all_scored(table: EraTable) -> Splits:
    """Every era with a known target is scored, in two halves; none trains. Raises NlabError where there are fewer than 2."""
    known = [era for era, has in zip(table.eras, table.has_target, strict=True) if has]
    if len(known) < 2:
        raise NlabError(f"splits: {len(known)} eras have a known target; to score two halves it takes 2")
    half = (len(known) + 1) // 2
    return Splits((), (), tuple(known[:half]), tuple(known[half:]), 0, 0)


def embargo_eras(spec: EmbargoSpec, horizon_days: int | None, where: str, days_per_era: int = DAYS_PER_ERA) -> tuple[int, int]:
    """Eras to leave out, and how many the horizon asks for. Raises NlabError that begins with `where`."""
    required = None if horizon_days is None else embargo_for(horizon_days, days_per_era)
    if spec == "auto":
        if required is None:
            raise NlabError(
                f"{where}: auto, but the target's horizon is unknown (its name ends in neither _20 nor _60); "
                f"set data.horizon_days, or {where} to a number of eras"
            )
        return required, required
    eras, allowed = (spec.eras, spec.allow_leak) if isinstance(spec, Embargo) else (int(spec), False)
    if required is not None and eras < required and not allowed:
        raise NlabError(
            f"{where}: {eras} eras, but a {horizon_days}-day target needs {required}; "
            f"to lower it knowingly write {{eras: {eras}, allow_leak: true}}"
        )
    return eras, eras if required is None else required


def _train_eras(text: str, table: EraTable, known: Eras) -> Eras:
    if text == "train":
        named = {era for era, kind in zip(table.eras, table.data_types, strict=True) if kind == "train"}
        if not named:
            raise NlabError(
                "splits.train: the data has no data_type column that says which eras train; give a share or a range, "
                "such as splits.train: 60%"
            )
        return known[np.isin(known, list(named))]
    share = parse_share(text)
    if share is not None:
        return known[: int(len(known) * share)]
    return _within("train", text, table, known)


def _within(name: str, text: str, table: EraTable, known: Eras) -> Eras:
    """The known eras in a range of numbers, or of dates where eras are dates."""
    first, last = parse_era_range(text)
    days = tuple(date_of(str(bound)) for bound in (first, last))
    if isinstance(first, int) and isinstance(last, int) and not (table.dates and None not in days):
        return known[(known >= first) & (known <= last)]
    if not table.dates:
        raise NlabError(
            f"splits.{name}: {text!r} is a range of dates, and eras of this data are numbers ({_span(known, {})} have a target)"
        )
    ends = [str(day) for day in days]
    return known[[ends[0] <= table.dates[era] <= ends[1] for era in known.tolist()]]


def _holdout_eras(spec: int | str | None, table: EraTable, known: Eras) -> Eras:
    if spec is None:
        return known[:0]
    share = parse_share(spec) if isinstance(spec, str) else None
    if isinstance(spec, str) and share is None:
        eras = _within("holdout", spec, table, known)
    else:
        eras = known[max(0, len(known) - (int(spec) if share is None else int(len(known) * share))) :]
    if not len(eras):
        raise NlabError(f"splits.holdout: {spec!r} names no era with a known target ({_span(known, table.dates)} have one)")
    return eras


def _between(train: Eras, holdout: Eras, embargo: int) -> tuple[int, int]:
    """First and last era that may be scored: between training and holdout and the embargo of each."""
    last = int(holdout.min()) - embargo - 1 if len(holdout) else np.iinfo(np.int32).max
    return int(train.max()) + embargo + 1, last


def _validation_eras(
    config: SplitsConfig, table: EraTable, known: Eras, between: tuple[int, int], embargo: int
) -> tuple[Eras, Eras]:
    after = known[(known >= between[0]) & (known <= between[1])]
    # Halves lose the eras of the embargo between them in equal parts, so that they stay equally long.
    middle = (int(after[0]) + int(after[-1]) + 1) / 2 if len(after) else 0.0
    halves = {"first_half": after[after < middle - embargo / 2], "second_half": after[after >= middle + embargo / 2]}

    def eras(name: str, text: str) -> Eras:
        return halves[text] if text in halves else _within(name, text, table, known)

    return eras("val1", config.val1), eras("val2", config.val2)


def _check(parts: Mapping[str, Eras], known: Eras, dates: Mapping[int, str], embargo: int) -> None:
    """parts: in the order in which they must follow each other; only the holdout may have no eras."""
    end, holdout = era_name(int(parts["train"].max()), dates), parts["holdout"]
    before = f", the holdout begins at {era_name(int(holdout.min()), dates)}" if len(holdout) else ""
    problems = [
        f"splits.{name}: no era with a known target is left (train ends at {end}, embargo {embargo} eras{before})"
        for name in ("val1", "val2")
        if not len(parts[name])
    ]
    for (name, eras), (later_name, later) in itertools.pairwise((name, eras) for name, eras in parts.items() if len(eras)):
        between = int(later.min()) - int(eras.max()) - 1
        if between < 0:
            problems.append(
                f"splits.{later_name}: {_span(later, dates)} overlap {name}: {_span(eras, dates)}; splits must follow each other"
            )
        elif between < embargo:
            last, first = int(eras.max()), int(eras.max()) + embargo + 1
            allowed = min((era for era in known.tolist() if era >= first), default=first) if dates else first
            problems.append(
                f"splits.{later_name}: starts {between} eras after {name} ends (era {era_name(last, dates)}), "
                f"the embargo is {embargo}; start it at era {era_name(allowed, dates)} or later"
            )
    if problems:
        raise NlabError("\n".join(problems))


def _span(eras: Eras, dates: Mapping[int, str]) -> str:
    return f"eras {era_name(int(eras.min()), dates)}-{era_name(int(eras.max()), dates)}" if len(eras) else "no eras"
