"""Augmenters: synthetic training rows, and weights of rows. A new one is one file and one line here."""

from numerai_lab.augmenters.anchor import Anchor
from numerai_lab.augmenters.average import Average, CMixup
from numerai_lab.augmenters.base import AMOUNTS, Augmenter
from numerai_lab.augmenters.block_dro import BlockDRO
from numerai_lab.augmenters.copies import Cutout, Duplicate, FeatureReversal, GaussianNoise, SwapNoise
from numerai_lab.augmenters.copula import Copula
from numerai_lab.augmenters.ddg_da import DDGDA
from numerai_lab.augmenters.diffusion import Diffusion
from numerai_lab.augmenters.double_ensemble import DoubleEnsemble
from numerai_lab.augmenters.mixture import GMMTargets
from numerai_lab.augmenters.path import CovariancePath
from numerai_lab.augmenters.recency import Recency
from numerai_lab.augmenters.stocks import Dream, NoiseToStock, UNet
from numerai_lab.augmenters.umap_inverse import UMAPInverse
from numerai_lab.augmenters.xgen import XGen

AUGMENTERS: dict[str, type[Augmenter]] = {
    "duplicate": Duplicate,
    "cutout": Cutout,
    "gaussian_noise": GaussianNoise,
    "average": Average,
    "c_mixup": CMixup,
    "anchor": Anchor,
    "swap_noise": SwapNoise,
    "feature_reversal": FeatureReversal,
    "gmm_targets": GMMTargets,
    "copula": Copula,
    "covariance_path": CovariancePath,
    "diffusion": Diffusion,
    "noise_to_stock": NoiseToStock,
    "dream": Dream,
    "unet": UNet,
    "umap_inverse": UMAPInverse,
    "xgen": XGen,
    "recency": Recency,
    "block_dro": BlockDRO,
    "double_ensemble": DoubleEnsemble,
    "ddg_da": DDGDA,
}

__all__ = ["AMOUNTS", "AUGMENTERS", "Augmenter"]
