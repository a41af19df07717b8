"""Augmenters that change copies of real rows: cutout and noise."""

from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from numerai_lab.augmenters.base import Augmenter
from numerai_lab.panel import Block


class Cutout(Augmenter):
    """Copies of an era's rows with some features blanked to the middle bin, the same features for every row of the era.

    Source: [katsu1110, Numerai forum], after DeVries & Taylor 2017 (arXiv:1708.04552); the fraction is unpublished.
    """

    kind: Literal["cutout"] = "cutout"
    fraction: float = Field(0.25, gt=0, lt=1, description="share of the features that are blanked; round(share × features)")
    per_row: bool = Field(False, description="draw the features for every row instead of once an era")

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        n, p = block.features.shape
        n_cut = round(self.fraction * p)
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

    kind: Literal["gaussian_noise"] = "gaussian_noise"
    sigma: float = Field(0.3, gt=0, description="standard deviation of the noise, on features of 0..1")
    rebin: bool = Field(False, description="round to the nearest bin and clip to the features' range")

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        top = np.float32(block.top)
        noise = rng.standard_normal(block.features.shape, dtype=np.float32)
        noise *= np.float32(self.sigma) * top
        noise += block.features
        if self.rebin:
            binned = block.features.dtype == np.int8
            noise = np.clip(np.rint(noise) if binned else noise, 0, top).astype(block.features.dtype)
        return replace(block, features=noise, columns={})
