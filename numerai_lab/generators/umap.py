"""`umap` with `mode: auto`: the number of rows to learn from chooses the mode."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.component import Component
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.umap_base import LayoutParameters, UMAPBase
from numerai_lab.generators.umap_exact import UMAPExact
from numerai_lab.generators.umap_graph import GraphParameters
from numerai_lab.generators.umap_parametric import EncoderParameters, UMAPParametric
from numerai_lab.generators.umap_placed import UMAPPlaced

EXACT_ROWS = 100_000
"""Up to this many rows to learn from, `mode: auto` is exact."""
PLACED_COLUMNS = 3
"""With more rows, `mode: auto` is placed up to this many columns."""


class UMAPAuto(EncoderParameters, LayoutParameters, GraphParameters, UMAPBase):
    """UMAP in the mode that suits the number of rows to learn from.

    It has the parameters of all modes; `settled` gives the chosen mode those that it uses.
    """

    requires: ClassVar[tuple[str, ...]] = ("umap",)  # and torch in the modes that need it, once `settled`
    library_bytes: ClassVar[int] = 0  # `fitting_bytes` of the chosen mode counts them

    mode: Literal["auto"] = Field(
        "auto",
        description="exact: umap-learn; parametric: an encoder; placed: among landmarks; auto = exact up "
        "to 100,000 rows to learn from, above that placed for 2 or 3 columns and parametric for more",
    )

    @classmethod
    def algorithms(cls) -> Mapping[str, type[Component]]:
        return {
            "auto": cls,
            "exact": UMAPExact,
            "parametric": UMAPParametric,
            "placed": UMAPPlaced,
        }

    @property
    def whole_era(self) -> bool:
        return True  # as in mode: exact, which it may choose

    def settled(self, n_rows: int) -> UMAPBase:
        return self._in(self._mode(n_rows))

    def refusal(self, panel: Panel) -> str:
        return self.settled(panel.n_rows).refusal(panel)

    def fit(  # type: ignore[override]
        self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT
    ) -> UMAPBase:
        """Fits the mode that suits the panel's number of rows. Returns that generator, not itself."""
        return self.settled(panel.n_rows).fit(panel, rng, context)

    def transform(self, block: Block) -> Float32:
        """Raises NlabError: only the generator that `fit` returned has columns."""
        raise NlabError("umap: mode: auto has no columns of its own; take what `fit` returned")

    def restored(self, state: dict[str, Array]) -> UMAPBase:  # type: ignore[override]
        """The fitted generator of the mode that learned this state.

        The config of a run may say `mode: auto`. Raises ValueError for a state of no mode.
        """
        for mode in (UMAPExact, UMAPPlaced, UMAPParametric):
            if mode.learned in state:
                return self._in(mode).restored(state)
        raise ValueError(f"no state of umap: {', '.join(state) or 'empty'}")

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        return self.settled(n_rows).fitting_bytes(n_rows, n_columns)

    def seconds(self, n_fitted: int, n_rows: int, n_columns: int, flops: float) -> float | None:
        return self.settled(n_fitted).seconds(n_fitted, n_rows, n_columns, flops)

    def _mode(self, n_rows: int) -> type[UMAPBase]:
        if self.fit_on == "per_era":
            return UMAPParametric
        if n_rows <= EXACT_ROWS:
            return UMAPExact
        return UMAPPlaced if self.n_components <= PLACED_COLUMNS else UMAPParametric

    def _in(self, mode: type[UMAPBase]) -> UMAPBase:
        """A generator of this mode, with the parameters that both have."""
        values = self.model_dump(exclude={"mode"})
        return mode.model_validate({name: values[name] for name in mode.model_fields if name in values})
