"""Generators: columns learned from features. A new one is one file and one line here."""

from numerai_lab.generators.autoencoder import Autoencoder, RandomEncoder
from numerai_lab.generators.base import Generator
from numerai_lab.generators.contrastive import Contrastive
from numerai_lab.generators.era_autoencoder import EraAutoencoder
from numerai_lab.generators.linear import PCA, FactorAnalysis
from numerai_lab.generators.umap import UMAP

GENERATORS: dict[str, type[Generator]] = {
    "pca": PCA,
    "factor_analysis": FactorAnalysis,
    "umap": UMAP,
    "autoencoder": Autoencoder,
    "random_encoder": RandomEncoder,
    "contrastive": Contrastive,
    "era_autoencoder": EraAutoencoder,
}

__all__ = ["GENERATORS", "Generator"]
