"""Imports and compiles what the command may need: forks.py has one process do this once, and forks every command from it.

No threads may be started here: a fork has none of them.
"""

import importlib
import os
import warnings
from pathlib import Path

os.environ["NUMBA_THREADING_LAYER"] = "workqueue"  # the one whose processes may be forked

import numpy as np

from numerai_lab.core.integer_products import integers_are_faster
from numerai_lab.report.markup import _library, _templates
from numerai_lab.storage.parsed_source import parsed
from tests.compiled import keep

keep()
umap = importlib.import_module("umap")

LIBRARIES = ("lightgbm", "matplotlib.figure", "polars", "pyarrow.parquet", "pytest", "scipy.stats", "torch._dynamo")
PACKAGE = Path(str(importlib.import_module("numerai_lab").__file__)).parent

for name in (
    *LIBRARIES,
    "xgboost",
    "sklearn.decomposition",
    "numerai_lab.cli.app",
    "numerai_lab.experiment",
):
    importlib.import_module(name)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    points = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    embedding = umap.UMAP(n_neighbors=5, n_epochs=20, random_state=0, n_jobs=1).fit(points)
    embedding.inverse_transform(embedding.transform(points[:40]))

integers_are_faster()
_library()
for template in _templates().list_templates(["html"]):
    _templates().get_template(template)
for path in PACKAGE.rglob("*.py"):
    parsed(path)
