"""Makes the portable facts of a run: while it runs, and afterwards, from its data, for runs from before there were any."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numerai_lab import __version__
from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import Array
from numerai_lab.core.component import is_portable
from numerai_lab.core.eras import calendar_of
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import BIN_TOP, Panel
from numerai_lab.data.reader import Loaded
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.fitted import FittedGenerator
from numerai_lab.fitting.holdout import load_sealed_for, splits_of_run
from numerai_lab.fitting.learned_targets import plan_for
from numerai_lab.fitting.portable import Cells, EraCalendar, GeneratorFacts, Neutralisation, Portable, VariantFacts
from numerai_lab.fitting.restoring import restored_generator
from numerai_lab.runs.layout import PORTABLE, generator_file, model_name, models_of
from numerai_lab.runs.reading import Run, damaged_run

Fits = Mapping[tuple[str, int], FittedGenerator]
"""Fitted generators by name and seed."""


def portable_facts(config: Config, loaded: Loaded, plan: FitPlan, fits: Fits, folder: Path) -> Portable:
    """The facts of models that lie in a folder. config: resolved; fits: fitted generators by name and seed."""
    panel = loaded.panel
    sets = {name: tuple(panel.feature_names[i] for i in panel.feature_sets[name]) for name in _sets_read(config)}
    further = {name for names in sets.values() for name in names} - {*panel.raw_names}
    scoring = panel.scoring_features
    return Portable(
        nlab=__version__,
        data={
            "source": config.data.model_dump()["source"],
            "version": getattr(config.data, "version", None),
            "label": loaded.label,
            "identity": loaded.identity,
            "synthetic": loaded.synthetic,
        },
        target=config.data.target,
        resolved_target=loaded.target,
        features=panel.raw_names,
        further_features=tuple(name for name in panel.feature_names[panel.n_raw :] if name in further),
        cells=Cells(dtype=str(panel.features.dtype), top=panel.top),
        further_cells=_cells_of(scoring) if further and scoring is not None else None,
        sets=sets,
        live_era=int(panel.eras[-1]) + 1,
        calendar=_calendar_facts(panel),
        seeds=tuple(config.seeds),
        generators=_generator_facts(config, panel, fits),
        variants={name: _variant_facts(config, name, plan.shared_models, folder) for name in config.variants},
    )


def portable_of(run: Run) -> Portable:
    """The facts of a run folder; those of an older run are made from its data.

    Raises NlabError where the folder is damaged, and where an older run's data is no longer there as it was.
    """
    known = Portable.read(run)
    if known is not None:
        return known
    config = run.config
    way_out = "run its config again"
    try:
        loaded = load_sealed_for(run, config)
    except NlabError as error:
        raise NlabError(f"{run.path}: has no {PORTABLE}, as older runs, and its data can't be read: {error}") from error
    if loaded.identity != run.manifest["data"]["identity"]:
        raise NlabError(f"{run.path}: has no {PORTABLE}, as older runs, and its data is no longer that of the run; {way_out}")
    plan = plan_for(config, splits_of_run(run.manifest, config, loaded.panel), loaded.panel)
    needed = [
        (name, seed)
        for name in dict.fromkeys(name for variant in config.trained for name in config.generators_of(variant))
        for seed in (config.seeds if config.generators[name].stochastic else config.seeds[:1])
    ]
    fits = {(name, seed): restored_generator(run, config, name, seed) for name, seed in needed}
    return portable_facts(config, loaded, plan, fits, run.path)


def _sets_read(config: Config) -> tuple[str, ...]:
    """Feature sets that variants read by name, or are neutralised against."""
    neutralised = [variant.neutralize.features for variant in config.variants.values() if variant.neutralize]
    return tuple(dict.fromkeys([*config.input_sets, *neutralised]))


def _cells_of(features: Array) -> Cells:
    return Cells(dtype=str(features.dtype), top=BIN_TOP if features.dtype == "int8" else 1)


def _calendar_facts(panel: Panel) -> EraCalendar | None:
    calendar = calendar_of(panel.dates, panel.days_per_era) if panel.dates else None
    return None if calendar is None else EraCalendar(**vars(calendar))


def _generator_facts(config: Config, panel: Panel, fits: Fits) -> dict[str, GeneratorFacts]:
    """The facts of each generator that is fitted. fits: a generator without random numbers has one fit for all seeds."""
    out = {}
    for name, template in config.generators.items():
        first = fits.get((name, config.seeds[0]))
        if first is None:
            continue
        seeds = {seed: seed if template.stochastic else config.seeds[0] for seed in config.seeds}
        selected = first.selected
        out[name] = GeneratorFacts(
            kind=template.kind,
            files={seed: generator_file(name, of_seed) for seed, of_seed in seeds.items()},
            columns=tuple(first.names),
            features=panel.raw_names if selected is None else tuple(panel.raw_names[i] for i in selected),
            n_fits=len(first.states),
            ranked=template.fit_scope.kind == "cross_fit",
            portable=is_portable(template),
        )
    return out


def _variant_facts(config: Config, name: str, shared: Mapping[str, str], folder: Path) -> VariantFacts:
    variant = config.variants[name]
    neutralize = Neutralisation(**variant.neutralize.model_dump()) if variant.neutralize else None
    if variant.ensemble is not None:
        none: dict[str, Any] = {"kind": None, "inputs": (), "models": {}, "targets": ()}
        return VariantFacts(**none, members=tuple(variant.ensemble), neutralize=neutralize, portable=True)
    targets, model = config.targets_of(name), config.model_of(name)
    return VariantFacts(
        kind=model.kind,
        inputs=variant.inputs,
        models={seed: tuple(_model_files(config, shared[name], seed, folder)) for seed in config.seeds},
        targets=targets,
        members=(),
        neutralize=neutralize,
        portable=is_portable(model),
    )


def _model_files(config: Config, name: str, seed: int, folder: Path) -> Iterable[str]:
    """The file of each model of a variant. Raises NlabError where one is missing."""
    there = {Path(path).stem: path for path in models_of(folder, name, seed)}
    for targets in config.targets_by_model(name):
        stem = model_name(name, seed, config.number_of(name, targets))
        if stem not in there:
            raise damaged_run(folder, f"keeps no model of {stem}")
        yield there[stem]
