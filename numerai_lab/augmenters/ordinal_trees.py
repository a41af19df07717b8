"""The conditional distribution of an ordinal column, as boosted classifiers that halve its classes again and again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerai_lab.core.arrays import Array, Float32, Float64, Int64

MAX_BIN = 64
"""Bins that inputs are cut into."""


@dataclass(frozen=True)
class Trees:
    """Parameters of each boosted classifier; it ends once `patience` trees have not lowered the loss on held-out rows."""

    n_estimators: int
    learning_rate: float
    max_depth: int
    patience: int

    def fitted(self, inputs: Float32, upper: NDArray[np.bool_], held: NDArray[np.bool_]) -> tuple[bytes, float]:
        """A classifier of rows into the lower and the upper classes.

        held: rows that decide on the number of trees only. Returns the trees in XGBoost's format, and
        the share of the upper classes, which stands alone (with no bytes) where trees are no better
        on held-out rows.
        """
        learned = upper[~held]
        share = float(learned.mean()) if len(learned) else float(upper.mean())
        if not inputs.shape[1] or not held.any() or not 0 < share < 1:
            return b"", share
        booster, loss = self._boosted(inputs, upper, held)
        truth = upper[held].mean()
        return (booster if loss < -truth * np.log(share) - (1 - truth) * np.log(1 - share) else b""), share

    def _boosted(self, inputs: Float32, upper: NDArray[np.bool_], held: NDArray[np.bool_]) -> tuple[bytes, float]:
        """The trees up to the best number of them, and their loss on held-out rows."""
        import xgboost

        train = xgboost.QuantileDMatrix(inputs[~held], upper[~held], max_bin=MAX_BIN)
        later = xgboost.QuantileDMatrix(inputs[held], upper[held], max_bin=MAX_BIN, ref=train)
        parameters = {"objective": "binary:logistic", "eval_metric": "logloss", "tree_method": "hist", "max_bin": MAX_BIN}
        booster = xgboost.train(
            {**parameters, "learning_rate": self.learning_rate, "max_depth": self.max_depth},
            train,
            self.n_estimators,
            evals=[(later, "held")],
            early_stopping_rounds=self.patience,
            verbose_eval=False,
        )
        return bytes(booster[: booster.best_iteration + 1].save_raw("ubj")), float(booster.best_score)


def halvings(low: int, high: int) -> Iterator[tuple[int, int, int]]:
    """The ways from the classes low … high − 1 down to each: (low, middle, high), the parts after the whole."""
    if high - low > 1:
        middle = (low + high) // 2
        yield low, middle, high
        yield from halvings(low, middle)
        yield from halvings(middle, high)


def fit_column(
    inputs: Float32, classes: Int64, n_classes: int, held: NDArray[np.bool_], trees: Trees
) -> list[tuple[bytes, float]]:
    """A classifier for each of `halvings(0, n_classes)`. inputs: rows × earlier columns; classes: rows, from 0."""
    fits = []
    for low, middle, high in halvings(0, n_classes):
        rows = (classes >= low) & (classes < high)
        fits.append(trees.fitted(inputs[rows], classes[rows] >= middle, held[rows]) if rows.any() else (b"", 0.5))
    return fits


def draw_column(inputs: Float32, n_classes: int, boosters: list[Any], shares: Float64, rng: np.random.Generator) -> Int64:
    """A class for each row. boosters: one for each of `halvings(0, n_classes)`, or None where the share stands alone."""
    low, high = np.zeros(len(inputs), np.int64), np.full(len(inputs), n_classes)
    for (first, middle, last), booster, share in zip(halvings(0, n_classes), boosters, shares, strict=True):
        rows = np.flatnonzero((low == first) & (high == last))
        if len(rows):
            chances = np.full(len(rows), share) if booster is None else booster.inplace_predict(inputs[rows])
            upper = _systematic(chances.astype(np.float64), rng)
            low[rows[upper]], high[rows[~upper]] = middle, middle
    return low


def _systematic(chances: Float64, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Rows drawn with these chances, as many as their sum, to whole rows: systematic sampling in random order.

    Real eras have the same number of rows in each bin. Rows drawn one by one would miss it by chance.
    """
    order = rng.permutation(len(chances))
    drawn = np.empty(len(chances), bool)
    drawn[order] = np.diff(np.floor(np.cumsum(chances[order]) + rng.random()), prepend=0.0) > 0
    return drawn


def boosters_of(content: Array, ends: Int64) -> list[Any]:
    """The boosters whose bytes stand one after another and end there; None for no bytes."""
    import xgboost

    boosters = []
    for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        booster = xgboost.Booster() if end > start else None
        if booster is not None:
            booster.load_model(bytearray(content[start:end].tobytes()))
        boosters.append(booster)
    return boosters
