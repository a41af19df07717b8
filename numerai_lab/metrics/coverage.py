"""The eras that are scored: those with enough rows, and enough of them with predictions."""

from collections.abc import Sequence

import numpy as np

from numerai_lab.core.arrays import Float32, Float64
from numerai_lab.core.errors import NlabError

LEAST_COVERAGE = 0.8
"""Share of an era's rows with a target that need a prediction. Source: numerai_tools.scoring."""


class Coverage:
    """Counts the rows of eras, and lists the eras that no variant is scored on."""

    def __init__(self, least_rows: int) -> None:
        self.least_rows = least_rows
        self.few: list[int] = []
        self.uncovered: list[int] = []
        self.most_rows = 0
        self.scored: list[int] = []

    def add(self, era: int, target: Float32, predictions: Float32 | Float64) -> None:
        """Adds an era. target: NaN where unknown; predictions: rows × columns, NaN where missing.

        A row counts if it has both.
        """
        known = np.isfinite(target)
        n_rows = int((known & np.isfinite(predictions).all(axis=1)).sum())
        self.most_rows = max(self.most_rows, n_rows)
        if n_rows < LEAST_COVERAGE * known.sum():
            self.uncovered.append(era)
        elif n_rows < self.least_rows:
            self.few.append(era)
        else:
            self.scored.append(era)

    def lines(self) -> list[str]:
        """A sentence on the eras left out for each reason. Raises NlabError when no era is left."""
        reasons = (
            (self.few, f"fewer than {self.least_rows} rows with a target (scoring.least_rows)"),
            (self.uncovered, f"under {LEAST_COVERAGE:.0%} of the rows with a target have a prediction"),
        )
        lines = [f"{_counted(eras)} left out of all variants: {why}; the first is era {eras[0]}" for eras, why in reasons if eras]
        if self.scored or not lines:
            return lines
        advice = f"; the largest has {self.most_rows}: set scoring.least_rows to {max(2, self.most_rows)} or less"
        raise NlabError("no era can be scored. " + ". ".join(lines) + (advice if self.few and self.most_rows >= 2 else ""))


def too_wide_for_fnc(feature_set: str, width: int, n_rows: Sequence[int], least_rows: int) -> str | None:
    """A remark where features explain every column of an era, so that it has no FNC.

    width: features of the set; n_rows: of each era; eras with fewer than `least_rows` are not scored anyway.
    """
    scored = [n for n in n_rows if n >= least_rows]
    wide = [n for n in scored if n <= width + 1]
    if not wide:
        return None
    some = len(wide) < len(scored)
    which = f"{len(wide):,} of" if some else "any of the"
    return (
        f"fnc can't be computed for {which} {len(scored):,} scored eras: the {width:,} features of {feature_set} explain every "
        f"column of an era of at most {width + 1:,} rows, and {'these' if some else 'they'} have {max(wide):,} or fewer; "
        "scoring.fnc_features can name a smaller set"
    )


def _counted(eras: list[int]) -> str:
    return f"{len(eras)} era{'s are' if len(eras) > 1 else ' is'}"
