"""One sentence a variant: is the gain real?"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from numerai_lab.metrics.significance import LEVEL

if TYPE_CHECKING:
    import polars as pl


Outcome = Literal["better", "worse", "not resolved", "same", "unknown"]


def verdicts(scores: "pl.DataFrame") -> list[str]:
    """A sentence for each variant that was compared, over val1 and val2 together."""
    if "delta_corr_mean" not in scores.columns:
        return []
    rows = [row for row in scores.to_dicts() if row["split"] == "val"]
    return [verdict(row) for row in rows if row["delta_corr_mean"] is not None]


def verdict(row: Mapping[str, Any]) -> str:
    """What a row of the score table says of its change of corr, such as

    `raw+umap: corr +0.0012 [-0.0003, +0.0027], not resolved; 410 more eras needed`. Better and worse go by the adjusted p.
    """
    change, low, high = (_number(row, f"delta_corr_mean{end}") for end in ("", "_low", "_high"))
    if math.isnan(change):
        return f"{row['variant']}: no era in which both it and the reference have a score"
    if math.isnan(low):
        return f"{row['variant']}: corr {change:+.4f}, too few eras to say"
    said, found = f"{row['variant']}: corr {change:+.4f} [{low:+.4f}, {high:+.4f}]", outcome(row)
    if found == "same":
        return f"{said}, the same scores as the reference"
    if found in ("better", "worse"):
        return f"{said}, {found} (adjusted p {_short(_number(row, 'delta_corr_mean_p_adjusted'))})"
    more = row.get("eras_more")
    return f"{said}, not resolved" + (f"; {more:,} more eras needed" if more else "")


def outcome(row: Mapping[str, Any]) -> Outcome:
    """What a verdict comes to in a word."""
    change, low, high = (_number(row, f"delta_corr_mean{end}") for end in ("", "_low", "_high"))
    if math.isnan(change) or math.isnan(low):
        return "unknown"
    if low == high == change == 0:
        return "same"
    if _number(row, "delta_corr_mean_p_adjusted") < 1 - LEVEL:
        return "better" if change > 0 else "worse"
    return "not resolved"


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    return math.nan if value is None else float(value)


def _short(p: float) -> str:
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")
