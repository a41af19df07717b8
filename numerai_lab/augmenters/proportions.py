"""The base of augmenters whose rows have the values of the training rows, at their shares."""

from typing import ClassVar

import numpy as np

from numerai_lab.augmenters.base import Augmenter
from numerai_lab.augmenters.bins import Marginals, by_rank, feature_marginals, target_values
from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.panel import Block, Panel


class Proportioned(Augmenter):
    """Rows whose features and targets have the values of the training rows, at their shares."""

    learns: ClassVar[bool] = True

    def _learn_proportions(self, panel: Panel, rng: np.random.Generator) -> Marginals:
        """Learns the values and shares of features and target. Returns those of the features."""
        features = feature_marginals(panel, rng)
        self.feature_values_, self.feature_shares_ = features.values, features.shares
        self.target_values_, self.target_shares_ = target_values(panel)
        self.binned_, self.top_ = np.array(panel.features.dtype == np.int8), np.array(panel.top)
        return features

    @property
    def _marginals(self) -> Marginals:
        return Marginals(self.feature_values_, self.feature_shares_)

    @property
    def _dtype(self) -> np.dtype[np.generic]:
        return np.dtype(np.int8 if self.binned_ else np.float32)

    def _era_of(self, features: Float32, target: Float32, rng: np.random.Generator) -> Block:
        """The block of a new era, features and target each ranked within it."""
        return Block(-1, self._features(features), float(self.top_), self._target(target, rng))

    def _features(self, values: Float32) -> Array:
        """Features ranked within these rows to the proportions of the training rows."""
        return self._marginals.ranked(values, self._dtype)

    def _target(self, values: Float32, rng: np.random.Generator) -> Float32:
        """Targets ranked within these rows to the proportions of the training rows, ties at random."""
        return by_rank(values.astype(np.float64), self.target_values_, self.target_shares_, rng)
