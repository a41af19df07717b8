"""One sentence a variant: is the gain real?"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from numerai_lab.metrics.significance import LEVEL
from numerai_lab.metrics.verdict import NOT_BEATEN, no_gain, signed, verdict_of

if TYPE_CHECKING:
    import polars as pl


Outcome = Literal["better", "placebo not beaten", "untrained not beaten", "worse", "no gain", "undecided", "same", "too few eras"]
ONE_SEED = "of these two trained models, not of the method"
"""What a verdict without seeds to compare is about."""
OPEN = ("no gain", "undecided", "same", "too few eras")
MANY = 20
"""Variants of a comparison whose verdicts are all said one by one."""
CALLED = {"placebo": "its placebo", "untrained": "an untrained network"}
"""Kinds of placebos in sentences."""


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


def lines_of_comparison(table: "pl.DataFrame") -> list[str]:
    """What stands below the table of several runs: verdicts in its order, how many were judged together, what these eras see.

    Of many variants only those whose verdict is no open question are said one by one, and the others counted.
    """
    rows = compared(table)
    if not rows:
        return []
    several = len({row["run"] for row in table.to_dicts()}) > 1
    n = _members(rows)
    judgements = [(outcome(row), verdict({**row, **_names(row, several)}, n)) for row in rows]
    lines = [sentence for kind, sentence in judgements if len(rows) <= MANY or kind not in OPEN]
    rest = Counter(kind for kind, _ in judgements if len(rows) > MANY and kind in OPEN)
    counted = [f"{sum(rest.values())} others: {', '.join(f'{count} {kind}' for kind, count in rest.items())}"] if rest else []
    together = f"p adj, verdicts and their intervals are adjusted over all {n} variants that were compared here" if n > 1 else ""
    return [*lines, *counted, *filter(None, [together, resolution(table)])]


def _names(row: Mapping[str, Any], several: bool) -> dict[str, str]:
    """Variant and reference, with their runs where there are several."""
    if several:
        return {"variant": f"{row['run']}/{row['variant']}"}
    return {"reference": str(row.get("reference") or "").removeprefix(f"{row['run']}/")}


def compared(scores: "pl.DataFrame", split: str = "val") -> list[dict[str, Any]]:
    """The rows of a split that were compared with the reference."""
    if "delta_corr_mean" not in scores.columns:
        return []
    return [row for row in scores.to_dicts() if row["split"] == split and row["delta_corr_mean"] is not None]


def verdict(row: Mapping[str, Any], n_compared: int = 1) -> str:
    """What a row of the score table says of its change of corr, such as

    `raw+umap: corr +0.0012 [-0.0003, +0.0027] against baseline, undecided; against its placebo noise -0.0001 [-0.0017, +0.0015]`.
    The intervals are the simultaneous ones, by which the verdict goes. n_compared: variants that were judged together.
    """
    change, low, high = _ends(row, "delta")
    if math.isnan(change):
        return f"{row['variant']}: no era in which both it and the reference have a score"
    result = outcome(row)
    reference = f" against {row['reference']}" if row.get("reference") else ""
    interval = "" if result == "too few eras" else f" [{low:+.4f}, {high:+.4f}]"
    comparison = f"{row['variant']}: corr {change:+.4f}{interval}{reference}, {_finding(row, result, n_compared)}"
    parts = [comparison, *(_beside(row, kind) for kind in CALLED), ONE_SEED if row.get("delta_n_seeds") == 1 else ""]
    return "; ".join(part for part in parts if part)


def _finding(row: Mapping[str, Any], result: Outcome, n_compared: int) -> str:
    """What comes of the comparison with the reference."""
    if result in ("same", "too few eras"):
        return "the same scores as the reference" if result == "same" else "too few eras or seeds to say"
    alone, adjusted = (_number(row, f"delta_corr_mean_p{end}") for end in ("", "_adjusted"))
    if result in ("better", "worse"):
        return f"{result} (adjusted p {_short(adjusted)})"
    if result in NOT_BEATEN.values():
        kind = next(kind for kind, text in NOT_BEATEN.items() if text == result)
        return f"better than the reference (adjusted p {_short(adjusted)}), not shown to be better than {CALLED[kind]}"
    conclusion = "undecided" if result == "undecided" else no_gain(_ends(row, "delta")[2])
    return f"{conclusion} (alone yes (p {_short(alone)}), among {n_compared} no)" if alone < 1 - LEVEL else conclusion


def _beside(row: Mapping[str, Any], kind: str) -> str:
    """The comparison with a placebo; empty where there is none."""
    change, low, high = _ends(row, f"delta_{kind}")
    if not row.get(kind) or math.isnan(change):
        return ""
    between = "" if math.isnan(low) else f" [{low:+.4f}, {high:+.4f}]"
    ending = {"better": ", better", "worse": ", worse", "same": ", the same scores"}.get(verdict_of(change, low, high), "")
    return f"against {CALLED[kind]} {row[kind]} {change:+.4f}{between}{ending}"


def outcome(row: Mapping[str, Any]) -> Outcome:
    """The kind of a row's verdict."""
    text = str(row.get("verdict") or verdict_of(*_ends(row, "delta")))
    kinds: tuple[Outcome, ...] = get_args(Outcome)
    return next(kind for kind in kinds if text.startswith(kind))


def resolution(scores: "pl.DataFrame", split: str = "val") -> str:
    """What the eras of a split can see, once for the whole table; empty where nothing was compared.

    `These 60 eras tell differences of .0067 corr apart (80 % power, among 6 variants).` That holds for the variant in the
    middle; where a larger difference is undecided, the one with the widest interval is named beside it.
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


def _wider(rows: list[dict[str, Any]], seen: float) -> str:
    """Of variants that differ by more than the resolution and are undecided, the one with the widest interval."""
    open_ones = [row for row in rows if outcome(row) == "undecided" and abs(_ends(row, "delta")[0]) > seen]
    halves = {row["variant"]: (_ends(row, "delta")[2] - _ends(row, "delta")[1]) / 2 for row in open_ones}
    if not halves:
        return ""
    name = max(halves, key=lambda variant: halves[variant])
    return f"; {name} varies more: its interval reaches {signed(halves[name]).lstrip('+')} to either side"


def _members(rows: list[dict[str, Any]]) -> int:
    """How many rows were judged together: copies of the reference and those with too few eras were not."""
    return sum(outcome(row) not in ("same", "too few eras") for row in rows)


def _ends(row: Mapping[str, Any], prefix: str) -> tuple[float, float, float]:
    """The change of mean corr and its simultaneous interval."""
    value, low, high = (_number(row, f"{prefix}_corr_mean{end}") for end in ("", "_sim_low", "_sim_high"))
    return value, low, high


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    return math.nan if value is None else float(value)


def _short(p: float) -> str:
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")
