"""Exports generated columns of train, validation and live rows to a parquet file with a data card."""

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from numerai_lab.config.default_variants import NOISE, UNTRAINED
from numerai_lab.config.schema import Config, Variant
from numerai_lab.core.arrays import Array, Float32, n_not_finite
from numerai_lab.core.component import Component
from numerai_lab.core.era_ranges import span_text
from numerai_lab.core.errors import NlabError, NlabFailure, nearest
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.data.era_labels import era_labels
from numerai_lab.data.live import Live, live_rows
from numerai_lab.data.reader import Loaded
from numerai_lab.fitting.feature_selection import LABELLED
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.fitted import FittedGenerator
from numerai_lab.fitting.holdout import load_sealed, load_sealed_for, splits_of_run
from numerai_lab.fitting.rehearsal import rehearse
from numerai_lab.fitting.restoring import restored_generator
from numerai_lab.fitting.run_context import ProgressDisplay, RunContext
from numerai_lab.fitting.variants import check_methods, fit_generators, resolved_config
from numerai_lab.metrics.column_spread import Diagnosis
from numerai_lab.runs.layout import ARRAYS, generator_file, model_files, name_in_file
from numerai_lab.runs.output_files import growing_table, write_page
from numerai_lab.runs.reading import read_run
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.scratch import scratch
from numerai_lab.storage.stage_cache import STAGES, Cache
from numerai_lab.storage.used_entries import UsedEntries

SCOPES = {
    "train": "training eras only, no labels",
    "all": "train and validation features, no labels (transductive)",
    "per_era": "training eras, then the features of each era that gets columns, no labels",
    "cross_fit": "training eras with labels; rows of train come from fits that saw neither their block of eras nor its "
    "neighbours, all others from the fit on all training eras; each column as ranks within the era",
    "early": "early training eras with labels; rows of these and of the eras purged behind them are left out",
}
TRAIN, VALIDATION, LIVE = "train", "validation", "live"


@dataclass(frozen=True)
class Exported:
    """An export: the parquet file, its data card, the number of rows by split, and remarks for the user."""

    path: Path
    card: Path
    rows: dict[str, int]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Subject:
    """A fitted generator to export. train: training eras; fitted_on: eras that its fit saw; facts: lines of its card.

    columns: float32 [rows of the panel, columns] as far as they are computed, NaN elsewhere; None where none are.
    """

    name: str
    seed: int
    fits: FittedGenerator
    train: tuple[int, ...]
    fitted_on: tuple[int, ...]
    facts: Mapping[str, object]
    remarks: tuple[str, ...] = ()
    columns: Float32 | None = None


def export_run(run: Path, name: str, out: Path, display: ProgressDisplay, seed: int | None = None) -> Exported:
    """Writes the columns of a generator of a finished run, computed with the fit that the run folder keeps.

    Raises NlabError for an unknown generator or seed, where the run folder lacks the fit, and where `out` exists.
    """
    refuse_existing(out)
    done = read_run(run)
    manifest = done.manifest
    config = done.config
    if name not in config.generators:
        raise NlabError(f"--generator: the run has no generator {name!r}; {nearest(name, config.generators)}")
    template = config.generators[name]
    used_seed = config.seeds[0] if seed is None or not template.stochastic else seed
    if not (run / generator_file(name, used_seed)).is_file():
        there = [name_in_file(path) for path in model_files(run, f"generator-*{ARRAYS}")]
        raise NlabError(f"{run}: keeps no fitted {name}@{used_seed}; {nearest(f'{name}@{used_seed}', there)}")
    with display.task("data") as progress:
        loaded = load_sealed_for(done, config, progress)
    changed = loaded.identity != manifest["data"]["identity"]
    splits = splits_of_run(manifest, config, loaded.panel)
    subject = Subject(
        name=name,
        seed=used_seed,
        fits=restored_generator(done, config, name, used_seed),
        train=splits.train,
        fitted_on=FitPlan.of(config, splits).fitted_on(name),
        facts={"run": run.name, "config hash": config_hash(config), "data identity": loaded.identity},
        remarks=(
            *_sealed(splits, loaded.panel.dates),
            *(("the data files are not those of the run: eras may have been added since",) * changed),
        ),
    )
    return _write(subject, config, loaded, out, display)


