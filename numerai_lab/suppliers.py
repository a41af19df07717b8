"""What a stream of training rows asks of those that it takes rows and columns from."""

from pathlib import Path
from typing import Protocol

import numpy as np

from numerai_lab.basics import Float32
from numerai_lab.panel import Block


class Augments(Protocol):
    """What the stream asks of a fitted augmenter."""

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
    def seed_key(self) -> str: ...

    def n_of(self, n: int) -> int: ...

    def augment(self, block: Block, rng: np.random.Generator) -> Block: ...

    def blend(self, block: Block, partners: Block, rng: np.random.Generator) -> Block: ...

    def invent(self, number: int, n_rows: int, rng: np.random.Generator) -> Block: ...


class Transforms(Protocol):
    """What the stream asks of a fitted generator: columns for rows that no memory-map holds."""

    def transform(self, block: Block) -> Float32: ...


class Kept(Protocol):
    """The rows of an augmenter, made before: one block for each of its entries in `origins`, in order."""

    def block(self, i: int) -> Block: ...


class Shelf(Protocol):
    """Where arrays that are dear to make are kept between two passes."""

    @property
    def folder(self) -> Path: ...

    def fetch(self, key: str) -> Float32 | None: ...

    def keep(self, key: str, values: Float32) -> None: ...
