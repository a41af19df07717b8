"""Stages of generators: each fit, and the columns of every row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from numerai_lab.core.arrays import Float32, arrays_from_bytes, arrays_to_bytes, n_not_finite
from numerai_lab.core.era_ranges import ranges_text
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.panel import Block, release_pages
from numerai_lab.core.progress import Progress
from numerai_lab.core.seeding import rng_for
from numerai_lab.fitting import feature_selection
from numerai_lab.fitting import fit_plan as fit_plans
from numerai_lab.fitting import fitted as fitted_generators
from numerai_lab.fitting.feature_selection import adopted, shown_to
from numerai_lab.fitting.fit_plan import GeneratorFit
from numerai_lab.fitting.fitted import FittedGenerator
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.stage_facts import STATE, component_facts, read_array
from numerai_lab.generators import Generator
from numerai_lab.neural.starting_encoder import StartingEncoder
from numerai_lab.storage.code_version import code_version
from numerai_lab.storage.folders import key_of
from numerai_lab.storage.resumable import fit_context, journaled
from numerai_lab.storage.stage_cache import Entry, Stage

COLUMNS = "columns.npy"


@dataclass(frozen=True)
class Fitted:
    """A generator fitted with a seed, and its columns for every row that one of its fits speaks for (NaN elsewhere).

    recipe: facts that the columns of a row depend on beside the row. entry: the stage that wrote the columns, for n_rows rows.
    """

    fits: FittedGenerator
    recipe: Mapping[str, Any]
    entry: Entry
    n_rows: int

    @property
    def columns(self) -> Float32:
        """A new memory-map: each holds a descriptor, and a run may have thousands of columns."""
        return read_array(self.entry, COLUMNS, self.n_rows)

    def facts_for(self, eras: Iterable[int]) -> dict[str, Any]:
        """The facts that the columns of these eras depend on beside their rows."""
        return {**self.recipe, "fit of era": [self.fits.of_era.get(era, -1) for era in eras]}

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return self.fits.names

    @property
    def encoder(self) -> StartingEncoder:
        """The encoder for a network that begins with it, by the fit that also gives the columns of live rows."""
        return self.fits.generators[-1].starting_encoder()

    @property
    def state(self) -> bytes:
        """The learned arrays of all fits as bytes, as the run folder keeps them; made at each call, `fits` holds the arrays."""
        return arrays_to_bytes(self.fits.state())

    def transform(self, block: Block) -> Float32:
        """Columns for rows that no memory-map holds."""
        return self.fits.columns_for(block)


def fitted_generator(context: RunContext, name: str, seed: int) -> Fitted:
    """Stages: each fit, which sees targets only where its generator uses labels (`select` may too), and the columns."""
    template, parts = context.config.generators[name], context.plan.generators[name]
    keys, states = [], []
    for i, part in enumerate(parts):
        label = f"fit {name}@{seed}" + (f", {i + 1} of {len(parts)}" if len(parts) > 1 else "")
        entry = _fitted_part(context, name, seed, part, label)
        keys.append(entry.folder.name)
        states.append(arrays_from_bytes((entry.folder / STATE).read_bytes()))
    of_era = {era: i for i, part in enumerate(parts) for era in part.serves}
    fits = FittedGenerator(template, tuple(states), of_era)

    def columns(work: Path) -> None:
        with context.display.task(f"columns {name}@{seed}") as progress:
            _write_columns(work, name, fits, context, progress)

    recipe = {**component_facts(Path(__file__), template), "fits": keys, "by": code_version(fit_plans, fitted_generators)}
    places = {"eras": context.panel.eras.tolist(), "bounds": context.panel.bounds.tolist()}
    facts = {
        **recipe,
        "data": context.content.rows_of(sorted(of_era)),
        "columns for": [ranges_text(part.serves) for part in parts],
        "places": key_of(places),
    }
    entry = context.stages.obtain(Stage("columns", f"columns {name}@{seed}", facts), columns)
    fitted = Fitted(fits, recipe, entry, len(context.panel.ids))
    _ = fitted.columns  # a foreign entry is told at once
    return fitted


def _fitted_part(context: RunContext, name: str, seed: int, part: GeneratorFit, label: str) -> Entry:
    """Stage: one fit. Every part draws the same random numbers."""
    template, train = context.config.generators[name], context.splits.train

    def fit(work: Path) -> None:
        shown = shown_to(
            template, context.panel, part.fitted_on if template.uses_labels else train, part.fitted_on, context.scratch
        )
        with context.display.task(label) as progress:
            fitted = template.fresh().fit(shown, rng_for(seed, "generator", template.seed_key), fit_context(work, progress))
        (work / STATE).write_bytes(arrays_to_bytes(adopted(fitted, shown, context.panel).state()))

    facts = {
        **component_facts(Path(__file__), template),
        "data": context.content.rows_of(part.fitted_on),
        "fitted on": ranges_text(part.fitted_on),
        "seed": seed if template.stochastic else None,
        **_shown_facts(context, template, part),
    }
    return context.stages.obtain(Stage("fit", label, facts), fit)


def _shown_facts(context: RunContext, template: Generator, part: GeneratorFit) -> dict[str, Any]:
    """The facts of a fit beside its own rows: targets, selected features, feature sets."""
    facts: dict[str, Any] = {}
    content, select = context.content, template.select
    train = part.fitted_on if template.uses_labels else context.splits.train
    sets = {name: at[at < context.panel.n_raw].tolist() for name, at in context.panel.feature_sets.items()}
    if template.uses_labels:
        facts["labels"] = content.labels_of(part.fitted_on)
    if template.uses_labels or select is not None:
        facts["shown by"] = code_version(feature_selection)
    if template.several_targets and context.panel.auxiliary:
        facts["auxiliary"] = content.auxiliary_of(part.fitted_on)
    if template.reads_feature_sets:
        facts["feature sets"] = sets
    if select is not None:
        facts["selected from"] = {name: sets.get(name) for name in select.features or ()}
        by_labels = select.by is not None
        facts["selected on"] = [content.rows_of(train), content.labels_of(train), ranges_text(train)] if by_labels else None
    return facts


def _write_columns(work: Path, name: str, fits: FittedGenerator, context: RunContext, progress: Progress) -> None:
    """Writes a generator's columns era by era, as live data arrives, and goes on where a killed try stopped."""
    panel = context.panel.without_target()
    columns, journal = journaled(work / COLUMNS, (len(panel.ids), len(fits.names)))
    done = journal.read(lambda era: columns[panel.rows(era)])
    with journal.writing() as note:
        for i, era in enumerate(panel.eras.tolist(), start=1):
            rows = panel.rows(era)
            if era not in fits.of_era:
                columns[rows] = np.nan
            elif era not in done:
                columns[rows] = _finite(name, fits, panel.block(era))
                note(era, columns[rows])
            panel.release()
            release_pages(columns)
            progress(i, len(panel.eras))


def _finite(name: str, fits: FittedGenerator, block: Block) -> Float32:
    values, width = fits.columns_for(block), len(fits.names)
    n_wrong = n_not_finite(values)
    if values.shape != (len(block), width) or n_wrong:
        raise NlabFailure(
            f"generators.{name}: gave {values.shape[0]} rows × {values.shape[1]} columns with "
            f"{n_wrong} not finite for era {block.era}; wanted {len(block)} × {width}, all finite"
        )
    return values
