"""umap-learn without its warnings, and without its effect on other libraries' threads."""

import ctypes
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def umap_learn() -> Iterator[Any]:
    """The module `umap.umap_`, for use inside of the block.

    numba sets the number of OpenMP threads of the whole process; afterwards it is what it was.
    """
    from threadpoolctl import threadpool_limits

    # numba loads this library when its threads start, and a torch that is imported later takes it over. Only what is loaded
    # before the limits are noted gets its number back. Where there is no such library, numba's threads are others.
    with suppress(OSError):
        ctypes.CDLL("libgomp.so.1")
    with warnings.catch_warnings(), threadpool_limits(limits=None, user_api="openmp"):
        warnings.simplefilter("ignore")  # numba, scikit-learn, the lack of tensorflow, spectral layouts that are not found
        from umap import umap_

        yield umap_
