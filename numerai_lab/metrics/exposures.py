"""Exposures of predictions to an era's scoring features, and neutralisation against them."""

from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.core.integer_products import gram
from numerai_lab.metrics.neutralising import Rest, factorised, products_with, without_fit


@dataclass(frozen=True)
class Exposures:
    """An era's scoring features, with one Gram matrix for exposures and neutralisation of all predictions.

    features: rows × q as stored, int8 or float, without constant ones; alive: their positions among
    all features. They are centred and scaled to length 1 in chunks of float64; there is no float64
    copy of them all.
    """

    features: Array
    mean: Float64
    norms: Float64
    alive: Array
    rest_of: Rest

    @classmethod
    def of(cls, features: Array) -> "Exposures":
        """Factorises the correlation matrix of the features (rows × q)."""
        return cls(*factorised(features, gram))

    def correlations(self, predictions: Float64) -> Float64:
        """ρ(p, f): alive features × m; NaN for constant predictions."""
        p = predictions - predictions.mean(0)
        constant = np.ptp(predictions, axis=0) == 0
        norms = np.sqrt((p**2).sum(0))
        scaled = np.divide(p, norms, out=np.zeros_like(p), where=~constant)
        return np.where(constant, np.nan, products_with(self.features, self.mean, self.norms, scaled))

    def neutralised(self, values: Float64, proportion: float = 1.0) -> Float64:
        """Columns less `proportion` times their least-squares fit on the features and a constant (minimum norm).

        With proportion 1, NaN where only rounding is left, because the features explain the column.
        Source: numerai_tools.scoring.neutralize.
        """
        return without_fit(self.rest_of, values, proportion)
