"""Ridge regression by accumulating normal equations: one pass, no copy of the data."""

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.arrays import Float32, Float64, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models.base import Model


class Ridge(Model):
    """Linear regression with an L2 penalty on standardised inputs and an unpenalised intercept.

    The same predictions as scikit-learn's make_pipeline(StandardScaler(), Ridge(alpha)); a constant input gets weight 0.

    Source: Hoerl & Kennard 1970; scikit-learn's Ridge.
    """

    words: ClassVar[str] = "ridge regression"
    kind: Literal["ridge"] = "ridge"
    alpha: float = Field(1.0, ge=0, description="penalty, on inputs of standard deviation 1 and squared errors summed over rows")

    def fit(self, stream: TrainingStream, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        p = len(stream.input_names)
        n, sum_x, sum_y, xx, xy = 0.0, np.zeros(p), 0.0, np.zeros((p, p)), np.zeros(p)
        for i, batch in enumerate(stream):
            x, y = batch.X.astype(np.float64), batch.y.astype(np.float64)
            weight = batch.weight
            if isinstance(weight, np.ndarray):
                n, sum_x, sum_y = n + float(weight.sum(dtype=np.float64)), sum_x + weight @ x, sum_y + float(weight @ y)
                root = np.sqrt(weight.astype(np.float64))
                x, y = x * root[:, None], y * root
                weight = 1.0
            else:
                n, sum_x, sum_y = n + weight * len(y), sum_x + weight * x.sum(0), sum_y + weight * y.sum()
            xx += weight * (x.T @ x)
            xy += weight * (x.T @ y)
            context.progress(i + 1, len(stream))
        mean = sum_x / n
        covariance = xx - n * np.outer(mean, mean)
        variance = np.diag(covariance) / n
        alive = variance > 1e-12 * (1 + mean**2)
        scale = np.where(alive, np.sqrt(np.where(alive, variance, 1)), np.inf)
        standardised = covariance / np.outer(scale, scale) + max(self.alpha, 1e-10 * n) * np.eye(p)
        self.weights_ = np.linalg.solve(standardised, (xy - sum_y * mean) / scale) / scale
        self.spread_ = np.where(alive, scale, 0)
        self.intercept_ = np.array(sum_y / n - mean @ self.weights_)
        return self

    def predict(self, X: Float32) -> Float32:
        predictions: Float32 = (X.astype(np.float64) @ self.weights_ + self.intercept_).astype(np.float32)
        return predictions

    def saved(self) -> tuple[str, bytes]:
        return ".safetensors", arrays_to_bytes(self.state())

    def loaded(self, content: bytes) -> Self:
        return self.restored(arrays_from_bytes(content))

    def importance(self) -> Float64:
        return np.abs(self.weights_) * self.spread_

    def training_bytes(self, n_rows: int, n_columns: int) -> int:
        return 4 * 8 * n_columns**2
