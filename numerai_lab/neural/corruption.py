"""Replaces cells of a batch by those of other rows, for denoising and contrastive objectives."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from numerai_lab.core.era_ranges import exact_share
from numerai_lab.neural.rows import RowBatch

Scope = Literal["era", "global"]


def chosen_cells(n_rows: int, n_columns: int, n_chosen: int, noise: torch.Generator) -> Tensor:
    """A random mask of exactly `n_chosen` cells in every row: bool, rows × columns, even but for ties of 16 bits."""
    if n_chosen >= n_columns:
        return torch.ones((n_rows, n_columns), dtype=torch.bool, device=noise.device)
    draws = torch.empty(-(-n_rows * n_columns // 4), dtype=torch.int64, device=noise.device)
    draws = draws.random_(-(2**63), None, generator=noise).view(torch.int16)[: n_rows * n_columns]
    # The column in the lowest bits makes the keys of a row differ, so that no tie selects one cell too many.
    columns = torch.arange(n_columns, dtype=torch.int32, device=noise.device)
    keys = draws.view(n_rows, n_columns).int().mul_(2 ** min(15, n_columns.bit_length())).add_(columns)
    if noise.device.type == "cpu":  # numpy's partition is ten times as fast there
        bound = torch.from_numpy(np.partition(keys.numpy(), n_chosen, axis=1)[:, n_chosen, None])
    else:
        bound = keys.sort(dim=1).values[:, n_chosen, None]
    return keys < bound


def swapped(batch: RowBatch, fraction: float, scope: Scope, noise: torch.Generator) -> tuple[Tensor, Tensor]:
    """(cells, mask): the batch with exactly ⌊fraction · columns⌋ cells of every row replaced from other rows.

    The rows of an era (scope era) or of the batch (global) are put in a random circle. For every
    column a number of steps is drawn; its replaced cells come from the row that many steps further.
    So the donors of a row's cells are independent and never the row itself, and a column keeps its
    distribution. A row alone in its era keeps its cells.
    """
    n_rows, n_columns = batch.cells.shape
    mask = chosen_cells(n_rows, n_columns, int(exact_share(fraction, n_columns)), noise)
    parts = []
    for first, end in batch.groups if scope == "era" else ((0, n_rows),):
        n = end - first
        circle = torch.randperm(n, generator=noise, device=noise.device)
        steps = torch.randint(1, max(n, 2), (n_columns,), generator=noise, device=noise.device) * (n > 1)
        donors = mask[first:end] * steps + circle.argsort()[:, None]
        parts.append(batch.cells[first:end][circle].repeat(2, 1).gather(0, donors))
    return torch.cat(parts), mask
