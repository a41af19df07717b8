"""The planted truth behind the synthetic tournament: latents, a manifold, regimes, and the eras drawn from them."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64, Int8
from numerai_lab.core.seeding import rng_for
from numerai_lab.data.synthetic_mark import ID_PREFIX

N_FACTORS = 8
N_REGIMES = 3
LOOK_AHEAD = 12
"""Weeks a 60-day target looks ahead."""
PERSISTENCE = 0.98
"""Weekly autocorrelation of a stock's state."""
SIGNAL = 0.07
"""Standard deviation of a week's expected return where its noise has 1."""
N_GROUPS = 6
TARGET_SHARES = (0.05, 0.25, 0.75, 0.95)


@dataclass(frozen=True)
class Size:
    """How large a synthetic tournament is: rows of each era, eras that train, features of `small` and (apart) `medium`."""

    rows: tuple[int, ...]
    n_train: int
    n_small: int
    n_medium: int

    @classmethod
    def even(cls, n_eras: int, n_rows: int, n_small: int, n_medium: int) -> Self:
        """Eras of the same size, 60 % of them training ones."""
        return cls((n_rows,) * n_eras, n_eras * 6 // 10, n_small, n_medium)

    @property
    def n_eras(self) -> int:
        return len(self.rows)

    @property
    def n_features(self) -> int:
        return self.n_small + self.n_medium


@dataclass(frozen=True)
class Era:
    """One drawn cross-section but for its features.

    latents: rows × 10; returns: rows × (20 days, 60 days, the same without factor 1); expected: rows × (20, 60 days);
    models: rows × (meta model, 20-day and 60-day benchmark); all float64.
    """

    number: int
    latents: Float64
    returns: Float64
    expected: Float64
    models: Float64


class World:
    """The planted truth of a seed: loadings, a manifold, regimes; `eras` draws week after week.

    A stock's state is 10 latents, AR(1) in weeks: 8 factors f and 2 manifold coordinates u = Φ(z). Three quarters of the
    features load on f (mostly on two factors of their group), one quarter are cosines of u; each gets noise and is
    ranked into five equal bins per era. A week's expected return is linear in f plus f1·f2, cos 2πu1 and f3·sin 2πu2.
    """

    def __init__(self, size: Size, seed: int) -> None:
        self.size, self.seed = size, seed
        rng = rng_for(seed, "synthetic", "world")
        p = size.n_features
        group = np.arange(p) % N_GROUPS
        self.loadings = rng.normal(0, 0.15, (p, N_FACTORS))
        for i, own in enumerate(group):
            self.loadings[i, [own, (own + 2) % N_FACTORS]] += rng.normal(0, 0.8, 2)
        self.curved = rng.permutation(p) < p // 4
        self.frequency = rng.integers(1, 3, p)
        self.phase = rng.uniform(0, 1, p)
        self.mixing = rng.permuted(np.tile([1.0, 0.0], (p, 1)), axis=1)
        self.missing = rng.permutation(p) < p // 10
        self.persistent = rng.normal(0, 1, N_FACTORS + 3)
        self.regimes = rng.normal(0, 0.35, (N_REGIMES, N_FACTORS + 3))
        self.regimes[-1] -= 0.7 * self.persistent  # the regime of late eras, in which most of what was learned fades

    def eras(self) -> Iterator[Era]:
        """Era 1 to n_eras, and one more for live."""
        from scipy.special import ndtr

        n_weeks = self.size.n_eras + 1 + LOOK_AHEAD
        coefficients = self._coefficients(n_weeks)
        state = rng_for(self.seed, "synthetic", "start").normal(size=(max(self.size.rows), N_FACTORS + 2))
        window: deque[tuple[Float64, Float64, Float64]] = deque(maxlen=LOOK_AHEAD + 1)
        for week in range(n_weeks):
            rng = rng_for(self.seed, "synthetic", "week", week)
            state = PERSISTENCE * state + np.sqrt(1 - PERSISTENCE**2) * rng.normal(size=state.shape)
            latents = np.hstack([state[:, :N_FACTORS], ndtr(state[:, N_FACTORS:])])
            drivers = _drivers(latents)
            noise = rng.normal(size=len(drivers))
            window.append((latents, drivers, drivers @ coefficients[week] + noise))
            if len(window) > LOOK_AHEAD:
                yield self._era(week - LOOK_AHEAD, window, coefficients)

    def _coefficients(self, n_weeks: int) -> Float64:
        rng = rng_for(self.seed, "synthetic", "coefficients")
        drift = np.zeros(N_FACTORS + 3)
        regime, out = 0, []
        for week in range(n_weeks):
            age = week / n_weeks
            late = max(0.0, age - 0.75)
            if rng.random() < 0.08:
                weights = np.array([1 - age, 0.5, 6 * late])
                regime = int(rng.choice(N_REGIMES, p=weights / weights.sum()))
            drift = 0.97 * drift + np.sqrt(1 - 0.97**2) * rng.normal(0, 0.35, len(drift))
            week_own = self.persistent + self.regimes[regime] + drift
            out.append(SIGNAL * (1 - 0.3 * age) * week_own / np.linalg.norm(self.persistent))
        return np.array(out)

    def _era(self, index: int, window: "deque[tuple[Float64, Float64, Float64]]", coefficients: Float64) -> Era:
        rng = rng_for(self.seed, "synthetic", "era", index)
        listed = self.size.rows[min(index, self.size.n_eras - 1)]  # stocks list over time: an era holds the first so many
        latents, drivers = (values[:listed] for values in window[0][:2])
        weeks = [week[:listed] for _, _, week in window][1:]
        decay = PERSISTENCE ** np.arange(1, LOOK_AHEAD + 1)[:, None]
        ahead = decay * coefficients[index + 1 : index + 1 + LOOK_AHEAD]
        expected = np.stack([drivers @ ahead[:4].sum(0), drivers @ ahead.sum(0)], axis=1)
        returns = np.stack([np.sum(weeks[:4], axis=0), np.sum(weeks, axis=0)], axis=1)
        first = latents[:, :1] - latents[:, :1].mean()
        without = returns - first * (first.T @ returns) / (first**2).sum()
        skilled = expected[:, [0, 0, 1]] / expected[:, [0, 0, 1]].std(0)
        skill = np.array([0.5, 0.6, 0.4])
        models = skill * skilled + np.sqrt(1 - skill**2) * rng.normal(size=skilled.shape)
        return Era(index + 1, latents, np.hstack([returns, without]), expected, models)

    def features(self, era: int, latents: Float64) -> Int8:
        """An era's features, rows × features, bins 0 to 4 in equal parts; depends on nothing but its arguments."""
        rng = rng_for(self.seed, "synthetic", "features", era)
        values = latents[:, :N_FACTORS] @ self.loadings.T
        angle = self.frequency[self.curved] * (latents[:, N_FACTORS:] @ self.mixing[self.curved].T) + self.phase[self.curved]
        values[:, self.curved] = 1.4 * np.cos(2 * np.pi * angle)
        values += 0.8 * rng.standard_normal(values.shape, dtype=np.float32)
        bins = _fifths(values)
        if era <= self.size.n_eras * 15 // 100:
            bins[:, self.missing] = 2
        return bins


def _fifths(values: Float64) -> Int8:
    """Which fifth of its column a value lies in, 0 to 4."""
    columns = np.ascontiguousarray(values.T)
    places = [-(-len(values) * i // 5) for i in range(1, 5)]
    cuts = np.partition(columns, places, axis=1)[:, places]
    bins = np.zeros(columns.shape, np.int8)
    for cut in cuts.T:
        bins += columns >= cut[:, None]
    return np.ascontiguousarray(bins.T)


def _drivers(latents: Float64) -> Float64:
    f, u = latents[:, :N_FACTORS], latents[:, N_FACTORS:]
    curved = np.sqrt(2) * np.cos(2 * np.pi * u[:, 0])
    mixed = np.sqrt(2) * f[:, 2] * np.sin(2 * np.pi * u[:, 1])
    return np.column_stack([f, f[:, 0] * f[:, 1], curved, mixed])


def ranks(values: Float64) -> Array:
    """Ranks 0 … n − 1 in every column."""
    return np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0, kind="stable")


def target_bins(returns: Float64) -> Float32:
    """Bins of 5, 20, 50, 20 and 5 % at 0, .25, .5, .75 and 1."""
    shares = (ranks(returns[:, None])[:, 0] + 0.5) / len(returns)
    return (np.searchsorted(TARGET_SHARES, shares) / 4).astype(np.float32)


def row_ids(era: Era) -> list[str]:
    """Ids of an era's rows, as random as the tournament's, never the same in two eras, and marked as made up."""
    numbers = rng_for(era.number, "synthetic", "ids").choice(16**7, size=len(era.latents), replace=False)
    return [f"{ID_PREFIX}{era.number:05x}{number:07x}" for number in numbers]
