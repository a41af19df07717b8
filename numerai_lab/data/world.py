"""The planted truth behind the synthetic tournament, and the eras drawn from it."""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64
from numerai_lab.core.seeding import rng_for
from numerai_lab.data.synthetic_mark import ID_PREFIX
from numerai_lab.data.world_features import Features
from numerai_lab.data.world_premia import LOOK_AHEAD, components_of
from numerai_lab.data.world_size import Size
from numerai_lab.data.world_state import State
from numerai_lab.data.worlds import WORLDS, WorldDescription

SKILL = np.array([0.45, 0.35, 0.3])
"""Correlations of the meta model and the 20- and 60-day benchmarks with the expected returns."""
TARGET_SHARES = (0.05, 0.25, 0.75, 0.95)


@dataclass(frozen=True)
class Era:
    """One drawn cross-section but for its features.

    returns: rows × (20 days, 60 days, the same without factor 0); expected: rows × (20, 60 days);
    components: the expected 20-day return of each component, rows; models: rows × (meta model, 20-day
    and 60-day benchmark); all float64.
    """

    number: int
    state: State
    returns: Float64
    expected: Float64
    components: Mapping[str, Float64]
    models: Float64


@dataclass(frozen=True)
class _Week:
    """The latents of a week, what each component pays for, and the returns of the week."""

    state: State
    drivers: tuple[Float64, ...]
    returns: Float64


class World:
    """A world of some size and seed; `eras` draws week after week, `features.bins` an era's features.

    A week's return is the sum over components of premium × g, and noise of variance 1. Targets look
    4 and 12 weeks ahead.
    """

    def __init__(self, size: Size, seed: int, description: WorldDescription = WORLDS["default"]) -> None:
        self.size, self.seed, self.description = size, seed, description
        self.features = Features(description, size, seed)
        self.components = components_of(description, self.features, size, seed)

    @property
    def recipe(self) -> str:
        """All that decides what is drawn, as text."""
        return json.dumps([asdict(self.size), self.seed, asdict(self.description)], default=lambda course: course.__qualname__)

    def eras(self) -> Iterator[Era]:
        """Era 1 to n_eras, and one more for live."""
        state = State.first(max(self.size.rows), self.features.n_own, self.seed)
        window: deque[_Week] = deque(maxlen=LOOK_AHEAD + 1)
        for week in range(self.size.n_eras + 1 + LOOK_AHEAD):
            rng = rng_for(self.seed, "synthetic", "week", week)
            state = state.later(rng)
            drivers = tuple(component.driver.of(state) for component in self.components)
            returns = rng.normal(size=len(state.cluster))
            for component, g in zip(self.components, drivers, strict=True):
                returns += g @ component.paid(week)
            window.append(_Week(state, drivers, returns))
            if len(window) > LOOK_AHEAD:
                yield self._era(week - LOOK_AHEAD, window)

    def _era(self, index: int, window: "deque[_Week]") -> Era:
        rng = rng_for(self.seed, "synthetic", "era", index)
        n_rows = self.size.rows[min(index, self.size.n_eras - 1)]  # stocks list over time: an era holds the first so many
        now, weeks = window[0], [week.returns[:n_rows] for week in window][1:]
        expected = np.zeros((n_rows, 2))
        components = {}
        for component, g in zip(self.components, now.drivers, strict=True):
            own = component.expected(g[:n_rows], index)
            components[component.name] = own[:, 0]
            expected += own
        returns = np.stack([np.sum(weeks[:4], axis=0), np.sum(weeks, axis=0)], axis=1)
        state = now.state.listed(n_rows)
        first = state.factors[:, :1] - state.factors[:, :1].mean()
        without = returns - first * (first.T @ returns) / (first**2).sum()
        models = _models(expected, rng)
        return Era(index + 1, state, np.hstack([returns, without]), expected, components, models)


def _models(expected: Float64, rng: np.random.Generator) -> Float64:
    """Predictions of the meta model and the benchmarks; noise where nothing is to be expected."""
    spread = expected.std(0)
    skilled = np.divide(expected, spread, out=np.zeros_like(expected), where=spread > 0)[:, [0, 0, 1]]
    models: Float64 = SKILL * skilled + np.sqrt(1 - SKILL**2) * rng.normal(size=skilled.shape)
    return models


def ranks(values: Float64) -> Array:
    """Ranks 0 … n − 1 in every column."""
    return np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0, kind="stable")


def target_bins(returns: Float64) -> Float32:
    """Bins of 5, 20, 50, 20 and 5 % at 0, .25, .5, .75 and 1."""
    shares = (ranks(returns[:, None])[:, 0] + 0.5) / len(returns)
    return (np.searchsorted(TARGET_SHARES, shares) / 4).astype(np.float32)


def row_ids(era: Era) -> list[str]:
    """Ids of an era's rows, as random as the tournament's, never the same in two eras, and marked as made up."""
    numbers = rng_for(era.number, "synthetic", "ids").choice(16**7, size=len(era.returns), replace=False)
    return [f"{ID_PREFIX}{era.number:05x}{number:07x}" for number in numbers]
