"""umap-learn, kept from warning, and from changing how many threads others use."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def umap_learn() -> Iterator[Any]:
    """The module `umap.umap_`. numba sets the number of OpenMP threads of the whole process; afterwards it is what it was."""
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba, scikit-learn, the lack of tensorflow, spectral layouts that are not found
        from umap import umap_

        with threadpool_limits(limits=None, user_api="openmp"):
            yield umap_
