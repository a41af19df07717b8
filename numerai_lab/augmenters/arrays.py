"""Augmenters made of a plain class with `augment(X, y, rng)` on the arrays of an era."""

from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from numerai_lab.augmenters.base import Augmenter
from numerai_lab.core.array_method import ArrayMethod, arrays_of
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext


class ArrayAugmenter(ArrayMethod, Augmenter):
    """New rows of an era by a plain class.

    X is float32, rows × features, on 0..1, and y the target of its rows. The class returns as many new rows in the same
    units, and their target. `fit(X, y, eras, rng)` of the class is optional.
    """

    binned: ClassVar[bool] = False
    """Whether new rows are rounded to bins, and take a quarter of the memory."""

    max_rows: int | None = Field(
        None, gt=0, description="rows to learn from, drawn evenly over eras; all rows are float32 in memory at once"
    )

    @property
    def between_bins(self) -> bool:
        return not self.binned

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        if not self.learns:
            return self
        X, y, eras = arrays_of(panel, self.max_rows, rng)
        assert y is not None
        known = np.isfinite(y)
        fitted = self.unfitted()
        fitted.fit(X[known], y[known], eras[known], rng)
        self.keep(fitted)
        return self

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        assert block.target is not None
        own = self.revived() if self.learns else self.unfitted()
        X, y = own.augment(block.unit(), np.array(block.target), rng)
        features = np.asarray(X, np.float32) * np.float32(block.top)
        if features.shape != block.features.shape or np.shape(y) != (len(block),):
            raise ValueError(
                f"augment gave features of shape {features.shape} and targets of shape {np.shape(y)}, wanted "
                f"{block.features.shape} and {(len(block),)}"
            )
        if self.binned and np.isfinite(features).all():  # what is not finite is refused by the stream
            features = np.clip(np.rint(features), 0, block.top).astype(block.features.dtype)
        return replace(block, features=features, target=np.asarray(y, np.float32), columns={})

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        return 2 * 4 * min(n_rows, self.max_rows or n_rows) * n_columns if self.learns else 0
