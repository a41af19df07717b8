"""Whether the facts of a run folder agree with one another and with the run's config."""

import re
from collections.abc import Collection, Iterator

from numerai_lab.config.default_variants import RAW
from numerai_lab.config.schema import Config
from numerai_lab.core.panel import BIN_TOP
from numerai_lab.fitting.portable import Cells, EraCalendar, Portable, VariantFacts
from numerai_lab.runs.layout import PORTABLE
from numerai_lab.runs.reading import RunFiles, damaged_run

UNITS = {"int8": float(BIN_TOP), "float32": 1.0}
"""The largest value by the dtype of cells."""
FILE = re.compile(r"models/[^/\\]+")


def refuse_contradiction(folder: RunFiles, facts: Portable, config: Config) -> None:
    """Raises NlabError where a fact of a folder contradicts another one or the config of the run."""
    why = next(_contradictions(facts, config), None)
    if why is not None:
        raise damaged_run(folder.path, f"{PORTABLE}: {why}")


def _contradictions(facts: Portable, config: Config) -> Iterator[str]:
    known = {*facts.features, *facts.further_features}
    if not facts.features or len(known) < len(facts.features) + len(facts.further_features):
        yield "features are absent or stand twice"
    further = (facts.further_cells,) if facts.further_features else ()
    if not all(part and _known_units(part) for part in (facts.cells, *further)):
        yield "cells are in other units than those of runs"
    if not {"source", "version", "label", "identity", "synthetic"} <= {*facts.data}:
        yield "data lacks a key"
    if facts.seeds != tuple(config.seeds):
        yield "seeds are not those of the config"
    if not 0 < facts.live_era < 2**31 or (facts.calendar and not _possible(facts.calendar)):
        yield "eras are counted from no possible number"
    yield from (f"feature set {name} holds other features" for name, of in facts.sets.items() if not of or not {*of} <= known)
    for name, part in facts.generators.items():
        if name not in config.generators or {*part.files} != {*facts.seeds} or not _in_models(part.files.values()):
            yield f"generator {name} is not that of the config"
    for name, variant in facts.variants.items():
        if not _as_in_config(name, variant, config) or not _complete(name, variant, facts, config):
            yield f"variant {name} is not that of the config"


def _possible(calendar: EraCalendar) -> bool:
    return 0 < calendar.days_per_era < 10_000 and abs(calendar.offset) < 2**31


def _known_units(cells: Cells) -> bool:
    return UNITS.get(cells.dtype) == cells.top


def _in_models(files: Collection[str]) -> bool:
    return all(FILE.fullmatch(file) for file in files)


def _as_in_config(name: str, facts: VariantFacts, config: Config) -> bool:
    variant = config.variants.get(name)
    if variant is None:
        return False
    neutralize = facts.neutralize.model_dump() if facts.neutralize else None
    same_after = neutralize == (variant.neutralize.model_dump() if variant.neutralize else None)
    if variant.ensemble is not None:
        return same_after and facts.members == tuple(variant.ensemble)
    return same_after and not facts.members and facts.inputs == variant.inputs and facts.targets == config.targets_of(name)


def _complete(name: str, variant: VariantFacts, facts: Portable, config: Config) -> bool:
    """Whether all that a variant names is among the facts."""
    if variant.neutralize and variant.neutralize.features not in facts.sets:
        return False
    if variant.members:
        return {*variant.members} <= {*facts.variants}
    files, n_models = variant.models.values(), len(config.targets_by_model(name))
    whole = all(len(of_seed) == n_models and _in_models(of_seed) for of_seed in files)
    return {*variant.inputs} <= {RAW, *facts.generators, *facts.sets} and {*variant.models} == {*facts.seeds} and whole
