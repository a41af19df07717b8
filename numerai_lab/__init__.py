"""The laboratory that finds out whether unsupervised features and synthetic rows make Numerai models better."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["compare", "load_config", "read_run", "run", "unseal"]


def __getattr__(name: str) -> Any:
    """What a notebook needs, of `numerai_lab.api`, when it is asked for: importing the package loads nothing else."""
    if name in __all__:
        return getattr(import_module("numerai_lab.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
