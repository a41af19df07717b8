"""Weights that halve with age."""

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.augmenters.weigher import EraWeigher
from numerai_lab.core.control import Control
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext


class Recency(EraWeigher):
    """Weights of eras that halve every `half_life` eras back from the last training era: w = ½^(age / half_life).

    A market that drifts is nearer to its recent past than to its distant one; fewer effective rows are the price.

    Source: exponential forgetting of recursive least squares, e.g. Ljung & Söderström 1983.
    """

    reads_target: ClassVar[bool] = False
    control: ClassVar[Control] = Control(why="no world drifts slowly: `flip` turns its relation after training, at once")
    words: ClassVar[str] = "weights of eras that halve every {half_life:g} eras"
    kind: Literal["recency"] = "recency"
    half_life: float = Field(156.0, gt=0, description="eras after which a weight halves; 52 weekly eras are a year")

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns the weight of every training era with a known target."""
        eras = panel.eras[panel.n_known > 0].astype(np.int64)
        self._learn(eras, 0.5 ** ((eras.max() - eras) / self.half_life))
        return self
