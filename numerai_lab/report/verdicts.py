"""One sentence a variant: is the gain real?"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from numerai_lab.metrics.significance import LEVEL
from numerai_lab.metrics.verdict import NO_GAIN, signed, verdict_of

if TYPE_CHECKING:
    import polars as pl


Outcome = Literal["better", "worse", "no gain", "undecided", "same", "too few eras"]
ONE_SEED = "of these two trained models, not of the method"
"""What a verdict without seeds to compare is about."""


def verdicts(scores: "pl.DataFrame") -> list[str]:
    """A sentence for each variant that was compared, over val1 and val2 together."""
    return [sentence for _, sentence in judged(scores).values()]


def judged(scores: "pl.DataFrame", split: str = "val") -> dict[str, tuple[Outcome, str]]:
    """Kind and sentence of the verdict on each variant that was compared in a split."""
    rows = compared(scores, split)
    return {row["variant"]: (outcome(row), verdict(row, _members(rows))) for row in rows}


def lines_below(scores: "pl.DataFrame") -> list[str]:
    """What stands below a printed score table: the verdicts, and what these eras can see."""
    return [*verdicts(scores), *filter(None, [resolution(scores)])]


def compared(scores: "pl.DataFrame", split: str = "val") -> list[dict[str, Any]]:
    """The rows of a split that were compared with the reference."""
    if "delta_corr_mean" not in scores.columns:
        return []
    return [row for row in scores.to_dicts() if row["split"] == split and row["delta_corr_mean"] is not None]


def verdict(row: Mapping[str, Any], n_compared: int = 1) -> str:
    """What a row of the score table says of its change of corr, such as

    `raw+umap: corr +0.0012 [-0.0003, +0.0027], undecided`. The interval is the simultaneous one, by which the verdict goes.
    n_compared: variants that were judged together.
    """
    change, low, high = (_number(row, f"delta_corr_mean{end}") for end in ("", "_sim_low", "_sim_high"))
    if math.isnan(change):
        return f"{row['variant']}: no era in which both it and the reference have a score"
    found = outcome(row)
    if found == "too few eras":
        return f"{row['variant']}: corr {change:+.4f}, too few eras to say"
    said = f"{row['variant']}: corr {change:+.4f} [{low:+.4f}, {high:+.4f}], "
    if found == "same":
        return f"{said}the same scores as the reference"
    alone, adjusted = (_number(row, f"delta_corr_mean_p{end}") for end in ("", "_adjusted"))
    if found in ("better", "worse"):
        said += f"{found} (adjusted p {_short(adjusted)})"
    else:
        said += "undecided" if found == "undecided" else f"{NO_GAIN} {signed(high)}"
        if alone < 1 - LEVEL:
            said += f" (alone yes (p {_short(alone)}), among {n_compared} no)"
    return f"{said}; {ONE_SEED}" if row.get("delta_n_seeds") == 1 else said


def outcome(row: Mapping[str, Any]) -> Outcome:
    """The kind of a row's verdict."""
    value, low, high = (_number(row, f"delta_corr_mean{end}") for end in ("", "_sim_low", "_sim_high"))
    text = str(row.get("verdict") or verdict_of(value, low, high))
    kinds: tuple[Outcome, ...] = ("better", "worse", "no gain", "undecided", "same", "too few eras")
    return next(kind for kind in kinds if text.startswith(kind))


def resolution(scores: "pl.DataFrame", split: str = "val") -> str:
    """What the eras of a split can see, once for the whole table; empty where nothing was compared.

    `These 60 eras tell differences of .0067 corr apart (80 % power, among 6 variants).`
    """
    rows = compared(scores, split)
    seen = [_number(row, "delta_corr_mean_resolution") for row in rows]
    if not seen or math.isnan(seen[0]):
        return ""
    n = _members(rows)
    among = f"among {n} variants" if n > 1 else "one variant"
    seeds = min(int(row.get("delta_n_seeds") or 1) for row in rows)
    trained = "noise of retraining left out: one seed" if seeds == 1 else f"{seeds} seeds"
    return (
        f"these {rows[0]['n_eras']} eras tell differences of {signed(seen[0]).lstrip('+')} corr apart "
        f"(80 % power, {among}; {trained})"
    )


def _members(rows: list[dict[str, Any]]) -> int:
    """How many rows were judged together: copies of the reference and those with too few eras were not."""
    return sum(outcome(row) not in ("same", "too few eras") for row in rows)


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    return math.nan if value is None else float(value)


def _short(p: float) -> str:
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")
