"""The tables and sentences of `nlab controls`."""

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.core.formatting import named_values
from numerai_lab.generators import GENERATORS
from numerai_lab.metrics.verdict import signed
from numerai_lab.report.tables import TableColumn, markdown
from numerai_lab.studies.control_findings import Finding, Result, expected_of, findings, musts_of, result_of
from numerai_lab.studies.control_outcomes import ControlRun, VariantOutcomes, outcomes_of
from numerai_lab.studies.world_pooling import Interval, finite

if TYPE_CHECKING:
    import polars as pl

COLUMNS = (
    TableColumn("world", "world", "s"),
    TableColumn("variant", "method", "s"),
    TableColumn("expected", "expected", "s"),
    TableColumn("result", "result", "s"),
    TableColumn("delta", "Δ corr"),
    TableColumn("interval", "95 % of Δ", "s"),
    TableColumn("by_seed", "Δ by world seed", "s"),
    TableColumn("resolved", "resolved", "s"),
    TableColumn("delta_placebo", "Δ placebo"),
    TableColumn("interval_placebo", "95 % of Δ placebo", "s"),
    TableColumn("share_of_truth", "share of truth", ".2f"),
)
ASKED = tuple(TableColumn(name, name, "s") for name in ("world", "method", "needs", "measured", "result"))
STATED = tuple(TableColumn(name, name, "s") for name in ("method", "control", "result"))
EXPLAINED = (
    "Δ corr is the change of mean corr against raw features alone, paired by era, over both halves of validation and all world "
    "seeds. Its interval holds for all methods together and for worlds like these, drawn anew. `resolved` counts the world "
    "seeds in which the interval of the run leaves out 0; that interval holds for all variants of the run together. Δ placebo is "
    "the change against columns of noise, or the same rows again. In `missing − steady`, Δ is how much more a method "
    "gains over its placebo in `missing` than in `steady`, and a placebo over raw features. Share of truth is Δ divided by what "
    "the truth has more of corr than raw features, the mean over world seeds. Expected: `+` a gain, `−` a loss, `0` no gain, "
    "empty: reported alone."
)


def outcome_table(runs: Sequence[ControlRun]) -> "pl.DataFrame":
    """A row for each world and variant."""
    import polars as pl

    musts = musts_of(runs)
    schema = {column.name: pl.String if column.style == "s" else pl.Float64 for column in COLUMNS}
    rows = [_row(row, expected_of(row, musts), result_of(row, musts)) for row in outcomes_of(runs)]
    return pl.DataFrame(rows, schema=schema)


def page(runs: Sequence[ControlRun]) -> str:
    """The whole result as Markdown: what was asked, every number, and what each method's class states."""
    import polars as pl

    asked = pl.DataFrame([_asked(finding) for finding in findings(runs, outcomes_of(runs))])
    parts = ["# Controls", _head(runs), "## What was asked", markdown(asked, ASKED) if len(asked) else "Nothing."]
    parts += ["## What was measured", EXPLAINED, markdown(outcome_table(runs), COLUMNS)]
    parts += ["## What each method's class states", markdown(pl.DataFrame(_stated(runs)), STATED)]
    failed = failures(runs)
    return "\n\n".join([*parts, *(["\n".join(f"- {line}" for line in failed)] if failed else [])]) + "\n"


def results_text(runs: Sequence[ControlRun]) -> str:
    """The numbers of the table as JSON; a page of the manual is made from it."""
    musts = musts_of(runs)
    rows = [
        {
            "world": row.world,
            "variant": row.variant,
            "kinds": row.kinds,
            "expected": expected_of(row, musts),
            "result": result_of(row, musts) or "",
            **{key: finite(getattr(row.pooled, key)) for key in ("value", "low", "high")},
            "share_of_truth": finite(row.share_of_truth),
        }
        for row in outcomes_of(runs)
    ]
    return json.dumps({"seeds": list(dict.fromkeys(run.seed for run in runs)), "rows": rows}, indent=1) + "\n"


def failures(runs: Sequence[ControlRun]) -> list[str]:
    """A line for each run that failed."""
    return [f"Failed: {run.world}, world seed {run.seed}: {run.failure}" for run in runs if run.run is None]


def _head(runs: Sequence[ControlRun]) -> str:
    seeds = dict.fromkeys(run.seed for run in runs)
    models = {run.world: named_values(run.config.model.model_dump()) for run in runs}
    worlds_of = {model: ", ".join(world for world, own in models.items() if own == model) for model in models.values()}
    lines = ["SYNTHETIC data; `nlab controls` writes this page", f"world seeds {', '.join(map(str, seeds))}"]
    lines += [f"model {model}: {worlds}" for model, worlds in worlds_of.items()]
    return "\n".join(f"- {line}" for line in lines)


def _row(row: VariantOutcomes, expected: str, result: Result | None) -> dict[str, Any]:
    changes = [outcome.change for outcome in row.outcomes]
    return {
        "world": row.world,
        "variant": row.variant,
        "expected": expected,
        "result": result or "",
        "delta": row.pooled.value,
        "interval": _ends(row.pooled),
        "by_seed": " ".join(signed(change.value) for change in changes),
        "resolved": _resolved(row),
        "delta_placebo": row.against_placebo.value,
        "interval_placebo": _ends(row.against_placebo),
        "share_of_truth": row.share_of_truth,
    }


def _resolved(row: VariantOutcomes) -> str:
    """`+2 of 3`, of gains and losses `+1 −1 of 3`; with a placebo also `, placebo +3`."""
    own = _signs([outcome.change for outcome in row.outcomes])
    beside = [outcome.against["placebo"] for outcome in row.outcomes if "placebo" in outcome.against]
    apart = bool(beside) and math.isfinite(row.against_placebo.value)
    return f"{own} of {row.n_seeds}" + (f", placebo {_signs(beside)}" if apart else "")


def _signs(changes: Sequence[Interval]) -> str:
    gains, losses = (sum(change.sign == sign for change in changes) for sign in (1, -1))
    return " ".join(([f"+{gains}"] if gains else []) + ([f"−{losses}"] if losses else [])) or "0"


def _ends(interval: Interval) -> str:
    known = math.isfinite(interval.low) and math.isfinite(interval.high)
    return f"{interval.low:+.4f} … {interval.high:+.4f}" if known else ""


def _asked(finding: Finding) -> dict[str, str]:
    result = "holds" if finding.holds else "**does not hold**"
    return {
        "world": finding.world,
        "method": finding.variant,
        "needs": finding.needs,
        "measured": finding.measured,
        "result": result,
    }


def _stated(runs: Sequence[ControlRun]) -> list[dict[str, str]]:
    """A row for each kind of the registries: what its class states, and what came of it here."""
    musts = musts_of(runs)
    results: dict[str, list[str]] = {}
    for row in outcomes_of(runs):
        result = result_of(row, musts)
        if result in ("found", "missed") and len(row.kinds) == 1:
            results.setdefault(row.kinds[0], []).append(f"{row.variant} {result} in {row.world}")
    tried = {kind for run in runs for variant in run.config.variants for kind in run.kinds(variant)}
    return [
        {"method": kind, "control": str(cls.control), "result": _result(kind, results.get(kind, []), kind in tried)}
        for kind, cls in {**GENERATORS, **AUGMENTERS}.items()
    ]


def _result(kind: str, results: Sequence[str], tried: bool) -> str:
    untried = "" if tried else f"not in these runs: `nlab controls --only {kind}`"
    return ", ".join(results) or untried
