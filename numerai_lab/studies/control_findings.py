"""Compares what was measured in the synthetic worlds with what must and must not be found there."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.config.placebos import placebos_of
from numerai_lab.core.control import Control
from numerai_lab.generators import GENERATORS
from numerai_lab.metrics.verdict import SMALLEST_EFFECT, signed
from numerai_lab.studies.control_outcomes import ControlRun, SeedOutcome, VariantOutcomes
from numerai_lab.studies.control_requirements import CONTRASTS, MOST, MUST_NOTS, MUSTS, Must, MustNot, Opponent

Result = Literal["found", "missed", "no gain", "gain"]


@dataclass(frozen=True)
class Finding:
    """A requirement, what was measured, and whether it holds. variant: "" for all of a world."""

    world: str
    variant: str
    needs: str
    measured: str
    holds: bool

    def __str__(self) -> str:
        what = " ".join(filter(None, [self.world, self.variant]))
        return f"{what}: {self.needs}: {self.measured}: {'holds' if self.holds else 'DOES NOT HOLD'}"


def findings(runs: Sequence[ControlRun], rows: Sequence[VariantOutcomes]) -> list[Finding]:
    """Every requirement on the worlds that were run, and what came of it."""
    by_name = {(row.world, row.variant): row for row in rows}
    n_seeds = len({run.seed for run in runs})
    out = [_of_must(must, by_name.get((must.world, must.variant)), n_seeds) for must in musts_of(runs)]
    concerned = [(must_not, [row for row in rows if _concerns(must_not, row)]) for must_not in MUST_NOTS]
    return out + [_of_must_not(must_not, members) for must_not, members in concerned if members]


def musts_of(runs: Sequence[ControlRun]) -> list[Must]:
    """The requirements on variants that the runs have, and one for each other method whose class names a world."""
    worlds = {run.world: run for run in runs}
    listed = [must for must in MUSTS if _has(worlds, must.world, must.variant)]
    covered = {kind for must in listed for kind in worlds[_home(must.world)].kinds(must.variant)}
    implied = [
        _implied(run, variant)
        for run in worlds.values()
        for variant in run.config.variants
        for kind in run.kinds(variant)
        if run.kinds(variant) == (kind,) and kind not in covered and control_of(kind).world == run.world
    ]
    return [*listed, *(must for must in implied if _has(worlds, must.world, must.variant))]


def result_of(row: VariantOutcomes, musts: Iterable[Must]) -> Result | None:
    """Found or missed, a gain that must not be or none; None for what is reported alone."""
    for must in musts:
        if (must.world, must.variant) == (row.world, row.variant):
            return "found" if _holds(must, row, row.n_seeds) else "missed"
    concerned = [must_not for must_not in MUST_NOTS if _concerns(must_not, row)]
    if not concerned:
        return None
    return "gain" if any(_gains(row, must_not.than) for must_not in concerned) else "no gain"


def expected_of(row: VariantOutcomes, musts: Iterable[Must]) -> str:
    """The sign of Δ that is asked for: `+`, `−`, `0` for no gain, empty for what is reported alone."""
    for must in musts:
        if (must.world, must.variant) == (row.world, row.variant):
            return "+" if must.sign > 0 else "−"
    return "0" if any(_concerns(must_not, row) for must_not in MUST_NOTS) else ""


def control_of(kind: str) -> Control:
    """The control that the class of a generator or augmenter states."""
    return {**GENERATORS, **AUGMENTERS}[kind].control


def _has(worlds: Mapping[str, ControlRun], name: str, variant: str) -> bool:
    """Every world that a requirement is about was run with the variant."""
    return all(world in worlds and variant in worlds[world].config.variants for world in CONTRASTS.get(name, (name,)))


def _home(name: str) -> str:
    """The world of a requirement; of a contrast the first of its two."""
    return CONTRASTS.get(name, (name,))[0]


def _implied(run: ControlRun, variant: str) -> Must:
    """The requirement that follows from the world that a method's class names."""
    name = next((name for name in CONTRASTS if _home(name) == run.world), run.world)
    opponent: Opponent = "placebo" if variant in placebos_of(run.config).placebo else "baseline"
    return Must(name, variant, (opponent,), share=MOST, mean=SMALLEST_EFFECT)