def transform(config: Config, out: Path, display: ProgressDisplay) -> list[Exported]:
    """Fits every generator of a config but placebos and writes its columns into the new folder `out`.

    No model is trained. Raises NlabError where the config has no such generator, and where `out` exists.
    """
    names = [name for name, generator in config.generators.items() if generator.kind not in (NOISE, UNTRAINED)]
    if not names:
        raise NlabError(f"{config.name}: the config has no generators to transform with")
    refuse_existing(out)
    with display.task("data") as progress:
        loaded, splits = load_sealed(config, progress)
    only = config.model_copy(update={"variants": {name: Variant(features=[name]) for name in names}})
    plan = FitPlan.of(only, splits)
    check_methods(only, loaded.panel, plan)
    rehearse(only, loaded.panel, plan)
    facts = {"config": config.name, "config hash": config_hash(config), "data identity": loaded.identity}
    exported = []
    with scratch() as space, Cache(cache_dir() / STAGES, used=UsedEntries(space.folder)) as cache:
        resolved = resolved_config(only, loaded.panel, plan)
        context = RunContext(resolved, loaded.panel, plan, space, display, lambda name, content: None, cache, loaded.content)
        for (name, seed), fitted in fit_generators(context).items():
            template = config.generators[name]
            if not template.stochastic and seed != config.seeds[0]:
                continue
            subject = Subject(
                name,
                seed,
                fitted.fits,
                splits.train,
                plan.fitted_on(name),
                facts,
                _sealed(splits, loaded.panel.dates),
                fitted.columns,
            )
            several = template.stochastic and len(config.seeds) > 1
            exported.append(_write(subject, config, loaded, out / f"{name}{f'@{seed}' if several else ''}.parquet", display))
    return exported


def _sealed(splits: Splits, dates: Mapping[int, str]) -> tuple[str, ...]:
    remark = f"the holdout, eras {span_text(splits.holdout, dates)}, its embargo and all later eras are sealed and left out"
    return (remark,) if splits.holdout else ()


def config_hash(config: Config) -> str:
    """The first 16 hex digits of the SHA-256 of a config with all its defaults."""
    return hashlib.sha256(config.to_yaml().encode()).hexdigest()[:16]


def refuse_existing(out: Path) -> None:
    """Raises NlabError where the file or folder exists."""
    if out.exists():
        raise NlabError(f"--out: {out} exists already; name a new one")


def _write(subject: Subject, config: Config, loaded: Loaded, out: Path, display: ProgressDisplay) -> Exported:
    import pyarrow as pa

    panel, live, labels = loaded.panel.without_target(), live_rows(config.data, loaded.panel), era_labels(config.data)
    names = [f"{subject.name}_{column}" for column in subject.fits.names]
    day = [("date", pa.date32())] if panel.dates else []
    fields = [("id", pa.string()), ("era", labels.dtype), *day, ("split", pa.string()), *((name, pa.float32()) for name in names)]
    schema = pa.schema(fields)
    diagnosis = Diagnosis(names)
    rows = dict.fromkeys((TRAIN, VALIDATION, LIVE), 0)
    with growing_table(out, schema) as add:  # which takes its name after its card is there
        with display.task(f"export {subject.name}") as progress:
            for done, (era, split, ids, values) in enumerate(_eras(subject, panel, live), start=1):
                eras = [labels.column(era, len(ids))]
                if day:
                    known = None if era is None else date.fromisoformat(panel.dates[era])
                    eras.append(pa.array([known] * len(ids), pa.date32()))
                add(pa.table([pa.array(ids), *eras, pa.array([split] * len(ids)), *map(pa.array, values.T)], schema=schema))
                diagnosis.add(split, values)
                rows[split] += len(ids)
                progress(done, len(panel.eras) + (live is not None))
        unserved = tuple(filter(lambda era: not subject.fits.has_fit_for(era), panel.eras.tolist()))
        why = "its fit saw their targets, or those of their neighbours"
        left_out = [f"eras {span_text(unserved, panel.dates)} are left out: {why}"] if unserved else []
        no_live = [] if live else ["the data has no live rows (no live.parquet beside its tables)"]
        remarks = (*subject.remarks, *left_out, *no_live)
        card = out.with_name(f"{out.name}.md")
        write_page(card, "\n".join(_card(subject, config, loaded, rows, remarks) + diagnosis.lines()) + "\n")
    return Exported(out, card, rows, remarks)


