"""Verdicts on variants in sentences: is the gain real?"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from numerai_lab.metrics.significance import LEVEL
from numerai_lab.metrics.verdict import NOT_BEATEN, no_gain, signed, verdict_of

if TYPE_CHECKING:
    import polars as pl


Outcome = Literal["better", "placebo not beaten", "untrained not beaten", "worse", "no gain", "undecided", "same", "too few eras"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
ONE_SEED = "of these two trained models, not of the method"
"""The limit of a verdict where there is one seed."""
ONE_SEED_OF_ALL = "all of this is of these trained models, not of the methods"
"""The limit of all verdicts of a run with one seed."""
OPEN = ("no gain", "undecided", "same", "too few eras")
MANY = 20
"""Most variants of a comparison whose verdicts are all printed."""
CALLED = {"placebo": "its placebo", "untrained": "an untrained network"}
"""Kinds of placebos as sentences name them."""


@dataclass(frozen=True)
class Change:
    """A change of mean corr, and the ends of its simultaneous 95 % interval; NaN where they are not known."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan

    def __str__(self) -> str:
        """`-.0015 [-.0260, +.0230]`; without an interval the value alone."""
        if math.isnan(self.value):
            return "no score"
        between = "" if math.isnan(self.low) or math.isnan(self.high) else f" [{signed(self.low)}, {signed(self.high)}]"
        return f"{signed(self.value)}{between}"


def verdicts(scores: "pl.DataFrame") -> list[str]:
    """One sentence per compared variant, over val1 and val2 together."""
    return [sentence for _, sentence in judged(scores).values()]


def judged(scores: "pl.DataFrame", split: str = "val") -> dict[str, tuple[Outcome, str]]:
    """Variant → kind and sentence of its verdict on a split."""
    rows = compared(scores, split)
    return {row["variant"]: (outcome(row), verdict(row, _members(rows))) for row in rows}


def lines_below(scores: "pl.DataFrame") -> list[str]:
    """Lines below a printed score table: the verdicts and the resolution."""
    return [*verdicts(scores), *filter(None, [resolution(scores)])]


def lines_of_comparison(table: "pl.DataFrame", split: str = "val") -> list[str]:
    """Lines below a table of several runs: verdicts on a split in its order, the number of compared variants, the resolution.

    Beyond MANY variants, undecided ones are counted instead of listed.
    """
    rows = compared(table, split)
    if not rows:
        return []
    several = len({row["run"] for row in table.to_dicts()}) > 1
    n = _members(rows)
    judgements = [(outcome(row), verdict({**row, **_names(row, several)}, n)) for row in rows]
    lines = [sentence for kind, sentence in judgements if len(rows) <= MANY or kind not in OPEN]
    rest = Counter(kind for kind, _ in judgements if len(rows) > MANY and kind in OPEN)
    counted = [f"{sum(rest.values())} others: {', '.join(f'{count} {kind}' for kind, count in rest.items())}"] if rest else []
    together = f"p adj, verdicts and their intervals are adjusted over all {n} variants that were compared here" if n > 1 else ""
    return [*lines, *counted, *filter(None, [together, resolution(table, split)])]


def _names(row: Mapping[str, Any], several: bool) -> dict[str, str]:
    """Names of variant and reference for a sentence; with the run where there are several runs."""
    if several:
        return {"variant": f"{row['run']}/{row['variant']}"}
    return {"reference": str(row.get("reference") or "").removeprefix(f"{row['run']}/")}


def compared(scores: "pl.DataFrame", split: str = "val") -> list[dict[str, Any]]:
    """Rows of a split with a change against the reference."""
    if "delta_corr_mean" not in scores.columns:
        return []
    return [row for row in scores.to_dicts() if row["split"] == split and row["delta_corr_mean"] is not None]


def verdict(row: Mapping[str, Any], n_compared: int = 1) -> str:
    """The verdict on a row of the score table as a sentence, such as

    `raw+umap: corr +0.0012 [-0.0003, +0.0027] against baseline, undecided; against its placebo noise -0.0001 [-0.0017, +0.0015]`.
    Intervals are simultaneous, and the verdict follows them. n_compared: variants that were judged together.
    """
    change = change_of(row, "delta")
    if math.isnan(change.value):
        return f"{row['variant']}: no era in which both it and the reference have a score"
    result = outcome(row)
    reference = f" against {row['reference']}" if row.get("reference") else ""
    interval = "" if result == "too few eras" else f" [{change.low:+.4f}, {change.high:+.4f}]"
    comparison = f"{row['variant']}: corr {change.value:+.4f}{interval}{reference}, {_finding(row, result, n_compared)}"
    parts = [comparison, *(_beside(row, kind) for kind in CALLED), ONE_SEED if row.get("delta_n_seeds") == 1 else ""]
    return "; ".join(part for part in parts if part)