def _of_must(must: Must, row: VariantOutcomes | None, n_seeds: int) -> Finding:
    measured = "no run" if row is None else _measured(must, row)
    return Finding(must.world, must.variant, _needs(must, n_seeds), measured, row is not None and _holds(must, row, n_seeds))


def _of_must_not(must_not: MustNot, concerned: Sequence[VariantOutcomes]) -> Finding:
    gains = [f"{row.world} {row.variant} {signed(gain)}" for row in concerned for gain in _gains(row, must_not.than)]
    n_runs = sum({row.world: row.n_seeds for row in concerned}.values())
    measured = f"{len(gains)} in {n_runs} {'run' if n_runs == 1 else 'runs'}" + (f" ({', '.join(gains)})" if gains else "")
    needs = f"at most {must_not.allowed} resolved gain" if must_not.allowed else "no resolved gain"
    needs += "" if must_not.than == "baseline" else f" over {must_not.than}"
    names = " or ".join(must_not.kinds)
    return Finding(" and ".join(must_not.worlds), names, needs, measured, len(gains) <= must_not.allowed)


def _holds(must: Must, row: VariantOutcomes, n_seeds: int) -> bool:
    enough = sum(_shows(must, outcome) for outcome in row.outcomes) >= _needed(must, n_seeds)
    return enough and must.sign * row.mean >= must.mean


def _shows(must: Must, outcome: SeedOutcome) -> bool:
    """Resolved against every opponent, with a Δ of the size that is asked for."""
    signs = [outcome.against[opponent].sign if opponent in outcome.against else 0 for opponent in must.than]
    return all(sign == must.sign for sign in signs) and must.least <= must.sign * outcome.change.value <= must.most


def _needed(must: Must, n_seeds: int) -> int:
    return math.ceil(must.share * n_seeds - 1e-9)


def _needs(must: Must, n_seeds: int) -> str:
    """`better than baseline and placebo in 3 of 3 worlds with Δ +.0120 to +.0300`."""
    way, size = ("better", "Δ") if must.sign > 0 else ("worse", "−Δ")
    text = f"{way} than {' and '.join(must.than)} in {_needed(must, n_seeds)} of {n_seeds} worlds"
    if must.least and math.isfinite(must.most):
        text += f" with {size} {signed(must.least)} to {signed(must.most)}"
    elif must.least:
        text += f" with {size} {signed(must.least)} or more"
    return text + (f", mean {size} {signed(must.mean)} or more" if must.mean else "")


def _measured(must: Must, row: VariantOutcomes) -> str:
    """`in 2, Δ +.0213 +.0176 +.0239, against placebo +.0250 …`."""
    shown = sum(_shows(must, outcome) for outcome in row.outcomes)
    text = f"in {shown}, Δ {' '.join(signed(outcome.change.value) for outcome in row.outcomes)}"
    for opponent in (opponent for opponent in must.than if opponent != "baseline"):
        beside = [outcome.against[opponent] for outcome in row.outcomes if opponent in outcome.against]
        if beside and beside != [outcome.change for outcome in row.outcomes]:
            text += f", against the {opponent} {' '.join(signed(change.value) for change in beside)}"
    return text


def _concerns(must_not: MustNot, row: VariantOutcomes) -> bool:
    named = bool(row.kinds) and {*row.kinds} <= {*must_not.kinds}
    return row.world in must_not.worlds and (named or not must_not.kinds)


def _gains(row: VariantOutcomes, opponent: Opponent) -> list[float]:
    """The resolved ones over an opponent, by world seed."""
    changes = [outcome.change if opponent == "baseline" else outcome.against.get(opponent) for outcome in row.outcomes]
    return [change.value for change in changes if change is not None and change.sign > 0]
