"""`umap` with `mode: placed`: rows placed among the landmarks of umap-learn's layout."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from numerai_lab.core.progress import FitContext
from numerai_lab.generators.umap_base import LayoutParameters
from numerai_lab.generators.umap_graph import START_SECONDS, GraphUMAP

if TYPE_CHECKING:
    import torch

    from numerai_lab.neural.umap_graph import LandmarkSpace


class UMAPPlaced(LayoutParameters, GraphUMAP):
    """Places of rows among the landmarks of umap-learn's layout, each row on its own.

    For two or three columns: their layout is torn in a way that no encoder learns. A row costs
    twenty times as much as with an encoder.

    Source: McInnes, Healy, Melville 2018 (arXiv:1802.03426); the placing is this project's.
    """

    learned: ClassVar[str] = "layout_"

    mode: Literal["placed"] = Field("placed", description="rows placed among landmarks")

    def seconds(self, n_fitted: int, n_rows: int, n_columns: int, flops: float) -> float:
        n = self._n_landmarks(n_fitted)
        search = self._search_flops(n)
        return START_SECONDS + n * 3e-4 + (search + 2 * n_rows * search / n) / flops

    def _learn(self, space: "LandmarkSpace", rng: np.random.Generator, context: FitContext) -> None:
        self.scores_ = space.scores.cpu().numpy()
        seed = int(rng.integers(2**31 - 1))
        self.layout_ = space.layout(self.n_components, self.min_dist, self.n_epochs, seed)

    def _built(self, device: "torch.device") -> Any:
        from numerai_lab.neural.umap_graph import membership_curve
        from numerai_lab.neural.umap_placing import PlacedEmbedding

        return PlacedEmbedding(
            self._score_map(device),
            self.scores_,
            self.layout_,
            membership_curve(self.min_dist),
            self.n_neighbors,
        )
