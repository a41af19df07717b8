"""The power of a comparison before it is made, from the noise of differences between eras and between seeds."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Float64
from numerai_lab.metrics.multiplicity import POWER
from numerai_lab.metrics.retraining import retraining
from numerai_lab.metrics.significance import LEVEL, MIN_BLOCKS, mean_differences

DRAWS = 100_000
MOST = 10
"""The largest number of eras that is searched, in multiples of the eras at hand."""


@dataclass(frozen=True)
class Noise:
    """Noise of a difference of two variants, in corr.

    era: long-run standard deviation of one era; seed: standard deviation between seeds of the mean
    score of a variant, NaN where it is not known.
    """

    era: float
    seed: float


def noise_of(members: Mapping[Hashable, Float64], reference: Hashable, block: int) -> Noise:
    """The typical (median) noise of members against the reference: corr of each, seeds × eras. NaN where eras are too few."""
    means = np.column_stack([scores.mean(0) - members[reference].mean(0) for key, scores in members.items() if key != reference])
    error = mean_differences(means, block).error * np.sqrt(np.isfinite(means).sum(0))
    known = error[np.isfinite(error) & (error > 0)]
    noise = retraining(list(members.values()))
    seeds = np.array([len(scores) for scores in members.values()])
    between = float(np.max(noise.error * np.sqrt(seeds))) if noise else float("nan")
    return Noise(float(np.median(known)) if len(known) else float("nan"), between)


def resolution(noise: Noise, n_eras: int, n_seeds: int, n_variants: int, block: int) -> float:
    """The true difference that would be found four times in five; NaN where eras are too few.

    The critical value of one among `n_variants` (Bonferroni) plus .84 standard errors. Chance
    differences are Student's t with as many degrees as there are blocks of eras, plus one with 2
    seeds − 2; with one seed, noise of retraining is left out.
    """
    if n_eras < MIN_BLOCKS * block:
        return float("nan")
    rng = np.random.default_rng(0)
    error = noise.era / np.sqrt(n_eras)
    chance = error * rng.standard_t(n_eras / block, DRAWS)
    if n_seeds > 1:
        seed_error = float(np.nan_to_num(noise.seed)) * np.sqrt(2 / n_seeds)
        chance, error = chance + seed_error * rng.standard_t(2 * n_seeds - 2, DRAWS), float(np.hypot(error, seed_error))
    critical = np.quantile(np.abs(chance), 1 - (1 - LEVEL) / max(1, n_variants))
    return float(critical + POWER * error)


def eras_for(gain: float, noise: Noise, n_eras: int, n_seeds: int, n_variants: int, block: int) -> int | None:
    """The fewest eras that would show a gain four times in five; None where they are more than 10 times those at hand."""
    fewest, most = MIN_BLOCKS * block, MOST * n_eras
    if most < fewest or not resolution(noise, most, n_seeds, n_variants, block) <= gain:
        return None
    while fewest < most:
        middle = (fewest + most) // 2
        if resolution(noise, middle, n_seeds, n_variants, block) <= gain:
            most = middle
        else:
            fewest = middle + 1
    return fewest
