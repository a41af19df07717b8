"""Training of one model by several processes, each on its part of the training rows."""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numerai_lab.config.plugins import given_plugins
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.processors import THREADS, threads_now
from numerai_lab.fitting.child_process import ChildLost, ChildProcess, await_all
from numerai_lab.fitting.run_context import RunContext, TrainTogether
from numerai_lab.models.xgboost_parts import tracker
from numerai_lab.storage.stage_cache import Entry

log = logging.getLogger("nlab")
TRIES = 3
HOST = "127.0.0.1"


def trained_in_parts(context: RunContext, together: TrainTogether, seed: int, work: Path) -> Path:
    """Trains the model of the context's variant and target together. Returns its file, in a folder of the run's own.

    All parts end where one is lost, and begin again from the last checkpoint in `work`. Raises NlabFailure where that
    happens three times, or where parts end with different models.
    """
    assert context.variant is not None
    model = context.config.model_of(context.variant)
    folder = Path(tempfile.mkdtemp(prefix="parts-", dir=context.scratch.folder))
    job = {
        "kind": "part",
        "config": context.config.to_yaml(),
        "plugins": given_plugins(),
        "stages": str(context.stages.folder),
        "fits": _fits(context),
        "splits": [list(context.splits.train), list(context.splits.validation)],
        "variant": context.variant,
        "targets": list(context.targets),
        "seed": seed,
        "n_parts": model.n_parts,
        "work": str(work),
        "folder": str(folder),
    }
    reason = ""
    for _ in range(TRIES):
        try:
            paths = [Path(path) for path in together(job, model.n_parts)]
        except ChildLost as lost:
            reason = str(lost)
            log.warning("a part of the training was lost (%s); all parts begin again", reason)
            continue
        if len({hashlib.sha256(path.read_bytes()).digest() for path in paths}) > 1:
            raise NlabFailure(f"model.workers: the {model.n_parts} parts have trained different models")
        return paths[0]
    raise NlabFailure(f"model.workers: a part of the training was lost {TRIES} times ({reason})")


def local_parts(job: Mapping[str, Any], n_parts: int) -> list[str]:
    """Trains all parts in processes of this machine. Returns the files of their models.

    Raises ChildLost where one is lost, and NlabError as a part does.
    """
    threads = dict.fromkeys(THREADS, str(max(1, threads_now() // n_parts)))
    log.info("training in %d processes", n_parts)
    with tracker(n_parts, HOST) as arguments:
        children = [
            ChildProcess({**job, "part": part, "keeps": part == 0, "tracker": arguments}, {**os.environ, **threads})
            for part in range(n_parts)
        ]
        await_all(children, _pause)
        failed = [child for child in children if child.failed]
        return [child.result() for child in failed or children]


def _fits(context: RunContext) -> list[str]:
    """The folders of what generators and augmenters of the context's variant have learned, for parts that lack them."""
    assert context.variant is not None
    names = {*context.config.generators_of(context.variant), *context.config.variants[context.variant].augment}
    fits = [path for path in context.stages.entries if path.parent.name == "fit"]
    return [str(path) for path in fits if _fitted_name(Entry(path)) in names]


def _fitted_name(entry: Entry) -> str:
    """The name of what a fit's entry holds: its label is `fit NAME@SEED`, with more behind it where there are several."""
    return str(entry.meta["label"]).removeprefix("fit ").rpartition("@")[0]


def _pause(seconds: float) -> bool:
    """Waits; nobody stops the work but by an interrupt."""
    time.sleep(seconds)
    return False
