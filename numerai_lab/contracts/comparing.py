"""Whether two arrays of numbers are the same."""

import numpy as np

from numerai_lab.core.arrays import Array


def apart(first: Array, second: Array, tolerance: float) -> str:
    """How far two arrays lie apart, as text; empty where they are the same.

    tolerance: the largest difference, as a share of each column's spread; 0 asks for the same bytes.
    """
    if first.shape != second.shape:
        return f"{first.shape} against {second.shape}"
    if np.array_equal(first, second):
        return ""
    spread = np.maximum(first.std(0, dtype=np.float64), 1e-12 + np.abs(first).max(0) * 1e-2)
    largest = float((np.abs(first.astype(np.float64) - second) / spread).max())
    return f"by up to {largest:.2g} of a column's spread" if not largest <= tolerance else ""
