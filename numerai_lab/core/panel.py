"""Panel: the one table every module works on; views over memory-maps, never a float copy of the whole."""

import mmap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from numerai_lab.core.arrays import Array, Float32, Int32, Int64, n_not_finite
from numerai_lab.core.eras import DAYS_PER_ERA

BIN_TOP = 4
"""The largest bin of features that are int8."""


@dataclass(frozen=True)
class Block:
    """Rows of one era.

    features: int8 (bins 0..4) or float32, rows × raw features; `top` is the largest value a feature takes:
    4 for binned features, 1 for continuous ones. target: float32, rows, NaN where unknown; None where the
    reader may not see it. columns: generated float32 columns by generator name.
    """

    era: int
    features: Array
    top: float
    target: Float32 | None = None
    columns: Mapping[str, Float32] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.features)

    def unit(self) -> Float32:
        """Features on 0..1, float32."""
        return self.features.astype(np.float32) / np.float32(self.top)

    def matrix(self, inputs: Sequence[str]) -> Float32:
        """The inputs of a model: `raw` features in their own units and generated columns side by side, float32."""
        parts = [self.features if name == "raw" else self.columns[name] for name in inputs]
        out = np.empty((len(self), sum(part.shape[1] for part in parts)), np.float32)
        start = 0
        for part in parts:
            out[:, start : start + part.shape[1]] = part
            start += part.shape[1]
        return out

    def take(self, rows: NDArray[np.bool_]) -> "Block":
        """The block of the rows where `rows` is true."""
        if rows.all():
            return self
        return replace(
            self,
            features=self.features[rows],
            target=None if self.target is None else self.target[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
        )

    def n_not_finite(self) -> int:
        """The number of cells and targets that are NaN or infinite."""
        return n_not_finite(self.features) + (0 if self.target is None else n_not_finite(self.target))


@dataclass(frozen=True)
class Auxiliary:
    """A further target to learn from, never scored: float32, one a row, NaN where unknown; and how many days it looks ahead."""

    values: Float32
    horizon_days: int | None = None


@dataclass(frozen=True)
class Panel:
    """Eras of a tournament as views over memory-maps.

    features: int8 or float32, rows × columns, C order, rows sorted by (era, id). Its first `n_raw` columns are the
    feature set that generators and models read; the rest serve scoring and neutralisation only.
    scoring_features: int8 or float32, rows × columns, further columns for scoring and neutralisation only; None without any.
    feature_names: of the columns of features, then of scoring_features.
    eras: int32, one an era of this view; bounds: int64, eras × 2, the first and one past the last row of each.
    ids: bytes, one a row. target, extras (meta model, benchmarks): float32, one a row, NaN where unknown.
    horizon_days: business days that the target looks ahead; None where that is not known.
    auxiliary: further targets, by name. Whoever may not see the target may not see them: a panel with them alone is refused.
    feature_sets: name → positions in feature_names; of sets that no one asked for, the members that are here.
    columns: generated float32 blocks, rows × k, by generator name.
    dates: ISO date by era; empty where eras are plain numbers. days_per_era: business days from one era to the next.
    """

    feature_names: tuple[str, ...]
    features: Array
    n_raw: int
    top: float
    ids: NDArray[np.bytes_]
    eras: Int32
    bounds: Int64
    data_types: tuple[str, ...]
    target: Float32 | None
    extras: Mapping[str, Float32] = field(default_factory=dict)
    feature_sets: Mapping[str, Int64] = field(default_factory=dict)
    columns: Mapping[str, Float32] = field(default_factory=dict)
    horizon_days: int | None = None
    auxiliary: Mapping[str, Auxiliary] = field(default_factory=dict)
    dates: Mapping[int, str] = field(default_factory=dict)
    days_per_era: int = DAYS_PER_ERA
    scoring_features: Array | None = None

    def __post_init__(self) -> None:
        if len(self.eras) != len(self.bounds) or len(self.eras) != len(self.data_types):
            raise ValueError("eras, bounds and data_types must have one entry an era")
        if np.any(np.diff(self.eras) <= 0):
            raise ValueError("eras must rise strictly")
        if self.target is None and self.auxiliary:
            raise ValueError("the target is hidden, and auxiliary targets are not")

    @cached_property
    def _position(self) -> dict[int, int]:
        return {int(era): i for i, era in enumerate(self.eras)}

    @property
    def n_rows(self) -> int:
        """Rows of this view's eras."""
        return int((self.bounds[:, 1] - self.bounds[:, 0]).sum())

    @cached_property
    def n_known(self) -> Int64:
        """The number of rows with a known target of each era; of all rows where the target is hidden."""
        if self.target is None:
            return self.bounds[:, 1] - self.bounds[:, 0]
        return np.array([np.count_nonzero(np.isfinite(self.target[first:last])) for first, last in self.bounds])

    @property
    def reach_days(self) -> int | None:
        """The longest horizon of the target and the auxiliary ones, in business days; None where a horizon is unknown."""
        days = [self.horizon_days, *(auxiliary.horizon_days for auxiliary in self.auxiliary.values())]
        known = [n_days for n_days in days if n_days is not None]
        return max(known) if len(known) == len(days) else None

    @property
    def raw_names(self) -> tuple[str, ...]:
        """Names of the features that generators and models read."""
        return self.feature_names[: self.n_raw]

    def rows(self, era: int) -> slice:
        """The rows of an era."""
        first, last = self.bounds[self._position[era]]
        return slice(int(first), int(last))

    def only(self, eras: Sequence[int]) -> "Panel":
        """A view on some eras, in rising order; no row is copied."""
        keep = np.isin(self.eras, np.asarray(eras, np.int32))
        missing = set(eras) - set(self.eras[keep].tolist())
        if missing:
            raise ValueError(f"eras not in this panel: {sorted(missing)}")
        kept_types = tuple(kind for kind, is_kept in zip(self.data_types, keep, strict=True) if is_kept)
        return replace(self, eras=self.eras[keep], bounds=self.bounds[keep], data_types=kept_types)

    def until(self, era: int) -> "Panel":
        """The panel cut off after an era: its arrays end with the rows of that era."""
        end = self.rows(era).stop
        panel = self.only([number for number in self.eras.tolist() if number <= era])
        return replace(
            panel,
            features=self.features[:end],
            scoring_features=None if self.scoring_features is None else self.scoring_features[:end],
            ids=self.ids[:end],
            target=None if self.target is None else self.target[:end],
            auxiliary={name: replace(auxiliary, values=auxiliary.values[:end]) for name, auxiliary in self.auxiliary.items()},
            extras={name: values[:end] for name, values in self.extras.items()},
            columns={name: values[:end] for name, values in self.columns.items()},
        )

    def without_target(self) -> "Panel":
        """The same view without the target and the auxiliary targets."""
        return replace(self, target=None, auxiliary={})

    def labelled(self, eras: Sequence[int], auxiliary: Collection[str] = ()) -> "Panel":
        """A view that holds the targets of some eras only; they are NaN in all others.

        auxiliary: the auxiliary targets that are shown too. No array that can be reached from it, as the base of a view for
        instance, holds the target of another era. Other models' predictions are left out.
        """
        assert self.target is not None

        def masked(values: Float32) -> Float32:
            out = np.full(len(values), np.nan, np.float32)
            for era in eras:
                out[self.rows(era)] = values[self.rows(era)]
            return out

        further = {
            name: replace(target, values=masked(target.values)) for name, target in self.auxiliary.items() if name in auxiliary
        }
        return replace(self, target=masked(self.target), auxiliary=further, extras={})

    def for_fitting(self, feature_sets: bool = False) -> "Panel":
        """The same view for components: without other models' predictions, scoring features and, unless asked for, feature sets.

        What is fitted does not depend on them, and is used again when they change.
        """
        sets = {name: at[at < self.n_raw] for name, at in self.feature_sets.items()} if feature_sets else {}
        return replace(self, feature_names=self.raw_names, extras={}, scoring_features=None, feature_sets=sets)

    def relabelled(self, rows: Int64) -> "Panel":
        """The panel with the targets of other rows: row i gets the target and the auxiliary targets of row `rows[i]`."""
        assert self.target is not None
        further = {name: replace(auxiliary, values=auxiliary.values[rows]) for name, auxiliary in self.auxiliary.items()}
        return replace(self, target=self.target[rows], auxiliary=further)

    def with_columns(self, name: str, values: Float32) -> "Panel":
        """The same view with one more generated block (float32, all rows × k)."""
        return replace(self, columns={**self.columns, name: values})

    def block(self, era: int) -> Block:
        """One era as a block of views."""
        rows = self.rows(era)
        return Block(
            era=era,
            features=self.features[rows, : self.n_raw],
            top=self.top,
            target=None if self.target is None else self.target[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
        )

    def blocks(self) -> Iterator[Block]:
        """Every era of this view, in rising order."""
        for era in self.eras.tolist():
            yield self.block(era)
            self.release()

    def release(self) -> None:
        """Takes the pages of the memory-maps out of the process; they stay in the page cache, and views stay valid."""
        for array in (self.features, self.scoring_features, *self.columns.values()):
            if array is not None:
                release_pages(array)

    def set_of(self, name: str, era: int) -> Array:
        """An era's columns of a feature set: rows × columns, in the dtype of the store.

        Where some are bins (int8) and others continuous (float32), all are float32 on 0..1.
        """
        columns, rows, n_first = self.feature_sets[name], self.rows(era), self.features.shape[1]
        first, further = columns[columns < n_first], columns[columns >= n_first] - n_first
        if self.scoring_features is None or not len(further):
            return _columns_of(self.features[rows], first)
        parts = [_columns_of(self.scoring_features[rows], further)]
        if len(first):
            parts.insert(0, _columns_of(self.features[rows], first))
        if len({part.dtype for part in parts}) > 1:
            parts = [part / np.float32(BIN_TOP) if part.dtype == np.int8 else part for part in parts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _columns_of(block: Array, columns: Int64) -> Array:
    """Columns of a block; a view where they stand side by side."""
    contiguous = len(columns) > 0 and np.array_equal(columns, np.arange(columns[0], columns[0] + len(columns)))
    return block[:, columns[0] : columns[0] + len(columns)] if contiguous else block[:, columns]


def release_pages(array: Array) -> None:
    """Takes a memory-map's pages out of the process, written ones too: they live on in the page cache and the file."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
