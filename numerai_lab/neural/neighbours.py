"""Rows as points: a space where a metric is Euclidean, principal scores in it, and every row's nearest neighbours, exactly."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from numerai_lab.basics import Float64, Tick, silent
from numerai_lab.factors import signed

Metric = Literal["euclidean", "manhattan", "cosine", "correlation", "hamming"]

BLOCK = 1024
"""Rows whose distances are in memory at a time."""
CHUNK = 4096
"""Rows that are spread out at a time."""
GROUPS = 32


def spread_out(cells: Tensor, metric: Metric) -> Tensor:
    """Rows in a space where `metric` is Euclidean: the distance itself, or (all but euclidean) in proportion to its square.

    Bins 0 to 4 for manhattan and hamming, which become one column for each bin or threshold.
    """
    values = cells.float()
    if metric == "euclidean":
        return values
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
    """Principal scores, float32."""
    return torch.cat([torch.addmm(shift, spread_out(piece, metric), projection) for piece in torch.split(rows, CHUNK)])


def nearest(points: Tensor, k: int, tick: Tick = silent) -> tuple[Tensor, Tensor]:
    """(positions, squared distances), rows × k, nearest first; every row's first neighbour is itself, at 0.

    Columns are cut into strided groups. The k nearest lie in the k groups whose least distances are smallest, so only
    those groups are searched: one pass of minima over a block of distances takes the place of sorting it.
    """
    n = len(points)
    n_groups = max(1, min(GROUPS, n // k))
    width = -(-n // n_groups)
    padding = n_groups * width - n
    norms = torch.cat([points.square().sum(1), points.new_full((padding,), torch.inf)])
    others = torch.cat([points, points.new_zeros(padding, points.shape[1])]).T.contiguous()
    members = width * torch.arange(n_groups, device=points.device)[:, None]
    found = []
    for start in range(0, n, BLOCK):
        rows = torch.arange(start, min(n, start + BLOCK), device=points.device)
        gaps = torch.addmm(norms, points[rows], others, alpha=-2)  # squared distances less the row's own norm
        gaps[rows - start, rows] = -torch.inf
        least = gaps.view(len(rows), n_groups, width).amin(1)
        groups = least.topk(k, dim=1, largest=False).indices
        candidates = (groups[:, None, :] + members).flatten(1)
        chosen = gaps.gather(1, candidates).topk(k, dim=1, largest=False).indices
        found.append(candidates.gather(1, chosen))
        tick(int(rows[-1]) + 1, n)
    positions = torch.cat(found)
    return positions, torch.cat([_squared(points, part, i * BLOCK) for i, part in enumerate(torch.split(positions, BLOCK))])


def _squared(points: Tensor, positions: Tensor, start: int) -> Tensor:
    """Squared distances from differences: those from norms and products would leave rounding between equal rows."""
    own = points[start : start + len(positions), None, :]
    return (points[positions] - own).square().sum(2)
