"""The whole story of a run, from a config to a scored run folder. Read `run` first."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from numerai_lab.config.placebos import placebos_of, unequal
from numerai_lab.config.schema import Config
from numerai_lab.core.era_ranges import span_text
from numerai_lab.core.eras import DAYS_PER_ERA, era_name
from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.core.folds import Fold, make_folds
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.data.reader import Loaded
from numerai_lab.fitting.estimate import EstimateInputs, need, refuse_too_much
from numerai_lab.fitting.feature_selection import LABELLED
from numerai_lab.fitting.fingerprint import FINGERPRINT, fingerprint
from numerai_lab.fitting.fit_plan import FitPlan, label_note
from numerai_lab.fitting.holdout import load_sealed
from numerai_lab.fitting.plausibility import implausible
from numerai_lab.fitting.realism import realism_of
from numerai_lab.fitting.run_context import ProgressDisplay, RunContext
from numerai_lab.fitting.variants import check_methods, fit_generators, resolved_config, train_and_predict
from numerai_lab.metrics.payout import multipliers
from numerai_lab.metrics.scoring import Column, Predictions, Scoring, check_rows, covered, per_era, score_table
from numerai_lab.report import write_realism, write_report
from numerai_lab.runs.layout import CONFIG, PER_ERA, PREDICTIONS, SCORES
from numerai_lab.runs.reading import Run, read_run
from numerai_lab.runs.writing import RunFolder, new_run
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.scratch import Scratch, scratch
from numerai_lab.storage.stage_cache import STAGES, Cache

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class RunOptions:
    """cached: share finished stages. unfinished: the folder of a killed run to go on in. force: run what seems not to fit.

    verify: read data files, stores and stages through, even those that did not change since they were found whole.
    memory: bytes that the run may take; None: all that is free.
    """

    cached: bool = True
    unfinished: Path | None = None
    force: bool = False
    memory: int | None = None
    verify: bool = False


def run(
    config: Config, runs_dir: Path, display: ProgressDisplay, remarks: list[str] | None = None, options: RunOptions = RunOptions()
) -> Run:
    """Data → splits → columns → models → predictions → scores → report, in a new folder under `runs_dir`."""
    import polars as pl

    with new_run(runs_dir, config, options.unfinished) as folder:
        for remark in remarks or []:
            folder.warn(remark)
        with folder.stage("data"), display.task("data") as progress:
            loaded, splits = load_sealed(config, progress, verify=options.verify)
            folds = folds_of(config, loaded.panel, splits)
            scoring = scoring_of(config, loaded)
            plan, *fold_plans = (FitPlan.of(config, each) for each in (splits, *folds))
            for each in (plan, *fold_plans):
                check_methods(config, loaded.panel, each)
                check_rows(loaded.panel, each.splits, scoring)
        task = task_of(loaded, plan, fold_plans)
        folder.manifest["expected"] = asdict(need(task))
        if not options.force:
            refuse_too_much(task, cache_dir(), options.memory)
        folder.reached_data = True
        folder.manifest |= _facts(config, loaded, splits, scoring) | {FINGERPRINT: fingerprint(config)}
        placebos = placebos_of(config)
        folder.manifest["placebos"] = placebos.as_dict()
        stamps = (stamp for stamp in (splits.leak, loaded.alias, _unlearned(config)) if stamp)
        for note in (*loaded.notes, *stamps, *unequal(config, placebos)):
            folder.warn(note)
        with scratch() as space, _cache(space, options) as cache:
            for store in loaded.stores.all:
                cache.hold(store.folder)
            resolved = resolved_config(config, loaded.panel, plan)
            context = RunContext(resolved, loaded.panel, plan, space, display, folder.write_bytes, cache, loaded.content)
            predicted = _predicted(context, fold_plans, folder)
            folder.cached_bytes = cache.n_bytes
        folder.note_stages(cache.costs, cache.hits)
        folder.write_table(PREDICTIONS, pl.concat([prediction_table(loaded.panel, *each) for each in predicted]))
        for scored, predictions in predicted:
            for line in covered(loaded.panel, predictions, scored, scoring).lines():
                folder.warn(line)
        with folder.stage("score"), display.task("score") as progress:
            eras = pl.concat([per_era(loaded.panel, each, of, scoring, progress) for of, each in predicted])
            scores = score_table(eras, scoring, notes_of(plan, loaded.alias), placebos.as_dict())
        folder.write_table(PER_ERA, eras)
        folder.write_table(SCORES, scores)
        _warn_of_missing(folder, eras, loaded.panel.dates)
        if leak := implausible(scores, config.scoring, loaded.panel, splits):
            folder.warn(leak)
        folder.write_text(CONFIG, resolved.to_yaml())
        with folder.stage("report"):
            write_report(folder, resolved, eras, scores)
    return read_run(folder.work)


def _cache(space: Scratch, options: RunOptions) -> Cache:
    return Cache(cache_dir() / STAGES if options.cached else space.folder / STAGES, verify=options.verify)


def _predicted(context: RunContext, folds: Sequence[FitPlan], folder: RunFolder) -> list[tuple[Splits, Predictions]]:
    """Predictions of the validation eras, then of each fold's; rows that augmenters invent are looked at in between."""
    with folder.stage("transform"):
        fitted = fit_generators(context)
    with folder.stage("train"):
        predicted: list[tuple[Splits, Predictions]] = [(context.splits, train_and_predict(context, fitted))]
    if any(augmenter.invents_rows for augmenter in context.config.augmenters.values()):
        with folder.stage("realism"):
            write_realism(folder, realism_of(context))
    for number, fold in enumerate(folds, start=1):
        with folder.stage(f"cross-validate {number} of {len(folds)}"):
            predicted.append((fold.splits, out_of_fold(context, fold)))
    return predicted


