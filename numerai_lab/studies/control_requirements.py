"""What the controls must show, and what they must not: a line for each claim.

Worlds are those of `data.world`, variants those of `configs/controls/WORLD.yaml`. WORLD_networks has
networks in the place of trees.
"""

import math
from dataclasses import dataclass
from typing import Literal

Opponent = Literal["baseline", "placebo", "untrained"]
"""What a variant is compared with: the reference of its run, its placebo there, or the same network begun at random."""

EVERY, MOST = 1.0, 2 / 3
"""Shares of the world seeds."""
LOST = "missing − steady"
CONTRASTS = {LOST: ("missing", "steady")}
"""A name in place of a world → two worlds with the same random numbers: by how much Δ in the first exceeds that in the second.

Both are paired by era. A variant is compared with its placebo, a placebo with the baseline.
"""
NEGATIVE = ("unpaid", "null", "default")
"""Worlds in which no method is known to gain: every method is tried there."""


@dataclass(frozen=True)
class Must:
    """A change of mean corr that must be found.

    than: opponents, against each of which the simultaneous interval must leave out 0. share: of the
    world seeds in which it must, with a Δ from `least` to `most`. mean: the least mean Δ over world
    seeds. Δ is the change against the baseline, in a contrast against the placebo; where `sign` is
    −1, it must be worse and the bounds hold for −Δ.
    """

    world: str
    variant: str
    than: tuple[Opponent, ...]
    share: float = EVERY
    least: float = 0.0
    most: float = math.inf
    mean: float = 0.0
    sign: Literal[1, -1] = 1


@dataclass(frozen=True)
class MustNot:
    """Gains over an opponent that must not be resolved.

    kinds: variants by the kind of their only method; none = all variants. allowed: resolved gains over
    all runs of these worlds that pass for luck.
    """

    worlds: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    allowed: int = 0
    than: Opponent = "baseline"


MUSTS = (
    Must("clusters", "raw+umap", ("baseline", "placebo"), least=0.012, most=0.030),
    Must("clusters", "raw+factor_analysis", ("placebo",), share=MOST, mean=0.005),
    Must("clusters", "raw+autoencoder", ("placebo",), share=MOST, mean=0.005),
    Must("clusters", "raw+scarf", ("placebo",), share=MOST, mean=0.005),
    Must("clusters", "raw+oracle", ("baseline",)),
    Must("clusters_networks", "from_autoencoder", ("untrained",), share=MOST),
    Must("clusters_networks", "from_scarf", ("untrained",), share=MOST),
    Must("steady", "gmm_targets", ("baseline", "placebo"), least=0.018),
    Must("steady", "gaussian_noise", ("placebo",), share=MOST),
    Must(LOST, "cutout_half", ("placebo",), share=MOST, mean=0.003),
    Must(LOST, "gaussian_noise", ("placebo",), share=MOST, mean=0.003),
    Must("flip", "neutralized", ("baseline",), least=0.015),
    Must("unflip", "neutralized", ("baseline",), least=0.008, sign=-1),
)

MUST_NOTS = (
    MustNot(("clusters",), ("random_columns",)),
    MustNot(("steady",), ("duplicate",)),
    MustNot((LOST,), ("duplicate", "gmm_targets")),
    MustNot(("unpaid", "null"), allowed=1),
    MustNot(("default",), allowed=1),
    MustNot(("null_networks",), than="untrained"),
)
