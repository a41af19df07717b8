"""The contract of target transforms: they change the target that a model learns."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.core.component import Component
from numerai_lab.core.panel import Panel


class TargetTransform(Component):
    """Changes the target that a model learns, within each training era; scores stay against the run's target.

    It sees one era at a time, whose mean it keeps where the formula allows, so that rows of augmenters stay on its scale.
    """

    if TYPE_CHECKING:

        @property
        def kind(self) -> str:
            """The name in configs; every subclass declares it as a field."""

    @property
    def feature_sets(self) -> tuple[str, ...]:
        """Feature sets that it reads, by name."""
        return ()

    @property
    def note(self) -> str:
        """What a model learns with it, for tables."""
        raise NotImplementedError

    @property
    def lacks(self) -> str:
        """Why rows that it does not cover are left out, for remarks; never asked of a transform that covers all rows."""
        return "the data lack what it reads"

    def refusal(self, panel: Panel) -> str:
        """A sentence that says why it can't be used with this data; empty where it can."""
        return ""

    def covers(self, panel: Panel, era: int) -> NDArray[np.bool_]:
        """The rows of an era for which the data hold what it reads beside the target: bool, rows."""
        rows = panel.rows(era)
        return np.ones(rows.stop - rows.start, bool)

    def covariates(self, panel: Panel, era: int) -> Array:
        """What it reads of an era beside the target: rows × columns. The panel holds no target."""
        rows = panel.rows(era)
        return np.empty((rows.stop - rows.start, 0), np.float32)

    def transform(self, target: Float64, covariates: Array) -> Float64:
        """The target to learn of the rows of one era, none of which is NaN; NaN where nothing is left to learn."""
        raise NotImplementedError
