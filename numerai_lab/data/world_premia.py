"""What returns pay for in a synthetic world: components of expected returns and their premia by week."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float64, Int64
from numerai_lab.core.seeding import rng_for
from numerai_lab.data.world_features import Features, Sources, cluster_values
from numerai_lab.data.world_size import Size
from numerai_lab.data.world_state import LOYALTY, N_CLUSTERS, N_FACTORS, N_GROUPS, PERSISTENCE, State
from numerai_lab.data.worlds import DriftingPremium, Premium, WorldDescription

LOOK_AHEAD = 12
"""Weeks a 60-day target looks ahead."""
SHIFT = 0.13
"""Phase of the paid wave on the torus."""


class Driver(ABC):
    """What a component pays for: g of each stock, of unit variance."""

    @abstractmethod
    def of(self, state: State) -> Float64:
        """rows × columns; one column, or one for each factor."""

    @property
    @abstractmethod
    def decay(self) -> Float64:
        """Autocorrelation of g over 1 to 12 weeks."""


@dataclass(frozen=True)
class Factors(Driver):
    """Weighted sums of factors. weights: 8 × columns, each column of length 1."""

    weights: Float64

    def of(self, state: State) -> Float64:
        weighted: Float64 = state.factors @ self.weights
        return weighted

    @property
    def decay(self) -> Float64:
        return _powers(PERSISTENCE)


@dataclass(frozen=True)
class Own(Driver):
    """A weighted sum of own signals."""

    weights: Float64

    def of(self, state: State) -> Float64:
        return (state.own.astype(np.float64) @ self.weights)[:, None]

    @property
    def decay(self) -> Float64:
        return _powers(PERSISTENCE)


@dataclass(frozen=True)
class Clusters(Driver):
    """A value of the cluster, times factor 0 where `times_factor`."""

    values: Float64
    times_factor: bool = False

    def of(self, state: State) -> Float64:
        of_cluster = self.values[state.cluster][:, None]
        return of_cluster * state.factors[:, :1] if self.times_factor else of_cluster

    @property
    def decay(self) -> Float64:
        return _powers(LOYALTY * PERSISTENCE if self.times_factor else LOYALTY)


@dataclass(frozen=True)
class Convex(Driver):
    """The sum of squares of signals, of unit variance. at: which signals."""

    signals: Sources
    at: Int64

    def of(self, state: State) -> Float64:
        covariance = self.signals.covariance()[np.ix_(self.at, self.at)]
        squares = self.signals.squares(state)[:, self.at].sum(1, keepdims=True)
        unit: Float64 = squares / np.sqrt(2 * (covariance**2).sum())
        return unit

    @property
    def decay(self) -> Float64:
        return _powers(PERSISTENCE**2)


@dataclass(frozen=True)
class Products(Driver):
    """The sum of products of two group factors, of unit variance. pairs: n × 2, no group factor twice."""

    pairs: Int64

    def of(self, state: State) -> Float64:
        groups = state.groups.astype(np.float64)
        products = groups[:, self.pairs[:, 0]] * groups[:, self.pairs[:, 1]]
        unit: Float64 = products.sum(1, keepdims=True) / np.sqrt(len(self.pairs))
        return unit

    @property
    def decay(self) -> Float64:
        return _powers(PERSISTENCE**2)


@dataclass(frozen=True)
class Wave(Driver):
    """√2 cos 2π(v0 + .13)."""

    def of(self, state: State) -> Float64:
        return _wave(state.v[:, :1])

    @property
    def decay(self) -> Float64:
        """By quadrature over two normal variables, the coordinate now and what comes to it."""
        from scipy.special import ndtr

        nodes, weights = np.polynomial.hermite_e.hermegauss(100)
        weights = weights / weights.sum()
        now = _wave(ndtr(nodes))
        persisting = _powers(PERSISTENCE)
        later = persisting[:, None, None] * nodes[:, None] + np.sqrt(1 - persisting**2)[:, None, None] * nodes
        products = np.einsum("i,wij,i,j->w", now, _wave(ndtr(later)), weights, weights)
        autocorrelation: Float64 = products / ((now**2) @ weights)
        return autocorrelation


def _powers(base: float) -> Float64:
    """base^1 … base^12."""
    powers: Float64 = base ** np.arange(1.0, LOOK_AHEAD + 1)
    return powers


def _wave(v: Float64) -> Float64:
    wave: Float64 = np.sqrt(2) * np.cos(2 * np.pi * (v + SHIFT))
    return wave


@dataclass(frozen=True)
class Component:
    """A part of returns with a premium of its own.

    mean: week × column of the driver, the mean weekly premia. drift: deviations from them, an AR process
    of this `persistence`. Returns pay their sum; what is expected of the drift is what persists of its present value.
    """

    name: str
    driver: Driver
    decay: Float64
    mean: Float64
    drift: Float64
    persistence: float

    def paid(self, week: int) -> Float64:
        """The premia of a week: one a column of the driver."""
        premia: Float64 = self.mean[week] + self.drift[week]
        return premia

    def expected(self, g: Float64, week: int) -> Float64:
        """Expected returns over the 20 and 60 days after a week, of stocks whose driver is g: rows × 2."""
        persisting = _powers(self.persistence)[:, None] * self.drift[week]
        ahead = self.decay[:, None] * (self.mean[week + 1 : week + 1 + LOOK_AHEAD] + persisting)
        return np.stack([g @ ahead[:4].sum(0), g @ ahead.sum(0)], axis=1)


def components_of(world: WorldDescription, features: Features, size: Size, seed: int) -> tuple[Component, ...]:
    """The components of a world, with the premia of every week."""
    weeks = np.arange(1, size.n_eras + 2 + LOOK_AHEAD)
    components = []
    for premium in world.premia:
        name = "factors" if isinstance(premium, DriftingPremium) else premium.kind
        persistence = premium.persistence if isinstance(premium, DriftingPremium) else 0.0
        rng = rng_for(seed, "synthetic", "premia", name)
        if isinstance(premium, DriftingPremium):
            driver: Driver = Factors(np.eye(N_FACTORS))
            mean, drift = _drifting(premium, weeks, size, rng)
        else:
            driver = DRIVERS[premium.kind](premium, features, rng)
            course = np.ones(len(weeks)) if premium.course is None else premium.course(size, weeks)
            mean, drift = premium.rho * course[:, None], np.zeros((len(weeks), 1))
        decay = driver.decay
        weekly = decay[:4].sum() / 2  # of a 20-day return, whose noise has a standard deviation of 2
        components.append(Component(name, driver, decay, mean / weekly, drift / weekly, persistence))
    return tuple(components)


def _drifting(premium: DriftingPremium, weeks: Int64, size: Size, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """Mean premia and deviations from them: weeks × factors."""
    mean = rng.normal(size=N_FACTORS)
    mean *= premium.mean / np.sqrt((mean**2).mean())
    sd = premium.sd * rng.lognormal(-(premium.spread**2) / 2, premium.spread, N_FACTORS)
    steps = rng.normal(size=(len(weeks), N_FACTORS))
    drift = np.empty_like(steps)
    drift[0] = steps[0]
    for i in range(1, len(weeks)):
        drift[i] = premium.persistence * drift[i - 1] + np.sqrt(1 - premium.persistence**2) * steps[i]
    return (1 - premium.fall * weeks / size.n_eras)[:, None] * mean, sd * drift


def _unit(weights: Array) -> Float64:
    """Weights of length 1."""
    return np.asarray(weights / np.linalg.norm(weights), np.float64)


def _linear(premium: Premium, features: Features, rng: np.random.Generator) -> Driver:
    weights = rng.normal(size=N_FACTORS)
    if premium.factors:
        weights = np.isin(np.arange(N_FACTORS), premium.factors).astype(np.float64)
    return Factors(_unit(weights)[:, None])


def _own(premium: Premium, features: Features, rng: np.random.Generator) -> Driver:
    return Own(_unit(rng.normal(size=features.n_own)))


def _cluster_mean(premium: Premium, features: Features, rng: np.random.Generator) -> Driver:
    return Clusters(cluster_values(1, rng)[:, 0])


def _cluster_sign(premium: Premium, features: Features, rng: np.random.Generator) -> Driver:
    return Clusters(rng.permutation(np.repeat([-1.0, 1.0], N_CLUSTERS // 2)), times_factor=True)


def _convex(premium: Premium, features: Features, rng: np.random.Generator) -> Driver:
    signals = next(placed.signals for placed in features.blocks if isinstance(placed.signals, Sources))
    return Convex(signals, rng.permutation(len(signals.covariance()))[:4])


def _products(premium: Premium, features: Features, rng: np.random.Generator) -> Driver:
    return Products(rng.permutation(N_GROUPS).reshape(-1, 2))


def _torus(premium: Premium, features: Features, rng: np.random.Generator) -> Driver:
    return Wave()


DRIVERS: Mapping[str, Callable[[Premium, Features, np.random.Generator], Driver]] = {
    "linear": _linear,
    "own": _own,
    "membermean": _cluster_mean,
    "member": _cluster_sign,
    "convex": _convex,
    "products": _products,
    "torus": _torus,
}
"""What each kind of premium pays for."""