def out_of_fold(context: RunContext, fold: FitPlan) -> Predictions:
    """Predictions of a fold's eras by generators and models that were fitted on its training eras alone, and are not kept."""
    panel = context.panel.until(max(*fold.splits.train, *fold.splits.validation))
    with scratch() as space:
        inside = replace(context, panel=panel, plan=fold, scratch=space, save=lambda name, content: None)
        return train_and_predict(inside, fit_generators(inside))


def facts_now(config: Config) -> dict[str, Any]:
    """What the manifest of a run of this config would say of its data and splits, were it made now."""
    loaded, splits = load_sealed(config)
    return _facts(config, loaded, splits, scoring_of(config, loaded))


def folds_of(config: Config, panel: Panel, splits: Splits) -> tuple[Fold, ...]:
    """The folds of cross-validation inside the training eras; none where the config asks for none."""
    return make_folds(config.cv, splits.train, panel.reach_days, panel.days_per_era) if config.cv else ()


def task_of(loaded: Loaded, plan: FitPlan, folds: Sequence[FitPlan]) -> EstimateInputs:
    """What estimates are made from."""
    panel = loaded.panel
    n_rows = (panel.bounds[:, 1] - panel.bounds[:, 0]).tolist()
    rows = dict(zip(panel.eras.tolist(), n_rows, strict=True))
    return EstimateInputs(plan, rows, panel.n_raw, loaded.made, folds, panel.features.dtype.itemsize)


def scoring_of(config: Config, loaded: Loaded, reference: str | None = None) -> Scoring:
    """What scores are computed against, given what the data holds; a model asked for by name must be there."""
    extras = loaded.panel.extras
    wanted = config.scoring
    for key in ("meta_model", "benchmark"):
        name = getattr(wanted, key)
        if name is not None and name not in extras and name != type(wanted).model_fields[key].default:
            raise NlabError(f"scoring.{key}: the data has no predictions {name!r}; {nearest(name, extras)}")
    others = [name for name in extras if name != wanted.meta_model]
    if wanted.payout is None:
        multipliers(loaded.horizon_days, wanted.payout_date)  # a day that it doesn't know is refused here
    return Scoring(
        reference=reference or config.reference,
        fnc_features=config.fnc_features,
        meta_model=wanted.meta_model if wanted.meta_model in extras else None,
        benchmark=wanted.benchmark or (others[0] if others else None),
        horizon_days=loaded.horizon_days,
        days_per_era=loaded.panel.days_per_era,
        payout=(wanted.payout.corr, wanted.payout.mmc) if wanted.payout else None,
        payout_date=wanted.payout_date,
        least_rows=wanted.least_rows,
        smallest_effect=wanted.smallest_effect,
    )


def prediction_table(panel: Panel, splits: Splits, predictions: Predictions) -> "pl.DataFrame":
    """id, era, target, split, and a column a variant (`<variant>@<seed>` where there are several seeds).

    Where eras are dates, `date` follows `era`.
    """
    import polars as pl

    future = panel.only(splits.validation)
    counts = future.bounds[:, 1] - future.bounds[:, 0]
    days = np.array([panel.dates.get(era, "NaT") for era in future.eras.tolist()], "datetime64[D]")
    assert panel.target is not None
    frame: dict[str, object] = {
        "id": [name.decode() for name in panel.ids[predictions.rows].tolist()],
        "era": np.repeat(future.eras, counts),
        **({"date": np.repeat(days, counts)} if panel.dates else {}),
        "target": panel.target[predictions.rows],
        "split": np.repeat([splits.name_of(era) for era in future.eras.tolist()], counts).tolist(),
    }
    for i, name in enumerate(column_names(predictions.columns)):
        frame[name] = predictions.values[:, i]
    return pl.DataFrame(frame)


