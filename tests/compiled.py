"""What umap-learn compiles is kept beside its files: each process of the suite would compile for half a minute otherwise."""

from functools import wraps
from typing import Any


def keep() -> None:
    """Has numba, where it is installed, keep what it compiles from here on; umap-learn must not be imported yet."""
    try:
        import numba
    except ImportError:
        return
    compiled = numba.njit

    @wraps(compiled)
    def njit(*arguments: Any, **options: Any) -> Any:
        return compiled(*arguments, **{"cache": True, **options})

    numba.njit = njit
