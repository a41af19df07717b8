"""The synthetic worlds: which features they have, what earns a premium, and what is damaged.

Stocks have latents: factors, own signals, two coordinates v, and a membership in one of eight
clusters. Features show latents through noise, and returns pay for some of them. Each world is one
entry of `WORLDS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from numerai_lab.core.arrays import Float64, Int64
from numerai_lab.data.world_size import Size

Eras = Callable[[Size], range]
"""Some eras of a tournament of a size."""
Course = Callable[[Size, Int64], Float64]
"""By the number of the week (that of the era that begins in it), what a premium is multiplied by."""
WEEKS_OF_20_DAYS = 4
TABLE_FEATURES = 160
"""Features of a world as `WORLDS` counts them; other sizes have blocks in proportion."""


@dataclass(frozen=True)
class Block:
    """Features of one kind: √r2 · g + √(1 − r2) · noise, ranked into fifths in each era.

    g, of unit variance:
    single: one factor, of `factors` in turn.
    factor: a loading of ±1 on one factor and N(0, .35²) on all of them, normalised.
    member: a value drawn for each cluster.
    torus: √2 cos 2π(k·v + φ) with whole numbers k, the larger of which is 2 or 3.
    own: a signal of its own.
    base: a mixture of factors, a group factor, the cluster and an own signal; three features share it.
    """

    kind: Literal["single", "factor", "member", "torus", "own", "base"]
    n: int
    r2: float
    factors: tuple[int, ...] = ()


@dataclass(frozen=True)
class Premium:
    """A component of expected returns. rho: its correlation with 20-day returns.

    linear: a weighted sum of factors, of `factors` with equal weights, else of all with random ones.
    own: a weighted sum of the signals of the `own` features.
    membermean: a value of the cluster. member: factor 0, with a plus in four clusters and a minus in four.
    convex: the sum of the squares of four own or base signals.
    products: the sum of three products of two group factors. torus: √2 cos 2π(v0 + .13).
    """

    kind: Literal["linear", "own", "membermean", "member", "convex", "products", "torus"]
    rho: float
    factors: tuple[int, ...] = ()
    course: Course | None = None


@dataclass(frozen=True)
class DriftingPremium:
    """A premium on each factor that changes from week to week around a mean that fades.

    mean: root mean square of the mean 20-day premia over factors. fall: the share that they lose from
    the first to the last era. sd: standard deviation of the weekly AR process around the mean, times
    a lognormal number of mean 1 for each factor. persistence: its autocorrelation. spread: sd of the logarithm.
    """

    mean: float
    fall: float
    sd: float
    persistence: float
    spread: float


@dataclass(frozen=True)
class Damage:
    """Features that hold the middle bin alone in some eras. share: of the features of the block, or of all."""

    eras: Eras
    share: float = 1.0
    block: int | None = None


@dataclass(frozen=True)
class WorldDescription:
    """A world.

    The feature set `oracle` shows latents (member: the cluster, torus: v) and the features of the
    blocks in `lasting`, which alone keep what they show and earn.
    """

    blocks: tuple[Block, ...]
    premia: tuple[Premium | DriftingPremium, ...] = ()
    damage: tuple[Damage, ...] = ()
    oracle: tuple[Literal["member", "torus"], ...] = ()
    lasting: tuple[int, ...] = ()


def early(size: Size) -> range:
    """The first 15 % of the eras."""
    return range(1, size.n_eras * 15 // 100 + 1)


def after_training(size: Size) -> range:
    """From the fifth era after the training eras to live."""
    return range(size.n_train + 5, size.n_eras + 2)


def flipping(size: Size, weeks: Int64) -> Float64:
    """−1 in an eighth of the training weeks and in all weeks after the 20-day target of the last training era, else 1."""
    inside = (weeks > size.n_train // 4) & (weeks <= size.n_train * 3 // 8)
    return np.where(inside | (weeks > size.n_train + WEEKS_OF_20_DAYS), -1.0, 1.0)


def halving(size: Size, weeks: Int64) -> Float64:
    """1, and ½ after 30 % of the eras."""
    return np.where(weeks > 0.3 * size.n_eras, 0.5, 1.0)


_CLUSTERED = (Block("single", 12, 0.7, factors=(0,)), Block("member", 120, 0.1), Block("own", 28, 1))
_STEADY = (Block("single", 2, 0.98, factors=(0, 1)), Block("single", 100, 0.3, factors=(0, 1)), Block("own", 58, 1))
_TWO_FACTORS = (Premium("linear", 0.07, factors=(0, 1)),)
_FLIPPED = (Block("own", 20, 1), Block("factor", 100, 0.4), Block("own", 40, 1))

WORLDS: Mapping[str, WorldDescription] = {
    "default": WorldDescription(
        blocks=(Block("base", 160, 0.95),),
        premia=(
            DriftingPremium(mean=0.018, fall=0.7, sd=0.030, persistence=0.8, spread=0.5),
            Premium("convex", 0.075, course=halving),
            Premium("products", 0.03, course=halving),
            Premium("membermean", 0.03, course=halving),
        ),
        damage=(Damage(early, share=0.1),),
        oracle=("member",),
    ),
    "clusters": WorldDescription(_CLUSTERED, premia=(Premium("membermean", 0.06), Premium("member", 0.05)), oracle=("member",)),
    "unpaid": WorldDescription(_CLUSTERED, premia=(Premium("own", 0.078),), oracle=("member",)),
    "null": WorldDescription(_CLUSTERED, oracle=("member",)),
    "steady": WorldDescription(_STEADY, premia=_TWO_FACTORS, lasting=(1,)),
    "missing": WorldDescription(_STEADY, premia=_TWO_FACTORS, damage=(Damage(after_training, block=0),), lasting=(1,)),
    "flip": WorldDescription(_FLIPPED, premia=(Premium("linear", 0.07, course=flipping), Premium("convex", 0.06)), lasting=(0,)),
    "unflip": WorldDescription(_FLIPPED, premia=(Premium("linear", 0.07), Premium("convex", 0.06)), lasting=(0,)),
    "torus": WorldDescription(
        blocks=(Block("factor", 20, 0.5), Block("torus", 120, 0.5), Block("own", 20, 1)),
        premia=(Premium("linear", 0.03), Premium("torus", 0.06)),
        oracle=("torus",),
    ),
}
"""Worlds by name. `unpaid` and `null` share the features of `clusters`, `missing` those of `steady`, `unflip` those of `flip`."""
