"""The density of training rows around a row."""

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.control import Control
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.base import Generator
from numerai_lab.generators.landmarks import landmarks

TILE_CELLS = 4_000_000
"""Distances in memory at a time, whatever the size of an era."""
SAME = 1e-9
"""Squared distance per feature, on 0..1, below which two rows count as equal."""


class LocalDensity(Generator):
    """Mean log distance of a row to its nearest landmarks: low in crowded regions, high for unusual rows.

    Landmarks are rows drawn evenly from the eras of the fit; distances are Euclidean on features of
    0..1. Landmarks equal to the row in all features are skipped: a landmark would else be its own
    neighbour, and look crowded. Rows are compared in tiles by matrix products, so memory does not
    grow with their number.

    Source: Loftsgaarden & Quesenberry 1965 (nearest-neighbour density); this project.
    """

    stochastic: ClassVar[bool] = True

    control: ClassVar[Control] = Control(why="no published theory ties how crowded a row's surroundings are to its target")
    words: ClassVar[str] = "the local density of rows"
    kind: Literal["local_density"] = "local_density"
    n_neighbors: int = Field(10, gt=0, le=1000, description="nearest landmarks whose log distances are averaged")
    landmarks: int = Field(2000, ge=10, le=50_000, description="rows to measure distances to; cost grows in proportion")

    def refusal(self, panel: Panel) -> str:
        return self._too_few(min(panel.n_rows, self.landmarks))

    def _too_few(self, n: int) -> str:
        """A sentence that says why n landmarks are too few; empty where they suffice."""
        message = f"local_density: {n} rows to measure distances to, n_neighbors {self.n_neighbors} needs more"
        return message if n <= self.n_neighbors else ""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Draws the landmarks. Raises NlabError where they are too few."""
        self.landmarks_ = landmarks(panel, self.landmarks, rng)
        if message := self._too_few(len(self.landmarks_)):
            raise NlabError(message)
        return self

    def transform(self, block: Block) -> Float32:
        return log_distances(block.features, block.top, self.landmarks_, self.n_neighbors)

    def names_out(self) -> list[str]:
        return ["log_distance"]


def log_distances(features: Array, top: float, landmarks: Array, n_neighbors: int) -> Float32:
    """Mean log distance, on 0..1, of each row to its nearest landmarks: float32, rows × 1."""
    # Bins are small integers: float32 products are exact, whatever the batching. Other values need float64 for that.
    exact = features.dtype == np.int8 and landmarks.dtype == np.int8 and features.shape[1] * 16 < 2**22
    dtype = np.dtype(np.float32 if exact else np.float64)
    points = landmarks.astype(dtype)
    lengths = (points**2).sum(1)
    points_t = np.ascontiguousarray(points.T)
    step = max(1, TILE_CELLS // len(points))
    out = np.empty((len(features), 1), np.float32)
    for start in range(0, len(features), step):
        x = features[start : start + step].astype(dtype)
        squared = x @ points_t
        squared *= -2
        squared += lengths
        squared += (x**2).sum(1)[:, None]
        squared /= top**2
        out[start : start + step, 0] = _crowding(squared, x.shape[1], n_neighbors)
    return out


def _crowding(squared: Array, n_features: int, n_neighbors: int) -> Array:
    """Mean log distance to the nearest landmarks that differ from the row; the lowest value where none differs."""
    floor = SAME * n_features
    squared[squared <= floor] = np.inf
    nearest = np.sort(np.partition(squared, n_neighbors - 1, axis=1)[:, :n_neighbors], axis=1).astype(np.float64)
    known = np.isfinite(nearest)
    logs = 0.5 * np.log(np.where(known, nearest, 1))
    mean: Array = np.where(known.any(1), logs.sum(1) / np.maximum(known.sum(1), 1), 0.5 * np.log(floor))
    return mean
