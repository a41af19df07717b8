"""Rows placed among the landmarks of a layout, each for itself."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from numerai_lab.core.arrays import Float32
from numerai_lab.neural.neighbours import Index, Metric, spread_out
from numerai_lab.neural.umap_learn import umap_learn

if TYPE_CHECKING:
    from numerai_lab.neural.umap import Encoder, Plan, Space

FLOOR = 1e-3
NEAR = 5
"""Landmarks that a row is placed among, for each neighbour of the graph; fewer keep less of the neighbourhoods."""
MOST_NEAR = 100
"""Of them, at most: all are compared with each other."""


def layout(space: "Space", n_components: int, min_dist: float, n_epochs: int | None, seed: int) -> Float32:
    """umap-learn's layout of a space's landmarks."""
    neighbours = (space.positions, space.distances)
    with umap_learn() as umap:
        reducer = umap.UMAP(
            n_components=n_components,
            n_neighbors=space.positions.shape[1],
            min_dist=min_dist,
            n_epochs=n_epochs,
            precomputed_knn=neighbours,
            random_state=seed,
            n_jobs=1,
        )
        return np.asarray(reducer.fit(space.scores.cpu().numpy()).embedding_, np.float32)


def warm_up(encoder: "Encoder", scores: Tensor, places: Float32, plan: "Plan", seed: int) -> None:
    """Regression of an encoder on places of the landmarks, mean squared error, by Adam; the rate falls along half a cosine."""
    wanted = torch.from_numpy(places).to(scores.device)
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=plan.learning_rate, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, plan.steps))
    rng = np.random.default_rng([seed, 1])
    for _ in range(plan.steps):
        rows = torch.from_numpy(rng.integers(len(wanted), size=plan.batch_size)).to(scores.device)
        optimiser.zero_grad()
        (encoder(scores[rows]) - wanted[rows]).square().mean().backward()
        optimiser.step()
        schedule.step()


class Placing:
    """Rows in the units of the panel → columns.

    Of the positions of its nearest landmarks, a row takes the one that UMAP's curve puts closest to all of them, weighed by
    how near they are, and moves a step of reweighted means from there: in a layout that is torn, as those of two or three
    columns are, their plain mean would lie where no row is. A landmark that equals the row is passed over, so that rows
    that were landmarks are placed as others are.
    """

    def __init__(
        self, metric: Metric, arrays: Mapping[str, Float32], ab: tuple[float, float], n_neighbors: int, device: torch.device
    ) -> None:
        """arrays: projection and shift of a space, scores and layout of its landmarks."""
        self.metric, self.ab = metric, ab
        on_device = {name: torch.from_numpy(values).to(device) for name, values in arrays.items()}
        self.projection, self.shift, self.layout = (on_device[name] for name in ("projection", "shift", "layout"))
        self.index = Index(on_device["scores"], min(NEAR * n_neighbors, MOST_NEAR, len(arrays["scores"]) - 1) + 1)

    def __call__(self, cells: Tensor) -> Tensor:
        found, squared = self.index.search(torch.addmm(self.shift, spread_out(cells, self.metric), self.projection))
        same = squared[:, :1] <= 1e-9
        found = torch.where(same, found[:, 1:], found[:, :-1])
        squared = torch.where(same, squared[:, 1:], squared[:, :-1])
        far = squared.sqrt() if self.metric == "euclidean" else squared
        beyond = far - far[:, :1]
        weights = torch.exp(-beyond / beyond.mean(1, keepdim=True).clamp_min(1e-12))
        points = self.layout[found]
        close, _ = self._curve(torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square())
        best = (close * weights[:, None]).sum(2).argmax(1)
        start = points[torch.arange(len(points), device=points.device), best]
        _, pull = self._curve((points - start[:, None]).square().sum(2))
        pull = pull * weights
        return (pull[:, :, None] * points).sum(1) / pull.sum(1, keepdim=True)

    def _curve(self, squared: Tensor) -> tuple[Tensor, Tensor]:
        """q, and how strongly −log q pulls, up to a factor, at some squared distances."""
        a, b = self.ab
        squared = squared + FLOOR
        q = 1 / (1 + a * squared**b)
        return q, q * squared ** (b - 1)
