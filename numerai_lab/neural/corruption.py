"""Cells of a batch replaced by those of other rows: what denoising and contrastive methods learn against."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from numerai_lab.neural.rows import Batch

Scope = Literal["era", "global"]


def chosen_cells(n_rows: int, n_columns: int, n_chosen: int, noise: torch.Generator) -> Tensor:
    """bool, rows × columns: exactly `n_chosen` in every row, drawn evenly."""
    if n_chosen >= n_columns:
        return torch.ones((n_rows, n_columns), dtype=torch.bool, device=noise.device)
    bits = n_columns.bit_length()
    shape = (n_rows, n_columns)
    keys = torch.randint(0, 2 ** (31 - bits), shape, generator=noise, dtype=torch.int32, device=noise.device)
    # The column in the lowest bits makes the keys of a row differ, so that no tie selects one cell too many.
    keys = (keys << bits) | torch.arange(n_columns, dtype=torch.int32, device=noise.device)
    if noise.device.type == "cpu":  # numpy's partition is ten times as fast there
        bound = torch.from_numpy(np.partition(keys.numpy(), n_chosen, axis=1)[:, n_chosen, None])
    else:
        bound = keys.kthvalue(n_chosen + 1, dim=1, keepdim=True).values
    return keys < bound


def swapped(batch: Batch, fraction: float, scope: Scope, noise: torch.Generator) -> tuple[Tensor, Tensor]:
    """(cells, which were replaced): in every row exactly ⌊fraction · columns⌋ cells come from other rows of the batch.

    Each replaced cell gets its column's value in a row of its own drawing: of the same era (scope era), so that it has
    the column's distribution within that era, or of any era. A row alone in its era keeps its own.
    """
    n_rows, n_columns = batch.cells.shape
    mask = chosen_cells(n_rows, n_columns, int(fraction * n_columns + 1e-9), noise)
    place = torch.arange(n_rows, device=noise.device)
    begin, count = (torch.zeros_like(place), torch.full_like(place, n_rows)) if scope == "global" else (batch.begin, batch.count)
    steps = torch.randint(0, 2**30, (n_rows, n_columns), generator=noise, dtype=torch.int32, device=noise.device)
    begin, count, own = (values.int()[:, None] for values in (begin, count, place - begin))
    donors = begin + (own + 1 + steps % (count - 1).clamp(min=1)) % count
    return torch.where(mask, batch.cells.gather(0, donors.long()), batch.cells), mask
