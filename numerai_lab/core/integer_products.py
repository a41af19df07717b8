"""Products of columns of small integers, exact on every machine and for any number of threads."""

import itertools
import sys
import time
from functools import cache

import numpy as np

from numerai_lab.core.arrays import Array, Float64, Int8, Int64

EXACT_IN_FLOAT32 = 2**24
"""Sums of whole numbers below this are exact in float32."""
WORTH_LOADING = 1e12
"""Multiplications from which products of integers save more time than loading torch takes."""
TORCH_BYTES = 190_000_000
"""Memory of torch, once loaded."""
FIRST_TRIES = 3
CLEARLY_SLOWER = 10
"""Where integers take so many times as long as floats in each of the first tries, no more are made."""
PARTS = 4
PART = 190
"""Columns of a part, at least: small products are slow."""
LEAST = 16
"""Rows and columns from which torch's product is used: of a single column it is wrong (2.13), and of few none is faster."""
LANES = 64
"""Parts begin at multiples of this: the rows of torch's tiles. Others take a sixth longer."""


def largest(features: Array) -> int | None:
    """The largest absolute value of int8 columns; None for others, and where there is none."""
    if features.dtype != np.int8 or not features.size:
        return None
    return max(int(features.max()), -int(features.min()))


def exact(most: int | None, n_rows: int) -> bool:
    """Whether `gram` takes columns with this `largest`: sums of so many products fit into float32."""
    return most is not None and n_rows * most**2 < EXACT_IN_FLOAT32


def column_sums(features: Int8, most: int) -> Int64:
    """Sums of the columns of small integers (rows × q), in int8 for a few rows at a time: four times as fast.

    most: their `largest`.
    """
    height = max(1, 127 // max(1, most))
    whole = len(features) // height * height
    parts = features[:whole].reshape(-1, height, features.shape[1]).sum(1, dtype=np.int8)
    sums: Int64 = parts.sum(0, dtype=np.int64) + features[whole:].sum(0, dtype=np.int64)
    return sums


def float_gram(features: Int8) -> Float64:
    """X′X of `exact` columns (rows × q) by float32 BLAS: float64, in Fortran order; only the lower triangle counts."""
    from scipy.linalg import blas

    return np.asarray(blas.ssyrk(1.0, features.astype(np.float32).T, lower=1), np.float64, order="F")


def gram(features: Int8) -> Float64:
    """The same numbers as `float_gram`, by torch's product of int8 matrices where torch is loaded and that is faster here."""
    if not by_integers(features):
        return float_gram(features)
    import torch

    n_columns = features.shape[1]
    cells = torch.from_numpy(np.require(features, requirements=("C", "W")))  # torch takes no others
    n_parts = max(1, min(PARTS, n_columns // PART))
    edges = [*(round(n_columns * part / n_parts / LANES) * LANES for part in range(n_parts)), n_columns]
    product = np.zeros((n_columns, n_columns), order="F")
    for start, stop in itertools.pairwise(edges):
        product.T[start:stop, start:] = torch._int_mm(cells[:, start:stop].T, cells[:, start:]).numpy()
    return product


def inner(rows: Int8, among: Int8) -> Array:
    """Products of each row with each of some others (n × q and m × q → n × m), as `gram` makes them. `exact` of q must hold."""
    if not (by_integers(rows) and by_integers(among)):
        return np.asarray(rows.astype(np.float32) @ among.astype(np.float32).T)
    import torch

    left, right = (torch.from_numpy(np.require(part, requirements=("C", "W"))) for part in (rows, among))
    product: Array = torch._int_mm(left, right.T).numpy()
    return product


def prepare(n_multiplications: float) -> None:
    """Loads torch where it is installed and so much work makes up for it."""
    if n_multiplications >= WORTH_LOADING:
        import contextlib

        with contextlib.suppress(ImportError):
            import torch

            assert torch


def prepared_bytes(n_multiplications: float) -> int:
    """Memory that `prepare` takes for so much work."""
    return TORCH_BYTES if n_multiplications >= WORTH_LOADING else 0


def by_integers(features: Int8) -> bool:
    """Whether products of such columns are made by torch."""
    return min(features.shape) >= LEAST and integers_are_faster()


def integers_are_faster() -> bool:
    """Whether torch is loaded and its product of int8 matrices beats float32 BLAS on this processor."""
    return "torch" in sys.modules and _probed()


@cache
def _probed() -> bool:
    """The better of some short tries of each, on one small matrix; other processes disturb single tries.

    Without instructions for products of integers torch takes some fifty times as long as BLAS, and few tries suffice.
    """
    import torch

    cells = np.ones((1024, 256), np.int8)
    integers, floats = torch.from_numpy(cells), cells.astype(np.float32)
    seconds: dict[bool, float] = {}
    for tries in range(15):
        if tries == FIRST_TRIES and seconds[True] > CLEARLY_SLOWER * seconds[False]:
            break
        for by_integers in (True, False):
            start = time.perf_counter()
            _ = torch._int_mm(integers.T, integers) if by_integers else floats.T @ floats
            seconds[by_integers] = min(seconds.get(by_integers, np.inf), time.perf_counter() - start)
    return seconds[True] < seconds[False]
