"""Batches of rows drawn from the memory-map, of which only the batch is copied."""

import itertools
import json
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from numerai_lab.core.arrays import Array, Float64, Int64
from numerai_lab.core.era_ranges import exact_share
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import embargo_for

MOMENT_ROWS = 50_000

FEW_ERAS = "a network needs at least two eras: some to learn from, the rest to know when to stop"


@dataclass(frozen=True)
class RowBatch:
    """Rows of some eras, era after era.

    cells: rows × features, in the units and dtype of the panel. era: int64, rows. groups: (first,
    one past the last) row of each era in the batch. target: float32, rows; None where the panel
    hides it. auxiliary: float32, rows × auxiliary targets, NaN where unknown; None where the panel
    has none. weight: float32, rows; None where all rows count alike. benchmark: another model's
    predictions, float32, rows, NaN where unknown; None where none are read.
    """

    cells: Tensor
    era: Tensor
    groups: tuple[tuple[int, int], ...]
    target: Tensor | None = None
    auxiliary: Tensor | None = None
    weight: Tensor | None = None
    benchmark: Tensor | None = None

    def __len__(self) -> int:
        return len(self.cells)

    def to(self, device: torch.device) -> "RowBatch":
        """The same batch on a device."""
        parts = {"target": self.target, "auxiliary": self.auxiliary, "weight": self.weight, "benchmark": self.benchmark}
        moved: dict[str, Any] = {name: None if value is None else value.to(device) for name, value in parts.items()}
        return replace(self, cells=self.cells.to(device), era=self.era.to(device), **moved)


class PanelBatches:
    """Batches drawn from a panel's rows, without end; see `draw`. size: rows of a batch; n_eras: eras that they come from."""

    def __init__(self, panel: Panel, size: int, n_eras: int, seed: int) -> None:
        self.panel, self.size, self.n_eras = panel, size, n_eras
        self.rng = np.random.default_rng(seed)

    def next(self) -> RowBatch:
        """A new batch."""
        return draw(self.panel, self.size, self.n_eras, self.rng)

    def state(self) -> Array:
        """The state of the random stream, uint8."""
        return np.frombuffer(json.dumps(self.rng.bit_generator.state).encode(), np.uint8)

    def load(self, state: Array) -> None:
        """Goes on from a state."""
        self.rng.bit_generator.state = json.loads(state.tobytes())

    def release(self) -> None:
        """Takes the pages of the memory-map out of the process."""
        self.panel.release()


def draw(panel: Panel, size: int, n_eras: int, rng: np.random.Generator) -> RowBatch:
    """A batch of about `size` rows: evenly from `n_eras` eras, which are drawn in proportion to their rows.

    An era with fewer rows gives all of them. Where the panel shows its target, only rows with a
    known target count, and eras with at least two of them. Raises NlabError where no era is left.
    """
    counts = _drawable(panel)
    n_eras = min(n_eras, int(np.count_nonzero(counts)))
    if not n_eras:
        raise NlabError(_nothing_to_draw(panel))
    eras = np.sort(rng.choice(len(counts), size=n_eras, replace=False, p=counts / counts.sum()))
    share = max(1, size // n_eras)
    drawn = [_rows_of(panel, era)[np.sort(rng.choice(counts[era], min(share, counts[era]), replace=False))] for era in eras]
    ends = itertools.accumulate(map(len, drawn))
    rows = np.concatenate(drawn)
    auxiliary = [target.values[rows] for target in panel.auxiliary.values()]
    return RowBatch(
        cells=torch.from_numpy(np.concatenate([panel.features[part, : panel.n_raw] for part in drawn])),
        era=torch.from_numpy(np.repeat(panel.eras[eras].astype(np.int64), list(map(len, drawn)))),
        groups=tuple((end - len(part), end) for end, part in zip(ends, drawn, strict=True)),
        target=None if panel.target is None else torch.from_numpy(panel.target[rows]),
        auxiliary=torch.from_numpy(np.stack(auxiliary, axis=1)) if auxiliary else None,
    )


def no_batch(panel: Panel, share: float, how: Literal["last", "spread"]) -> str:
    """A sentence that says why no network can be trained on a panel; empty where one can. share, how: of `held_out`."""
    if len(panel.eras) < 2:
        return FEW_ERAS
    empty = (part for part in held_out(panel, share, how) if not _drawable(part).any())
    return next(map(_nothing_to_draw, empty), "")


def _drawable(panel: Panel) -> Int64:
    """The number of rows of each era that a batch may be drawn from."""
    counts = panel.n_known
    return counts if panel.target is None else np.where(counts < 2, 0, counts)  # a lone row has no pair and no variance


def _nothing_to_draw(panel: Panel) -> str:
    return f"no era from {panel.eras[0]} to {panel.eras[-1]} has two rows with a target; take one known there"


def held_out(panel: Panel, share: float, how: Literal["last", "spread"]) -> tuple[Panel, Panel]:
    """(panel to learn from, panel to stop on): holds out the last `share` of the eras, or every k-th but the last.

    Where the panel shows its target and the last eras are held out, eras whose targets overlap
    theirs are in neither: early stopping would use memorised targets. At least half of the eras
    before the held-out ones are learned from in any case. Raises NlabError for fewer than two eras.
    """
    eras = panel.eras
    if len(eras) < 2:
        raise NlabError(FEW_ERAS)
    n_held = min(max(1, round(exact_share(share, len(eras)))), len(eras) - 1)
    if how == "spread":
        chosen = ((np.arange(n_held) + 0.5) * (len(eras) - 1) / n_held).astype(int)
        held = np.isin(np.arange(len(eras)), chosen)
        return panel.only(eras[~held].tolist()), panel.only(eras[held].tolist())
    learned, stop_eras = eras[:-n_held], eras[-n_held:]
    if panel.target is not None and panel.reach_days is not None:
        n_clear = np.count_nonzero(learned < stop_eras[0] - embargo_for(panel.reach_days, panel.days_per_era))
        learned = learned[: max(n_clear, -(-len(learned) // 2))]
    return panel.only(learned.tolist()), panel.only(stop_eras.tolist())


def column_moments(panel: Panel, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """Mean and standard deviation of every raw feature, float64.

    They come from about 50,000 rows, the same number per era.
    """
    share = -(-MOMENT_ROWS // len(panel.eras))
    total, squares, n = np.zeros(panel.n_raw), np.zeros(panel.n_raw), 0
    for block in panel.blocks():
        rows = np.sort(rng.choice(len(block), size=min(share, len(block)), replace=False))
        sample = block.features[rows].astype(np.float64)
        total, squares, n = total + sample.sum(0), squares + (sample**2).sum(0), n + len(sample)
    mean = total / n
    variance = squares / n - mean**2
    return mean, np.sqrt(np.where(variance > 1e-12 * (1 + mean**2), variance, 0))


def _rows_of(panel: Panel, era: int) -> Int64:
    """Rows of the panel's n-th era, those with a known target where the panel shows it."""
    first, last = panel.bounds[era].tolist()
    return np.arange(first, last) if panel.target is None else first + np.flatnonzero(np.isfinite(panel.target[first:last]))
