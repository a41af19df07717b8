"""UMAP: an embedding that keeps neighbours together, by umap-learn."""

import warnings
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.basics import ALONE, Aid, Array, Float32, NlabError
from numerai_lab.generators.base import Generator
from numerai_lab.panel import Block, Panel


class UMAP(Generator):
    """Coordinates in a low-dimensional embedding of the rows' neighbourhood graph.

    Fitted by umap-learn on a sample of rows, the same number an era (`landmarks`), on features scaled to 0..1. Columns
    of every row, training rows included, come from its `transform`, era by era: never from the fitted layout, whose
    distribution differs from that of transformed rows. umap-learn optimises the rows of a call jointly, so columns are
    repeatable for whole eras only; a seed makes it single-threaded.

    Source: McInnes, Healy, Melville 2018 (arXiv:1802.03426), PyPI `umap-learn`; settings of [nyuton, Numerai forum]:
    n_components 60, n_neighbors 15, min_dist 0, euclidean.
    """

    stochastic: ClassVar[bool] = True
    whole_era: ClassVar[bool] = True

    kind: Literal["umap"] = "umap"
    n_components: int = Field(60, gt=1, description="columns to emit")
    n_neighbors: int = Field(15, gt=1, description="neighbours a row is linked to")
    min_dist: float = Field(0.0, ge=0, le=0.99, description="how near points may lie in the embedding")
    metric: Literal["euclidean", "manhattan", "cosine", "correlation", "hamming"] = Field(
        "euclidean", description="distance between rows"
    )
    n_epochs: int | None = Field(None, gt=0, description="passes of the layout; none = umap-learn's choice (200 or 500)")
    landmarks: int = Field(
        10_000,
        ge=100,
        le=100_000,
        description="rows to fit on, drawn evenly from the eras; about 3 s each 1,000 at 60 columns",
    )

    def fit(self, panel: Panel, rng: np.random.Generator, aid: Aid = ALONE) -> Self:
        self.landmarks_ = _sample(panel, self.landmarks, rng)
        if len(self.landmarks_) <= self.n_neighbors:
            raise NlabError(f"umap: {len(self.landmarks_)} rows to fit on, n_neighbors {self.n_neighbors} needs more")
        self.seed_ = np.array(rng.integers(2**31 - 1))
        self.reducer_ = self._reducer().fit(self.landmarks_)
        self.embedding_ = np.asarray(self.reducer_.embedding_, np.float32)
        _forget_input(self.reducer_)
        return self

    def transform(self, block: Block) -> Float32:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numba and scikit-learn deprecations inside umap-learn
            columns = np.asarray(self.reducer_.transform(block.unit()), np.float32)
        if not np.isfinite(columns).all():
            raise NlabError(f"umap: umap-learn gave NaN for {np.isnan(columns).any(1).sum()} rows of era {block.era}")
        return columns

    def names_out(self) -> list[str]:
        return [f"u{i + 1}" for i in range(self.n_components)]

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        # numba and the functions it compiles; the sample and its copies; neighbours, graph and layout.
        rows = min(self.landmarks, n_rows)
        return 400_000_000 + rows * (12 * n_columns + 400 * self.n_neighbors + 16 * self.n_components)

    def state(self) -> dict[str, Array]:
        return {name: values for name, values in super().state().items() if name != "reducer_"}

    def restored(self, state: dict[str, Array]) -> Self:
        """Builds umap-learn's object anew around the stored layout: the neighbour index follows from rows and seed."""
        fitted = super().restored(state)
        reducer = fitted._reducer(init=fitted.embedding_, n_epochs=0).fit(fitted.landmarks_)
        reducer.embedding_, reducer.n_epochs = fitted.embedding_, self.n_epochs
        _forget_input(reducer)
        fitted.reducer_ = reducer
        return fitted

    def _reducer(self, **changes: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import umap
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
        return umap.UMAP(**(parameters | changes))


def _sample(panel: Panel, n: int, rng: np.random.Generator) -> Float32:
    """Up to n rows, the same number from each era, on 0..1."""
    share = max(1, n // len(panel.eras))
    picked = []
    for block in panel.blocks():
        rows = np.sort(rng.choice(len(block), size=min(share, len(block)), replace=False))
        picked.append(block.features[rows].astype(np.float32) / np.float32(block.top))
    return np.concatenate(picked)[:n]


def _forget_input(reducer: Any) -> None:
    # umap-learn returns the stored layout for rows equal to those it was fitted on; ours always come from transform.
    reducer._input_hash = None
