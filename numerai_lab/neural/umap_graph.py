"""UMAP's graph: rows as principal scores, their nearest neighbours, umap-learn's memberships."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from numerai_lab.core.arrays import Float32, Int64
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.neural.neighbours import (
    Metric,
    neighbours,
    principal_axes,
    scores_of,
    spread_out,
)
from numerai_lab.neural.umap_learn import umap_learn

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class LandmarkSpace:
    """Rows as principal scores, with their nearest neighbours.

    projection: columns of rows spread out × components, float32.
    shift: components, float32. rows @ projection + shift are scores, in units of the root mean
    square distance to the last neighbour.
    positions, distances: rows × n_neighbors. A row is its own first neighbour.
    """

    scores: Tensor
    projection: Tensor
    shift: Tensor
    positions: Int64
    distances: Float32

    def graph(self) -> "csr_matrix":
        """umap-learn's fuzzy simplicial set: symmetric memberships."""
        # With neighbours given, umap-learn reads neither the rows nor the random state.
        rows = np.empty((len(self.positions), 1), np.float32)
        known = {"knn_indices": self.positions, "knn_dists": self.distances}
        n_neighbors = self.positions.shape[1]
        with umap_learn() as umap:
            sets = umap.fuzzy_simplicial_set(rows, n_neighbors, None, "precomputed", **known)
        graph: csr_matrix = sets[0].tocsr()
        return graph

    def layout(self, n_components: int, min_dist: float, n_epochs: int | None, seed: int) -> Float32:
        """umap-learn's layout of the rows: float32, rows × n_components."""
        with umap_learn() as umap:
            reducer = umap.UMAP(
                n_components=n_components,
                n_neighbors=self.positions.shape[1],
                min_dist=min_dist,
                n_epochs=n_epochs,
                precomputed_knn=(self.positions, self.distances),
                random_state=seed,
                n_jobs=1,
            )
            return np.asarray(reducer.fit(self.scores.cpu().numpy()).embedding_, np.float32)


def landmark_space(
    landmarks: Tensor,
    metric: Metric,
    n_principal: int,
    n_neighbors: int,
    progress: Progress = no_progress,
) -> LandmarkSpace:
    """The space of landmarks on their own principal axes. Rows are in the panel's units."""
    mean, axes = principal_axes(landmarks, metric, n_principal)
    projection, shift = (torch.from_numpy(values.astype(np.float32)).to(landmarks.device) for values in (axes, -mean @ axes))
    space = space_on(projection, shift, landmarks, metric, n_neighbors, progress)
    last = space.distances[:, -1].astype(np.float64) ** (2 if metric == "euclidean" else 1)
    unit = float(np.sqrt(last.mean())) or 1.0
    return replace(
        space,
        scores=space.scores / unit,
        projection=projection / unit,
        shift=shift / unit,
    )


def space_on(
    projection: Tensor,
    shift: Tensor,
    rows: Tensor,
    metric: Metric,
    n_neighbors: int,
    progress: Progress = no_progress,
) -> LandmarkSpace:
    """The space of rows on the axes of another space."""
    scores = scores_of(rows, metric, projection, shift)
    positions, squared = neighbours(scores, n_neighbors, progress)
    distances = np.sqrt(squared) if metric == "euclidean" else squared
    return LandmarkSpace(scores, projection, shift, positions, distances)


class ScoreMap:
    """Rows in the panel's units → principal scores of a `LandmarkSpace`."""

    def __init__(self, metric: Metric, axes: Sequence[Float32], device: torch.device) -> None:
        """axes: projection and shift."""
        self.metric = metric
        self.projection, self.shift = (torch.from_numpy(axis).to(device) for axis in axes)

    def __call__(self, cells: Tensor) -> Tensor:
        return torch.addmm(self.shift, spread_out(cells, self.metric), self.projection)


class MembershipCurve(NamedTuple):
    """Membership q = 1 / (1 + a d^2b) of two rows at distance d."""

    a: float
    b: float


def membership_curve(min_dist: float) -> MembershipCurve:
    """The curve that umap-learn fits to a `min_dist`."""
    with umap_learn() as umap:
        a, b = umap.find_ab_params(1.0, min_dist)
    return MembershipCurve(float(a), float(b))