def _eras(subject: Subject, panel: Panel, live: Live | None) -> Iterator[tuple[int | None, str, list[str], Float32]]:
    """Yields era (None for live), split, ids and columns, one era at a time as live data arrives.

    Eras that no honest fit serves are left out.
    """
    train = set(subject.train)
    for era in filter(subject.fits.has_fit_for, panel.eras.tolist()):
        rows = panel.rows(era)
        known = None if subject.columns is None else np.array(subject.columns[rows])
        values = known if known is not None and not n_not_finite(known) else subject.fits.columns_for(panel.block(era))
        yield era, TRAIN if era in train else VALIDATION, _text(panel.ids[rows]), _finite(subject, era, values)
        panel.release()
    if live is not None:
        yield None, LIVE, live.ids, _finite(subject, LIVE, subject.fits.columns_for(live.block))


def _finite(subject: Subject, era: object, values: Float32) -> Float32:
    if n_wrong := n_not_finite(values):
        raise NlabFailure(f"{subject.name}: gave {n_wrong} values that are not finite for era {era}")
    return values


def _text(ids: Array) -> list[str]:
    return [name.decode() for name in ids.tolist()]


def _card(subject: Subject, config: Config, loaded: Loaded, rows: Mapping[str, int], remarks: tuple[str, ...]) -> list[str]:
    """The data card up to the diagnostics, as lines of Markdown."""
    template = config.generators[subject.name]
    parameters = template.model_dump()
    targets = (loaded.target, *config.data.auxiliary_targets)
    stamp = f"; {LABELLED}" if template.select is not None and template.select.by is not None else ""
    facts: dict[str, Any] = {
        "method": parameters["kind"],
        "columns": f"{len(subject.fits.names)} float32, named {subject.name}_…",
        "rows": ", ".join(f"{name} {count:,}" for name, count in rows.items()),
        "fitted on": f"{SCOPES[template.fit_scope.kind]}{stamp}",
        **({"targets learned": ", ".join(targets)} if template.several_targets else {}),
        "eras seen by the fit": span_text(subject.fitted_on, loaded.panel.dates),
        "training eras": span_text(subject.train, loaded.panel.dates),
        "seed": subject.seed if template.stochastic else "none: nothing is drawn at random",
        "data": f"{'SYNTHETIC, ' if loaded.synthetic else ''}{config.data.version_label()}",
        "features read": _features_read(subject, loaded.panel),
        **subject.facts,
    }
    says, has_dates = (inspect.getdoc(type(template)) or "").partition("\n")[0], bool(loaded.panel.dates)
    return [
        f"# {subject.name}: {says}",
        "",
        "Rows: one a stock and era; `era` is as in the data files, empty for live rows; `split` is train, validation or live.",
        *(("`date` is the date of the era.",) * has_dates),
        "Rows of `train` are those that a model of these columns may learn from; `validation` is every other era with a number.",
        *(f"**Note**: {remark}." for remark in remarks),
        *of_method(template, facts),
    ]


def of_method(method: Component, facts: Mapping[str, object]) -> list[str]:
    """The end of a card: a table of facts, the source of the method, its parameters."""
    says = inspect.getdoc(type(method)) or ""
    return [
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in facts.items()),
        "",
        says[says.index("Source:") :].replace("\n", " ") if "Source:" in says else "",
        "",
        "Parameters: " + ", ".join(f"`{name}: {value}`" for name, value in method.model_dump().items() if name != "kind"),
        "",
    ]


def _features_read(subject: Subject, panel: Panel) -> str:
    selected = subject.fits.selected
    if selected is None:
        return f"all {panel.n_raw} of the feature set"
    named = [panel.raw_names[i] for i in selected[:5]]
    return f"{len(selected)} selected of {panel.n_raw}: {', '.join(named)}{' …' if len(selected) > 5 else ''}"
