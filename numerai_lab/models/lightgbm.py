"""Gradient boosting by LightGBM, fed through Sequences."""

from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from functools import cache
from io import StringIO
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from numerai_lab.core.arrays import Array, Float32, Float64
from numerai_lab.core.gpus import gpus
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models.boosting import Boosting
from numerai_lab.models.lightgbm_bins import SAMPLED, reference_of

RAW_BINS, MOST_BINS = 6, 256
"""Bins of a raw column, one of them for missing values, and of any other."""
HISTOGRAM_BYTES = 16
"""A bin of a leaf: sums of gradients and of hessians."""


class LightGBM(Boosting):
    """Gradient-boosted trees by LightGBM, fed batch by batch through Sequences.

    Raw bins are cut without a sample of rows, other inputs by 50,000 rows. Trees that see a part of the columns are grown
    column by column, in a byte a cell of raw bins; those that see all columns row by row, in one byte more. A killed
    training starts anew: LightGBM can go on from a saved model, but not from its random state.

    Source: Ke et al. 2017 (NeurIPS), PyPI `lightgbm`; quantised gradients: Shi et al. 2022 (NeurIPS); defaults of Numerai's
    hello_numerai notebook: 2000 × .01, depth 5, 31 leaves, colsample .1.
    """

    library_bytes: ClassVar[int] = 80_000_000
    requires: ClassVar[tuple[str, ...]] = ("lightgbm",)
    removed: ClassVar[Mapping[str, Any]] = {"reg_lambda": 0.0}

    words: ClassVar[str] = "{n_estimators} trees of LightGBM"
    kind: Literal["lightgbm"] = "lightgbm"
    n_estimators: int = Field(2000, gt=0, le=1_000_000, description="trees")
    num_leaves: int = Field(31, gt=1, le=131_072, description="leaves of a tree at most")
    min_data_in_leaf: int = Field(20, ge=1, lt=2**31, description="least number of rows in a leaf")
    use_quantized_grad: bool = Field(
        False,
        description="gradients as integers of few bits, rounded at random: less time, slightly other trees; only with "
        "colsample_bytree and subsample 1",
    )

    device: Literal["auto", "cpu", "gpu"] = Field(
        "cpu",
        description="where histograms are made; auto = gpu where LightGBM is built for one that is there; its trees differ",
    )

    @property
    def uses_gpu(self) -> bool:
        return self.device == "gpu" or (self.device == "auto" and bool(gpus()) and bool(gpu_type()))

    def refusal(self, panel: Panel) -> str:
        if self.device != "gpu" or gpu_type():
            return ""
        return "device: gpu: LightGBM can use no GPU here, by OpenCL or CUDA; take device: auto or cpu"

    @model_validator(mode="after")
    def _whole_trees(self) -> Self:
        # Up to 4.7 at least, LightGBM then reads sums of other columns or rows, and stops or grows wrong trees (issue 5994).
        if self.use_quantized_grad and (self.colsample_bytree < 1 or self.subsample < 1):
            raise ValueError("use_quantized_grad needs colsample_bytree: 1.0 and subsample: 1.0; LightGBM fails with less")
        return self

    def fit(self, stream: TrainingStream, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        import lightgbm

        parameters = {
            "objective": "regression",
            "max_depth": self.max_depth,
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "feature_fraction": self.colsample_bytree,
            "bagging_fraction": self.subsample,
            "bagging_freq": int(self.subsample < 1),
            "min_data_in_leaf": self.min_data_in_leaf,
            "max_bin": max(2, self._bins(stream) - 1),  # it adds one for missing values; 255 keep a cell in one byte
            "bin_construct_sample_cnt": SAMPLED,
            "num_threads": self.n_jobs,
            "use_quantized_grad": self.use_quantized_grad,
            "seed": int(rng.integers(2**31 - 1)),
            "deterministic": True,
            **self._layout(),
            "verbosity": -1,
        }
        data = self._matrix(stream, parameters, context)
        callback = _after_each(lambda environment: context.progress(environment.iteration + 1, self.n_estimators))
        self.booster_ = lightgbm.train(parameters, data, self.n_estimators, callbacks=[callback])
        return self

    def _matrix(self, stream: TrainingStream, parameters: dict[str, Any], context: FitContext) -> Any:
        """The binned rows, which models that differ in other parameters share: LightGBM samples the same rows for every seed."""
        device = gpu_type() if self.uses_gpu else "cpu"
        cuts = f"lightgbm: {parameters['max_bin']} bins, {self.n_jobs} threads, {device}"
        # A column by which no leaf of so many rows can be split is left out of the matrix.
        return context.matrix(f"{cuts}, leaves of {self.min_data_in_leaf} rows", lambda: _dataset(stream, parameters))

    def _layout(self) -> dict[str, Any]:
        """Where histograms are made, and how rows lie."""
        if self.uses_gpu:
            return {"device_type": gpu_type()}
        # The same trees: a part of the columns takes a third less time by columns, all of them a tenth less by rows.
        return {"force_row_wise": self.colsample_bytree == 1, "force_col_wise": self.colsample_bytree < 1}

    def predict(self, X: Float32) -> Float32:
        return np.asarray(self.booster_.predict(X, num_threads=self.n_jobs), np.float32)

    def saved(self) -> tuple[str, bytes]:
        return ".txt", self.booster_.model_to_string().encode()

    def loaded(self, content: bytes) -> Self:
        import lightgbm

        fitted = self.fresh()
        fitted.booster_ = lightgbm.Booster(model_str=content.decode())
        return fitted

    def importance(self) -> Float64:
        return np.asarray(self.booster_.feature_importance("gain"), np.float64)

    def saved_bytes(self, n_rows: int, n_columns: int) -> int:
        return self.n_estimators * 115 * self.num_leaves

    def cutting_bytes(self, n_rows: int, n_columns: int) -> int:
        return n_columns * max(20 * min(n_rows, SAMPLED), MOST_BINS * HISTOGRAM_BYTES * self.num_leaves)

    def training_bytes(self, n_rows: int, n_columns: int) -> int:
        # A byte a cell, and one more where rows lie side by side; gradients, hessians, scores and the row partition. A histogram
        # of all columns for each leaf.
        by_row = n_rows * ((1 + (self.colsample_bytree == 1)) * n_columns + 40)
        return by_row + RAW_BINS * HISTOGRAM_BYTES * self.num_leaves * n_columns


@cache
def gpu_type() -> str:
    """What LightGBM calls the GPU that it can grow a tree on here: `cuda` or `gpu` (OpenCL); empty where there is none."""
    import lightgbm

    X, y = np.arange(40.0).reshape(20, 2), np.arange(20.0)
    for kind in ("cuda", "gpu"):
        parameters = {"device_type": kind, "min_data_in_leaf": 1, "verbosity": -1}
        with suppress(lightgbm.basic.LightGBMError), redirect_stdout(StringIO()):  # it prints what it then raises
            lightgbm.train(parameters, lightgbm.Dataset(X, y, params=parameters), 1)
            return kind
    return ""


def _dataset(stream: TrainingStream, parameters: dict[str, Any]) -> Any:
    """The lightgbm.Dataset of all rows with their targets and weights; training leaves it as it is."""
    import lightgbm

    reference = reference_of(stream, parameters)
    rows = lightgbm.Dataset(
        _sequences(stream, reference),
        label=stream.targets(),
        weight=stream.weights(),
        params=parameters,
        reference=reference,
    )
    return rows.construct()


def _sequences(stream: TrainingStream, reference: Any) -> list[Any]:
    """One lightgbm.Sequence per batch. The last batch read stays in memory until another one is read.

    reference: the lightgbm.Dataset that their rows are cut as; None where LightGBM samples them.
    """
    import lightgbm

    current: dict[int, Array] = {}
    number = np.float64 if reference is None else np.float32  # LightGBM samples doubles only

    class BatchSequence(lightgbm.Sequence):  # type: ignore[misc]
        def __init__(self, i: int) -> None:
            self.i = i
            self.batch_size = max(1, len(self))

        def __getitem__(self, rows: int | slice | list[int]) -> Array:
            if self.i not in current:
                current.clear()
                current[self.i] = stream.in_bins(self.i)[0] if stream.binned else stream[self.i].X
            return current[self.i][rows].astype(number, copy=False)

        def __len__(self) -> int:
            return stream.n_rows[self.i]

    return [BatchSequence(i) for i in range(len(stream))]


def _after_each(callback: Callable[[Any], None]) -> Callable[[Any], None]:
    """A callback that LightGBM calls after each tree."""
    callback.order = 0  # type: ignore[attr-defined]
    return callback
