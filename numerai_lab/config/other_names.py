"""What methods are called elsewhere, and what is written here in their place."""

import re
from collections.abc import Iterable, Mapping

from numerai_lab.core.errors import nearest


def _each(names: str, advice: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), advice)


def _sklearn(names: str, estimator: str) -> dict[str, str]:
    return _each(names, f"`kind: sklearn` with `estimator: {estimator}`")


def _transformer(names: str, estimator: str) -> dict[str, str]:
    return _each(names, f"`kind: sklearn_transformer` with `estimator: {estimator}`")


CONTRASTIVE = ("scarf", "vime", "subtab", "vicreg", "simsiam", "switchtab", "lfr")
OTHER_NAMES = {
    **_each("mixup manifold_mixup", "`kind: average` with `alpha`; `kind: c_mixup` takes partners close in target"),
    **_each("row_average averaging", "`kind: average`"),
    **_each("ada anchor_data_augmentation", "`kind: anchor`"),
    **_each("dae denoising_autoencoder ae autoencoders bottleneck", "`kind: autoencoder`, with swap noise by default"),
    **_each("mae masked_autoencoder mvm masked_value_modelling", "`kind: autoencoder` with `objective: masked`"),
    **_each("vae variational_autoencoder", "none is built in; `kind: autoencoder` is the nearest"),
    **_each("sae", "`kind: supervised_autoencoder`"),
    **{
        name: f"`kind: contrastive` with `method: {name}`"
        for name in ["scarf", "vime", "subtab", "vicreg", "simsiam", "switchtab", "lfr"]
    },
    **_each("barlow barlow_twins", "`kind: contrastive` with `method: barlow`"),
    **_each("simclr infonce ssl self_supervised", "`kind: contrastive` with `method: scarf`"),
    **_each("fa factors latent_factors", "`kind: factor_analysis`"),
    **_each("svd truncated_svd principal_components", "`kind: pca`"),
    **_transformer("nmf", "sklearn.decomposition.NMF"),
    **_transformer("ica fast_ica", "sklearn.decomposition.FastICA"),
    **_transformer("kernel_pca kpca", "sklearn.decomposition.KernelPCA"),
    **_transformer("random_projection", "sklearn.random_projection.GaussianRandomProjection"),
    **_transformer("kmeans clusters clustering", "sklearn.cluster.KMeans"),
    **_transformer("polynomial polynomial_features", "sklearn.preprocessing.PolynomialFeatures"),
    **_each("tsne pacmap trimap mds", "none is built in, as it places no new rows; `kind: umap` does"),
    **_each("placebo noise_columns random", "`kind: random_columns`"),
    **_each("knn_density lof density", "`kind: local_density`"),
    **_each("gaussian noise jitter gaussian_augmentation", "`kind: gaussian_noise`"),
    **_each("dropout cutoff masking", "`kind: cutout`"),
    **_each("swap", "`kind: swap_noise`"),
    **_each("sign_flip flip reversal", "`kind: feature_reversal`"),
    **_each("gmm gaussian_mixture bayesian_gmm", "`kind: gmm_targets`"),
    **_each("ddpm edm tabddpm tab_ddpm score_matching", "`kind: diffusion`"),
    **_each("gaussian_copula", "`kind: copula`"),
    **_each(
        "ctgan tvae gan synthetic_rows", "none is built in; `copula`, `xgen` and `diffusion` draw rows, a plug-in adds others"
    ),
    **_each("smote adasyn", "none is built in, as targets are no rare classes; `kind: c_mixup` is the nearest"),
    **_each("time_decay half_life decay exponential_weights", "`kind: recency`"),
    **_each("group_dro dro", "`kind: block_dro`"),
    **_each("xgb xgbregressor gbdt gbm gradient_boosting dart", "`kind: xgboost`"),
    **_each("lgb lgbm lgbmregressor", "`kind: lightgbm`"),
    **_each("cat cb catboostregressor", "`kind: catboost`"),
    **_each("nn dnn network neural_network resnet keras", "`kind: mlp`"),
    **_each("ols linear linear_regression", "`kind: ridge`"),
    **_sklearn("rf random_forest randomforest", "RandomForestRegressor"),
    **_sklearn("extra_trees et", "ExtraTreesRegressor"),
    **_sklearn("lasso", "Lasso"),
    **_sklearn("elastic_net elasticnet", "ElasticNet"),
    **_sklearn("svr svm", "SVR"),
    **_sklearn("knn", "KNeighborsRegressor"),
    **_each("neutralise neutralize neutralization", "`neutralize` of a variant, or `kind: neutralized` as its target transform"),
    **_each("residual residualize", "`kind: residual_to_benchmark` as a variant's target transform"),
    **_each("gaussianize gauss_rank", "`kind: rank_gauss` as a variant's target transform"),
    **_each("parquet csv file dataframe pandas", "`source: files`"),
    **_each("tournament numerapi v5", "`source: numerai`"),
    **_each("fake demo simulated", "`source: synthetic`"),
}


def named_here(name: object) -> str:
    """What is written here for a method's other name: `here: ...`; empty for a name that this list does not hold."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name)[:80])
    plain = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")
    advice = OTHER_NAMES.get(plain) or OTHER_NAMES.get(plain.replace("_", ""))
    return f"here: {advice}" if advice else ""


def help_with(name: object, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown method: what it is called here, or else the nearest known name."""
    return named_here(name) or nearest(name, known)


def unknown_method(name: str, families: Mapping[str, Iterable[str]]) -> str:
    """A sentence about a name that no family has: what it is called here, the nearest name, or where all are listed."""
    advice = help_with(name, (member for members in families.values() for member in members))
    if advice.startswith("known"):
        advice = f"`nlab list FAMILY` lists {', '.join(families)}"
    return f"nothing is called {name!r}; {advice}"
