"""Regressors of scikit-learn, trained on the rows of the stream as one matrix in memory."""

import itertools
import json
import logging
import warnings
from functools import cache
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from numerai_lab.core.arrays import Float32, Float64
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.logged_warnings import warnings_logged
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.sklearn_files import from_bytes, to_bytes
from numerai_lab.core.sklearn_parameters import check_parameters
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models.base import Model
from numerai_lab.models.sklearn_estimators import FROM_RUN, parameter, regressor_class, takes_weights, untrained

log = logging.getLogger("nlab")

TRIAL_COLUMNS, TRIAL_ROWS = 100, (300, 10_000)
"""Made-up columns and rows of a trial; the larger one is only tried where the smaller one fails."""
CELL_BYTES, COPIED_BYTES = 4, 8
"""Of the matrix, and of a copy as doubles that most regressors make."""
UNCOPIED = ("DecisionTree", "ExtraTree", "RandomForest", "GradientBoosting")
"""How the names of regressors begin that read the matrix as it is."""
SQUARED_BYTES = {"GaussianProcessRegressor": 24, "KernelRidge": 16}
"""Bytes for each pair of rows."""
KEEP_ROWS = ("neighbors", "svm", "kernel_ridge", "gaussian_process")
"""Modules of regressors that keep the rows they learn from."""
NODE_BYTES = 72
"""A node of a tree, with its value; training ends with the trees and a copy that is saved."""
ZIPPED = 20
"""Trees are smaller by so much in their file: nodes of bins compress well, and few trees grow to a leaf a row."""


