"""The base of the modes of `umap` that search the nearest neighbours themselves: placed and parametric."""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext, sub_progress
from numerai_lab.generators.neural import NetworkGenerator
from numerai_lab.generators.umap_base import UMAPBase
from numerai_lab.neural.settings import OnDevice

if TYPE_CHECKING:
    import torch

    from numerai_lab.neural.umap_graph import LandmarkSpace, ScoreMap

START_SECONDS = 6.0
"""Time of numba's compilation."""
DISTANCE_FLOPS = 200
"""Measured cost of reading one distance."""


class GraphParameters(OnDevice):
    """Parameters of the search for neighbours."""

    principal: int = Field(
        64,
        gt=1,
        le=4096,
        description="principal components of the landmarks that stand for a row",
    )


class GraphUMAP(UMAPBase, GraphParameters, NetworkGenerator):
    """UMAP on the landmarks' exact nearest neighbours among their principal scores.

    A subclass's `_learn` learns columns from umap-learn's graph of these neighbours.
    """

    requires: ClassVar[tuple[str, ...]] = ("torch", "umap")
    library_bytes: ClassVar[int] = 0  # of torch and numba together: `fitting_bytes` counts them

    def refusal(self, panel: Panel) -> str:
        if panel.features.dtype != np.int8 and self.metric in ("manhattan", "hamming"):
            return f"umap: metric {self.metric} on continuous features needs mode: exact"
        return self.no_device() or super().refusal(panel)

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        import torch

        from numerai_lab.neural.networks import device_for
        from numerai_lab.neural.umap_graph import landmark_space

        rows = self._sample(panel, rng)
        self._network = None
        cells = torch.from_numpy(rows).to(device_for(self.device))
        share = self._share_of_search(len(rows))
        space = landmark_space(cells, self.metric, self.principal, self.n_neighbors, sub_progress(context.progress, 0, share))
        # In the order of memory that a saved array is read back in: a GPU's products depend on it.
        self.projection_, self.shift_ = (np.ascontiguousarray(values.cpu().numpy()) for values in (space.projection, space.shift))
        self._learn(space, rng, context)
        return self

    @abstractmethod
    def _learn(self, space: "LandmarkSpace", rng: np.random.Generator, context: FitContext) -> None:
        """Learns columns from the landmarks' neighbours."""

    def _share_of_search(self, n_landmarks: int) -> float:
        """The share of the fit's time that the search for neighbours takes."""
        return 1.0

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        # torch and the sample; and first covariances, then numba with the functions it compiles, neighbours and graph.
        n = self._n_landmarks(n_rows)
        of_graph = 300_000_000 + n * (400 * self.n_neighbors + 8 * self.principal)
        return 300_000_000 + n * n_columns + max(4 * 8 * n_columns**2, of_graph)

    def _search_flops(self, n_landmarks: int) -> float:
        return n_landmarks**2 * (2 * self.principal + DISTANCE_FLOPS)

    def _score_map(self, device: "torch.device") -> "ScoreMap":
        from numerai_lab.neural.umap_graph import ScoreMap

        return ScoreMap(self.metric, (self.projection_, self.shift_), device)

    def _columns(self, cells: "torch.Tensor", block: Block) -> "torch.Tensor":
        columns: torch.Tensor = self._network(cells)
        return columns
