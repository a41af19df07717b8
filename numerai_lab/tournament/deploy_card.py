"""The card of a deployed model: what it is, how well it did in validation, how it was verified."""

import math
from collections.abc import Mapping
from typing import Any

from numerai_lab.core.era_ranges import span_text
from numerai_lab.fitting.portable import Portable
from numerai_lab.runs.reading import Run

SHOWN = {"corr_mean": "mean corr", "corr_sharpe": "sharpe of corr", "mmc_mean": "mean mmc", "fnc_mean": "mean fnc"}
"""Columns of scores.csv that the card names."""


def card(run: Run, portable: Portable, facts: Mapping[str, Any]) -> str:
    """The card as Markdown. facts: those of verified.json."""
    splits, part = run.manifest["splits"], portable.variants[facts["variant"]]
    synthetic = " **The data is synthetic: this model knows nothing of real stocks.**" if facts["synthetic"] else ""
    recipe = f"the ensemble of {', '.join(part.members)}" if part.members else f"{part.kind} on {', '.join(part.inputs)}"
    neutral = part.neutralize
    taken_out = "" if neutral is None else f"; {neutral.proportion:g} of its fit on `{neutral.features}` is taken out of each era"
    equal = facts["equal to the bit"]
    scored = "The scores are those of the run's models, which are in this file."
    if facts["refit"]:
        scored = "This model was trained again on all resolved eras and was NEVER SCORED: the run's scores are those of another."
    lines = [
        f"# {facts['variant']} of {facts['run']}",
        "",
        f"A model for the Numerai tournament, deployed by numerai_lab {facts['nlab']}.{synthetic}",
        "",
        "| | |",
        "| --- | --- |",
        f"| model | {recipe}{taken_out} |",
        f"| seeds | {', '.join(map(str, facts['seeds']))} |",
        f"| data | {facts['data']} |",
        f"| target | {facts['target']} |",
        f"| trained on | {facts['refit'] or 'eras ' + span_text(tuple(splits['train']))} |",
        *([] if facts["refit"] else _scores(run, facts["variant"])),
        f"| file | predict.pkl, {facts['bytes']:,} bytes, sha256 {facts['sha256']} |",
        f"| verified | {facts['rows']:,} rows of {facts['eras']} validation eras: {equal:.3%} equal to the run's predictions to "
        f"the bit, the others within {facts['largest difference']:.1e}; rank correlation {facts['rank correlation']:.7f} |",
        f"| speed | {facts['seconds']} s for the slowest era, loading included; {facts['peak MB']} MB |",
        f"| packages | {', '.join(f'{name} {version}' for name, version in facts['versions'].items())} |",
        f"| not installed | {', '.join(facts['not installed'])}: the container has them, the model does not read them |",
        "",
        scored,
        "",
        "Whoever uploads predict.pkl gives Numerai the model: they can read it. A model slot that it is assigned to takes no "
        "submissions by API any more.",
        "",
    ]
    return "\n".join(lines)


def _scores(run: Run, variant: str) -> list[str]:
    rows = run.scores.filter((run.scores["variant"] == variant) & (run.scores["split"] == "val"))
    shown = {text: rows[name][0] for name, text in SHOWN.items() if name in rows.columns and len(rows)}
    return [
        f"| {text} in validation | {value:+.4f} |" for text, value in shown.items() if value is not None and math.isfinite(value)
    ]