def column_names(columns: Sequence[Column]) -> list[str]:
    """What predictions.parquet calls them: `<variant>`, or `<variant>@<seed>` where there are several seeds."""
    several = len({column.seed for column in columns}) > 1
    return [f"{column.variant}@{column.seed}" if several else column.variant for column in columns]


def notes_of(plan: FitPlan, alias: str) -> dict[str, str]:
    """What has to stand beside a variant's numbers in every table.

    Transductive generators, those that used labels, features selected with training labels, a model that learned from fewer
    eras than others, a lowered embargo, a moved alias.
    """
    config, splits = plan.config, plan.splits

    def parts(variants: Sequence[str]) -> Iterator[str]:
        inputs = [name for variant in variants for name in config.variants[variant].inputs]
        used = [config.generators[name] for name in inputs if name in config.generators]
        scopes = {generator.fit_scope.kind for generator in used}
        yield "transductive" if "all" in scopes else ""
        yield "columns learn from the features of their own era" if "per_era" in scopes else ""
        yield LABELLED if any(each.select is not None and each.select.by is not None for each in used) else ""
        yield from (label_note(generator, splits) for generator in used)
        left = min(len(plan.models[variant]) for variant in variants)
        yield f"trained on {left} of {len(splits.train)} eras" if left < len(splits.train) else ""
        yield from (splits.leak, alias)

    members = {name: variant.ensemble or [name] for name, variant in config.variants.items()}
    return {name: "; ".join(dict.fromkeys(part for part in parts(members[name]) if part)) for name in config.variants}


def _facts(config: Config, loaded: Loaded, splits: Splits, scoring: Scoring) -> dict[str, Any]:
    """What the manifest says of data and splits; only runs that agree in `comparable` and `scoring` are ranked together."""
    panel = loaded.panel
    return {
        "data": {
            "source": config.data.model_dump()["source"],
            "synthetic": loaded.synthetic,
            "identity": loaded.identity,
            "store": loaded.store.folder.name,
            "labels": loaded.labels.folder.name,
            "extras": loaded.stores.extras.folder.name if loaded.stores.extras else None,
            "store_made": loaded.made,
            "rows": len(panel.ids),
            "train_rows": panel.only(splits.train).n_rows,
            "features": panel.n_raw,
            "target": config.data.target,
            "auxiliary_targets": config.data.auxiliary_targets,
            "resolved_target": loaded.target,
            "horizon_days": loaded.horizon_days,
            "days_per_era": panel.days_per_era,
        },
        "comparable": {
            "data version": config.data.version_label(),
            "data identity": loaded.identity,
            "meta model and benchmarks": loaded.extras_identity,
            "target": loaded.target,
            "horizon (days)": loaded.horizon_days,
            "val1": span_text(splits.val1, panel.dates),
            "val2": span_text(splits.val2, panel.dates),
            "scored rows": _digest(panel, splits),
            **({"days per era": panel.days_per_era} if panel.days_per_era != DAYS_PER_ERA else {}),
        },
        "splits": {name: list(getattr(splits, name)) for name in ("train", "embargo", "val1", "val2", "holdout")},
        "holdout": span_text(splits.holdout, panel.dates) if splits.holdout else None,
        "smallest_effect": scoring.smallest_effect,
        "leak": splits.leak,
        "cv": config.cv.model_dump() if config.cv else None,
        "scoring": {
            "reference": scoring.reference,
            "fnc": f"fnc[{scoring.fnc_features}]@{loaded.target}",
            "meta_model": scoring.meta_model,
            "benchmark": scoring.benchmark,
            "least_rows": scoring.least_rows,
            "payout": dict(zip(("corr", "mmc"), scoring.multipliers, strict=True)),
        },
    }


def _unlearned(config: Config) -> str:
    learned = any(generator.several_targets for generator in config.generators.values())
    return "" if learned or not config.data.auxiliary_targets else "no generator of this config learns auxiliary targets"


def _digest(panel: Panel, splits: Splits) -> str:
    """Which rows with which targets are scored, in a word."""
    assert panel.target is not None
    digest = hashlib.sha256()
    for era in splits.scored:
        rows = panel.rows(era)
        digest.update(panel.ids[rows].tobytes() + panel.target[rows].tobytes())
    return digest.hexdigest()[:16]


def _warn_of_missing(folder: RunFolder, eras: "pl.DataFrame", dates: Mapping[int, str]) -> None:
    import polars as pl

    lost = eras.filter(pl.col("corr").is_nan()).group_by("variant", "seed", maintain_order=True).agg(pl.col("era"))
    for variant, seed, gone in lost.iter_rows():
        first = era_name(gone[0], dates)
        folder.warn(f"{variant}@{seed}: no corr in {len(gone)} eras (constant predictions or targets), the first is era {first}")
