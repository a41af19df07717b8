"""Generators: columns learned from features. A new one is one file and one line here."""

from numerai_lab.generators.base import Generator
from numerai_lab.generators.linear import PCA, FactorAnalysis
from numerai_lab.generators.umap import UMAP

GENERATORS: dict[str, type[Generator]] = {"pca": PCA, "factor_analysis": FactorAnalysis, "umap": UMAP}

__all__ = ["GENERATORS", "Generator"]
