"""What tests share: a cache of their own, panels made in memory, quick parameters for every registered component."""

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

# Before anything reads them. Tests never touch the user's cache; each process of a suite that runs in several has its own, and
# one thread, since many threads over rows of tiny tables wait for each other more than they work.
os.environ["NLAB_CACHE"] = tempfile.mkdtemp(prefix="nlab-tests-")
os.environ["NLAB_CONFIG"] = os.path.join(os.environ["NLAB_CACHE"], "config")
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
# A shell ignores interrupts in what it starts in the background, and children would inherit that; some tests interrupt them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.config.kinds import class_for, component_of
from numerai_lab.config.loading import parse_config
from numerai_lab.config.schema import Config
from numerai_lab.contracts.small_panels import invented as make_panel
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.data.reader import Loaded, load
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.fitting.run_context import WholeRun
from numerai_lab.generators import GENERATORS
from numerai_lab.models import MODELS
from numerai_lab.runs.layout import MANIFEST
from numerai_lab.runs.layout import MODELS as MODELS_FOLDER
from numerai_lab.runs.reading import FILES, SIGNED
from numerai_lab.storage.checksums import checksum
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.scratch import Scratch
from numerai_lab.storage.signing import signature
from numerai_lab.storage.stage_cache import STAGES
from numerai_lab.storage.stamped_json import read_stamped, with_stamp
from numerai_lab.studies import fresh_process
from tests.compiled import keep
from tests.report.browser import Page, chromium

keep()
fresh_process.PRELOADED = ("tests.warm", *fresh_process.PRELOADED)  # one fork server serves trials and commands
atexit.register(shutil.rmtree, os.environ["NLAB_CACHE"], ignore_errors=True)

NETWORK = {"n_components": 3, "hidden": 16}
TRAINING = {"batch_size": 64, "max_steps": 20, "evaluate_every": 10, "learning_rate": 0.01}
UMAP_SIZES = {"n_components": 2, "landmarks": 300, "n_epochs": 20, "n_neighbors": 5}

QUICK: Mapping[str, dict[str, Any]] = {
    "pca": {"n_components": 3},
    "factor_analysis": {"n_components": 3},
    "umap": {**UMAP_SIZES, "mode": "parametric", "hidden": 16, "batch_size": 64, "negatives": 16, "steps": 10},
    "log_ratio_pairs": {"n_pairs": 5},
    "local_density": {"landmarks": 200},
    "random_columns": {"n_columns": 3},
    "sklearn_transformer": {"n_components": 3},
    "autoencoder": NETWORK | TRAINING,
    "random_encoder": NETWORK,
    "contrastive": NETWORK | TRAINING,
    "era_autoencoder": NETWORK | TRAINING | {"frozen_hidden": 8, "frozen_width": 16},
    "supervised_autoencoder": TRAINING | {"n_components": 4, "hidden": [16, 8], "dropout": [0.2, 0.1], "blocks": 2},
    "siamese": NETWORK | TRAINING | {"blocks": 2},
    "diffusion": {**TRAINING, "hidden": 16, "n_layers": 1, "n_steps": 4},
    "noise_to_stock": {**TRAINING, "hidden": 16},
    "dream": {**TRAINING, "hidden": 16, "ratio": 1.0},
    "unet": {**TRAINING, "wide": 16, "narrow": 3},
    "umap_inverse": {"landmarks": 150, "pool": 60, "n_epochs": 20, "n_neighbors": 5},
    "xgen": {"n_estimators": 10, "learning_rate": 0.3, "max_depth": 2, "classes": 4},
    "block_dro": {"blocks": 3},
    "double_ensemble": {"n_models": 2, "n_estimators": 10, "colsample_bytree": 0.5},
    "ddg_da": {"segment": 1, "history": 2, "gap": 1},
    "xgboost": {"n_estimators": 15, "learning_rate": 0.2, "colsample_bytree": 0.5},
    "lightgbm": {"n_estimators": 15, "learning_rate": 0.2, "colsample_bytree": 0.5},
    "catboost": {"n_estimators": 15, "learning_rate": 0.2, "colsample_bytree": 0.5},
    "sklearn": {"parameters": {"max_iter": 15, "learning_rate": 0.2, "min_samples_leaf": 1}},
    "mlp": {"hidden": [16, 8], "learning_rate": 0.01, "epochs": 2},
    "tabm": {"hidden": [16, 8], "members": 3, "learning_rate": 0.01, "epochs": 2},
}
"""Parameters that make a component quick; one that is not named here is tested with its defaults."""


def quick(kind: str) -> dict[str, Any]:
    """A config slice of a component."""
    return {"kind": kind, **QUICK.get(kind, {})}


def component(kind: str, **parameters: Any) -> Any:
    """A component with quick parameters, where it has them."""
    registered = (GENERATORS | AUGMENTERS | MODELS)[kind]
    few = QUICK.get(kind, {})
    chosen = class_for(registered, {**few, **parameters})
    assert chosen is not None
    few = {name: value for name, value in few.items() if name in chosen.model_fields}
    return component_of(registered, {**few, **parameters})


class Quiet:
    """Progress that nobody sees."""

    def task(self, label: str) -> AbstractContextManager[Progress]:
        return nullcontext(no_progress)

    def run(self, whole: WholeRun) -> AbstractContextManager[None]:
        return nullcontext()


def reseal(run: Path) -> None:
    """Makes what was changed in a run folder look as if it had been written so."""
    manifest = run / MANIFEST
    facts = read_stamped(manifest)
    files = {name: checksum(run / name) for name in facts[FILES]}
    signed = signature([path for path in (run / MODELS_FOLDER).glob("*") if path.is_file()], run)
    manifest.write_text(with_stamp({**facts, FILES: files, SIGNED: signed}))


def make_config(**changes: Any) -> Config:
    """A small valid config; `changes` replace its keys."""
    raw: dict[str, Any] = {
        "name": "test",
        "data": {"source": "synthetic", "size": "tiny"},
        "splits": {"train": "train", "embargo": {"eras": 2, "allow_leak": True}},
        "model": {"kind": "ridge"},
    }
    return parse_config({**raw, **changes}, "test.yaml")


@pytest.fixture(autouse=True)
def no_stages() -> None:
    """Every test computes its own stages: what another one left in the cache would hide a fault."""
    shutil.rmtree(cache_dir() / STAGES, ignore_errors=True)


@pytest.fixture
def panel() -> Panel:
    return make_panel()


@pytest.fixture(scope="session")
def tiny() -> Loaded:
    """The tiny synthetic tournament."""
    return load(Synthetic(size="tiny"), ["all"])


@pytest.fixture
def space(tmp_path: Path) -> Scratch:
    (tmp_path / "scratch").mkdir()
    return Scratch(tmp_path / "scratch")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One headless browser for all pages; tests that want it are skipped where there is none."""
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page
