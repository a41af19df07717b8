"""How large a synthetic tournament is."""

from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Size:
    """How large a synthetic tournament is.

    rows: of each era. n_train: eras that train. n_small, n_medium, n_further: features of the set `small`, of `medium`
    (which has none of them), and of `all` alone.
    """

    rows: tuple[int, ...]
    n_train: int
    n_small: int
    n_medium: int
    n_further: int = 0

    @classmethod
    def even(cls, n_eras: int, n_rows: int, n_small: int, n_medium: int, n_further: int = 0) -> Self:
        """Eras of the same size, 60 % of them training ones."""
        return cls((n_rows,) * n_eras, n_eras * 6 // 10, n_small, n_medium, n_further)

    @property
    def n_eras(self) -> int:
        return len(self.rows)

    @property
    def n_features(self) -> int:
        return self.n_small + self.n_medium + self.n_further

    @property
    def n_cells(self) -> int:
        """Cells of all features, those of the live era left out."""
        return sum(self.rows) * self.n_features


def _tournament_size() -> Size:
    """v5.3's own eras and rows: 574 training eras of 2,314 to 6,009 rows, 2,746,268 in all; 660 later ones of about 6,260."""
    train = np.rint(np.linspace(0, 1, 574) ** 0.4959 * (6009 - 2314) + 2314).astype(int)
    train[-200:] += np.diff(np.linspace(0, 2_746_268 - train.sum(), 201).astype(int))
    validation = np.rint(np.linspace(6009, 6507, 660)).astype(int)
    return Size((*train.tolist(), *validation.tolist()), len(train), 0, 780)


SIZES = {
    "tiny": Size.even(100, 80, 42, 60),
    "small": Size.even(200, 800, 42, 120),
    "medium": Size.even(300, 2000, 0, 780),
    "full": _tournament_size(),
    "wide": Size.even(300, 5000, 42, 780, 2733),
    "control": Size((1600,) * 144, n_train=32, n_small=0, n_medium=160),
}
"""Sizes by name. `control` has few training eras: there methods show what they can do. `wide` has as many features as v5.3."""
