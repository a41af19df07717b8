"""Names for what the eras of a panel hold: what a stage depends on, and nothing of the eras that it does not see."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

import numpy as np

from numerai_lab.core.arrays import Array
from numerai_lab.core.panel import Panel, release_pages
from numerai_lab.storage.folders import key_of


class Content(Protocol):
    """Names that are equal where the content is, and differ where one byte of it does."""

    def rows_of(self, eras: Iterable[int]) -> str:
        """A name for the raw features and ids of these eras."""

    def labels_of(self, eras: Iterable[int]) -> str:
        """A name for the targets of these eras."""

    def auxiliary_of(self, eras: Iterable[int]) -> str:
        """A name for the auxiliary targets of these eras."""


@dataclass(frozen=True)
class UniqueContent:
    """Names for a panel that is like no other: nothing made from it is used again."""

    name: str = field(default_factory=lambda: uuid4().hex)

    def rows_of(self, eras: Iterable[int]) -> str:
        """The same name for all eras."""
        return self.name

    def labels_of(self, eras: Iterable[int]) -> str:
        """The same name for all eras."""
        return self.name

    def auxiliary_of(self, eras: Iterable[int]) -> str:
        """The same name for all eras."""
        return self.name


@dataclass(frozen=True)
class PanelContent:
    """Names for what a panel holds, by checksums of its eras.

    sums: era → CRC-32 of its raw features (rows × n_raw) and of its ids.
    """

    panel: Panel
    sums: Mapping[int, tuple[int, int]]
    _target_sums: dict[tuple[str, int], int] = field(default_factory=dict)

    @classmethod
    def of(cls, panel: Panel) -> "PanelContent":
        """Reads all rows; a store knows the checksums of its own."""
        sums = {}
        for era in panel.eras.tolist():
            sums[era] = row_sums(panel.features[panel.rows(era), : panel.n_raw], panel.ids[panel.rows(era)])
            release_pages(panel.features)
        return cls(panel, sums)

    def rows_of(self, eras: Iterable[int]) -> str:
        """A name for the ids of these eras and the raw features, with their names, dtype and largest value."""
        panel = self.panel
        facts = [(era, panel.rows(era).stop - panel.rows(era).start, *self.sums[era]) for era in eras]
        return key_of("rows", panel.raw_names, str(panel.features.dtype), panel.top, facts)

    def labels_of(self, eras: Iterable[int]) -> str:
        """A name for the targets of these eras and their horizon, by which fits on labels keep eras apart."""
        assert self.panel.target is not None
        horizon = [self.panel.horizon_days, self.panel.days_per_era]
        return key_of("labels", horizon, [(era, self._sum("", self.panel.target, era)) for era in eras])

    def auxiliary_of(self, eras: Iterable[int]) -> str:
        """A name for the auxiliary targets of these eras, with their order, names and horizons."""
        eras = list(eras)
        facts = [
            (name, auxiliary.horizon_days, [(era, self._sum(name, auxiliary.values, era)) for era in eras])
            for name, auxiliary in self.panel.auxiliary.items()
        ]
        return key_of("auxiliary", facts)

    def _sum(self, name: str, values: Array, era: int) -> int:
        if (name, era) not in self._target_sums:
            self._target_sums[name, era] = crc_of(values[self.panel.rows(era)])
        return self._target_sums[name, era]


def row_sums(features: Array, ids: Array) -> tuple[int, int]:
    """CRC-32 of the features and of the ids (bytes) of an era. The ids' does not depend on the width of their array."""
    return crc_of(features), zlib.crc32(b"\n".join(ids.tolist()))


def crc_of(values: Array) -> int:
    """CRC-32 of an array's bytes in C order."""
    return zlib.crc32(np.ascontiguousarray(values).data)
