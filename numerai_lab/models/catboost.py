"""Gradient boosting by CatBoost, on one matrix that it cuts into bins."""

import tempfile
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.arrays import Float32, Float64
from numerai_lab.core.progress import NO_CONTEXT, FitContext, Progress
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models.boosting import Boosting

OF_TRAINING = ("model_guid", "train_finish_time")
"""Facts in a file that differ between two trainings of the same model."""


class CatBoost(Boosting):
    """Gradient-boosted oblivious trees by CatBoost: all splits of a level are the same.

    CatBoost takes no batches: the rows are one float32 matrix until they are cut into bins, five bytes a cell where
    `xgboost` needs two. A killed training starts anew. It comes with `pip install 'numerai_lab[catboost]'`.

    Source: Prokhorenkova et al. 2018 (NeurIPS, arXiv:1706.09516), PyPI `catboost`; oblivious trees are its default, the
    other defaults are those of `xgboost` here.
    """

    library_bytes: ClassVar[int] = 120_000_000
    requires: ClassVar[tuple[str, ...]] = ("catboost",)

    words: ClassVar[str] = "{n_estimators} trees of CatBoost"
    kind: Literal["catboost"] = "catboost"
    max_depth: int = Field(5, gt=0, le=16, description="levels of a tree, which has 2 to that power leaves")
    colsample_bytree: float = Field(0.1, gt=0, le=1, description="share of the columns each split may use (`rsm`)")
    l2_leaf_reg: float = Field(3.0, ge=0, description="penalty on the squared values of leaves")
    random_strength: float = Field(1.0, ge=0, description="deviation of the noise on scores of splits while trees are grown")

    def fit(self, stream: TrainingStream, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        import catboost

        parameters = {
            "loss_function": "RMSE",
            "iterations": self.n_estimators,
            "learning_rate": self.learning_rate,
            "depth": self.max_depth,
            "rsm": self.colsample_bytree,
            "l2_leaf_reg": self.l2_leaf_reg,
            "random_strength": self.random_strength,
            "random_seed": int(rng.integers(2**31 - 1)),
            "thread_count": self.n_jobs or -1,
            "logging_level": "Silent",
            "allow_writing_files": False,
            **({"bootstrap_type": "Bernoulli", "subsample": self.subsample} if self.subsample < 1 else {"bootstrap_type": "No"}),
        }
        booster = catboost.CatBoost(parameters)
        cuts = f"catboost: {self._bins(stream)} bins, {self.n_jobs} threads"
        booster.fit(context.matrix(cuts, lambda: self._pool(stream)), callbacks=[_AfterEach(context.progress, self.n_estimators)])
        for name in OF_TRAINING:
            booster.get_metadata()[name] = ""
        self.booster_ = booster
        return self

    def predict(self, X: Float32) -> Float32:
        return np.asarray(self.booster_.predict(X, thread_count=self.n_jobs or -1), np.float32)

    def saved(self) -> tuple[str, bytes]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.cbm"
            self.booster_.save_model(str(path))
            return ".cbm", path.read_bytes()

    def loaded(self, content: bytes) -> Self:
        """The fitted model. Raises ValueError for a file of anything else."""
        import catboost

        fitted = self.fresh()
        try:
            fitted.booster_ = catboost.CatBoost().load_model(blob=content)
        except catboost.CatBoostError as error:
            raise ValueError(f"no whole model of CatBoost: {error}") from error
        return fitted

    def importance(self) -> Float64:
        return np.asarray(self.booster_.get_feature_importance(), np.float64)

    def saved_bytes(self, n_rows: int, n_columns: int) -> int:
        leaves: int = 2**self.max_depth
        return 20_000 + self.n_estimators * (20 * self.max_depth + 16 * leaves) + 100 * n_columns

    def training_bytes(self, n_rows: int, n_columns: int) -> int:
        # The matrix and its bins; targets, weights, gradients and predictions of a row.
        return n_rows * (5 * n_columns + 100)

    def _pool(self, stream: TrainingStream) -> Any:
        """All rows with their targets and weights, cut into bins."""
        import catboost

        # CatBoost reads float32 columns where they lie, and makes a copy of anything else.
        X = np.empty((sum(stream.n_rows), len(stream.input_names)), np.float32, order="F")
        y, end = np.empty(len(X), np.float32), 0
        for batch in stream:
            start, end = end, end + len(batch.y)
            X[start:end], y[start:end] = batch.X, batch.y
        pool = catboost.Pool(X, y, weight=stream.weights(), thread_count=self.n_jobs or -1)
        pool.quantize(border_count=self._bins(stream) - 1)
        return pool


class _AfterEach:
    """What CatBoost calls after each tree."""

    def __init__(self, progress: Progress, n_trees: int) -> None:
        self.progress, self.n_trees = progress, n_trees

    def after_iteration(self, info: Any) -> bool:
        self.progress(info.iteration, self.n_trees)
        return True
