"""Sums of trees, kept as arrays."""

from typing import Any

import numpy as np

from numerai_lab.core.arrays import Array, Float32

ROWS_OF_TREES = 2048
"""Rows that go through all trees together: their inputs stay in a core's cache."""


def sum_of_trees(X: Float32, trees: dict[str, Array]) -> Float32:
    """Predictions for rows × inputs, float32: the start, and the value of each tree's leaf, added tree by tree.

    trees: `feature`, `threshold`, `left`, `right`, `value`, of all nodes of all trees: left and right
    are nodes, and a leaf's are the leaf itself. `root` and `depth`, of trees. `start`, what sums
    begin with, in the dtype that they are added up in. `below`: whether a row goes left where its
    input is < the threshold; otherwise where it is ≤ it.
    """
    goes_right = np.greater_equal if trees["below"] else np.greater
    children = np.stack([trees["left"], trees["right"]], axis=1).ravel()
    feature, threshold, value = trees["feature"].astype(np.intp), trees["threshold"], trees["value"]
    out = np.empty(len(X), np.float32)
    for start in range(0, len(X), ROWS_OF_TREES):
        x = X[start : start + ROWS_OF_TREES].astype(threshold.dtype)
        at = np.arange(len(x)) * x.shape[1]
        cells, total = x.ravel(), np.full(len(x), trees["start"], value.dtype)
        for root, depth in zip(trees["root"].tolist(), trees["depth"].tolist(), strict=True):
            node = np.full(len(x), root, np.intp)
            for _ in range(depth):
                right = goes_right(cells.take(at + feature.take(node)), threshold.take(node))
                node = children.take(2 * node + right)
            total += value.take(node)
        out[start : start + ROWS_OF_TREES] = total
    return out


def weighted_sum(X: Float32, model: dict[str, Any]) -> Float32:
    """Predictions of a linear regression: float32, rows."""
    predictions: Float32 = (X.astype(np.float64) @ model["weights"] + model["intercept"]).astype(np.float32)
    return predictions
