"""Rows moved towards the means of clusters, or away from them."""

import warnings
from dataclasses import replace
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.augmenters.base import Augmenter
from numerai_lab.augmenters.bins import rebinned, sampled_blocks
from numerai_lab.core.arrays import Float32, Int64
from numerai_lab.core.control import Control
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext

MOST_ROWS = 20_000
"""Rows that clusters are learned from, drawn evenly from the eras."""


class Anchor(Augmenter):
    """An era's rows moved towards the means of their clusters or away from them, features and target alike.

    k-means finds clusters in a sample of the training rows' features and targets. Of an era's rows,
    those of a cluster have the mean m, and a row x becomes m + (x − m) / √γ, which is
    (x + (√γ − 1) m) / √γ. One γ is drawn for the era: even odds for one from 1 to `gamma`, or its
    inverse. Means of clusters stay, and so do linear relations within them. Values are neither
    clipped nor binned. Eras are no anchors themselves: features have the same bins in each, so all
    eras have one mean.

    Source: Anchor Data Augmentation, Schneider, Goshtasbpour & Perez-Cruz 2023 (arXiv:2311.06965).
    """

    control: ClassVar[Control] = Control(
        why="rows moved along means of clusters are a penalty on noise within clusters (Schneider et al. 2023), and no theory "
        "says where trees gain by it"
    )
    words: ClassVar[str] = "rows moved to or from the means of {clusters} clusters"
    kind: Literal["anchor"] = "anchor"
    learns: ClassVar[bool] = True

    clusters: int = Field(10, gt=0, le=1000, description="clusters, of all training eras together")
    gamma: float = Field(2.0, gt=1, le=100, description="largest γ; deviations from the mean are divided by √γ, or multiplied")
    rebin: bool = Field(False, description="round features to the nearest bin and clip them to their range")

    @property
    def whole_era(self) -> bool:
        return True

    @property
    def between_bins(self) -> bool:
        return not self.rebin

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns the clusters' centres, float32, clusters × (features and target); fewer where there are fewer rows."""
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits

        rows = np.concatenate([_points(block) for block in sampled_blocks(panel, MOST_ROWS, rng)])
        kmeans = KMeans(min(self.clusters, len(rows)), n_init=1, random_state=int(rng.integers(2**31)))
        # One thread: the order in which threads add up rounds differently from run to run.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fewer distinct rows than clusters
            self.centres_ = np.asarray(kmeans.fit(rows).cluster_centers_, np.float32)
        context.progress(1, 1)
        return self

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        gamma = rng.uniform(1, self.gamma)
        factor = np.float32(gamma ** rng.choice([-0.5, 0.5]))
        assert block.target is not None
        moved = np.column_stack([block.features.astype(np.float32), block.target])
        cluster = self.cluster_of(block)
        for i in np.unique(cluster):
            mean = moved[cluster == i].mean(0, dtype=np.float64).astype(np.float32)
            moved[cluster == i] = mean + factor * (moved[cluster == i] - mean)
        features = rebinned(moved[:, :-1], block, rng) if self.rebin else moved[:, :-1]
        return replace(block, features=features, target=moved[:, -1].copy(), columns={})

    def cluster_of(self, block: Block) -> Int64:
        """The position of each row's nearest centre."""
        distances = (self.centres_**2).sum(1) - 2 * (_points(block) @ self.centres_.T)
        nearest: Int64 = distances.argmin(1)
        return nearest


def _points(block: Block) -> Float32:
    """Features and target on 0..1, side by side."""
    assert block.target is not None
    return np.column_stack([block.unit(), block.target])
