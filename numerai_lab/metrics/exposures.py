"""Exposures of predictions to an era's scoring features, and neutralisation against them."""

from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.core.fixed_point import times, transposed_times
from numerai_lab.core.integer_products import gram
from numerai_lab.metrics.neutralising import Products, Rest, factorised, without_fit


@dataclass(frozen=True)
class Exposures:
    """An era's scoring features, with one Gram matrix for exposures and neutralisation of all predictions.

    alive: the positions of features that are not constant; products_with, rest_of: of these alone.
    """

    products_with: Products
    alive: Array
    rest_of: Rest

    @classmethod
    def of(cls, features: Array) -> "Exposures":
        """Factorises the correlation matrix of the features (rows × q)."""
        return cls(*factorised(features, gram, times, transposed_times))

    def correlations(self, predictions: Float64) -> Float64:
        """ρ(p, f): alive features × m; NaN for constant predictions."""
        products = self.products_with(_of_length_one(predictions))
        return np.where(np.ptp(predictions, axis=0) == 0, np.nan, products)

    def neutralised_and_correlations(self, values: Float64, predictions: Float64) -> tuple[Float64, Float64]:
        """`neutralised` values and `correlations` of predictions (rows × m each), from one pass over the features for both."""
        columns = np.vstack([(values - values.mean(0)).T, _of_length_one(predictions).T]).T
        of_values, of_predictions = np.hsplit(self.products_with(columns), [values.shape[1]])
        neutral = without_fit(self.rest_of, values, 1.0, of_values)
        return neutral, np.where(np.ptp(predictions, axis=0) == 0, np.nan, of_predictions)

    def neutralised(self, values: Float64, proportion: float = 1.0) -> Float64:
        """Columns less `proportion` times their least-squares fit on the features and a constant (minimum norm).

        With proportion 1, NaN where only rounding is left, because the features explain the column.
        Source: numerai_tools.scoring.neutralize.
        """
        return without_fit(self.rest_of, values, proportion)


def _of_length_one(columns: Float64) -> Float64:
    """Columns (rows × m) less their means, of length 1; 0 where they are constant."""
    centred = columns - columns.mean(0)
    varies = np.ptp(columns, axis=0) != 0
    scaled: Float64 = np.divide(centred, np.sqrt((centred**2).sum(0)), out=np.zeros_like(centred), where=varies)
    return scaled
