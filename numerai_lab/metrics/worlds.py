"""Changes measured in several synthetic worlds: is a method better in worlds like these, not only in those that were drawn?"""

from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Float64
from numerai_lab.core.seeding import rng_for
from numerai_lab.metrics.significance import critical_rank

DRAWS = 20_000
"""Critical values of one method are 1.7 % off with so many, those of many methods less."""


@dataclass(frozen=True)
class WorldEffects:
    """Mean changes of k methods over worlds, each world a draw from all worlds.

    value: the mean over worlds. low, high: simultaneous 95 % intervals for all methods. p: adjusted for all methods.
    overdispersion: variance between worlds over what eras and seeds explain, at least 1.
    """

    value: Float64
    low: Float64
    high: Float64
    p: Float64
    overdispersion: float


def world_effects(values: Float64, errors: Float64, correlation: Float64) -> WorldEffects:
    """Means over worlds with intervals in which the world is a random effect.

    Two or three worlds do not show the variance of one method. The ratio of the variance between worlds to the variance
    within is taken to be the same for all methods and estimated from all of them together (the Birge ratio). Critical
    values come from simulated worlds that are evaluated in the same way. They are exact where the ratio is the same for
    all methods and not held at 1, and conservative where it is held at 1.

    Parameters
    ----------
    values: worlds × k, the change of each method in each world, at least two worlds.
    errors: worlds × k, standard errors of these within their world, from eras and retraining; positive.
    correlation: k × k, of the errors of two methods within a world.

    Source: Birge 1932; Bodnar & Elster 2014, Metrologia 51, 516. Max-t intervals: Westfall & Young 1993.
    """
    n_worlds, k = values.shape
    within = np.sqrt((errors**2).mean(0))
    value = values.mean(0)
    overdispersion = max(1.0, float(_ratio(values[None] / within)[0]))
    error = within * np.sqrt(overdispersion / n_worlds)
    rng = rng_for(0, "worlds", n_worlds, k)
    draws = _normal(correlation, rng.standard_normal((DRAWS, n_worlds, k)))
    simulated = draws.mean(1) / np.sqrt(_ratio(draws) / n_worlds)[:, None]
    largest = np.sort(np.abs(simulated).max(1))
    half = largest[critical_rank(DRAWS)] * error
    own = np.abs(value) / error
    p = (1 + DRAWS - np.searchsorted(largest, own, side="left")) / (1 + DRAWS)
    return WorldEffects(value, value - half, value + half, np.asarray(p), overdispersion)


def _ratio(scaled: Float64) -> Float64:
    """The variance between worlds, of draws × worlds × k values in standard errors: the mean over methods, for each draw."""
    ratio: Float64 = scaled.var(1, ddof=1).mean(-1)
    return ratio


def _normal(correlation: Float64, standard: Float64) -> Float64:
    """Correlated normal draws from standard ones, also where the correlation is singular."""
    roots, vectors = np.linalg.eigh(correlation)
    out: Float64 = standard @ (vectors * np.sqrt(np.maximum(roots, 0))).T
    return out
