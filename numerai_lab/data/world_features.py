"""The features of a synthetic world: what each shows of the latents, and its bins."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64, Int8, Int64
from numerai_lab.core.seeding import rng_for
from numerai_lab.data.world_size import Size
from numerai_lab.data.world_state import N_CLUSTERS, N_FACTORS, N_GROUPS, State
from numerai_lab.data.worlds import TABLE_FEATURES, Block, Damage, WorldDescription

MIDDLE = 2
"""The bin of a feature that is missing."""
SHARES = {"factor": 0.42, "group": 0.25, "cluster": 0.08, "own": 0.25}
"""Of the variance of a base signal."""
FEATURES_A_BASE = 3


class Signals(ABC):
    """The signals g that the features of a block show: float32, rows × features, of unit variance."""

    @abstractmethod
    def of(self, state: State) -> Array:
        """The signals of stocks in this state."""


class Sources(Signals):
    """Signals with independent parts of their own, of which convex premia pay some."""

    @abstractmethod
    def squares(self, state: State) -> Array:
        """Squares of the signals, each once, less their mean in the stock's cluster: rows × signals."""

    @abstractmethod
    def covariance(self) -> Float64:
        """Covariances of the signals."""


@dataclass(frozen=True)
class FactorSignals(Signals):
    """Sums of factors. loadings: features × 8, each row of length 1."""

    loadings: Float64

    def of(self, state: State) -> Array:
        return state.factors @ self.loadings.T


@dataclass(frozen=True)
class MemberSignals(Signals):
    """Values of clusters: 8 × features, each column of mean 0 and variance 1."""

    values: Float64

    def of(self, state: State) -> Array:
        return self.values[state.cluster]


@dataclass(frozen=True)
class TorusSignals(Signals):
    """Waves over the coordinates. frequencies: features × 2, whole numbers; phases: features."""

    frequencies: Int64
    phases: Float64

    def of(self, state: State) -> Array:
        waves: Array = np.sqrt(2) * np.cos(2 * np.pi * (state.v @ self.frequencies.T + self.phases))
        return waves


@dataclass(frozen=True)
class OwnSignals(Sources):
    """Signals that no other feature shows. first, n: their place among the own signals of the state."""

    first: int
    n: int

    def of(self, state: State) -> Array:
        return state.own[:, self.first : self.first + self.n]

    def squares(self, state: State) -> Array:
        return self.of(state).astype(np.float64) ** 2 - 1

    def covariance(self) -> Float64:
        return np.eye(self.n)


@dataclass(frozen=True)
class BaseSignals(Sources):
    """Mixtures of latents, each shown by a few features. base: features → the base signal of each."""

    base: Int64
    group: Int64
    factors: FactorSignals
    members: MemberSignals
    own: OwnSignals

    def of(self, state: State) -> Array:
        return self.bases(state)[:, self.base]

    def bases(self, state: State) -> Array:
        """rows × base signals."""
        parts = {
            "factor": self.factors.of(state),
            "group": state.groups[:, self.group],
            "cluster": self.members.of(state),
            "own": self.own.of(state),
        }
        mixed: Array = np.sum([np.sqrt(SHARES[name]) * part for name, part in parts.items()], axis=0)
        return mixed

    def squares(self, state: State) -> Array:
        of_cluster = SHARES["cluster"] * (self.members.values**2 - 1)
        return self.bases(state) ** 2 - 1 - of_cluster[state.cluster]

    def covariance(self) -> Float64:
        of_clusters = self.members.values.T @ self.members.values / N_CLUSTERS
        parts = {
            "factor": self.factors.loadings @ self.factors.loadings.T,
            "group": (self.group[:, None] == self.group).astype(np.float64),
            "cluster": of_clusters,
            "own": np.eye(len(self.group)),
        }
        covariance: Float64 = np.sum([SHARES[name] * part for name, part in parts.items()], axis=0)
        return covariance


@dataclass(frozen=True)
class PlacedBlock:
    """A block of features in a tournament. at: their columns."""

    block: Block
    at: Int64
    signals: Signals


