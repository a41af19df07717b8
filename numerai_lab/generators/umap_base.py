"""The base of all modes of `umap`: parameters, names of columns and the sample of landmarks."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from numerai_lab.core.arrays import Array
from numerai_lab.core.component import Component
from numerai_lab.core.control import Control
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.generators.base import Generator
from numerai_lab.generators.landmarks import landmarks


class UMAPBase(Generator):
    """Coordinates in a low-dimensional embedding of the rows' neighbourhood graph.

    Every mode is fitted on a sample of rows, the landmarks: the same number per era. A row's
    columns never come from the fitted layout, so that training and later rows do not differ. These
    are the parameters that all modes have; each has others of its own.

    Source: McInnes, Healy, Melville 2018 (arXiv:1802.03426), PyPI `umap-learn`; Sainburg, McInnes,
    Gentner 2021 (arXiv:2009.12981) for the encoder; settings of [nyuton, Numerai forum]:
    n_components 60, n_neighbors 15, min_dist 0, euclidean.
    """

    chosen_by: ClassVar[str] = "mode"
    stochastic: ClassVar[bool] = True
    usual_landmarks: ClassVar[int] = 50_000

    control: ClassVar[Control] = Control(
        "clusters",
        "rows of a cluster have one mean target, and the embedding finds clusters that no feature shows",
        "Singh, Nowak & Zhu 2008 (cluster assumption)",
    )
    words: ClassVar[str] = "{n_components} coordinates of a UMAP embedding"
    kind: Literal["umap"] = "umap"
    mode: str
    n_components: int = Field(60, gt=1, le=1024, description="columns to emit")
    n_neighbors: int = Field(15, gt=1, le=1000, description="neighbours a row is linked to, itself included")
    min_dist: float = Field(0.0, ge=0, le=0.99, description="how near points may lie in the embedding")
    metric: Literal["euclidean", "manhattan", "cosine", "correlation", "hamming"] = Field(
        "euclidean", description="distance between rows"
    )
    landmarks: int | None = Field(
        None,
        ge=100,
        le=500_000,
        description="rows to fit on, drawn evenly from the eras; none = 50,000, and with mode: exact "
        "10,000 (about 3 s each 1,000 at 60 columns)",
    )

    def names_out(self) -> list[str]:
        return [f"u{i + 1}" for i in range(self.n_components)]

    @property
    def no_encoder(self) -> str:
        return f"mode: {self.mode} has no encoder of its own; take mode: parametric"

    def refusal(self, panel: Panel) -> str:
        return self._too_few(self._n_landmarks(panel.n_rows))

    def _n_landmarks(self, n_rows: int) -> int:
        """The number of landmarks among n rows to learn from."""
        return min(self.landmarks or self.usual_landmarks, n_rows)

    def _sample(self, panel: Panel, rng: np.random.Generator) -> Array:
        """The landmarks, in the panel's units. Raises NlabError for a panel that is refused."""
        rows = landmarks(panel, self.landmarks or self.usual_landmarks, rng)
        if message := self.refusal(panel) or self._too_few(len(rows)):
            raise NlabError(message)
        return rows

    def _too_few(self, n: int) -> str:
        """A sentence that says why n landmarks are too few; empty where they suffice."""
        if n <= self.n_neighbors:
            return f"umap: {n} rows to fit on, n_neighbors {self.n_neighbors} needs more"
        if self.n_components > n - 2 and self._begins_with_layout:
            # A layout begins with eigenvectors of the graph, of which there are n - 2.
            return f"umap: {n} rows to fit on give at most {n - 2} columns, n_components is {self.n_components}"
        return ""

    @property
    def _begins_with_layout(self) -> bool:
        """Whether the fit computes umap-learn's layout of the landmarks."""
        return True


class LayoutParameters(Component):
    """Parameters of umap-learn's layout."""

    n_epochs: int | None = Field(
        None,
        gt=0,
        le=10**6,
        description="passes of umap-learn's layout (mode: parametric has one with warm_start alone); "
        "none = umap-learn's 200 or 500",
    )
