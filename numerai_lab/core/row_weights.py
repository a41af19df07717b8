"""Weights of real training rows by the augmenters that weigh: multiplied, with mean 1 over the rows."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from numerai_lab.core.arrays import Float32
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.seeding import rng_for

Weight = float | Float32
"""The weight of each row of an era, float32, or a number that all rows have."""


class WeigherLike(Protocol):
    """The part of a fitted augmenter that weighs."""

    @property
    def shuffles(self) -> bool: ...

    @property
    def seed_key(self) -> str: ...

    def weigh(self, era: int, n_rows: int) -> Weight: ...


def relative_weights(weighers: Mapping[str, WeigherLike], n_known: Mapping[int, int], seed: int) -> dict[int, Weight]:
    """Era → the product of all weighers' weights for its rows, divided by the mean over all rows; empty without weighers.

    n_known: rows with a target of each era, all above 0. Raises NlabFailure for weights that are negative, not finite, or
    all 0.
    """
    if not weighers:
        return {}
    product: dict[int, Weight] = dict.fromkeys(n_known, 1.0)
    for name, weigher in weighers.items():
        weights = _shuffled(weigher, n_known, seed) if weigher.shuffles else _weights(weigher, n_known)
        for era, weight in weights.items():
            if not (np.all(np.isfinite(weight)) and np.all(np.asarray(weight) >= 0)):
                raise NlabFailure(f"augmenters.{name}: a weight of era {era} is negative or not finite")
            product[era] = product[era] * weight
    total = sum(float(np.mean(weight, dtype=np.float64)) * n_known[era] for era, weight in product.items())
    if not total > 0:
        raise NlabFailure(f"augmenters {', '.join(weighers)}: the product of their weights is 0 in every row")
    mean = total / sum(n_known.values())
    return {era: weight / mean for era, weight in product.items()}


def _weights(weigher: WeigherLike, n_known: Mapping[int, int]) -> dict[int, Weight]:
    return {era: weigher.weigh(era, n_rows) for era, n_rows in n_known.items()}


def _shuffled(weigher: WeigherLike, n_known: Mapping[int, int], seed: int) -> dict[int, Weight]:
    """The weights of another era, drawn without replacement, for every era; rows of an era are shuffled too.

    Where the other era has more or fewer rows, its weights are taken at as many quantiles.
    """
    eras, rng = list(n_known), rng_for(seed, "shuffled eras", weigher.seed_key)
    out: dict[int, Weight] = {}
    for era, i in zip(eras, rng.permutation(len(eras)), strict=True):
        weight, n = weigher.weigh(eras[i], n_known[eras[i]]), n_known[era]
        if isinstance(weight, np.ndarray):
            places = (np.arange(n) + 0.5) / n * len(weight)
            weight = rng.permutation(np.sort(weight)[places.astype(np.intp)])
        out[era] = weight
    return out
