"""The mixup family: rows between two real rows."""

from dataclasses import replace
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from numerai_lab.augmenters.base import Augmenter
from numerai_lab.augmenters.bins import rebinned
from numerai_lab.core.arrays import Array, Float64, Int64
from numerai_lab.core.control import Control
from numerai_lab.core.panel import Block


class Average(Augmenter):
    """Means of two training rows, features and target alike, with weights λ and 1 − λ.

    Source: [jefferythewind, Numerai forum]: (x + x_π) / 2 and (y + y_π) / 2 with one permutation π
    of all training rows (`within_era: false`). The default pairs rows of one era, because a mean of
    two markets is no market. With `alpha` mixup, Zhang et al. 2018 (arXiv:1710.09412); with
    `partner: nearest` after SMOTE, Chawla et al. 2002.
    """

    control: ClassVar[Control] = Control(
        why="mixup acts as a penalty on curvature, yet no world was found where trees gain enough by it"
    )
    words: ClassVar[str] = "means of two rows"
    kind: Literal["average"] = "average"
    within_era: bool = Field(True, description="pair rows of the same era; false = one permutation of all training rows")
    partner: Literal["random", "nearest"] = Field(
        "random", description="by a permutation, or one of the `neighbours` nearest rows of the era"
    )
    neighbours: int = Field(5, gt=0, le=10_000, description="nearest rows that a partner is drawn from; partner: nearest only")
    alpha: float | None = Field(None, gt=0, description="λ ~ Beta(alpha, alpha) for every row; none = one half")
    rebin: bool = Field(False, description="round features to the nearest bin, halves up or down at random")

    @model_validator(mode="after")
    def _nearest_rows_are_of_the_era(self) -> Self:
        if self.partner == "nearest" and not self.within_era:
            raise ValueError("partner nearest looks within the era; leave out within_era: false")
        return self

    @property
    def crosses_eras(self) -> bool:
        return not self.within_era

    @property
    def whole_era(self) -> bool:
        return self.partner == "nearest"

    @property
    def between_bins(self) -> bool:
        return not self.rebin

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        assert block.target is not None
        nearest = self.partner == "nearest" and len(block) > 1
        pairs = _near(block.unit(), self.neighbours, rng) if nearest else rng.permutation(len(block))
        return self.blend(block, Block(block.era, block.features[pairs], block.top, block.target[pairs]), rng)

    def blend(self, block: Block, partners: Block, rng: np.random.Generator) -> Block:
        return _mixed(block, partners, self.alpha, self.rebin, rng)


class CMixup(Augmenter):
    """Means of two rows of an era whose targets are close, features and target alike, with weights λ and 1 − λ.

    The partner of a row with target y is drawn from its era, itself included, with probability
    proportional to exp(−(y′ − y)² / (2 · bandwidth²)), where y′ is the partner's target;
    λ ~ Beta(alpha, alpha) for every row. With a bandwidth far above the range of the targets it is
    mixup.

    Source: C-Mixup, Yao et al. 2022 (arXiv:2210.05775), which chooses bandwidth and alpha by data set.
    """

    control: ClassVar[Control] = Control(
        why="partners of like targets spare a curved relation the bias of mixup (Yao et al. 2022), yet no world was found where "
        "trees gain enough by it"
    )
    words: ClassVar[str] = "means of two rows with close targets"
    kind: Literal["c_mixup"] = "c_mixup"
    bandwidth: float = Field(0.2, gt=0, description="standard deviation of the kernel, in units of the target: 0 to 1")
    alpha: float = Field(2.0, gt=0, description="λ ~ Beta(alpha, alpha) for every row")
    rebin: bool = Field(False, description="round features to the nearest bin, halves up or down at random")

    @property
    def whole_era(self) -> bool:
        return True

    @property
    def between_bins(self) -> bool:
        return not self.rebin

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        assert block.target is not None
        pairs = _alike(block.target.astype(np.float64), self.bandwidth, rng)
        partners = Block(block.era, block.features[pairs], block.top, block.target[pairs])
        return _mixed(block, partners, self.alpha, self.rebin, rng)


def _mixed(block: Block, partners: Block, alpha: float | None, rebin: bool, rng: np.random.Generator) -> Block:
    """Rows between those of a block and their partners; λ ~ Beta(alpha, alpha), one half without alpha."""
    n = len(block)
    share = np.full(n, 0.5) if alpha is None else rng.beta(alpha, alpha, size=n)
    share = share.astype(np.float32)
    features = _between(share[:, None], block.features, partners.features)
    assert block.target is not None
    assert partners.target is not None
    if rebin:
        features = rebinned(features, block, rng)
    return replace(block, features=features, target=_between(share, block.target, partners.target), columns={})


def _between(share: Array, values: Array, partners: Array) -> Array:
    mixed = partners.astype(np.float32)
    mixed += share * (values - mixed)
    return mixed


def _near(x: Array, k: int, rng: np.random.Generator) -> Int64:
    """For every row the position of another row, drawn from its k nearest."""
    from sklearn.neighbors import NearestNeighbors

    k = min(k, len(x) - 1)
    positions: Int64 = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x).kneighbors(return_distance=False)
    return positions[np.arange(len(x)), rng.integers(k, size=len(x))]


def _alike(target: Float64, bandwidth: float, rng: np.random.Generator) -> Int64:
    """For every row the position of a row, drawn in proportion to a Gaussian kernel of the distance of their targets."""
    values, group, counts = np.unique(target, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    starts = np.cumsum(counts) - counts
    partners = np.empty(len(target), np.int64)
    for value, start, n in zip(values, starts, counts, strict=True):
        edges = np.cumsum(counts * np.exp(-0.5 * ((values - value) / bandwidth) ** 2))
        drawn = np.searchsorted(edges, rng.random(n) * edges[-1], side="right").clip(max=len(values) - 1)
        partners[order[start : start + n]] = order[starts[drawn] + rng.integers(counts[drawn])]
    return partners
