"""Seed churn: the difference between predictions of two seeds."""

from collections.abc import Hashable, Sequence

import numpy as np

from numerai_lab.core.arrays import Float64


def seed_churn(predictions: Float64, owners: Sequence[Hashable]) -> Float64:
    """1 − mean Spearman correlation over pairs of an owner's columns, for every column: rows × m, m owners → m.

    A variant's columns are its seeds, in one era. NaN with one seed, or where a column is constant. Source: this project.
    """
    from scipy.stats import rankdata

    ranks = rankdata(predictions, axis=0)
    ranks -= ranks.mean(0) if len(ranks) else 0
    norms = np.sqrt((ranks**2).sum(0))
    unit = np.divide(ranks, norms, out=np.full_like(ranks, np.nan), where=norms > 0)
    out = np.full(len(owners), np.nan)
    for owner in dict.fromkeys(owners):
        own = [i for i, name in enumerate(owners) if name == owner]
        if len(own) > 1 and len(ranks) > 1:
            pairs = (unit[:, own].T @ unit[:, own])[np.triu_indices(len(own), 1)]
            out[own] = 1 - pairs.mean()
    return out
