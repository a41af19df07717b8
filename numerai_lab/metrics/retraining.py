"""Noise of retraining: the spread of a method's scores when only the seed changes."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numerai_lab.core.arrays import Array, Float64, Int64

DIGITS = 9
NEGLIGIBLE = 1e-12
"""A model whose variance between seeds is below this share of its opponent's is deterministic (ridge)."""


@dataclass(frozen=True)
class SeedNoise:
    """The noise that seeds add to k differences.

    error: k, its standard error; error_spread: k, the standard deviation of the error as a share of
    it; draws: resamples × k, differences by chance.
    """

    error: Float64
    error_spread: Float64
    draws: Float64


@dataclass(frozen=True)
class PairSide:
    """One side of k pairs. values: the statistic of every seed, by pair; key: the number of the trained variant, by pair."""

    values: Sequence[Float64]
    key: Sequence[int]

    @property
    def freedom(self) -> Int64:
        """Degrees of freedom of each pair: seeds less one."""
        return np.array([len(values) - 1 for values in self.values])

    @property
    def squares(self) -> Float64:
        """Sums of squares of the seeds' statistics around their mean, by pair."""
        return np.array([((values - values.mean()) ** 2).sum() for values in self.values])


class Retraining(NamedTuple):
    """Noise of retraining in k members' mean scores. error: k, standard errors; degrees: of freedom of their variance."""

    error: Float64
    degrees: int

    def draws(self, resamples: int) -> Float64:
        """Chance deviations of the means, resamples × k: multivariate t."""
        rng = np.random.default_rng(self.degrees)
        normal, chi = rng.standard_normal((resamples, len(self.error))), rng.chisquare(self.degrees, (resamples, 1))
        return np.asarray(normal * self.error * np.sqrt(self.degrees / chi))


def retraining(members: Sequence[Float64]) -> Retraining | None:
    """The noise that another seed adds to the mean score of each member; None where each has one seed.

    members: seeds × eras, NaN without a score. The variance between seeds is pooled over members
    with several seeds that differ; members whose seeds agree have no noise.
    """
    scored = [scores[:, np.isfinite(scores).all(0)] for scores in members]
    means = [np.nan_to_num(scores.sum(1) / max(1, scores.shape[1])) for scores in scored]
    squares = np.array([((mean - mean.mean()) ** 2).sum() for mean in means])
    seeds = np.array([len(mean) for mean in means])
    varies = squares > NEGLIGIBLE * squares.max(initial=0)
    degrees = int((seeds - 1)[varies].sum())
    if not degrees:
        return None
    variance = squares[varies].sum() / degrees
    return Retraining(np.sqrt(np.where(varies | (seeds == 1), variance / seeds, 0.0)), degrees)


def scores_key(series: Float64) -> int:
    """A number for the scores of a trained variant (seeds × eras), by which its noise is the same in every pair.

    Rounded, since the last bits of a score differ between two machines.
    """
    rounded = np.round(series[np.isfinite(series)], DIGITS) + 0.0  # never -0
    return zlib.crc32(rounded.tobytes())


def seed_noise(own: PairSide, other: PairSide, resamples: int) -> SeedNoise | None:
    """Error and chance differences of means over seeds; None where no side has two seeds.

    The variance of a difference is s² (1/S_own + 1/S_other), s² pooled over both sides: (s²_own +
    s²_other) / S where both have S seeds. Chance differences are that error times Student's t with
    S_own + S_other − 2 degrees of freedom. A side has the same draws in all of its pairs, so that a
    lucky reference is lucky for all. A side with one seed is taken to vary as the other does; a
    deterministic side does not vary. Source: Fisher 1935 (Behrens–Fisher, pooled).
    """
    freedom = own.freedom, other.freedom
    if not (freedom[0].any() or freedom[1].any()):
        return None
    squares = [np.nan_to_num(side.squares) for side in (own, other)]
    differ = np.array(own.key) != np.array(other.key)  # a variant differs from a copy of itself by nothing
    part = [np.asarray(_varies(squares[i], freedom[i], squares[1 - i]) & differ, dtype=float) for i in (0, 1)]
    degrees = sum(part[i] * freedom[i] for i in (0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(degrees > 0, sum(part[i] * squares[i] for i in (0, 1)) / degrees, 0.0)
    shares = [part[i] / (freedom[i] + 1) for i in (0, 1)]
    normal, chi = zip(*(_draws(side, resamples) for side in (own, other)), strict=True)
    pooled = part[0] * chi[0] + part[1] * chi[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(pooled > 0, np.sqrt(variance * degrees / pooled), 0.0)
    draws = scale * (np.sqrt(shares[0]) * normal[0] - np.sqrt(shares[1]) * normal[1])
    return SeedNoise(np.sqrt(variance * (shares[0] + shares[1])), np.sqrt(0.5 / np.maximum(degrees, 1)), draws)


def _varies(squares: Float64, freedom: Int64, of_opponent: Float64) -> Array:
    """Whether a side may vary between seeds; it does not where it has several and they agree."""
    return np.asarray((freedom == 0) | (squares > NEGLIGIBLE * of_opponent))


def _draws(side: PairSide, resamples: int) -> tuple[Float64, Float64]:
    """Standard normal and chi-squared draws for every pair, resamples × k each, the same for the same key."""
    place = {key: i for i, key in enumerate(dict.fromkeys(side.key))}
    normal, chi = np.empty((len(place), resamples)), np.zeros((len(place), resamples))
    freedom = dict(zip(side.key, side.freedom.tolist(), strict=True))
    for key, i in place.items():
        rng = np.random.default_rng(key)
        normal[i] = rng.standard_normal(resamples)
        if freedom[key]:
            chi[i] = rng.chisquare(freedom[key], resamples)
    at = [place[key] for key in side.key]
    return normal[at].T, chi[at].T
