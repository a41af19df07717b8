"""A variant trained again on all eras whose targets are known, before it goes live. Nothing ever scores that model."""

import shutil
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from numerai_lab.config.schema import Config
from numerai_lab.core.era_ranges import ranges_text, span_text
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.data.reader import Loaded
from numerai_lab.fitting.estimate import EstimateInputs
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.holdout import load_sealed_for, splits_of_run
from numerai_lab.fitting.learned_targets import plan_for
from numerai_lab.fitting.portable import Portable
from numerai_lab.fitting.portable_checks import refuse_contradiction
from numerai_lab.fitting.portable_facts import portable_facts
from numerai_lab.fitting.restored import Restored
from numerai_lab.fitting.room import refuse_too_much
from numerai_lab.fitting.run_context import ProgressDisplay, RunContext
from numerai_lab.fitting.variants import check_methods, fit_generators, train_models
from numerai_lab.runs.layout import MANIFEST, MODELS, PORTABLE, REFITS
from numerai_lab.runs.output_files import check_writable, note_in_manifest
from numerai_lab.runs.reading import FILES, SIGNED, Run, RunFiles, damaged_run, read_run
from numerai_lab.storage.checksums import checksums
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.folders import LOCK, built, cache_dir, key_of
from numerai_lab.storage.scratch import scratch
from numerai_lab.storage.signing import signature
from numerai_lab.storage.stage_cache import STAGES, Cache
from numerai_lab.storage.stamped_json import read_stamped, with_stamp
from numerai_lab.storage.used_entries import UsedEntries
from numerai_lab.storage.whole_files import write_whole
from numerai_lab.tournament.prediction import Predictor

FEWEST_ROWS = 2
"""Rows with a target that make an era resolved."""


def refitted(run: Run, predictor: Predictor, display: ProgressDisplay, *, renew: bool = False) -> Predictor:
    """The variant of a predictor, trained again on all resolved eras; the run folder keeps the models under `refits/`.

    A refit that is there already is taken. renew: unless the data has resolved eras that it did not see. Raises NlabError
    where the data is not that of the run any more, or the machine has too little room.
    """
    _refuse_links(run, predictor.variant)
    there = _refit_of(run, predictor.variant)
    if there is not None and not renew:
        return _with(predictor, there)
    check_writable(run.path / MANIFEST)
    with Lock(run.path / REFITS / LOCK) as lock:
        lock.take(wait=True)  # of two processes one makes it and the other takes it
        there = _renewed(read_run(run.path), predictor, display, renew)
        lock.remove()
    return _with(predictor, there)


def _renewed(run: Run, predictor: Predictor, display: ProgressDisplay, renew: bool) -> RunFiles:
    """The refit that the run folder keeps if it may be taken, else a new one."""
    there = _refit_of(run, predictor.variant)
    if there is not None and not renew:
        return there
    with display.task("data") as progress:
        loaded = load_sealed_for(run, predictor.config, progress)
    panel = loaded.panel
    if panel.raw_names != predictor.facts.features:
        raise NlabError(f"{run.path}: the data's features are no longer those of the run, so it can't be trained again")
    config = _config_of(run, predictor)
    eras = resolved_eras(run, config, panel)
    if there is None or there.manifest["refit"]["key"] != _key(eras, loaded):
        return _refit(run, predictor.variant, config, loaded, eras, display)
    return there


def _refuse_links(run: Run, variant: str) -> None:
    """Raises NlabError where the folder of a refit leads out of the run folder."""
    for name in (REFITS, f"{REFITS}/{variant}"):
        if (run.path / name).is_symlink():
            raise damaged_run(run.path, f"{name} is a link; remove it")


def _config_of(run: Run, predictor: Predictor) -> Config:
    """The config with the variant and its members alone, and one fit."""
    config = Restored(run, predictor.config, {}, (predictor.variant,)).partial_config
    return config.model_copy(update={"cv": None, "retrain": None})


def resolved_eras(run: Run, config: Config, panel: Panel) -> tuple[int, ...]:
    """Eras with a known target, from the first training era of the run on, by the same stride."""
    first = min(run.manifest["splits"]["train"])
    known = zip(panel.eras.tolist(), panel.n_known.tolist(), strict=True)
    return tuple(era for era, n_rows in known if era >= first and n_rows >= FEWEST_ROWS)[:: config.splits.era_stride]


