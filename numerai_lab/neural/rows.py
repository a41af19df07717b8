"""Batches of rows straight from the memory-map: only the batch is ever copied."""

import itertools
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from numerai_lab.basics import Float64, NlabError
from numerai_lab.panel import Panel

MOMENT_ROWS = 50_000


@dataclass(frozen=True)
class Batch:
    """Rows of some eras, era after era.

    cells: rows × features, in the units and dtype of the panel. era: int64, one a row. groups: (first, one past the last)
    row of each era in the batch. target: float32, one a row; None where the panel hides it.
    """

    cells: Tensor
    era: Tensor
    groups: tuple[tuple[int, int], ...]
    target: Tensor | None = None

    def __len__(self) -> int:
        return len(self.cells)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        target = None if self.target is None else self.target.to(device)
        return replace(self, cells=self.cells.to(device), era=self.era.to(device), target=target)


def draw(panel: Panel, size: int, n_eras: int, rng: np.random.Generator) -> Batch:
    """About `size` rows, evenly from `n_eras` eras drawn in proportion to their rows; all rows of an era that has too few.

    Where the panel shows its target, rows that have none are left out after they were drawn.
    """
    counts = panel.bounds[:, 1] - panel.bounds[:, 0]
    n_eras = min(n_eras, len(counts))
    eras = np.sort(rng.choice(len(counts), size=n_eras, replace=False, p=counts / counts.sum()))
    share = max(1, size // n_eras)
    drawn = []
    for era in eras:
        rows = panel.bounds[era, 0] + np.sort(rng.choice(counts[era], size=min(share, counts[era]), replace=False))
        drawn.append(rows if panel.target is None else rows[np.isfinite(panel.target[rows])])
    ends = itertools.accumulate(map(len, drawn))
    return Batch(
        cells=torch.from_numpy(np.concatenate([panel.features[rows, : panel.n_raw] for rows in drawn])),
        era=torch.from_numpy(np.repeat(panel.eras[eras].astype(np.int64), list(map(len, drawn)))),
        groups=tuple((end - len(rows), end) for end, rows in zip(ends, drawn, strict=True)),
        target=None if panel.target is None else torch.from_numpy(panel.target[np.concatenate(drawn)]),
    )


def held_out(panel: Panel, share: float, how: Literal["last", "spread"]) -> tuple[Panel, Panel]:
    """(eras to learn from, eras to stop on): the last `share` of the eras is held out, or every so manieth."""
    eras = panel.eras
    if len(eras) < 2:
        raise NlabError("a network needs at least two eras: some to learn from, the rest to know when to stop")
    n_held = min(max(1, round(share * len(eras))), len(eras) - 1)
    last = np.arange(len(eras) - n_held, len(eras))
    chosen = last if how == "last" else ((np.arange(n_held) + 0.5) * len(eras) / n_held).astype(int)
    held = np.isin(np.arange(len(eras)), chosen)
    return panel.only(eras[~held].tolist()), panel.only(eras[held].tolist())


def column_moments(panel: Panel, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """Mean and standard deviation of every raw feature, from about 50,000 rows, the same number an era."""
    share = -(-MOMENT_ROWS // len(panel.eras))
    total, squares, n = np.zeros(panel.n_raw), np.zeros(panel.n_raw), 0
    for block in panel.blocks():
        rows = np.sort(rng.choice(len(block), size=min(share, len(block)), replace=False))
        sample = block.features[rows].astype(np.float64)
        total, squares, n = total + sample.sum(0), squares + (sample**2).sum(0), n + len(sample)
    mean = total / n
    variance = squares / n - mean**2
    return mean, np.sqrt(np.where(variance > 1e-12 * (1 + mean**2), variance, 0))
