"""Imports what the command may need: forks.py has one process do this once, and forks every command from it."""

import importlib

LIBRARIES = (
    "arch.bootstrap",
    "lightgbm",
    "matplotlib.figure",
    "polars",
    "pyarrow.parquet",
    "pytest",
    "scipy.stats",
    "torch",
    "umap",
    "xgboost",
)

for name in (*LIBRARIES, "sklearn.decomposition", "numerai_lab.cli", "numerai_lab.experiment", "numerai_lab.report"):
    importlib.import_module(name)
