"""The sentence on a whole run: which methods are shown to help, which gains are excluded, what may not be said."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from numerai_lab.core.formatting import joined
from numerai_lab.metrics.verdict import NOT_BEATEN, signed
from numerai_lab.report.verdicts import CALLED, ONE_SEED_OF_ALL, Change

if TYPE_CHECKING:
    from numerai_lab.report.conclusion import VariantLine

NAMED = 3
"""Most variants that the sentence names; of more it gives the number."""
UNCLEAR = 0.001
"""A reference with a smaller corr is no measure of gains."""


@dataclass(frozen=True)
class Terms:
    """What a sentence is about.

    reference: its name; corr: its mean corr. one_seed: some variant has one seed. leak: the stamp of splits that leak.
    chosen: val1 chose the run, and val2 judges it. noun: what is compared. split: where it is not both halves together. stamps:
    further sentences that belong to it.
    """

    reference: str
    corr: float
    n_eras: int
    one_seed: bool = False
    synthetic: bool = False
    leak: str = ""
    chosen: bool = False
    noun: str = "method"
    split: str = ""
    stamps: tuple[str, ...] = ()

    @property
    def eras(self) -> str:
        many = f"{self.n_eras} era{'s' * (self.n_eras != 1)}{f' of {self.split}' if self.split else ''}"
        return f"the {many} of val2, which had no part in the choice of this run" if self.chosen else f"these {many}"


def sentence(lines: Sequence["VariantLine"], terms: Terms) -> str:
    """The sentence on the compared variants of a run; it follows from the outcomes and simultaneous intervals of the lines.

    `None of 6 methods is shown to help over these 60 eras; gains above .0049 corr are excluded for 4 of them.`
    """
    methods = [line for line in lines if line.role == "method"]
    parts = [_found(methods, terms), *_rest(methods, terms), *_of_placebos(lines, methods, terms)]
    text = f"{'; '.join(parts)}."
    stamps = [f"{terms.leak[0].upper()}{terms.leak[1:].rstrip('.')}." if terms.leak else ""]
    stamps.append(f"One seed: {ONE_SEED_OF_ALL}." if terms.one_seed and methods else "")
    synthetic = "SYNTHETIC data. " if terms.synthetic else ""
    return " ".join([f"{synthetic}{text}", *filter(None, stamps), *terms.stamps])


def _found(methods: Sequence["VariantLine"], terms: Terms) -> str:
    """How many methods are shown to help."""
    if not methods:
        return f"No {terms.noun} was compared with {terms.reference} over {terms.eras}: its corr is {Change(terms.corr)}"
    if all(line.outcome == "too few eras" for line in methods):
        whom = (
            f"whether {methods[0].variant} helps" if len(methods) == 1 else f"whether any of {len(methods)} {terms.noun}s helps"
        )
        return f"{terms.eras[0].upper()}{terms.eras[1:]} are too few to say {whom}"
    better = [line for line in methods if line.outcome == "better"]
    over = f"shown to help over {terms.eras}"
    if not better:
        return f"{methods[0].variant} is not {over}" if len(methods) == 1 else f"None of {len(methods)} {terms.noun}s is {over}"
    best = sorted(better, key=lambda line: -line.change.value)
    several = [f"{line.variant} ({_gain(line)})" for line in best[:NAMED]]
    more = [f"{len(best) - NAMED} more"] if len(best) > NAMED else []
    if len(methods) == 1:
        alone = "" if best[0].beside else ", with no placebo beside it"
        return f"{best[0].variant} is {over}: corr {best[0].change} against {terms.reference}{alone}"
    return f"{len(better)} of {len(methods)} {terms.noun}s {_are(better)} {over}: {joined([*several, *more])}"


def _gain(line: "VariantLine") -> str:
    return f"{line.change}{'' if line.beside else ', no placebo beside it'}"


def _rest(methods: Sequence["VariantLine"], terms: Terms) -> list[str]:
    """Parts on the methods that are not shown to help."""
    by = {kind: [line for line in methods if line.outcome == kind] for kind in ("worse", "same", "too few eras")}
    parts = []
    for kind, text in NOT_BEATEN.items():
        members = [line for line in methods if line.outcome == text]
        if members:
            parts.append(f"{_names(members)} {_verb(members, 'beat')} {terms.reference}, but not {CALLED[kind]}")
    if by["worse"]:
        parts.append(f"{_names(by['worse'])} {_are(by['worse'])} worse than {terms.reference}")
    parts += _excluded(methods, terms)
    if by["same"]:
        parts.append(f"{_names(by['same'])} {_verb(by['same'], 'score')} the same as {terms.reference}")
    if by["too few eras"] and len(by["too few eras"]) < len(methods):
        parts.append(f"these eras and seeds are too few to judge {_names(by['too few eras'])}")
    return parts


def _excluded(methods: Sequence["VariantLine"], terms: Terms) -> list[str]:
    """The part on excluded gains: those of methods with no gain that matters, else what the intervals of most exclude.

    Where a gain as large as the corr of the reference is not excluded, the part says so instead of a number.
    """
    none = [line for line in methods if line.outcome == "no gain"]
    unsure = [line for line in methods if line.outcome == "undecided"]
    if none:
        bound = max(*(line.change.high for line in none), 0.0001)
        return [f"gains above {_bare(bound)} corr are excluded for {_share(none, methods)}"]
    if not unsure:
        return []
    ends = sorted(line.change.high for line in unsure)
    bound = ends[len(ends) // 2]
    if terms.corr > UNCLEAR and bound >= terms.corr:
        wide = [line for line in unsure if line.change.high >= terms.corr]
        return [f"even twice the corr of {terms.reference} ({_bare(terms.corr)}) remains possible for {_share(wide, methods)}"]
    within = [line for line in unsure if line.change.high <= bound]
    return [f"gains above {_bare(bound)} corr are excluded for {_share(within, methods)}"]


def _of_placebos(lines: Sequence["VariantLine"], methods: Sequence["VariantLine"], terms: Terms) -> list[str]:
    """A part on placebos that beat the reference, and one where nothing but placebos was compared."""
    placebos = [line for line in lines if line.role == "placebo"]
    better = [line for line in placebos if line.outcome == "better"]
    parts = [f"{len(placebos)} placebo{'s' * (len(placebos) != 1)} alone"] if placebos and not methods else []
    if better:
        parts.append(f"the placebo{'s' * (len(better) != 1)} {_names(better)} {_verb(better, 'beat')} {terms.reference} too")
    return parts


def _share(members: Sequence["VariantLine"], methods: Sequence["VariantLine"]) -> str:
    if len(methods) == 1:
        return "it"
    return "all of them" if len(members) == len(methods) else f"{len(members)} of them"


def _names(members: Sequence["VariantLine"]) -> str:
    return joined(line.variant for line in members) if len(members) <= NAMED else f"{len(members)} of them"


def _are(members: Sequence["VariantLine"]) -> str:
    return "is" if len(members) == 1 else "are"


def _verb(members: Sequence["VariantLine"], verb: str) -> str:
    return f"{verb}s" if len(members) == 1 else verb


def _bare(value: float) -> str:
    return signed(value).lstrip("+") if math.isfinite(value) else ""
