"""Generators and augmenters that cheat, for audits to find; light to import, since every trial's process does it."""

from dataclasses import replace
from functools import cache

import numpy as np

from numerai_lab.augmenters.copula import Copula
from numerai_lab.basics import ALONE, Aid, Array, Float32
from numerai_lab.data.reader import Loaded, load
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.generators.linear import PCA
from numerai_lab.panel import Block, Panel


class Peeking(PCA):
    """A cheat that reads the true targets off the disk and emits them."""

    def transform(self, block: Block) -> Float32:
        columns = super().transform(block)
        columns[:, 0] = stolen(block.era)[1]
        return columns


@cache
def _files() -> Loaded:
    return load(Synthetic(size="tiny"))


def stolen(era: int) -> tuple[Array, Float32]:
    """Features and targets of an era as the files have them."""
    panel = _files().panel
    assert panel.target is not None
    rows = panel.rows(era)
    return panel.features[rows, : panel.n_raw], np.nan_to_num(panel.target[rows])


class Overreaching(PCA):
    """A cheat that looks at all rows of the table instead of the eras it was given."""

    def fit(self, panel: Panel, rng: np.random.Generator, aid: Aid = ALONE) -> "Overreaching":
        super().fit(panel, rng)
        self.mean_ = self.mean_ + np.corrcoef(panel.features[:, 0], panel.features[:, 1])[0, 1]
        return self


REMEMBERED: dict[str, Float32] = {}
"""What a module keeps from one fit to the next."""


class Remembering(Overreaching):
    """The same cheat, which hides it by emitting what it learned first for ever after."""

    def fit(self, panel: Panel, rng: np.random.Generator, aid: Aid = ALONE) -> "Remembering":
        super().fit(panel, rng)
        self.mean_ = REMEMBERED.setdefault("mean", self.mean_)
        return self


class Snooping(Copula):
    """A cheat whose rows hang on the features of the whole table instead of the eras it was given."""

    def fit(self, panel: Panel, rng: np.random.Generator, aid: Aid = ALONE) -> "Snooping":
        super().fit(panel, rng, aid)
        self.seen_ = np.corrcoef(panel.features[1:, 0], panel.features[:-1, 0])[0, 1:]
        return self

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        made = super().augment(block, rng)
        assert made.target is not None
        return replace(made, target=np.concatenate([self.seen_, made.target[1:]]).astype(np.float32))


class Copying(Copula):
    """A cheat that copies a tenth of its rows from validation, off the disk."""

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        made, n = super().augment(block, rng), len(block) // 10
        assert made.target is not None
        features, target = stolen(80 + block.era % 15)
        return replace(
            made,
            features=np.concatenate([features[:n], made.features[n:]]),
            target=np.concatenate([target[:n], made.target[n:]]),
        )


class Places(PCA):
    """Where a row stands in its era: harmless unless ids were given in the order of what is to be predicted."""

    def transform(self, block: Block) -> Float32:
        return np.column_stack([np.linspace(0, 1, len(block))] * self.n_components).astype(np.float32)
