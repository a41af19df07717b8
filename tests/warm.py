"""Imports and compiles what runs need, once, in a process that test_kill.py forks its runs from. No thread may be left running."""

import importlib

import numpy as np

for name in ("lightgbm", "matplotlib", "polars", "pyarrow.parquet", "sklearn.decomposition", "torch", "xgboost", "numerai_lab.cli"):
    importlib.import_module(name)

from tests.conftest import component, make_panel

panel = make_panel()
component("umap").fit(panel, np.random.default_rng(0)).transform(panel.block(1))
