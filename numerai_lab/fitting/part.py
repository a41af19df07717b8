"""One part of a training by several processes: the same stream as in one process, every n-th batch of it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.progress import no_progress
from numerai_lab.core.seeding import rng_for
from numerai_lab.fitting.fit_plan import FitPlan, seen_by
from numerai_lab.fitting.holdout import load_sealed
from numerai_lab.fitting.learned_targets import learning, plans_of
from numerai_lab.fitting.run_context import ProgressDisplay, RunContext
from numerai_lab.fitting.stages import training_stream
from numerai_lab.fitting.variants import fit_generators, inputs_of
from numerai_lab.models.xgboost_parts import part_of
from numerai_lab.storage.resumable import fit_context
from numerai_lab.storage.scratch import scratch
from numerai_lab.storage.stage_cache import Cache
from numerai_lab.storage.whole_files import write_whole


def train_part(config: Config, job: Mapping[str, Any], display: ProgressDisplay) -> str:
    """Trains this part together with the others. Returns the file of the model; checkpoints are kept where the job says so.

    Raises NlabFailure where the config's data has no such split.
    """
    loaded, splits = load_sealed(config)
    panel, name, seed, part = loaded.panel, job["variant"], job["seed"], int(job["part"])
    plans = plans_of(config, splits, panel)
    plan = next((plan for plan in plans if _split_of(plan) == job["splits"]), None)
    if plan is None:
        raise NlabFailure("model.workers: a part of the training finds other splits than the run")
    seen = panel if plan is plans[0] else seen_by(panel, plan.splits)
    narrowed = config.model_copy(update={"variants": {name: config.variants[name]}})
    with scratch() as arrays, Cache(Path(job["stages"]), offered=_offered(job)) as cache:
        for store in loaded.stores.all:
            cache.hold(store.folder)
        context = RunContext(
            narrowed, seen, replace(plan, config=narrowed), arrays, display, lambda file, content: None, cache, loaded.content
        )
        inputs, _ = inputs_of(context, fit_generators(context, [seed]))(name, seed)
        stream = training_stream(learning(context, name, tuple(job["targets"])), inputs, seed)
        keeping = fit_context(Path(job["work"]), no_progress)
        if not job["keeps"]:
            keeping = replace(keeping, save_checkpoint=lambda state: None)
        with part_of(job["tracker"], part):
            model = narrowed.model_of(name).fresh()
            fitted = model.fit(replace(stream, part=part, n_parts=int(job["n_parts"])), rng_for(seed, "model"), keeping)
        suffix, content = fitted.saved()
    path = Path(job["folder"]) / f"model-{part}{suffix}"
    write_whole(path, content)
    return str(path)


def _offered(job: Mapping[str, Any]) -> Path | None:
    """The folder with fits that were sent to this part; None where it shares the cache of the run."""
    return Path(job["offered"]) if "offered" in job else None


def _split_of(plan: FitPlan) -> list[list[int]]:
    return [list(plan.splits.train), list(plan.splits.validation)]
