"""Boosting on the training eras that a model explains worst so far."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from numerai_lab.core.arrays import Array, Float32, Int64

ROUNDS = 100
"""XGBoost trains this many trees at a time, so that a killed training can go on; see `XGBoost`."""


class EraBoost(BaseModel):
    """New trees are grown on the training eras that the trees so far rank worst.

    Source: [richai, Numerai forum: era boosted models], `proportion` and `trees_per_step` there.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)
    every: int = Field(10, gt=0, le=ROUNDS, description="trees after which the worst eras are chosen anew; a divisor of 100")
    share: float = Field(
        0.5, gt=0, lt=1, description="share of the eras that the next trees are grown on: those of least rank correlation"
    )

    @field_validator("every")
    @classmethod
    def _divides(cls, every: int) -> int:
        if ROUNDS % every:
            raise ValueError(f"got {every}, wanted a divisor of {ROUNDS}, such as 10, 20 or 25")
        return every

    def worst(self, eras: Int64, target: Float32, predictions: Float32) -> NDArray[np.bool_]:
        """Whether each row is of one of the worst eras. eras: of each row, as are the target and the predictions.

        Eras are ranked by the Spearman correlation of target and predictions; one without a correlation counts as 0. Rows
        that an augmenter made of an era count as rows of that era.
        """
        order = np.argsort(eras, kind="stable")
        names, starts = np.unique(eras[order], return_index=True)
        groups = np.split(order, starts[1:])
        scores = np.array([_spearman(target[rows], predictions[rows]) for rows in groups])
        n_worst = max(1, round(self.share * len(names)))
        chosen: NDArray[np.bool_] = np.isin(eras, names[np.argsort(scores, kind="stable")[:n_worst]])
        return chosen


def _spearman(a: Array, b: Array) -> float:
    from scipy.stats import rankdata

    x, y = rankdata(a), rankdata(b)
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / spread if spread > 0 else 0.0
