"""Target transforms: they change the target that a model learns. A new one is a class and one line here."""

from numerai_lab.target_transforms.base import TargetTransform
from numerai_lab.target_transforms.within_era import Neutralized, RankGauss, ResidualToBenchmark

TARGET_TRANSFORMS: dict[str, type[TargetTransform]] = {
    "residual_to_benchmark": ResidualToBenchmark,
    "neutralized": Neutralized,
    "rank_gauss": RankGauss,
}

__all__ = ["TARGET_TRANSFORMS", "TargetTransform"]
