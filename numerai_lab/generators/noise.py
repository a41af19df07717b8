"""The placebo of generators: columns of noise."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.control import Control
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.base import Generator

UInt64 = NDArray[np.uint64]


class RandomColumns(Generator):
    """Independent standard normal noise: the placebo that every other generator has to beat.

    A row must get the same noise in every batch, and blocks hold no row ids. So the noise comes
    from a 64-bit hash of the row's features, its era, the seed and the number of columns. Rows of
    one era with equal features get the same noise, and so do two placebos with equal numbers of
    columns; another seed gives other noise.

    Source: this project; Steele, Lea, Flood 2014 (SplitMix64) for the mixing.
    """

    stochastic: ClassVar[bool] = True
    learns: ClassVar[bool] = False
    unseeded: ClassVar[tuple[str, ...]] = ("like",)

    control: ClassVar[Control] = Control(why="it is a placebo")
    words: ClassVar[str] = "{n_columns} columns of noise"
    kind: Literal["random_columns"] = "random_columns"
    n_columns: int = Field(16, gt=0, le=10_000, description="columns to emit")
    like: str | None = Field(
        None, description="a generator above this one: as many columns as it has, where a variant fits it; else n_columns"
    )

    @property
    def in_words(self) -> str:
        return f"as many columns of noise as {self.like} has" if self.like else super().in_words

    def sized(self, widths: Mapping[str, int]) -> Self:
        return self.model_copy(update={"n_columns": widths.get(self.like or "", self.n_columns), "like": None})

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        self.multipliers_ = rng.integers(0, 2**64, panel.n_raw, dtype=np.uint64) | np.uint64(1)
        self.n_columns_ = np.array(self.n_columns)
        return self

    def transform(self, block: Block) -> Float32:
        return hashed_noise(block.features, block.era, self.multipliers_, len(self.names_out()))

    def names_out(self) -> list[str]:
        return [f"noise{i + 1}" for i in range(int(self.state().get("n_columns_", self.n_columns)))]


GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def hashed_noise(features: Array, era: int, multipliers: UInt64, n_columns: int) -> Float32:
    """Standard normal noise from a hash of each row's cells and the era: rows × n_columns. multipliers: one a feature."""
    from scipy.special import ndtri

    rows = _mixed(_integers(features) @ multipliers + _mixed(np.array([era], np.uint64)))
    counters = np.arange(1, n_columns + 1, dtype=np.uint64) * GOLDEN
    uniform = ((_mixed(rows[:, None] + counters) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return np.asarray(ndtri(uniform), np.float32)


def _integers(features: Array) -> UInt64:
    """Cells as integers: bins as they are, floats by their bits."""
    bits: Array = features if features.dtype == np.int8 else (features.astype(np.float32) + np.float32(0)).view(np.uint32)
    return bits.astype(np.uint64)


def _mixed(values: UInt64) -> UInt64:
    """SplitMix64's finaliser: every bit of the input moves every bit of the output."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
