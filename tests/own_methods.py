"""Plug-ins for tests, and a fixture's work: registries without them afterwards."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from numerai_lab.config import plugins
from numerai_lab.config.schema import read_registries

MINE = '''"""Methods of a user's own."""

import numpy as np


class RowMoments:
    """Mean and spread of a row's features, as they deviate from the training mean."""

    kind = "row_moments"
    stochastic = False

    def __init__(self, power: float = 1.0):
        self.power = power

    def fit(self, X, eras, rng):
        self.mean_ = X.mean(0)

    def transform(self, X):
        deviation = X - self.mean_
        return np.column_stack([deviation.mean(1), deviation.std(1) ** self.power])

    def names_out(self):
        return ["mean", "spread"]


class HalfSwap:
    """Every other row's features are those of another row of the era."""

    kind = "half_swap"

    def augment(self, X, y, rng):
        X = X.copy()
        X[::2] = X[rng.permutation(len(X))][::2]
        return X, y


class LeastSquares:
    """A linear fit without a penalty."""

    kind = "least_squares"

    def fit(self, X, y, eras, rng):
        self.mean_ = X.mean(0)
        self.weights_ = np.linalg.lstsq(X - self.mean_, y - y.mean(), rcond=None)[0]

    def predict(self, X):
        return (X - self.mean_) @ self.weights_
'''
"""The text of a plug-in with a generator, an augmenter and a model by the small contract."""

SMALL_CONTROL = 'name: n\ndata: {source: synthetic, world: "null", size: tiny}\nmodel: {kind: ridge}\nvariants: {baseline: {}}\n'
"""A control in a world where nothing may gain, which takes seconds."""


@contextmanager
def registries_restored() -> Iterator[None]:
    """Leaves registries, loaded plug-ins and modules as they were before the block."""
    before = {family: dict(registry) for family, registry in plugins.REGISTRIES.items()}
    loaded, modules = dict(plugins._LOADED), set(sys.modules)
    try:
        yield
    finally:
        for family, registry in plugins.REGISTRIES.items():
            registry.clear()
            registry.update(before[family])
        plugins._LOADED.clear()
        plugins._LOADED.update(loaded)
        for name in set(sys.modules) - modules:
            if name.startswith("nlab_plugin_"):
                del sys.modules[name]
        read_registries()
