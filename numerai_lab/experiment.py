"""The recipe of a run, from a config to a scored run folder. Read `run` first."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from numerai_lab.config.installed import refuse_absent
from numerai_lab.config.placebos import placebos_of, unequal
from numerai_lab.config.schema import Config
from numerai_lab.core.placebo_pairs import Placebos
from numerai_lab.core.shared_matrix import SharedMatrix
from numerai_lab.core.splits import Splits
from numerai_lab.data.reader import Loaded
from numerai_lab.fitting.estimate import EstimateInputs, need
from numerai_lab.fitting.fingerprint import fingerprint
from numerai_lab.fitting.fit_plan import FitPlan, seen_by
from numerai_lab.fitting.gang import local_parts
from numerai_lab.fitting.holdout import load_sealed
from numerai_lab.fitting.leak_warning import implausible
from numerai_lab.fitting.learned_targets import plans_of, remarks_of
from numerai_lab.fitting.notes import notes_of
from numerai_lab.fitting.portable_facts import portable_facts
from numerai_lab.fitting.prediction_table import missing_scores, prediction_table
from numerai_lab.fitting.realism import realism_of
from numerai_lab.fitting.rehearsal import rehearse
from numerai_lab.fitting.room import refuse_too_much
from numerai_lab.fitting.run_context import ProgressDisplay, RunContext, TrainTogether
from numerai_lab.fitting.run_facts import run_facts, unlearned_targets
from numerai_lab.fitting.run_progress import RunProgress, Speeds, WatchedDisplay
from numerai_lab.fitting.scoring_terms import scoring_of
from numerai_lab.fitting.truth import beside_truth_of_data
from numerai_lab.fitting.variant_facts import variant_facts, with_seconds
from numerai_lab.fitting.variants import check_methods, fit_generators, resolved_config, train_and_predict
from numerai_lab.fitting.workload import REALISM, REPORT, SCORE, planned_stages
from numerai_lab.metrics.scoring import Predictions, Scoring, check_rows, covered, fnc_remark, per_era, score_table
from numerai_lab.report.page import write_report
from numerai_lab.report.realism import write_realism
from numerai_lab.runs.fingerprints import FINGERPRINT
from numerai_lab.runs.layout import PER_ERA, PORTABLE, PREDICTIONS, SCORES
from numerai_lab.runs.live_progress import ProgressFile, live_progress
from numerai_lab.runs.reading import Run, read_run
from numerai_lab.runs.variant_facts import VariantFacts
from numerai_lab.runs.writing import RunFolder, new_run
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.machine import free_memory
from numerai_lab.storage.scratch import Scratch, scratch
from numerai_lab.storage.stage_cache import STAGES, Cache
from numerai_lab.storage.stage_speeds import read_speeds, remember_speeds
from numerai_lab.storage.used_entries import UsedEntries

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class RunOptions:
    """Options of a run.

    cached: share finished stages. unfinished: the folder of a killed run to go on in. force: run even if memory or disk seem
    too small. verify: read data files, stores and stages through, even if they did not change since the last check.
    memory: bytes that the run may take; None: all free memory. offered: a folder with stages that others made. matrices: binned
    rows that runs of this process share; None: they are let go of when the run has trained its models. together: where models
    with `workers` are trained; None: in processes of this machine.
    """

    cached: bool = True
    unfinished: Path | None = None
    force: bool = False
    memory: int | None = None
    verify: bool = False
    offered: Path | None = None
    matrices: SharedMatrix | None = None
    together: TrainTogether | None = None


def run(
    config: Config, runs_dir: Path, display: ProgressDisplay, remarks: list[str] | None = None, options: RunOptions = RunOptions()
) -> Run:
    """Runs a config into a new folder under `runs_dir`: data → fit plan → stages → predictions → scores → report.

    Raises NlabError for invalid input, and NlabFailure where the run fails.
    """
    refuse_absent(config)
    with new_run(runs_dir, config, options.unfinished) as folder, live_progress(folder.work) as progress_file:
        for remark in remarks or []:
            folder.warn(remark)
        prepared = _prepare(config, folder, display, options)
        _record(prepared, folder)
        with _watched(prepared, display, progress_file) as watched:
            predictions = _predict(prepared, folder, watched, options)
            eras, scores = _score(prepared, predictions, folder, watched)
            folder.resolved = prepared.config
            with folder.phase("report"), watched.task(REPORT):
                write_report(folder, prepared.config, eras, scores)
            watched.progress.finish(REPORT, folder.phases["report"]["seconds"])
    return read_run(folder.work)


@dataclass(frozen=True)
class _Prepared:
    """A run before any fit.

    asked: the config of the user; config: the config with every `auto` resolved. folds: of cross-validation, then the steps
    of walk-forward validation. facts: of each variant.
    """

    asked: Config
    config: Config
    loaded: Loaded
    plan: FitPlan
    folds: tuple[FitPlan, ...]
    scoring: Scoring
    placebos: Placebos
    facts: dict[str, VariantFacts]
    inputs: EstimateInputs


Predicted = Sequence[tuple[Splits, Predictions]]
"""Predictions of the validation eras, then those of each fold of cross-validation and step of walk-forward validation."""


def _prepare(config: Config, folder: RunFolder, display: ProgressDisplay, options: RunOptions) -> _Prepared:
    """Loads and checks data, splits and fit plan. Raises NlabError where the machine has too little room for the run."""
    with folder.phase("data"), display.task("data") as progress:
        loaded, splits = load_sealed(config, progress, verify=options.verify)
        panel, scoring = loaded.panel, scoring_of(config, loaded)
        plan, *folds = plans_of(config, splits, panel)
        for checked in (plan, *folds):
            check_methods(config, panel, checked)
            check_rows(panel, checked.splits, scoring)
    inputs = EstimateInputs.of(loaded, plan, folds, parts_elsewhere=options.together is not None)
    folder.manifest["expected"] = asdict(need(inputs))
    _make_room(options.matrices, folder)
    if not options.force:
        refuse_too_much(inputs, cache_dir(), options.memory)
    rehearse(config, panel, plan)
    folder.reached_data = True
    resolved, placebos = resolved_config(config, panel, plan), placebos_of(config)
    facts = variant_facts(resolved, placebos)
    return _Prepared(config, resolved, loaded, plan, tuple(folds), scoring, placebos, facts, inputs)


def _record(run: _Prepared, folder: RunFolder) -> None:
    """Writes into the manifest the facts that are known before any fit, and remarks on data and config."""
    folder.manifest |= run_facts(run.asked, run.loaded, run.plan.splits, run.scoring) | {FINGERPRINT: fingerprint(run.asked)}
    folder.manifest["placebos"] = run.placebos.as_dict()
    stamps = (stamp for stamp in (run.plan.splits.leak, run.loaded.alias, unlearned_targets(run.asked)) if stamp)
    left_out = remarks_of(run.plan, run.loaded.panel)
    parts = {run.config.model_of(name).parts_note: None for name in run.config.trained}
    wide = fnc_remark(run.loaded.panel, run.plan.splits, run.scoring)
    for note in (*run.loaded.notes, *stamps, *unequal(run.asked, run.placebos), *left_out, *filter(None, [wide, *parts])):
        folder.warn(note)


@contextmanager
def _watched(run: _Prepared, display: ProgressDisplay, file: ProgressFile) -> Iterator[WatchedDisplay]:
    """Shows and writes the progress of the run, and remembers how long its stages took for estimates of later ones."""
    progress = RunProgress(planned_stages(run.inputs), Speeds(read_speeds(cache_dir())))
    file.facts = progress.facts
    try:
        with display.run(progress):
            yield WatchedDisplay(display, progress)
    finally:
        remember_speeds(cache_dir(), progress.speeds.measured)


def _predict(run: _Prepared, folder: RunFolder, display: WatchedDisplay, options: RunOptions) -> Predicted:
    """Fits, trains and predicts, and measures the realism of synthetic eras in between."""
    loaded = run.loaded
    with scratch() as arrays, _cache(arrays, options) as cache:
        cache.on_stage = display.progress.finish
        for store in loaded.stores.all:
            cache.hold(store.folder)
        context = RunContext(run.config, loaded.panel, run.plan, arrays, display, folder.write_bytes, cache, loaded.content)
        together = options.together or local_parts
        context = replace(context, together=together, matrices=options.matrices or context.matrices)
        with folder.phase("transform"):
            fitted = fit_generators(context)
        with folder.phase("train"):
            predicted = [(run.plan.splits, train_and_predict(context, fitted))]
        if run.folds or options.matrices is None:
            context.matrices.clear()
        _make_room(options.matrices, folder)
        folder.manifest["variants"] = with_seconds(run.facts, run.config, run.plan.shared_models, cache.costs)
        fits = {key: generator.fits for key, generator in fitted.items()}
        folder.write_text(PORTABLE, portable_facts(run.config, loaded, run.plan, fits, folder.work).text())
        if any(augmenter.invents_rows for augmenter in run.config.augmenters.values()):
            with folder.phase("realism"), display.task(REALISM):
                write_realism(folder, realism_of(context))
            display.progress.finish(REALISM, folder.phases["realism"]["seconds"])
        for number, fold in enumerate(run.folds, start=1):
            with folder.phase(f"fit again {number} of {len(run.folds)}"):
                predicted.append((fold.splits, out_of_fold(context, fold)))
        folder.cached_bytes = cache.n_bytes
    folder.note_stages(cache.costs, cache.hits)
    return predicted


def _score(
    run: _Prepared, predicted: Predicted, folder: RunFolder, display: WatchedDisplay
) -> "tuple[pl.DataFrame, pl.DataFrame]":
    """Writes predictions, per-era scores and the score table; returns the last two."""
    import polars as pl

    panel, scoring, splits = run.loaded.panel, run.scoring, run.plan.splits
    folder.write_table(PREDICTIONS, pl.concat([prediction_table(panel, *part) for part in predicted]))
    for part, predictions in predicted:
        for line in covered(panel, predictions, part, scoring).lines():
            folder.warn(line)
    with folder.phase("score"), display.task("score") as progress:
        eras = pl.concat([per_era(panel, predictions, part, scoring, progress) for part, predictions in predicted])
        scores = score_table(eras, scoring, notes_of(run.plan, run.loaded.alias), run.placebos.as_dict())
    display.progress.finish(SCORE, folder.phases["score"]["seconds"])
    scores, facts, remarks = beside_truth_of_data(scores, eras, run.config, panel, scoring)
    folder.manifest |= facts
    folder.write_table(PER_ERA, eras)
    folder.write_table(SCORES, scores)
    for line in (*remarks, *missing_scores(eras, panel.dates)):
        folder.warn(line)
    if leak := implausible(scores, run.config.scoring, panel, splits):
        folder.warn(leak)
    return eras, scores


def _make_room(matrices: SharedMatrix | None, folder: RunFolder) -> None:
    """Lets go of the matrix that runs share, where the free memory may not do for a run beside it."""
    if matrices is not None and free_memory() < folder.manifest["expected"]["memory_bytes"]:
        matrices.clear()


def _cache(space: Scratch, options: RunOptions) -> Cache:
    folder = cache_dir() / STAGES if options.cached else space.folder / STAGES
    return Cache(folder, verify=options.verify, offered=options.offered, used=UsedEntries(space.folder))


def out_of_fold(context: RunContext, fold: FitPlan) -> Predictions:
    """Predictions for the eras of a fold, or a step, by what is fitted on its training eras alone; nothing is saved."""
    panel = seen_by(context.panel, fold.splits)
    with scratch() as space:
        inside = replace(context, panel=panel, plan=fold, scratch=space, save=lambda name, content: None)
        predictions = train_and_predict(inside, fit_generators(inside))
        context.matrices.clear()
        return predictions
