"""Exact nearest neighbours of rows by principal scores, in a space where their metric is Euclidean."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from numerai_lab.core.arrays import Float32, Float64, Int64
from numerai_lab.core.covariance import signed
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.neural.umap_learn import umap_learn

Metric = Literal["euclidean", "manhattan", "cosine", "correlation", "hamming"]

DISTANCES, GPU_DISTANCES = 6_000_000, 200_000_000
"""Distances in memory at a time. Above 32 MB (on a CPU they take 24) the C library maps new pages per block: slow."""
CHUNK = 4096
"""Rows that are spread out at a time."""
GROUPS = 32
EXACT_POINTS = 100_000
"""Up to this many points all distances are computed: 4 s for 50,000 on one thread, 16 s for these."""


def spread_out(cells: Tensor, metric: Metric) -> Tensor:
    """Rows in a space whose squared Euclidean distances are proportional to `metric`; for euclidean the rows themselves.

    manhattan and hamming count bins 0 to 4, to which other values are rounded, in one column for
    each bin or threshold.
    """
    values = cells.float()
    if metric == "euclidean":
        return values
    if metric in ("manhattan", "hamming"):
        values = values.round().clamp(0, 4)
    if metric == "manhattan":
        return torch.cat([values > bin_ for bin_ in range(4)], dim=1).float()
    if metric == "hamming":
        return torch.cat([values == bin_ for bin_ in range(5)], dim=1).float()
    if metric == "correlation":
        values = values - values.mean(1, keepdim=True)
    lengths: Tensor = torch.linalg.vector_norm(values, dim=1, keepdim=True)
    return values / lengths.clamp_min(1e-12)


def principal_axes(landmarks: Tensor, metric: Metric, k: int) -> tuple[Float64, Float64]:
    """Mean (columns) and first k principal axes (columns × k), float64, of rows spread out; one pass in pieces."""
    from scipy.linalg import eigh

    total, products = np.zeros(1), np.zeros((1, 1))
    for piece in torch.split(landmarks, CHUNK):
        x = spread_out(piece, metric)
        total, products = total + _float64(x.sum(0, dtype=torch.float64)), products + _float64(x.T @ x)
    mean = total / len(landmarks)
    covariance = products / len(landmarks) - np.outer(mean, mean)
    p = len(mean)
    axes = eigh(covariance, subset_by_index=[max(0, p - k), p - 1])[1][:, ::-1]
    return mean, signed(axes)


def _float64(values: Tensor) -> Float64:
    return values.cpu().numpy().astype(np.float64)


def scores_of(rows: Tensor, metric: Metric, projection: Tensor, shift: Tensor) -> Tensor:
    """Principal scores of rows: float32, rows × components."""
    return torch.cat([torch.addmm(shift, spread_out(piece, metric), projection) for piece in torch.split(rows, CHUNK)])


class Index:
    """An index of points for their k nearest neighbours.

    Points are cut into strided groups. The k nearest lie in the k groups with the smallest minimum
    of distances, so only those are searched: a pass of minima replaces sorting a block of
    distances.
    """

    def __init__(self, points: Tensor, k: int) -> None:
        n = len(points)
        self.points, self.k = points, k
        self.n_groups = max(1, min(GROUPS, n // k))
        self.width = -(-n // self.n_groups)
        padding = self.n_groups * self.width - n
        self.norms = torch.cat([points.square().sum(1), points.new_full((padding,), torch.inf)])
        self.transposed = torch.cat([points, points.new_zeros(padding, points.shape[1])]).T.contiguous()
        self.members = self.width * torch.arange(self.n_groups, device=points.device)[:, None]

    def search(self, rows: Tensor, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(positions, squared distances), rows × k, nearest first. own: positions of the rows themselves, which come first."""
        gaps = torch.addmm(self.norms, rows, self.transposed, alpha=-2)  # squared distances less the row's own norm
        if own is not None:
            gaps[torch.arange(len(rows), device=rows.device), own] = -torch.inf
        least = gaps.view(len(rows), self.n_groups, self.width).amin(1)
        groups = least.topk(self.k, dim=1, largest=False).indices
        candidates = (groups[:, None, :] + self.members).flatten(1)
        chosen = gaps.gather(1, candidates).topk(self.k, dim=1, largest=False).indices
        positions = candidates.gather(1, chosen)
        # From differences: norms and products would leave rounding between equal rows.
        return positions, (self.points[positions] - rows[:, None, :]).square().sum(2)


def nearest(points: Tensor, k: int, progress: Progress = no_progress) -> tuple[Tensor, Tensor]:
    """(positions, squared distances), rows × k, nearest first; every row's first neighbour is itself, at 0."""
    index, n = Index(points, k), len(points)
    # Allocated first: between the blocks' arrays, results would fragment the memory, by gigabytes in the end.
    positions, squared = torch.empty((n, k), dtype=torch.int64, device=points.device), points.new_empty((n, k))
    n_rows = max(64, (DISTANCES if points.device.type == "cpu" else GPU_DISTANCES) // n)
    for start in range(0, n, n_rows):
        end = min(n, start + n_rows)
        own = torch.arange(start, end, device=points.device)
        positions[own], squared[own] = index.search(points[own], own)
        progress(end, n)
    return positions, squared


def neighbours(points: Tensor, k: int, progress: Progress = no_progress) -> tuple[Int64, Float32]:
    """(positions, squared distances) as `nearest` finds them; approximate on a CPU beyond EXACT_POINTS points.

    PyNNDescent (Dong, Moses, Li 2011) takes seconds instead of minutes then, and misses some of the
    neighbours.
    """
    if len(points) <= EXACT_POINTS or points.device.type != "cpu":
        positions, squared = nearest(points, k, progress)
        return positions.cpu().numpy(), squared.cpu().numpy()
    with umap_learn():
        from pynndescent import NNDescent

        approximate, distances = NNDescent(points.numpy(), n_neighbors=k, random_state=0, n_jobs=1).neighbor_graph
    own = np.arange(len(points))[:, None]
    missing = approximate < 0
    squared_distances = np.where(missing, 0, distances).astype(np.float32) ** 2
    return np.where(missing, own, approximate).astype(np.int64), squared_distances
