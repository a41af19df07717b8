"""Columns of feature sets that variants read by name, beside those of generators."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from numerai_lab.core.arrays import Float32
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.panel import BIN_TOP, Block, Panel, release_pages
from numerai_lab.storage.scratch import Scratch


class InputColumns(Protocol):
    """Columns that a model reads beside raw features: of a fitted generator, or of a feature set."""

    @property
    def names(self) -> list[str]: ...

    @property
    def columns(self) -> Float32: ...

    def facts_for(self, eras: Iterable[int]) -> dict[str, Any]: ...

    def transform(self, block: Block) -> Float32: ...


@dataclass(frozen=True)
class SetColumns:
    """The features of a set, on 0..1, for every row of a panel. names: of the features."""

    panel: Panel
    names: list[str]
    columns: Float32

    def facts_for(self, eras: Iterable[int]) -> dict[str, Any]:
        """The facts that the columns of these eras depend on."""
        digest = hashlib.sha256()
        for era in eras:
            digest.update(self.columns[self.panel.rows(era)].tobytes())
        return {"features": self.names, "content": digest.hexdigest()}

    def transform(self, block: Block) -> Float32:
        """Raises NlabFailure: rows that no file holds have no such columns."""
        raise NlabFailure(f"era {block.era}: made rows have no columns of a feature set such as {self.names[0]!r}")


def set_columns(panel: Panel, name: str, space: Scratch) -> SetColumns:
    """The columns of a feature set for every row of the panel, in a file of `space`."""
    at = panel.feature_sets[name]
    columns = space.features(len(panel.ids), len(at), np.dtype(np.float32))
    for era in panel.eras.tolist():
        columns[panel.rows(era)] = unit_columns(panel, name, era)
        panel.release()
        release_pages(columns)
    return SetColumns(panel, [panel.feature_names[i] for i in at], columns)


def unit_columns(panel: Panel, name: str, era: int) -> Float32:
    """The features of a set in an era, on 0..1."""
    values = panel.set_of(name, era)
    return values.astype(np.float32) / np.float32(BIN_TOP if values.dtype == np.int8 else 1)
