"""What a linear model can learn from each era: covariances of features and target within the era, for weights of eras."""

from dataclasses import dataclass

import numpy as np

from numerai_lab.augmenters.bins import known_blocks
from numerai_lab.core.arrays import Array, Float64, Int64
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext


@dataclass(frozen=True)
class EraRelations:
    """Sums that the squared error of any linear model in an era follows from, float64, in units of the era's target variance.

    Attributes
    ----------
    eras: int64, rising: those with two rows or more and a target that varies.
    grams: eras × inputs × inputs, the covariance of the inputs.
    crosses: eras × inputs, the covariance of inputs and target.
    """

    eras: Int64
    grams: Float64
    crosses: Float64

    @classmethod
    def of(cls, panel: Panel, n_inputs: int, context: FitContext = NO_CONTEXT) -> "EraRelations":
        """From the rows with a target, inputs and target centred within the era.

        n_inputs: with more features than this, inputs are their first principal components within eras.
        """
        projection = _projection(panel, n_inputs) if panel.n_raw > n_inputs else None
        eras, grams, crosses = [], [], []
        for done, block in enumerate(known_blocks(panel), start=1):
            if len(block) > 1:
                assert block.target is not None
                y = block.target.astype(np.float64)
                y -= y.mean()
                if (variance := float(y @ y) / len(y)) > 1e-12:
                    x = _centred(block.unit())
                    inputs = x if projection is None else x @ projection
                    eras.append(block.era)
                    grams.append(inputs.T @ inputs / len(y) / variance)
                    crosses.append(inputs.T @ y / len(y) / variance)
            context.progress(done, len(panel.eras))
        k = panel.n_raw if projection is None else n_inputs
        shape = (len(eras), k)
        return cls(np.array(eras, np.int64), np.array(grams).reshape(*shape, k), np.array(crosses).reshape(shape))

    def over(self, groups: list[Int64]) -> "EraRelations":
        """The means over groups of eras, by positions; the era of a group is its first."""
        means = [(self.eras[group[0]], self.grams[group].mean(0), self.crosses[group].mean(0)) for group in groups]
        return EraRelations(*(np.array(values) for values in zip(*means, strict=True)))

    def coefficients(self, weights: Float64, penalty: float) -> Float64:
        """Ridge coefficients of all eras with these weights; penalty: in units of the inputs' mean variance."""
        share = weights / weights.sum()
        return np.linalg.solve(penalised(np.tensordot(share, self.grams, 1), penalty), share @ self.crosses)

    def losses(self, coefficients: Float64) -> Float64:
        """The mean squared error of each era over the variance of its target: 1 where the model explains nothing."""
        explained = 2 * self.crosses @ coefficients - np.einsum("p,epq,q->e", coefficients, self.grams, coefficients)
        losses: Float64 = 1 - explained
        return losses


def penalised(gram: Float64, penalty: float) -> Float64:
    """A matrix with `penalty` times its mean diagonal added to the diagonal; invertible also where it is 0."""
    level = float(np.trace(gram)) / len(gram)
    return gram + max(penalty * level, 1e-12) * np.eye(len(gram))


def _projection(panel: Panel, n_inputs: int) -> Float64:
    """The first principal axes of the pooled covariance within eras: features × inputs."""
    from scipy.linalg import eigh

    p = panel.n_raw
    pooled = np.zeros((p, p))
    for block in known_blocks(panel):
        x = _centred(block.unit())
        pooled += x.T @ x
    vectors: Float64 = eigh(pooled, subset_by_index=[p - n_inputs, p - 1])[1]
    return vectors[:, ::-1]


def _centred(values: Array) -> Float64:
    x = values.astype(np.float64)
    return x - x.mean(0) if len(x) else x
