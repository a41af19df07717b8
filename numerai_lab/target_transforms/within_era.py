"""Target transforms: residuals to a benchmark or to features, and normal scores."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.core.errors import nearest
from numerai_lab.core.panel import Panel
from numerai_lab.metrics.era import gauss
from numerai_lab.metrics.exposures import Exposures
from numerai_lab.target_transforms.base import TargetTransform


class ResidualToBenchmark(TargetTransform):
    """The target less what another model's predictions explain of it linearly.

    Within each era the target is regressed on the gaussianised ranks of the benchmark's predictions, with an intercept, and
    `proportion` of the fit is subtracted; the era's mean stays. With proportion 1 the correlation with them is 0 in every
    era. Rows and eras without a prediction of the benchmark are left out of training: Numerai's benchmark models begin in
    era 157, those of the synthetic tournament after a quarter of its eras.

    Source: [Numerai's agents, "Ender20 residual-to-benchmark target (LGBM)", January 2026], with a reported BMC of .0045 where
    the same model of the target itself had .0009.
    """

    words: ClassVar[str] = "the residual to {benchmark}"
    kind: Literal["residual_to_benchmark"] = "residual_to_benchmark"
    benchmark: str = Field(description="column of another model's predictions, which must cover training eras")
    proportion: float = Field(
        1.0,
        ge=0,
        le=1,
        description="how much of the linear fit is subtracted; 0: nothing, for a model of the target from the same rows",
    )

    @property
    def note(self) -> str:
        if not self.proportion:
            return f"learns from the rows with predictions of {self.benchmark}"
        return f"learns the residual to {self.benchmark}" + _share(self.proportion)

    @property
    def lacks(self) -> str:
        return f"{self.benchmark} has no prediction for them"

    def refusal(self, panel: Panel) -> str:
        if self.benchmark in panel.extras:
            return ""
        return f"benchmark: the data has no predictions {self.benchmark!r}; {nearest(self.benchmark, panel.extras)}"

    def covers(self, panel: Panel, era: int) -> NDArray[np.bool_]:
        covered: NDArray[np.bool_] = np.isfinite(panel.extras[self.benchmark][panel.rows(era)])
        return covered

    def covariates(self, panel: Panel, era: int) -> Array:
        return panel.extras[self.benchmark][panel.rows(era), None]

    def transform(self, target: Float64, covariates: Array) -> Float64:
        benchmark = gauss(covariates.astype(np.float64))[:, 0]
        benchmark -= benchmark.mean()
        power = benchmark @ benchmark
        slope = benchmark @ (target - target.mean()) / power if power > 0 else 0.0
        residual: Float64 = target - self.proportion * slope * benchmark
        return residual


class Neutralized(TargetTransform):
    """The target less what a feature set explains of it linearly.

    Within each era the target is regressed on the features, with an intercept, and `proportion` of the fit is subtracted; the
    era's mean stays. A model of it learns what is not linear in these features.

    Source: [jrb, Numerai forum], who neutralised predictions; here the training target is neutralised by the same formula.
    """

    words: ClassVar[str] = "the target neutralised to {features}"
    kind: Literal["neutralized"] = "neutralized"
    features: str = Field(description="the feature set to neutralise the target against")
    proportion: float = Field(1.0, gt=0, le=1, description="how much of the linear fit is subtracted")

    @property
    def feature_sets(self) -> tuple[str, ...]:
        return (self.features,)

    @property
    def note(self) -> str:
        return f"learns the target neutralised to {self.features}" + _share(self.proportion)

    def covariates(self, panel: Panel, era: int) -> Array:
        return panel.set_of(self.features, era)

    def transform(self, target: Float64, covariates: Array) -> Float64:
        neutral = Exposures.of(covariates).neutralised(target[:, None], self.proportion)[:, 0]
        residual: Float64 = neutral + self.proportion * target.mean()
        return residual


class RankGauss(TargetTransform):
    """Normal scores of the target: its ranks within the era through the inverse normal distribution.

    Equal targets share their mean rank. Of the tournament's five values the outer ones move apart: 0, .25, .5, .75 and 1 become
    about −1.96, −1.04, 0, 1.04 and 1.96.

    Source: van der Waerden 1952; `rank` and `gauss` as in Numerai's corr (numerai_tools.scoring).
    """

    words: ClassVar[str] = "normal scores of the target"
    kind: Literal["rank_gauss"] = "rank_gauss"

    @property
    def note(self) -> str:
        return "learns normal scores of the target"

    def transform(self, target: Float64, covariates: Array) -> Float64:
        return gauss(target[:, None])[:, 0]


def _share(proportion: float) -> str:
    """The proportion as the end of a note; empty where it is whole."""
    return "" if proportion == 1 else f" ({proportion:.0%} of the fit)"
