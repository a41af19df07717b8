"""Rows by UMAP's inverse transform of points in an embedding of features and target."""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.augmenters.bins import sampled_blocks
from numerai_lab.augmenters.proportions import Proportioned
from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.control import Control
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext


class UMAPInverse(Proportioned):
    """New eras of rows by umap-learn's inverse transform of points drawn evenly from an embedding.

    The embedding of features and target has two dimensions and is fitted on a sample of rows.
    Points lie in the convex hull of the sample, outside of which umap-learn's inverse gives
    nonsense. The inverse takes milliseconds per row, so `pool` rows are made once; an era is drawn
    from them (with repetition where it is larger) and ranked to the proportions of the training
    rows.

    Source: [jefferythewind, Numerai forum]; McInnes, Healy, Melville 2018 (arXiv:1802.03426), PyPI
    `umap-learn`.
    """

    removed: ClassVar[Mapping[str, Any]] = {"min_dist": 0.1}

    control: ClassVar[Control] = Control(why="no published theory says where rows turned back from a plane help")
    requires: ClassVar[tuple[str, ...]] = ("umap",)
    words: ClassVar[str] = "rows by UMAP's inverse transform"
    kind: Literal["umap_inverse"] = "umap_inverse"
    invents_eras: ClassVar[bool] = True
    invents_rows: ClassVar[bool] = True

    n_neighbors: int = Field(15, gt=1, le=1000, description="neighbours a row is linked to")
    n_epochs: int | None = Field(None, gt=0, le=1_000_000, description="passes of the layout; none = umap-learn's choice (500)")
    landmarks: int = Field(5000, ge=100, le=100_000, description="rows to fit on, drawn evenly from the eras")
    pool: int = Field(5000, gt=0, le=1_000_000, description="rows to make")

    def refusal(self, panel: Panel) -> str:
        return self._too_few(min(int(panel.n_known.sum()), self.landmarks))

    def _too_few(self, n: int) -> str:
        """A sentence that says why n rows to fit on are too few; empty where they suffice."""
        if n > self.n_neighbors:
            return ""
        return f"umap_inverse: {n} rows to fit on, n_neighbors {self.n_neighbors} needs more"

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Makes the pool of rows. Raises NlabError where there are too few rows to fit on."""
        self._learn_proportions(panel, rng)
        rows = self._landmarks(panel, rng)
        if message := self._too_few(len(rows)):
            raise NlabError(message)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numba and scikit-learn deprecations inside umap-learn
            reducer = self._reducer(int(rng.integers(2**31 - 1))).fit(rows)
            points = _within(np.asarray(reducer.embedding_, np.float64), self.pool, rng)
            self.pool_ = np.nan_to_num(np.asarray(reducer.inverse_transform(points), np.float32))
        context.progress(1, 1)
        return self

    def invent(self, number: int, n_rows: int, rng: np.random.Generator) -> Block:
        repeats = n_rows > len(self.pool_)
        rows = self.pool_[rng.choice(len(self.pool_), size=n_rows, replace=repeats)]
        return self._era_of(rows[:, :-1], rows[:, -1], rng)

    def saved_bytes(self, n_columns: int) -> int:
        return 4 * self.pool * (n_columns + 1)

    def _landmarks(self, panel: Panel, rng: np.random.Generator) -> Float32:
        """The rows to fit on, features and target on 0..1: the same number per era, give or take one."""
        parts = []
        for block in sampled_blocks(panel, self.landmarks, rng):
            assert block.target is not None
            parts.append(np.column_stack([block.unit(), block.target]))
        return np.concatenate(parts)

    def _reducer(self, seed: int) -> Any:
        import umap

        settings = {"n_neighbors": self.n_neighbors, "n_epochs": self.n_epochs}
        return umap.UMAP(n_components=2, random_state=seed, transform_seed=seed, n_jobs=1, **settings)


def _within(points: Array, n: int, rng: np.random.Generator) -> Float32:
    """n points drawn evenly from the convex hull of points, n × 2."""
    from scipy.spatial import Delaunay

    corners = points[Delaunay(points).simplices]
    sides = corners[:, 1:] - corners[:, :1]
    areas = np.abs(np.linalg.det(sides))
    chosen = rng.choice(len(corners), size=n, p=areas / areas.sum())
    shares = rng.dirichlet([1, 1, 1], size=n)
    drawn: Float32 = (shares[:, :, None] * corners[chosen]).sum(1).astype(np.float32)
    return drawn
