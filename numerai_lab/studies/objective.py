"""The objective of a sweep: a score of one variant on a split that the search may see."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.metrics import METRICS
from numerai_lab.metrics.changes import DELTAS
from numerai_lab.metrics.scoring import split_names
from numerai_lab.report.tables import best_is_high
from numerai_lab.runs.reading import Run

SEEN = ("val1", "cv")
"""Splits that a search may see; val2 judges the chosen trial alone."""
DEFAULT = "val1.corr.mean"
CHANGE = "delta_"
NAN = math.nan


class Change(NamedTuple):
    """Difference of a value from the reference's in the same run, with its 95 % interval where it is tested; else NaN."""

    value: float = NAN
    low: float = NAN
    high: float = NAN


NO_CHANGE = Change()


@dataclass(frozen=True)
class SweepObjective:
    """The column of the score table that trials are ranked by, for one variant and split."""

    variant: str
    split: str
    column: str

    @property
    def high(self) -> bool:
        """Whether larger values are better."""
        return best_is_high(self.column) is not False

    def of(self, done: Run) -> float:
        """The objective's value in a run; NaN where there is none. Reads the row of its variant and split alone."""
        return self._cell(done, self.variant, self.column)

    def change(self, done: Run) -> Change:
        """The difference of the value from that of the run's reference on the same split."""
        column, reference = self.column.removeprefix(CHANGE), done.manifest["scoring"]["reference"]
        if reference == self.variant:
            return NO_CHANGE
        tested = Change(*(self._cell(done, self.variant, f"{CHANGE}{column}{end}") for end in ("", "_low", "_high")))
        if not math.isnan(tested.value):
            return tested
        return Change(self._cell(done, self.variant, column) - self._cell(done, reference, column))

    def lacks(self, done: Run) -> str:
        """The predictions that the data lack on this split, so that no trial has a value; empty where none are lacking."""
        import polars as pl

        name = max((name for name in METRICS if self._plain.startswith(f"{name}_")), key=len)
        metric = METRICS[name]
        by_era = metric.window[0] if metric.window else name
        eras = done.per_era.filter(pl.col("split").is_in(split_names(done.per_era).get(self.split, ())))
        known = by_era in eras.columns and eras[by_era].fill_null(NAN).is_finite().any()
        return "" if known else metric.needs

    @property
    def _plain(self) -> str:
        return self.column.removeprefix(CHANGE)

    def _cell(self, done: Run, variant: str, column: str) -> float:
        rows = done.scores.filter(variant=variant, split=self.split)
        value = rows[column].to_list() if column in rows.columns else []
        return float(value[0]) if value and value[0] is not None else NAN

    def __str__(self) -> str:
        return f"{self.column} of {self.variant} in {self.split}"


def objective_of(text: str, config: Config) -> SweepObjective:
    """Parses `[VARIANT:]SPLIT.METRIC.STAT`, such as `raw+umap:val1.corr.sharpe`.

    The default variant is the first beside the reference. `delta_METRIC` is the change against the reference. Raises NlabError
    for an unknown variant or score, for val2, which judges the chosen trial, and for a change of the reference itself.
    """
    variant, _, rest = text.rpartition(":")
    parts = rest.split(".")
    candidates = [name for name in config.variants if name != config.reference] or [config.reference]
    variant = variant or candidates[0]
    if variant not in config.variants:
        raise NlabError(f"--objective: no variant {variant!r}; {nearest(variant, config.variants)}")
    if len(parts) != 3:
        raise NlabError(f"--objective: {text!r} is not SPLIT.METRIC.STAT, such as {DEFAULT}")
    split, metric, stat = parts
    if split not in SEEN or (split == "cv" and config.cv is None):
        known = "val1" + (" or cv" if config.cv else " (or cv, with `cv:` in the config)")
        raise NlabError(f"--objective: {split} is not for choosing: a search sees {known}; val2 judges what it chose")
    if metric.startswith(CHANGE) and variant == config.reference:
        raise NlabError(f"--objective: {variant} is the reference, which has no {metric}; name another variant, VARIANT:{rest}")
    scores = [f"{name}.{stat_name}" for name, entry in METRICS.items() for stat_name in entry.stats]
    changes = [f"{CHANGE}{name}.{stat_name}" for name, stat_name in DELTAS]
    if f"{metric}.{stat}" not in (*scores, *changes):
        every = changes if metric.startswith(CHANGE) else scores
        known_ones = [score for score in every if score.startswith(f"{metric}.")] or every
        raise NlabError(f"--objective: no score {metric}.{stat}; {nearest(f'{metric}.{stat}', known_ones)}")
    return SweepObjective(variant, split, f"{metric}_{stat}")
