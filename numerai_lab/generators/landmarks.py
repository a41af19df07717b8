"""A sample of rows, drawn evenly from the eras."""

import numpy as np

from numerai_lab.core.arrays import Array
from numerai_lab.core.panel import Panel


def landmarks(panel: Panel, n: int, rng: np.random.Generator) -> Array:
    """Up to n rows in the units and dtype of the panel, the same number from each era, give or take one."""
    counts = panel.bounds[:, 1] - panel.bounds[:, 0]
    shares = np.full(len(counts), n // len(counts))
    shares[rng.permutation(len(counts))[: n % len(counts)]] += 1
    picked = []
    for block, share in zip(panel.blocks(), shares.tolist(), strict=True):
        rows = np.sort(rng.choice(len(block), size=min(share, len(block)), replace=False))
        picked.append(block.features[rows])
    return np.concatenate(picked)
