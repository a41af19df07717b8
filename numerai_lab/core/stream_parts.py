"""The parts that a training stream is made of: origins, augmenters and generators, materialized rows, a cache of arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from numerai_lab.core.arrays import Float32
from numerai_lab.core.panel import Block
from numerai_lab.core.row_weights import Weight


@dataclass(frozen=True)
class Origin:
    """The origin of one batch: an era, and, for synthetic rows, the augmenter and the number of the copy.

    An invented era has an id beyond every real one. Its `number` counts the eras of its augmenter from 0; elsewhere it is None.
    """

    era: int
    augmenter: str = ""
    copy: int = 0
    number: int | None = None


class AugmenterLike(Protocol):
    """The part of a fitted augmenter that the stream uses."""

    @property
    def copies(self) -> int: ...

    @property
    def weight(self) -> float: ...

    @property
    def replaces(self) -> bool: ...

    @property
    def crosses_eras(self) -> bool: ...

    @property
    def whole_era(self) -> bool: ...

    @property
    def invents_eras(self) -> bool: ...

    @property
    def weighs(self) -> bool: ...

    @property
    def shuffles(self) -> bool: ...

    @property
    def seed_key(self) -> str: ...

    def n_of(self, n: int) -> int: ...

    def augment(self, block: Block, rng: np.random.Generator) -> Block: ...

    def blend(self, block: Block, partners: Block, rng: np.random.Generator) -> Block: ...

    def invent(self, number: int, n_rows: int, rng: np.random.Generator) -> Block: ...

    @property
    def rows_a_pass(self) -> int: ...

    def invent_together(
        self, numbers: Sequence[int], n_rows: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> list[Block]: ...

    def weigh(self, era: int, n_rows: int) -> Weight: ...


class GeneratorLike(Protocol):
    """The part of a fitted generator that the stream uses: columns for synthetic rows."""

    def transform(self, block: Block) -> Float32: ...


class RowSource(Protocol):
    """The materialized rows of an augmenter: one block for each of its entries in `origins`, in order."""

    def block(self, i: int) -> Block: ...


class ArrayCache(Protocol):
    """Keeps arrays that are expensive to make between two passes."""

    @property
    def folder(self) -> Path: ...

    def fetch(self, key: str) -> Float32 | None: ...

    def keep(self, key: str, values: Float32) -> None: ...
