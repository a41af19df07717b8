"""Augmenters: synthetic training rows. A new one is one file and one line here."""

from numerai_lab.augmenters.base import Augmenter
from numerai_lab.augmenters.copies import Cutout, GaussianNoise

AUGMENTERS: dict[str, type[Augmenter]] = {"cutout": Cutout, "gaussian_noise": GaussianNoise}

__all__ = ["AUGMENTERS", "Augmenter"]
