"""Places rows among the landmarks of a layout, each row on its own."""

import torch
from torch import Tensor

from numerai_lab.core.arrays import Float32
from numerai_lab.neural.neighbours import Index
from numerai_lab.neural.umap_graph import MembershipCurve, ScoreMap

FLOOR = 1e-3
NEAR = 5
"""Landmarks that a row is placed among, for each neighbour of the graph.

Fewer keep less of the neighbourhoods.
"""
MOST_NEAR = 100
"""The most landmarks that a row is placed among: all of them are compared with each other."""


class PlacedEmbedding:
    """Rows in the panel's units → columns: places among landmarks of a layout.

    A row starts at the place of one of its nearest landmarks: the one with the largest weighted
    sum of memberships to the others' places, near landmarks weighing more. From there it moves
    one step of reweighted means. The plain mean would do worse: layouts in two or three columns
    are torn, and the mean of places on both sides of a tear lies where no row is.
    A landmark that equals the row is left out, so that landmarks are placed as other rows are.
    """

    def __init__(
        self,
        scores: ScoreMap,
        landmarks: Float32,
        layout: Float32,
        membership: MembershipCurve,
        n_neighbors: int,
    ) -> None:
        """landmarks: their scores; layout: their places."""
        device = scores.shift.device
        self.scores, self.membership = scores, membership
        self.layout = torch.from_numpy(layout).to(device)
        n_near = min(NEAR * n_neighbors, MOST_NEAR, len(landmarks) - 1) + 1
        self.index = Index(torch.from_numpy(landmarks).to(device), n_near)

    def __call__(self, cells: Tensor) -> Tensor:
        positions, squared = self.index.search(self.scores(cells))
        same = squared[:, :1] <= 1e-9
        positions = torch.where(same, positions[:, 1:], positions[:, :-1])
        squared = torch.where(same, squared[:, 1:], squared[:, :-1])
        far = squared.sqrt() if self.scores.metric == "euclidean" else squared
        beyond = far - far[:, :1]
        weights = torch.exp(-beyond / beyond.mean(1, keepdim=True).clamp_min(1e-12))
        points = self.layout[positions]
        close, _ = self._curve(torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square())
        best = (close * weights[:, None]).sum(2).argmax(1)
        start = points[torch.arange(len(points), device=points.device), best]
        _, pull = self._curve((points - start[:, None]).square().sum(2))
        pull = pull * weights
        return (pull[:, :, None] * points).sum(1) / pull.sum(1, keepdim=True)

    def _curve(self, squared: Tensor) -> tuple[Tensor, Tensor]:
        """q at squared distances, and the pull of −log q there, up to a constant factor."""
        a, b = self.membership
        squared = squared + FLOOR
        q = 1 / (1 + a * squared**b)
        return q, q * squared ** (b - 1)