class Features:
    """The features of a world of some size and seed; they depend on the blocks and the damage alone."""

    def __init__(self, world: WorldDescription, size: Size, seed: int) -> None:
        self.seed, self.n_features, self.blocks, self.n_own = seed, size.n_features, [], 0
        order = rng_for(seed, "synthetic", "world", "order").permutation(size.n_features)
        ends = np.cumsum(_counts(world.blocks, size.n_features))
        for i, (block, at) in enumerate(zip(world.blocks, np.split(order, ends[:-1]), strict=True)):
            signals = self._drawn(block, at, rng_for(seed, "synthetic", "world", "block", i))
            self.blocks.append(PlacedBlock(block, at, signals))
        self.damage = [
            (damage.eras(size), self._damaged(damage, rng_for(seed, "synthetic", "world", "damage", i)))
            for i, damage in enumerate(world.damage)
        ]

    def bins(self, era: int, state: State) -> Int8:
        """An era's features, rows × features, bins 0 to 4 in equal parts; depends on nothing but its arguments."""
        rng = rng_for(self.seed, "synthetic", "features", era)
        values = np.empty((len(state.cluster), self.n_features), np.float32)
        for placed in self.blocks:
            values[:, placed.at] = np.sqrt(placed.block.r2) * placed.signals.of(state)
        values += self._noise() * rng.standard_normal(values.shape, np.float32)
        bins = fifths(values)
        for eras, at in self.damage:
            if era in eras:
                bins[:, at] = MIDDLE
        return bins

    def _noise(self) -> Float32:
        """The standard deviation of each feature's noise."""
        noise = np.empty(self.n_features, np.float32)
        for placed in self.blocks:
            noise[placed.at] = np.sqrt(1 - placed.block.r2)
        return noise

    def _damaged(self, damage: Damage, rng: np.random.Generator) -> Int64:
        among = np.arange(self.n_features) if damage.block is None else self.blocks[damage.block].at
        return rng.permutation(among)[: int(damage.share * len(among))]

    def _drawn(self, block: Block, at: Int64, rng: np.random.Generator) -> Signals:
        n = len(at)
        if block.kind == "own":
            return self._own(n)
        if block.kind == "base":
            return self._base(at, rng)
        if block.kind == "single":
            return FactorSignals(np.eye(N_FACTORS)[[block.factors[i % len(block.factors)] for i in range(n)]])
        if block.kind == "factor":
            return FactorSignals(_loadings(n, rng))
        if block.kind == "member":
            return MemberSignals(cluster_values(n, rng))
        waves = [(a, b) for a in range(-3, 4) for b in range(-3, 4) if max(abs(a), abs(b)) >= 2]
        return TorusSignals(np.array(waves)[rng.integers(0, len(waves), n)], rng.uniform(size=n))

    def _own(self, n: int) -> OwnSignals:
        self.n_own += n
        return OwnSignals(self.n_own - n, n)

    def _base(self, at: Int64, rng: np.random.Generator) -> BaseSignals:
        """Base signals of features; those of a base belong to one group, which their names tell."""
        base, group = np.empty(len(at), np.int64), list[int]()
        for i in range(N_GROUPS):
            for members in np.array_split(of_group := np.flatnonzero(at % N_GROUPS == i), -(-len(of_group) // FEATURES_A_BASE)):
                base[members] = len(group)
                group.append(i)
        n = len(group)
        return BaseSignals(
            base, np.array(group), FactorSignals(_loadings(n, rng)), MemberSignals(cluster_values(n, rng)), self._own(n)
        )


def _counts(blocks: tuple[Block, ...], n_features: int) -> list[int]:
    """Features of each block, in proportion; a block of single factors has one of each, the last block takes the rest."""
    counts = [max(len(block.factors), round(block.n * n_features / TABLE_FEATURES)) for block in blocks[:-1]]
    return [*counts, n_features - sum(counts)]


def _loadings(n: int, rng: np.random.Generator) -> Float64:
    """n × 8, each row of length 1: ±1 on one factor, and N(0, .35²) on all."""
    loadings = rng.normal(0, 0.35, (n, N_FACTORS))
    loadings[np.arange(n), rng.permutation(np.arange(n) % N_FACTORS)] += rng.choice([-1.0, 1.0], n)
    loadings /= np.linalg.norm(loadings, axis=1, keepdims=True)
    return loadings


def cluster_values(n: int, rng: np.random.Generator) -> Float64:
    """8 × n values of clusters, each column of mean 0 and variance 1."""
    values = rng.normal(size=(N_CLUSTERS, n))
    values -= values.mean(0)
    values /= values.std(0)
    return values


def fifths(values: Float32) -> Int8:
    """By column, the fifth of the ranks that each value lies in, 0 to 4."""
    columns = np.ascontiguousarray(values.T)
    places = [-(-len(values) * i // 5) for i in range(1, 5)]
    cuts = np.partition(columns, places, axis=1)[:, places]
    bins = np.zeros(columns.shape, np.int8)
    for cut in cuts.T:
        bins += columns >= cut[:, None]
    return np.ascontiguousarray(bins.T)