class Sklearn(Model):
    """A regressor of scikit-learn, by the name of its class, on all training rows as one float32 matrix in memory.

    Every regressor of scikit-learn that needs no other estimator, with the parameters of its class; its random state is
    the run's seed. Before data are trained on, it learns, is saved, loaded and compared on made-up rows. A killed training
    starts anew. Model files are of the skops format: opening one runs no code of it.

    Source: Pedregosa et al. 2011 (JMLR 12); the classes at scikit-learn.org/stable/api. PyPI `skops` for the files.
    """

    library_bytes: ClassVar[int] = 150_000_000
    requires: ClassVar[tuple[str, ...]] = ("sklearn", "skops")

    words: ClassVar[str] = "scikit-learn's {name}"
    kind: Literal["sklearn"] = "sklearn"
    estimator: str = Field(
        "HistGradientBoostingRegressor",
        max_length=100,
        description="class of a regressor, such as ExtraTreesRegressor, alone or with its public module",
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="of the class, by name, such as {n_estimators: 500, n_jobs: 4}; others as in the class",
    )
    max_rows: int | None = Field(
        None, ge=100, description="rows to learn from at most, drawn at random, the same share of every era's; none = all"
    )

    @field_validator("estimator")
    @classmethod
    def _known(cls, name: str) -> str:
        regressor_class(name)
        return name

    @model_validator(mode="after")
    def _fitting_parameters(self) -> Self:
        check_parameters(regressor_class(self.estimator), self.parameters, FROM_RUN)
        return self

    def _word_values(self) -> dict[str, str]:
        return {"name": self.estimator.rpartition(".")[2]}

    @property
    def takes_weights(self) -> bool:
        return takes_weights(self.estimator)

    def refusal(self, panel: Panel) -> str:
        n_columns, message = min(panel.n_raw, TRIAL_COLUMNS), ""
        for n_rows in TRIAL_ROWS:
            message = _trial_problem(self.estimator, json.dumps(self.parameters), min(n_rows, self.max_rows or n_rows), n_columns)
            if not message:
                break
        return message

    def fit(self, stream: TrainingStream, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Trains the regressor. Raises NlabFailure where scikit-learn refuses the rows."""
        regressor = untrained(self.estimator, self.parameters, int(rng.integers(2**31 - 1)))
        X, y, weights = self._rows(stream, rng, context)
        try:
            with warnings_logged(self.estimator):
                regressor.fit(X, y, **({} if weights is None else {"sample_weight": weights}))
        except (ValueError, TypeError, np.linalg.LinAlgError) as error:
            raise NlabFailure(f"{self.estimator} can't learn from {len(y):,} rows: {_first_line(error)}") from error
        self.estimator_ = regressor
        context.progress(len(stream) + 1, len(stream) + 1)
        return self

    def predict(self, X: Float32) -> Float32:
        return np.asarray(self.estimator_.predict(X), np.float32).reshape(len(X))

    def saved(self) -> tuple[str, bytes]:
        return ".skops", to_bytes(self.estimator_)

    def loaded(self, content: bytes) -> Self:
        """The fitted model. Raises ValueError for a file of anything but this regressor."""
        fitted = self.fresh()
        fitted.estimator_ = from_bytes(content)
        if type(fitted.estimator_) is not regressor_class(self.estimator):
            raise ValueError(f"the file holds a {type(fitted.estimator_).__name__}, and the config names {self.estimator}")
        return fitted

    def importance(self) -> Float64 | None:
        """Those of trees and forests."""
        importances = getattr(self.estimator_, "feature_importances_", None)
        return None if importances is None else np.asarray(importances, np.float64)

    def training_bytes(self, n_rows: int, n_columns: int) -> int:
        rows, name = min(n_rows, self.max_rows or n_rows), regressor_class(self.estimator).__name__
        cell = CELL_BYTES + (0 if name.startswith(UNCOPIED) else COPIED_BYTES)
        return rows * (cell * n_columns + 16) + SQUARED_BYTES.get(name, 0) * rows**2 + 2 * self._tree_bytes(rows)

    def saved_bytes(self, n_rows: int, n_columns: int) -> int:
        rows = min(n_rows, self.max_rows or n_rows)
        keeps_rows = regressor_class(self.estimator).__module__.split(".")[1] in KEEP_ROWS
        return 20_000 + 100 * n_columns + self._tree_bytes(rows) // ZIPPED + keeps_rows * rows * n_columns

    def _tree_bytes(self, n_rows: int) -> int:
        """Bytes of trees that are grown as far as the parameters let them."""
        depth, least, most, n_trees, n_rounds = (
            parameter(self.estimator, self.parameters, key)
            for key in ("max_depth", "min_samples_leaf", "max_leaf_nodes", "n_estimators", "max_iter")
        )
        if least is None:
            return 0
        leaves: int = n_rows // least if isinstance(least, int) else round(1 / least)
        leaves = min(leaves, 2 ** min(depth or 60, 60), most or leaves)
        nodes: int = 2 * max(leaves, 1) * (n_trees or n_rounds or 1)
        return NODE_BYTES * nodes

    def _rows(
        self, stream: TrainingStream, rng: np.random.Generator, context: FitContext
    ) -> tuple[Float32, Float32, Float32 | None]:
        """Inputs, targets and weights of the rows to learn from; the weights are None where all rows weigh 1."""
        counts = _shares(stream.n_rows, self.max_rows)
        X = np.empty((sum(counts), len(stream.input_names)), np.float32)
        y, weights, end = np.empty(len(X), np.float32), np.empty(len(X), np.float32), 0
        for i, (batch, count) in enumerate(zip(stream, counts, strict=True)):
            rows = np.sort(rng.permutation(len(batch.y))[:count]) if count < len(batch.y) else slice(None)
            start, end = end, end + count
            X[start:end], y[start:end] = batch.X[rows], batch.y[rows]
            weights[start:end] = np.broadcast_to(batch.weight, len(batch.y))[rows]
            context.progress(i + 1, len(stream) + 1)
        return X, y, weights if stream.weighted else None


def _shares(n_rows: tuple[int, ...], most: int | None) -> list[int]:
    """The rows to take of each batch: all, or the same share of each, `most` in all."""
    total = sum(n_rows)
    if most is None or most >= total:
        return list(n_rows)
    ends = [end * most // total for end in itertools.accumulate(n_rows, initial=0)]
    return [end - start for start, end in itertools.pairwise(ends)]


@cache
def _trial_problem(estimator: str, parameters: str, n_rows: int, n_columns: int) -> str:
    """What goes wrong where the regressor learns made-up rows, is saved, loaded and predicts; empty where nothing does."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 5, (n_rows, n_columns)).astype(np.float32)
    y = (rng.integers(0, 5, n_rows) / 4).astype(np.float32)
    try:
        with warnings.catch_warnings(action="ignore"):
            fitted = untrained(estimator, json.loads(parameters), 0).fit(X, y)
            few = X[: TRIAL_ROWS[0]]
            wanted = np.asarray(fitted.predict(few))
            again = np.asarray(from_bytes(to_bytes(fitted)).predict(few))
    except Exception as error:  # whatever scikit-learn raises for its own reasons
        return f"{estimator} fails on {n_rows} made-up rows: {_first_line(error)}"
    if wanted.size != len(few) or not np.isfinite(wanted).all():
        return f"{estimator} gives no finite prediction for each row"
    return "" if np.array_equal(wanted, again) else f"{estimator} predicts otherwise once it was saved; it can't be kept"


def _first_line(error: Any) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]
