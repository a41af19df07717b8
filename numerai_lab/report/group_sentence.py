"""The sentence on runs that are compared, by the rows and verdicts of their table."""

import math
from collections.abc import Mapping
from dataclasses import replace

from numerai_lab.report.choice import chosen
from numerai_lab.report.comparison import Group
from numerai_lab.report.conclusion import VariantLine, variant_line
from numerai_lab.report.conclusion_sentence import Terms, sentence
from numerai_lab.report.verdicts import compared
from numerai_lab.runs.variant_facts import VariantFacts


def group_sentence(group: Group) -> str:
    """What a group of runs shows on its split, against its reference, in one sentence and the stamps that belong to it."""
    rows = compared(group.table, group.split)
    facts = {run.name: VariantFacts.of_manifest(run.manifest) for run in group.members}
    several = len(group.members) > 1
    lines = [_named(variant_line(row, facts[row["run"]].get(row["variant"], VariantFacts()), rows), row, several) for row in rows]
    at_split = group.table.filter(split=group.split).to_dicts()
    own = next((row for row in at_split if f"{row['run']}/{row['variant']}" == group.reference), {})
    terms = Terms(
        reference=group.reference if several else str(own.get("variant") or group.reference),
        corr=math.nan if own.get("corr_mean") is None else float(own["corr_mean"]),
        n_eras=int((rows[0] if rows else own).get("n_eras") or 0),
        one_seed=any(row.get("delta_n_seeds") == 1 for row in rows),
        synthetic=any(run.manifest["data"]["synthetic"] is True for run in group.members),
        leak=next((str(run.manifest["leak"]) for run in group.members if run.manifest.get("leak")), ""),
        noun="variant" if several else "method",
        split="" if group.split == "val" else group.split,
        stamps=_of_choices(group, several),
    )
    return sentence(lines, terms)


def _named(line: VariantLine, row: Mapping[str, object], several: bool) -> VariantLine:
    return replace(line, variant=f"{row['run']}/{row['variant']}") if several else line


def _of_choices(group: Group, several: bool) -> tuple[str, ...]:
    """A sentence on the runs that a sweep chose by eras of this split; none where the split had no part in a choice."""
    flattered = [run for run in group.members if chosen(run.manifest) and group.split != "val2"]
    if not flattered:
        return ()
    if not several:
        text = chosen(flattered[0].manifest)
        return (f"{text[0].upper()}{text[1:]}.",)
    who = flattered[0].name if len(flattered) == 1 else f"{len(flattered)} of these runs"
    return (f"A sweep chose {who} by these eras, which flatter it; --split val2 judges by eras that had no part in the choice.",)
