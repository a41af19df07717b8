"""The results of `nlab inspect` for one generator."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Float32, Float64, Int32
from numerai_lab.report.findings import Share


@dataclass(frozen=True)
class Inspected:
    """Measurements of a fitted generator.

    r2: of each column on the raw features, fitted on training eras and measured on later ones;
    NaN for constants. neighbours_kept: share of neighbours that the columns keep; chance: the
    share that random columns keep. stable: mean canonical correlation between seeds; None with one
    seed, or for a deterministic generator. shift: Kolmogorov–Smirnov distance of each column between
    training and later rows. drift: eras × columns, the mean of the era in standard deviations of
    the training rows. shares: of importance, in the variants that read it beside other columns.
    """

    name: str
    kind: str
    names: tuple[str, ...]
    r2: Float64
    neighbours_kept: float
    chance: float
    stable: float | None
    shift: Float64
    eras: tuple[int, ...]
    drift: Float64
    points: Float64
    point_eras: Int32
    point_targets: Float32
    shares: Mapping[str, Share]

    def row(self) -> dict[str, object]:
        """A row of the inspection table."""
        known = self.r2[np.isfinite(self.r2)]
        used = list(self.shares.values())
        return {
            "generator": self.name,
            "kind": self.kind,
            "columns": len(self.names),
            "r2_mean": float(known.mean()) if len(known) else None,
            "r2_least": float(known.min()) if len(known) else None,
            "kept": self.neighbours_kept,
            "chance": self.chance,
            "stable": self.stable,
            "shift": float(self.shift.max()),
            "importance": float(np.mean([share.importance for share in used])) if used else None,
            "share_of_columns": float(np.mean([share.columns for share in used])) if used else None,
        }
