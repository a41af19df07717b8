"""Training data as a stream of era blocks: the panel's own rows, then each augmenter's, made when they are asked for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from numerai_lab.basics import Float32, rng_for
from numerai_lab.panel import Block, Panel


class Augments(Protocol):
    """What the stream asks of an augmenter."""

    @property
    def copies(self) -> int: ...

    @property
    def replaces(self) -> bool: ...

    def augment(self, block: Block, rng: np.random.Generator) -> Block: ...


class Transforms(Protocol):
    """What the stream asks of a fitted generator: columns for rows that no memory-map holds."""

    def transform(self, block: Block) -> Float32: ...


class Shelf(Protocol):
    """Where arrays that are dear to make are kept between two passes."""

    def fetch(self, key: str) -> Float32 | None: ...

    def keep(self, key: str, values: Float32) -> None: ...


@dataclass(frozen=True)
class Batch:
    """What a model learns from at a time. X: float32, rows × inputs; y: float32, rows, no NaN."""

    era: int
    X: Float32
    y: Float32


@dataclass(frozen=True)
class Origin:
    """Where one batch comes from: an era, and, for synthetic rows, the augmenter and which of its copies."""

    era: int
    augmenter: str = ""
    copy: int = 0


@dataclass(frozen=True)
class BlockStream:
    """A sequence of batches; `stream[i]` gives the same bytes on every pass, in whatever order it is asked.

    The panel must be a view of the training eras with their target. Rows without a target are left out before any
    augmenter sees them. `inputs` names what a model reads: `raw` and generators. Synthetic rows are drawn from
    `rng_for(seed, augmenter, era, copy)` and get their generated columns from the fitted generators.
    """

    panel: Panel
    inputs: tuple[str, ...]
    input_names: tuple[str, ...]
    seed: int
    augmenters: Mapping[str, Augments] = field(default_factory=dict)
    generators: Mapping[str, Transforms] = field(default_factory=dict)
    shelf: Shelf | None = None

    @cached_property
    def origins(self) -> tuple[Origin, ...]:
        """One entry a batch: every era's own rows, then each augmenter's eras, copy after copy."""
        eras = self.panel.eras.tolist()
        replaced = any(augmenter.replaces for augmenter in self.augmenters.values())
        own = [] if replaced else [Origin(era) for era in eras]
        return tuple(
            own
            + [
                Origin(era, name, copy)
                for name, augmenter in self.augmenters.items()
                for copy in range(augmenter.copies)
                for era in eras
            ]
        )

    @cached_property
    def n_known(self) -> dict[int, int]:
        """Rows with a target, by era."""
        assert self.panel.target is not None
        target = self.panel.target
        return {era: int(np.isfinite(target[self.panel.rows(era)]).sum()) for era in self.panel.eras.tolist()}

    def __len__(self) -> int:
        return len(self.origins)

    def __iter__(self) -> Iterator[Batch]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> Batch:
        block = self._block(self.origins[i])
        assert block.target is not None
        batch = Batch(block.era, block.matrix(self.inputs), np.array(block.target))
        self.panel.release()
        return batch

    @cached_property
    def binned(self) -> bool:
        """Every input is a small integer: raw binned features alone, in the panel and in what augmenters make of it."""
        firsts = {origin.augmenter: origin for origin in reversed(self.origins)}
        return self.inputs == ("raw",) and all(self._rows(origin).features.dtype == np.int8 for origin in firsts.values())

    def targets(self) -> Float32:
        """The target of every row, batch after batch, float32."""
        return np.concatenate([self._rows(origin).target for origin in self.origins])

    def _block(self, origin: Origin) -> Block:
        """The rows with the columns that the model reads."""
        rows = self._rows(origin)
        if not origin.augmenter:
            return rows
        return replace(rows, columns={name: self._columns(name, origin, rows) for name in self.inputs if name != "raw"})

    def _rows(self, origin: Origin) -> Block:
        own = self.panel.block(origin.era)
        assert own.target is not None
        own = own.take(np.isfinite(own.target))
        if not origin.augmenter:
            return own
        rng = rng_for(self.seed, "augment", origin.augmenter, origin.era, origin.copy)
        return self.augmenters[origin.augmenter].augment(own, rng)

    def _columns(self, name: str, origin: Origin, made: Block) -> Float32:
        key = f"{name}-{origin.augmenter}-{origin.era}-{origin.copy}-{self.seed}"
        kept = self.shelf.fetch(key) if self.shelf else None
        if kept is None:
            kept = self.generators[name].transform(made)
            if self.shelf:
                self.shelf.keep(key, kept)
        return kept
