"""Columns of generators and predictions of models, by the name of their function."""

from collections.abc import Callable
from typing import Any

import numpy as np

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.generators.density import log_distances
from numerai_lab.generators.groups import statistics_of_groups
from numerai_lab.generators.linear import linear_scores, quantiles_of, residual_norms
from numerai_lab.generators.noise import hashed_noise
from numerai_lab.generators.ratios import log_ratios
from numerai_lab.metrics.era import rank
from numerai_lab.tournament.container.networks import network_output
from numerai_lab.tournament.container.trees import sum_of_trees, weighted_sum


def generated_columns(generator: dict[str, Any], features: Array, top: float, era: int) -> Float32:
    """The columns of a generator for an era's rows × features, which are 0..top; as ranks within the era where it is `ranked`."""
    if generator["selected"] is not None:
        features = features[:, generator["selected"]]
    columns = COLUMNS[generator["function"]](features, top, era, generator)
    return rank(columns.astype(np.float64)).astype(np.float32) if generator["ranked"] else columns


def factors_and_unusual(features: Array, top: float, era: int, generator: dict[str, Any]) -> Float32:
    """Scores of factors, and where a row's residual stands among those of training."""
    scores = linear_scores(features, top, generator["mean"], generator["projection"])
    arrays = (generator[name] for name in ("mean", "projection", "loadings", "precision"))
    return np.column_stack([scores, quantiles_of(residual_norms(features, top, *arrays), generator["quantiles"])])


def place_of_era(features: Array, top: float, era: int, generator: dict[str, Any]) -> Float32:
    """The place of the era between the first and last one of the fit, from 0; at most 1 where it is `capped`."""
    code = max(0, era - generator["first"]) / max(1, generator["last"] - generator["first"])
    return np.full((len(features), 1), min(code, 1) if generator["capped"] else code, np.float32)


def parts_of_latents(features: Array, top: float, era: int, generator: dict[str, Any]) -> Float32:
    """The era autoencoder's columns: raw = latents, argmax and onehot = the largest latent, era = the era's code."""
    eras = generator["eras"]
    own = float(np.clip(np.searchsorted(eras, era, side="right") - 1, 0, len(eras) - 1) * generator["step"])
    own = float(np.rint(own)) if generator["whole"] else own
    if generator["network"] is None:
        return np.full((len(features), 1), own, np.float32)
    code = generator["largest_code"] if generator["latest"] else own
    latents = network_output({**generator["network"], "code": code}, features)
    largest = latents.argmax(1)[:, None]
    parts = {
        "raw": latents,
        "argmax": largest.astype(np.float32),
        "onehot": (largest == np.arange(latents.shape[1])).astype(np.float32),
        "era": np.full((len(features), 1), own, np.float32),
    }
    return np.concatenate([parts[name] for name in generator["emit"]], axis=1)


COLUMNS: dict[str, Callable[..., Float32]] = {
    "linear": lambda features, top, era, own: linear_scores(features, top, own["mean"], own["loadings"]),
    "factors": factors_and_unusual,
    "groups": lambda features, top, era, own: statistics_of_groups(features, top, own["members"], own["names"]),
    "ratios": lambda features, top, era, own: log_ratios(features, top, own["pairs"], own["offset"]),
    "density": lambda features, top, era, own: log_distances(features, top, own["landmarks"], own["n_neighbors"]),
    "noise": lambda features, top, era, own: hashed_noise(features, era, own["multipliers"], own["n_columns"]),
    "place of era": place_of_era,
    "latents of era": parts_of_latents,
    "network": lambda features, top, era, own: network_output(own["network"], features),
}
"""The function of each generator."""
MODELS: dict[str, Callable[..., Float32]] = {
    "trees": sum_of_trees,
    "linear": weighted_sum,
    "network": lambda X, model: network_output(model["network"], X)[:, 0],
}
"""The function of each model."""
