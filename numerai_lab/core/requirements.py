"""Packages that only some methods need, and the commands that bring them."""

from collections.abc import Iterable
from importlib.util import find_spec

INSTALL = {
    "catboost": "pip install 'numerai_lab[catboost]'",
    "duckdb": "pip install 'numerai_lab[query]'",
    "lightgbm": "pip install lightgbm",
    "mlflow": "pip install 'numerai_lab[mlflow]'",
    "optuna": "pip install 'numerai_lab[sweep]'",
    "pynndescent": "pip install umap-learn",
    "sklearn": "pip install scikit-learn",
    "skops": "pip install skops",
    "torch": "pip install torch --index-url https://download.pytorch.org/whl/cpu",
    "umap": "pip install umap-learn",
    "xgboost": "pip install xgboost",
}
"""The command that brings a package, by the name that Python imports it under."""


def absent(packages: Iterable[str]) -> list[str]:
    """Those packages that are not installed; none is imported."""
    return [package for package in packages if not _is_there(package)]


def how_to_install(packages: Iterable[str]) -> str:
    """Absent packages and the command that brings them, as the end of a sentence."""
    packages = list(packages)
    commands = dict.fromkeys(INSTALL.get(package, f"pip install {package}") for package in packages)
    verb = "is" if len(packages) == 1 else "are"
    return f"{' and '.join(packages)}, which {verb} not installed: {' && '.join(commands)}"


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ImportError:
        return False
