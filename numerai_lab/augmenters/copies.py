"""Augmenters that change copies of real rows: cutout, noise, swapped cells, reversed features, and plain copies."""

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from numerai_lab.augmenters.base import Augmenter
from numerai_lab.augmenters.bins import rebinned
from numerai_lab.core.control import Control
from numerai_lab.core.era_ranges import exact_share
from numerai_lab.core.panel import Block


class Duplicate(Augmenter):
    """Unchanged copies of the rows: the placebo of augmenters that append rows.

    More rows alone change bagging, the weight of the least number of rows in a leaf, and every
    penalty. An augmenter has to beat that. Source: this project.
    """

    control: ClassVar[Control] = Control(why="it is a placebo")
    words: ClassVar[str] = "the same rows again"
    kind: Literal["duplicate"] = "duplicate"
    stochastic: ClassVar[bool] = False

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        return replace(block, columns={})


class Cutout(Augmenter):
    """Copies of an era's rows with some features blanked to the middle bin, the same features for every row of the era.

    Source: [katsu1110, Numerai forum], after DeVries & Taylor 2017 (arXiv:1708.04552); the fraction is unpublished.
    """

    control: ClassVar[Control] = Control(
        "missing",
        "a model that was trained with features blanked leans on no few of them, and two of the best are gone later",
        "Globerson & Roweis 2006",
    )
    words: ClassVar[str] = "copies of rows with {fraction:.0%} of features blanked"
    kind: Literal["cutout"] = "cutout"
    fraction: float = Field(0.25, gt=0, lt=1, description="share of the features that are blanked; round(share × features)")
    per_row: bool = Field(False, description="draw the features for every row instead of once an era")

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        n, p = block.features.shape
        n_cut = round(exact_share(self.fraction, p))
        features = block.features.copy()
        middle = features.dtype.type(block.top / 2)
        if self.per_row:
            columns = rng.permuted(np.broadcast_to(np.arange(p), (n, p)), axis=1)[:, :n_cut]
            np.put_along_axis(features, columns, middle, axis=1)
        else:
            features[:, rng.choice(p, size=n_cut, replace=False)] = middle
        return replace(block, features=features, columns={})


class GaussianNoise(Augmenter):
    """Copies of an era's rows with normal noise on every feature, neither clipped nor binned.

    Source: [jefferythewind, Numerai forum]: σ = .3 on features of 0..1, target kept; `mode: replace` is his 'noise only'.
    """

    control: ClassVar[Control] = Control(
        "steady",
        "noise on features acts as a ridge penalty, which a steady linear relation rewards",
        "Bishop 1995",
    )
    words: ClassVar[str] = "copies of rows with noise of deviation {sigma:g}"
    kind: Literal["gaussian_noise"] = "gaussian_noise"
    sigma: float = Field(0.3, gt=0, description="standard deviation of the noise, on features of 0..1")
    rebin: bool = Field(False, description="round to the nearest bin and clip to the features' range")

    @property
    def between_bins(self) -> bool:
        return not self.rebin

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        noise = rng.standard_normal(block.features.shape, dtype=np.float32)
        noise *= np.float32(self.sigma * block.top)
        noise += block.features
        return replace(block, features=rebinned(noise, block, rng) if self.rebin else noise, columns={})


class SwapNoise(Augmenter):
    """Copies of an era's rows in which some cells hold the value of another row of the era; the target is kept.

    Every feature keeps its distribution within the era, and correlations shrink by (1 − share)². Source: swap noise of
    Michael Jahrer's denoising autoencoders (Porto Seguro, 2017); mixed into rows on the Numerai forum.
    """

    control: ClassVar[Control] = Control(
        why="replaced cells act as a penalty (Wager, Wang & Liang 2013), yet the gain in `steady` is too small to be asked for"
    )
    words: ClassVar[str] = "copies of rows with {share:.0%} of cells swapped"
    kind: Literal["swap_noise"] = "swap_noise"
    share: float = Field(0.1, gt=0, lt=1, description="share of the cells that are swapped, drawn cell by cell")

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        n = len(block)
        features = block.features.copy()
        rows, columns = np.nonzero(rng.random(features.shape, dtype=np.float32) < self.share)
        donors = (rows + rng.integers(1, max(n, 2), size=len(rows))) % n
        features[rows, columns] = block.features[donors, columns]
        return replace(block, features=features, columns={})


class FeatureReversal(Augmenter):
    """Copies of an era's rows with some features turned upside down (x → top − x) for the whole era; the target is kept.

    A model that sees a feature work both ways relies less on it. Source: [mdo, Numerai forum]: a random 25 % of the features
    of each block.
    """

    control: ClassVar[Control] = Control(why="no published theory says where features turned upside down help")
    words: ClassVar[str] = "copies of rows with {fraction:.0%} of features reversed"
    kind: Literal["feature_reversal"] = "feature_reversal"
    fraction: float = Field(0.25, gt=0, le=1, description="share of the features that are reversed; round(share × features)")

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        p = block.features.shape[1]
        flipped = rng.choice(p, size=round(exact_share(self.fraction, p)), replace=False)
        features = block.features.copy()
        features[:, flipped] = features.dtype.type(block.top) - features[:, flipped]
        return replace(block, features=features, columns={})
