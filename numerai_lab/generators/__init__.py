"""Generators: columns learned from features. A new one is one file and one line here."""

from numerai_lab.generators.autoencoder import Autoencoder, RandomEncoder
from numerai_lab.generators.base import Generator
from numerai_lab.generators.contrastive import Scarf
from numerai_lab.generators.density import LocalDensity
from numerai_lab.generators.era import EraCode
from numerai_lab.generators.era_autoencoder import EraAutoencoder
from numerai_lab.generators.groups import GroupStats
from numerai_lab.generators.linear import PCA, FactorAnalysis
from numerai_lab.generators.noise import RandomColumns
from numerai_lab.generators.ratios import LogRatioPairs
from numerai_lab.generators.sklearn_transformer import SklearnTransformer
from numerai_lab.generators.supervised import Siamese, SupervisedAutoencoder
from numerai_lab.generators.umap import UMAPAuto

GENERATORS: dict[str, type[Generator]] = {
    "pca": PCA,
    "factor_analysis": FactorAnalysis,
    "umap": UMAPAuto,
    "group_stats": GroupStats,
    "log_ratio_pairs": LogRatioPairs,
    "local_density": LocalDensity,
    "era_code": EraCode,
    "random_columns": RandomColumns,
    "autoencoder": Autoencoder,
    "random_encoder": RandomEncoder,
    "contrastive": Scarf,
    "era_autoencoder": EraAutoencoder,
    "supervised_autoencoder": SupervisedAutoencoder,
    "siamese": Siamese,
    "sklearn_transformer": SklearnTransformer,
}

__all__ = ["GENERATORS", "Generator"]