def _refit_of(run: Run, variant: str) -> RunFiles | None:
    """The refit of a variant that the run folder keeps and its manifest knows; None without one."""
    folder = run.path / REFITS / variant
    if variant not in run.manifest.get(REFITS, {}) or not folder.is_dir():
        return None
    with suppress(ValueError, OSError, KeyError, NlabError):  # what is damaged is made anew
        manifest = read_stamped(folder / MANIFEST)
        files = RunFiles(folder, manifest)
        for name in manifest[FILES]:
            files.content(name)
        return files if manifest["refit"]["key"] else None
    return None


def _with(predictor: Predictor, refit: RunFiles) -> Predictor:
    facts = Portable.read(refit)
    assert facts is not None
    refuse_contradiction(refit, facts, predictor.config)
    assert facts.refit is not None
    remark = (
        f"REFIT: {predictor.variant} is trained on {facts.refit}; this model was never scored, the run's scores are another's"
    )
    return replace(predictor, folder=refit, facts=facts, remarks=(*predictor.remarks, remark))


def _key(eras: tuple[int, ...], loaded: Loaded) -> str:
    return key_of({"eras": eras, "data": loaded.identity})


def _refit(run: Run, variant: str, config: Config, loaded: Loaded, eras: tuple[int, ...], display: ProgressDisplay) -> RunFiles:
    """Stages: generators and models on all of these eras, and the folder that keeps them."""
    plan = _plan(run, config, loaded.panel, eras)
    refuse_too_much(EstimateInputs.of(loaded, plan, ()), cache_dir())
    folder, key = run.path / REFITS / variant, _key(eras, loaded)
    says = f"eras {span_text(eras, loaded.panel.dates)}"
    with built(folder.with_name(f"{variant}-{key}")) as work:
        facts = _trained(config, loaded, plan, work, display).model_copy(update={"refit": says})
        write_whole(work / PORTABLE, facts.text().encode())
        written = [path for path in work.rglob("*") if path.is_file() and path.name != LOCK]
        record = _record(run, eras, key)
        signed = signature([path for path in written if path.parent.name == MODELS], work)
        write_whole(work / MANIFEST, with_stamp({**record, FILES: checksums(written, work), SIGNED: signed}).encode())
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name(f"{variant}-{key}").rename(folder)
    manifest = read_stamped(folder / MANIFEST)
    known: dict[str, Any] = run.manifest.get(REFITS, {})
    note_in_manifest(run.path, REFITS, {**known, variant: manifest["refit"]})
    return RunFiles(folder, manifest)


def _plan(run: Run, config: Config, panel: Panel, eras: tuple[int, ...]) -> FitPlan:
    """The fit plan with all of these eras as training eras."""
    before = splits_of_run(run.manifest, config, panel)
    plan = plan_for(config, Splits(eras, (), (), (), before.embargo_eras, before.required_eras), panel)
    check_methods(config, panel, plan)
    return plan


def _trained(config: Config, loaded: Loaded, plan: FitPlan, work: Path, display: ProgressDisplay) -> Portable:
    """Fits and trains; the models are written into `work`."""

    def save(name: str, content: bytes) -> None:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        write_whole(work / name, content)

    with scratch() as arrays, Cache(cache_dir() / STAGES, used=UsedEntries(arrays.folder)) as cache:
        for store in loaded.stores.all:
            cache.hold(store.folder)
        context = RunContext(config, loaded.panel, plan, arrays, display, save, cache, loaded.content)
        fitted = fit_generators(context)
        train_models(context, fitted)
    return portable_facts(config, loaded, plan, {of: generator.fits for of, generator in fitted.items()}, work)


def _record(run: Run, eras: tuple[int, ...], key: str) -> dict[str, Any]:
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    return {
        "run": run.name,
        "refit": {"eras": ranges_text(eras), "n_eras": len(eras), "made": now, "scored": False, "key": key},
        "note": "trained again on all resolved eras, validation included: never scored",
    }
