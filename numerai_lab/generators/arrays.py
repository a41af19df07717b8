"""Generators made of a plain class with `fit(X, eras, rng)` and `transform(X)` on arrays."""

from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.array_method import ArrayMethod, arrays_of
from numerai_lab.core.arrays import Array, Float32, Int64
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.base import Generator

FEW = 50
"""Rows that are transformed after a fit to count the columns."""


class ArrayGenerator(ArrayMethod, Generator):
    """Columns by a plain class.

    X is float32, rows × features, on 0..1. `names_out` of the class is optional; without it columns are called `column1` ….
    """

    stochastic: ClassVar[bool] = True
    wide_by_data: ClassVar[bool] = True
    within_era: ClassVar[bool] = False
    """Whether the columns of a row depend on the other rows of its era."""

    max_rows: int | None = Field(
        None, gt=0, description="rows to learn from, drawn evenly over eras; all rows are float32 in memory at once"
    )

    @property
    def whole_era(self) -> bool:
        return self.within_era

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        X, _, eras = arrays_of(panel, self.max_rows, rng)
        fitted = self.unfitted()
        self.fit_object(fitted, X, eras, rng)
        self.keep(fitted)
        own = self.revived()
        first = panel.block(int(panel.eras[0])).unit()
        width = self._columns(own, first if self.whole_era else first[:FEW]).shape[1]
        self.names_ = np.array(self._names(own, width))
        return self

    def fit_object(self, fitted: Any, X: Float32, eras: Int64, rng: np.random.Generator) -> None:
        """Calls the object's own `fit`."""
        fitted.fit(X, eras, rng)

    def columns_of(self, fitted: Any, X: Float32) -> Array:
        """Calls the object's own `transform`."""
        return np.asarray(fitted.transform(X))

    def transform(self, block: Block) -> Float32:
        return self._columns(self.revived(), block.unit())

    def names_out(self) -> list[str]:
        names = self.state().get("names_")
        return self._expected() if names is None else names.tolist()

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        return 2 * 4 * min(n_rows, self.max_rows or n_rows) * n_columns

    def _names(self, fitted: object, width: int) -> list[str]:
        """Names of so many columns. Raises ValueError where the object names another number, or one twice."""
        own = getattr(fitted, "names_out", None)
        if own is None:
            return [f"column{i + 1}" for i in range(width)]
        names = [str(name) for name in own()]
        if len({*names}) != width or len(names) != width:
            raise ValueError(f"names_out gives {len(names)} names, {len({*names})} of them different, for {width} columns")
        return names

    def _columns(self, fitted: Any, X: Float32) -> Float32:
        """The columns of rows: float32, rows × columns. Raises ValueError for another number of rows, or no real numbers."""
        columns = self.columns_of(fitted, X)
        if columns.ndim == 1:
            columns = columns[:, None]
        if columns.ndim != 2 or len(columns) != len(X):
            raise ValueError(f"transform gave an array of shape {columns.shape} for {len(X)} rows, wanted rows × columns")
        if np.iscomplexobj(columns):
            raise ValueError(f"transform gave an array of {columns.dtype}, wanted real numbers")
        return columns.astype(np.float32)

    def _expected(self) -> list[str]:
        """Names before a fit, whose number is a guess: the parameter n_components where there is one, else 1."""
        n = getattr(self, "n_components", None)
        return [f"column{i + 1}" for i in range(n if isinstance(n, int) and n > 0 else 1)]
