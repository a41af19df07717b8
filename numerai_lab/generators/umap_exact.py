"""`umap` with `mode: exact`: umap-learn itself."""

from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PrivateAttr

from numerai_lab.core.arrays import Float32
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.umap_base import LayoutParameters, UMAPBase
from numerai_lab.neural.umap_learn import umap_learn


class UMAPExact(LayoutParameters, UMAPBase):
    """Columns of umap-learn's `transform`, era by era, on features scaled to 0..1.

    umap-learn places the rows of a call jointly, so columns are repeatable for whole eras only.
    A seed makes it single-threaded.

    Source: McInnes, Healy, Melville 2018 (arXiv:1802.03426), PyPI `umap-learn`.
    """

    requires: ClassVar[tuple[str, ...]] = ("umap",)
    usual_landmarks: ClassVar[int] = 10_000
    learned: ClassVar[str] = "embedding_"

    mode: Literal["exact"] = Field("exact", description="umap-learn itself")

    _reducer: Any = PrivateAttr(None)

    @property
    def whole_era(self) -> bool:
        return True

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        rows = self._sample(panel, rng)
        self.landmarks_ = rows.astype(np.float32) / np.float32(panel.top)
        self.seed_ = np.array(rng.integers(2**31 - 1))
        self._reducer = self._fitted_reducer()
        self.embedding_ = np.asarray(self._reducer.embedding_, np.float32)
        return self

    def transform(self, block: Block) -> Float32:
        """Columns of an era's rows. Raises NlabError where umap-learn gives NaN."""
        if self._reducer is None:
            self._reducer = self._restored_reducer()
        with umap_learn():
            columns = np.asarray(self._reducer.transform(block.unit()), np.float32)
        if not np.isfinite(columns).all():
            n_broken = np.isnan(columns).any(1).sum()
            raise NlabError(f"umap: umap-learn gave NaN for {n_broken} rows of era {block.era}")
        return columns

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        # numba and the functions it compiles; the sample and its copies, neighbours, graph, layout.
        a_row = 12 * n_columns + 400 * self.n_neighbors + 16 * self.n_components
        return 400_000_000 + self._n_landmarks(n_rows) * a_row

    def saved_bytes(self, n_columns: int) -> int:
        return 4 * (self.landmarks or self.usual_landmarks) * (n_columns + self.n_components)

    def seconds(self, n_fitted: int, n_rows: int, n_columns: int, flops: float) -> float:
        # Measured with umap-learn. It multiplies no matrices, so flops do not count.
        d, n = self.n_components, self._n_landmarks(n_fitted)
        return n * (7e-4 + 4e-5 * d) + n_rows * (6e-4 + 3e-5 * d)

    def _fitted_reducer(self, **changes: Any) -> Any:
        parameters = {
            "n_components": self.n_components,
            "n_neighbors": self.n_neighbors,
            "min_dist": self.min_dist,
            "metric": self.metric,
            "n_epochs": self.n_epochs,
            "random_state": int(self.seed_),
            "transform_seed": int(self.seed_),
            "n_jobs": 1,
        }
        with umap_learn() as umap:
            reducer = umap.UMAP(**(parameters | changes)).fit(self.landmarks_)
        # umap-learn returns the stored layout for the very rows that it was fitted on. Columns
        # always come from transform.
        reducer._input_hash = None
        return reducer

    def _restored_reducer(self) -> Any:
        """umap-learn's object around the stored layout; rows and seed give its neighbour index."""
        reducer = self._fitted_reducer(init=self.embedding_, n_epochs=0)
        reducer.embedding_, reducer.n_epochs = self.embedding_, self.n_epochs
        return reducer
