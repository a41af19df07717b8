"""What a run shows: one sentence, and a line for each variant, from the rows and verdicts of its score table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numerai_lab.metrics.changes import KINDS
from numerai_lab.report.conclusion_sentence import Terms, sentence
from numerai_lab.report.verdicts import Change, Outcome, change_of, compared, outcome, remark_on_family, resolution, stated
from numerai_lab.runs.variant_facts import Role, VariantFacts

if TYPE_CHECKING:
    import polars as pl

    from numerai_lab.runs.reading import Run


@dataclass(frozen=True)
class VariantLine:
    """What is said of a variant. change: against the reference; beside: kind of placebo → its name and the change against it.

    verdict: as in the score table. The reference has neither. words, seconds: empty and None where they are not known.
    remark: what else must be said, such as that p alone is below .05.
    """

    variant: str
    words: str
    role: Role
    corr: float
    outcome: Outcome | None
    verdict: str
    change: Change
    beside: Mapping[str, "Beside"]
    seconds: float | None
    remark: str
    notes: str

    @property
    def corr_text(self) -> str:
        """Mean corr: `+.0170`."""
        return str(Change(self.corr))


@dataclass(frozen=True)
class Beside:
    """A placebo of a variant, and the change against it."""

    name: str
    change: Change


@dataclass(frozen=True)
class Conclusion:
    """The sentence on a run, its reference, the other variants (methods first, then placebos), and its resolution.

    split: the split that all of it is about. reference: None where its scores are not in the table.
    """

    sentence: str
    split: str
    reference: VariantLine | None
    lines: tuple[VariantLine, ...]
    resolution: str


def conclusion_of(run: "Run") -> Conclusion:
    """What a run shows. A run that a sweep chose on val1 is judged by val2, which had no part in the choice."""
    manifest = run.manifest
    choice = manifest.get("chosen")
    chosen = isinstance(choice, Mapping) and choice.get("split") == "val1"
    return conclusion(
        run.scores,
        VariantFacts.of_manifest(manifest),
        synthetic=manifest["data"]["synthetic"] is True,
        leak=str(manifest.get("leak") or ""),
        chosen=chosen and "val2" in run.scores["split"].to_list(),
    )


def conclusion(
    scores: "pl.DataFrame",
    facts: Mapping[str, VariantFacts],
    *,
    synthetic: bool = False,
    leak: str = "",
    chosen: bool = False,
) -> Conclusion:
    """What a score table shows. leak: the stamp of a run whose splits leak; chosen: val1 chose the run."""
    split = "val2" if chosen else "val"
    rows = compared(scores, split)
    every = [variant_line(row, facts.get(row["variant"], VariantFacts()), rows) for row in rows]
    reference = _reference(scores, facts, split, rows)
    compared_lines = [line for line in every if reference is None or line.variant != reference.variant]
    lines = sorted(compared_lines, key=lambda line: line.role == "placebo")
    terms = Terms(
        reference=reference.variant if reference else "the reference",
        corr=reference.corr if reference else math.nan,
        n_eras=int(rows[0].get("n_eras") or 0) if rows else _eras(scores, split),
        one_seed=any(row.get("delta_n_seeds") == 1 for row in rows),
        synthetic=synthetic,
        leak=leak,
        chosen=chosen,
    )
    return Conclusion(sentence(lines, terms), split, reference, tuple(lines), resolution(scores, split))


def variant_line(row: Mapping[str, Any], facts: VariantFacts, rows: Sequence[Mapping[str, Any]]) -> VariantLine:
    """The line of a row of the score table. rows: all rows that were compared together."""
    result = outcome(row)
    beside = {kind: Beside(row[kind], change_of(row, f"delta_{kind}")) for kind in KINDS if row.get(kind)}
    role: Role = "method" if facts.role == "reference" else facts.role
    return VariantLine(
        variant=row["variant"],
        words=facts.words,
        role=role,
        corr=_number(row.get("corr_mean")),
        outcome=result,
        verdict=stated(row),
        change=change_of(row, "delta"),
        beside={kind: own for kind, own in beside.items() if not math.isnan(own.change.value)},
        seconds=facts.seconds,
        remark=remark_on_family(row, rows),
        notes=row.get("notes") or "",
    )


def _reference(
    scores: "pl.DataFrame", facts: Mapping[str, VariantFacts], split: str, rows: Sequence[Mapping[str, Any]]
) -> VariantLine | None:
    """The line of the reference: the variant that others name, or the only one without a change."""
    names = [row.get("reference") for row in rows] + [name for name, own in facts.items() if own.role == "reference"]
    at_split = {row["variant"]: row for row in scores.to_dicts() if row["split"] == split}
    name = next((name for name in names if name in at_split), next(iter(at_split), None) if not rows else None)
    if name is None:
        return None
    own, row = facts.get(name, VariantFacts()), at_split[name]
    notes = row.get("notes") or ""
    corr = _number(row.get("corr_mean"))
    return VariantLine(name, own.words, "reference", corr, None, "", Change(), {}, own.seconds, "", notes)


def _eras(scores: "pl.DataFrame", split: str) -> int:
    rows = [row for row in scores.to_dicts() if row["split"] == split]
    return int(rows[0].get("n_eras") or 0) if rows else 0


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
