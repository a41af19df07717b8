"""Augmenters: synthetic training rows. A new one is one file and one line here."""

from numerai_lab.augmenters.average import Average
from numerai_lab.augmenters.base import Augmenter
from numerai_lab.augmenters.copies import Cutout, Duplicate, FeatureReversal, GaussianNoise, SwapNoise

AUGMENTERS: dict[str, type[Augmenter]] = {
    "duplicate": Duplicate,
    "cutout": Cutout,
    "gaussian_noise": GaussianNoise,
    "average": Average,
    "swap_noise": SwapNoise,
    "feature_reversal": FeatureReversal,
}

__all__ = ["AUGMENTERS", "Augmenter"]
