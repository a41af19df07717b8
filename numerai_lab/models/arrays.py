"""Models made of a plain class with `fit(X, y, eras, rng)` and `predict(X)` on arrays."""

import inspect
from typing import Self

import numpy as np
from pydantic import Field

from numerai_lab.core.array_method import ArrayMethod, rows_drawn
from numerai_lab.core.arrays import Float32, Float64, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models.base import Model


class ArrayModel(ArrayMethod, Model):
    """Predictions by a plain class.

    X is float32, rows × inputs: raw features in their own units (bins 0..4) and generated columns. `fit` may take `weight`,
    float32, one a row. `importance()` of the class is optional: a number ≥ 0 for each input.
    """

    max_rows: int | None = Field(
        None, gt=0, description="rows to learn from, drawn evenly over eras; all rows are float32 in memory at once"
    )

    @property
    def takes_weights(self) -> bool:
        return "weight" in inspect.signature(self.wraps.fit).parameters

    def fit(self, stream: TrainingStream, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        fitted = self.unfitted()
        drawn = rows_drawn(list(stream.n_rows), self.max_rows, rng)
        sizes = [n if isinstance(rows, slice) else len(rows) for n, rows in zip(stream.n_rows, drawn, strict=True)]
        X, y = np.empty((sum(sizes), len(stream.input_names)), np.float32), np.empty(sum(sizes), np.float32)
        eras, weights = np.empty(len(y), np.int64), np.empty(len(y), np.float32)
        start = 0
        for i, (batch, rows, n) in enumerate(zip(stream, drawn, sizes, strict=True)):
            place = slice(start, start + n)
            X[place], y[place], eras[place] = batch.X[rows], batch.y[rows], batch.era
            weights[place] = np.full(len(batch.y), batch.weight, np.float32)[rows]
            start = place.stop
            context.progress(i + 1, len(stream))
        fitted.fit(X, y, eras, rng, **({"weight": weights} if self.takes_weights else {}))
        self.keep(fitted)
        return self

    def predict(self, X: Float32) -> Float32:
        predictions = np.asarray(self.revived().predict(X), np.float32)
        if predictions.shape not in ((len(X),), (len(X), 1)):
            raise ValueError(f"predict gave an array of shape {predictions.shape} for {len(X)} rows, wanted one number a row")
        return predictions.reshape(len(X))

    def saved(self) -> tuple[str, bytes]:
        return ".safetensors", arrays_to_bytes(self.state())

    def loaded(self, content: bytes) -> Self:
        return self.restored(arrays_from_bytes(content))

    def importance(self) -> Float64 | None:
        own = getattr(self.revived(), "importance", None)
        return None if own is None else np.asarray(own(), np.float64)

    def training_bytes(self, n_rows: int, n_columns: int) -> int:
        return 2 * 4 * min(n_rows, self.max_rows or n_rows) * n_columns