def _finding(row: Mapping[str, Any], result: Outcome, n_compared: int) -> str:
    """The outcome of the comparison with the reference, as part of a sentence."""
    if result in ("same", "too few eras"):
        return "the same scores as the reference" if result == "same" else "too few eras or seeds to say"
    adjusted = _number(row, "delta_corr_mean_p_adjusted")
    if result in ("better", "worse"):
        return f"{result} (adjusted p {_short(adjusted)})"
    if result in NOT_BEATEN.values():
        kind = next(kind for kind, text in NOT_BEATEN.items() if text == result)
        return f"better than the reference (adjusted p {_short(adjusted)}), not shown to be better than {CALLED[kind]}"
    conclusion = "undecided" if result == "undecided" else no_gain(change_of(row, "delta").high)
    alone = _alone(row, n_compared)
    return f"{conclusion} ({alone})" if alone else conclusion


def remark_on_family(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """`alone yes (p .015), among 6 no`, of a row that is undecided among all compared rows; empty for others."""
    unsure = _number(row, "delta_corr_mean_p") < 1 - LEVEL and outcome(row) in ("undecided", "no gain")
    return _alone(row, _members(rows)) if unsure else ""  # to count the rows for each of hundreds takes seconds


def _alone(row: Mapping[str, Any], n_compared: int) -> str:
    alone = _number(row, "delta_corr_mean_p")
    return f"alone yes (p {_short(alone)}), among {n_compared} no" if alone < 1 - LEVEL else ""


def _beside(row: Mapping[str, Any], kind: str) -> str:
    """The comparison with a placebo, as part of a sentence; empty where there is none."""
    change = change_of(row, f"delta_{kind}")
    if not row.get(kind) or math.isnan(change.value):
        return ""
    between = "" if math.isnan(change.low) else f" [{change.low:+.4f}, {change.high:+.4f}]"
    endings = {"better": ", better", "worse": ", worse", "same": ", the same scores"}
    ending = endings.get(verdict_of(change.value, change.low, change.high), "")
    return f"against {CALLED[kind]} {row[kind]} {change.value:+.4f}{between}{ending}"


def outcome(row: Mapping[str, Any]) -> Outcome:
    """The kind of the verdict on a row."""
    text = stated(row)
    return next(kind for kind in OUTCOMES if text.startswith(kind))


def stated(row: Mapping[str, Any]) -> str:
    """The verdict of a row in the table's words; by its interval where the table has none that this version knows."""
    text = row.get("verdict")
    if isinstance(text, str) and text.startswith(OUTCOMES):
        return text
    change = change_of(row, "delta")
    return verdict_of(change.value, change.low, change.high)


def resolution(scores: "pl.DataFrame", split: str = "val") -> str:
    """A line with the smallest difference that the eras of a split can detect; empty where nothing was compared.

    `these 60 eras tell differences of .0067 corr apart (80 % power, among 6 variants)`. The number is that of the median
    variant; where a larger difference is undecided, the line also names the variant with the widest interval.
    """
    rows = compared(scores, split)
    seen = [_number(row, "delta_corr_mean_resolution") for row in rows]
    if not seen or math.isnan(seen[0]):
        return ""
    n = _members(rows)
    among = f"among {n} variants" if n > 1 else "one variant"
    seeds = min(int(row.get("delta_n_seeds") or 1) for row in rows)
    few = {1: "noise of retraining left out: one seed", 2: "2 seeds; three or more make intervals much narrower"}
    trained = few.get(seeds, f"{seeds} seeds")
    return (
        f"these {rows[0]['n_eras']} eras tell differences of {signed(seen[0]).lstrip('+')} corr apart "
        f"(80 % power, {among}; {trained}){_wider(rows, seen[0])}"
    )


def _wider(rows: Sequence[Mapping[str, Any]], seen: float) -> str:
    """The end of a sentence on the undecided variant with the widest interval, of those with a difference above `seen`."""
    undecided = {row["variant"]: change_of(row, "delta") for row in rows if outcome(row) == "undecided"}
    halves = {name: (change.high - change.low) / 2 for name, change in undecided.items() if abs(change.value) > seen}
    if not halves:
        return ""
    name = max(halves, key=lambda variant: halves[variant])
    return f"; {name} varies more: its interval reaches {signed(halves[name]).lstrip('+')} to either side"


def _members(rows: Sequence[Mapping[str, Any]]) -> int:
    """Number of variants judged together: without copies of the reference and variants of too few eras."""
    return sum(outcome(row) not in ("same", "too few eras") for row in rows)


def change_of(row: Mapping[str, Any], prefix: str) -> Change:
    """The change of mean corr with its simultaneous interval. prefix: `delta`, or `delta_<kind of placebo>`."""
    return Change(*(_number(row, f"{prefix}_corr_mean{end}") for end in ("", "_sim_low", "_sim_high")))


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    return math.nan if value is None else float(value)


def _short(p: float) -> str:
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")
