"""Which rows are copies of training rows, but for a few cells: a search through all training rows."""

from collections.abc import Iterable

import numpy as np

from numerai_lab.core.arrays import Array, Int64

FEW = 3
"""Cells by which a near copy may differ from its original."""
LEAST_COLUMNS = 40
"""Features from which near copies are looked for: of fewer, rows are alike by chance."""
MOST_CANDIDATES = 50
"""Rows that are compared with one training row by the cells of one part."""


def changed_cells(rows: Array, blocks: Iterable[Array]) -> Int64:
    """The number of cells by which each row differs from the most alike row of the blocks; FEW + 1 where by more than FEW.

    Columns fall into FEW + 1 parts. A row that differs in at most FEW cells has a part without a change, so it is among the
    rows with the same hash of that part; only such rows are compared. With fewer than LEAST_COLUMNS columns only whole rows
    are: 0 or FEW + 1. Memory: the rows and one block.
    """
    n_parts = FEW + 1 if rows.shape[1] >= LEAST_COLUMNS else 1
    rows, original = np.unique(rows, axis=0, return_inverse=True)
    fewest = np.full(len(rows), FEW + 1)
    tables = []
    for part in range(n_parts):
        keys = _hashed(rows[:, part::n_parts])
        order = np.argsort(keys, kind="stable")
        tables.append((keys[order], order))
    for block in blocks:
        same = block.astype(rows.dtype, copy=False)
        for part, (keys, order) in enumerate(tables):
            theirs = _hashed(same[:, part::n_parts])
            start, end = (np.searchsorted(keys, theirs, side) for side in ("left", "right"))
            number = np.minimum(end - start, MOST_CANDIDATES)
            block_row = np.repeat(np.arange(len(same)), number)
            place = np.arange(len(block_row)) - np.repeat(np.cumsum(number) - number, number)
            row = order[np.repeat(start, number) + place]
            np.minimum.at(fewest, row, (same[block_row] != rows[row]).sum(1))
    changes: Int64 = np.minimum(fewest, FEW + 1)[original.ravel()]
    return changes


def _hashed(cells: Array) -> Array:
    """A 64-bit hash of each row's bytes, by multiplication of words with fixed odd numbers."""
    raw = np.ascontiguousarray(cells).view(np.uint8).reshape(len(cells), -1)
    words = np.zeros((len(cells), -(-raw.shape[1] // 8) * 8), np.uint8)
    words[:, : raw.shape[1]] = raw
    factors = np.random.default_rng(0).integers(0, 2**63, words.shape[1] // 8, np.uint64) * np.uint64(2) + np.uint64(1)
    hashes: Array = (words.view(np.uint64) * factors).sum(1)
    return hashes
