"""Generators and augmenters for audits, most of which cheat; light to import, since every trial's process does it."""

import sys
from dataclasses import replace
from functools import cache
from types import FrameType
from typing import Literal

import numpy as np
from pydantic import Field

from numerai_lab.augmenters.copula import Copula
from numerai_lab.augmenters.recency import Recency
from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.data.reader import Loaded, load
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.generators.labelled import Labelled
from numerai_lab.generators.linear import PCA


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

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "Overreaching":
        super().fit(panel, rng)
        self.mean_ = self.mean_ + np.corrcoef(panel.features[:, 0], panel.features[:, 1])[0, 1]
        return self


class OverreachingForTargets(PCA):
    """A cheat that looks at the targets of all rows of the table, which it takes from the run context of its callers."""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "OverreachingForTargets":
        super().fit(panel, rng)
        target = _context_of_callers().panel.target
        assert target is not None
        self.mean_ = self.mean_ + np.corrcoef(np.nan_to_num(target), np.arange(len(target)))[0, 1]
        return self


REMEMBERED: dict[str, Float32] = {}
"""What a module keeps from one fit to the next."""


class Remembering(Overreaching):
    """The same cheat, which hides it by emitting what it learned first for ever after."""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "Remembering":
        super().fit(panel, rng)
        self.mean_ = REMEMBERED.setdefault("mean", self.mean_)
        return self


class Snooping(Copula):
    """A cheat whose rows hang on the features of the whole table instead of the eras it was given."""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "Snooping":
        super().fit(panel, rng, context)
        self.seen_ = np.corrcoef(panel.features[1:, 0], panel.features[:-1, 0])[0, 1:]
        return self

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        made = super().augment(block, rng)
        assert made.target is not None
        return replace(made, target=np.concatenate([self.seen_, made.target[1:]]).astype(np.float32))


class Overweighing(Recency):
    """A cheat whose weights hang on the features of the whole table instead of the eras it was given."""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "Overweighing":
        super().fit(panel, rng, context)
        self.weights_[0] += np.corrcoef(panel.features[1:, 0], panel.features[:-1, 0])[0, 1] + 1
        return self


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


class Memory(Labelled):
    """The target of the most similar row that it learned from: nothing remembers more."""

    kind: Literal["memory"] = "memory"  # never in the registry
    emit: Literal["target", "latent"] = Field("target", description="what is remembered, or something of its own")

    @property
    def comparable(self) -> bool:
        return self.emit == "target"

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "Memory":
        blocks = list(panel.blocks())
        self.rows_ = np.concatenate([block.unit() for block in blocks])
        self.targets_ = np.concatenate([np.asarray(block.target) for block in blocks])
        return self

    def transform(self, block: Block) -> Float32:
        x = block.unit()
        distances = (self.rows_**2).sum(1) - 2 * x @ self.rows_.T
        return self.targets_[distances.argmin(1)][:, None].astype(np.float32)

    def names_out(self) -> list[str]:
        return ["memory"]


class PeekingAtLabels(Labelled):
    """A cheat that emits the targets of all eras, which it takes from the run context of its callers."""

    kind: str = "peeking at labels"

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "PeekingAtLabels":
        whole = _context_of_callers().panel
        assert whole.target is not None
        self.target_ = np.nan_to_num(whole.target)
        self.eras_, self.bounds_ = whole.eras, whole.bounds
        return self

    def transform(self, block: Block) -> Float32:
        first, last = self.bounds_[np.searchsorted(self.eras_, block.era)]
        return self.target_[first:last, None]

    def names_out(self) -> list[str]:
        return ["target"]


def _context_of_callers() -> RunContext:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if isinstance(found := frame.f_locals.get("context"), RunContext):
            return found
        frame = frame.f_back
    raise LookupError("no caller has a run context")
