"""Networks as layers of arrays: weights (out × in) and biases. Products are float64, so that no row depends on its batch."""

from typing import Any

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64

ROWS_OF_NETWORKS = 1024
"""Rows that go through a network together."""


def network_output(network: dict[str, Any], inputs: Array) -> Float32:
    """Outputs of a network for rows of inputs in their own units: float32, rows × outputs."""
    run = NETWORKS[network["form"]]
    pieces = [inputs[start : start + ROWS_OF_NETWORKS] for start in range(0, len(inputs), ROWS_OF_NETWORKS)]
    return np.concatenate([run(network, piece.astype(np.float64)).astype(np.float32) for piece in pieces])


def through_layers(network: dict[str, Any], x: Float64) -> Float64:
    """Linear layers with an activation between them; with `deep`, the outputs of all, each after its activation."""
    outputs, layers, activate = [], network["layers"], ACTIVATIONS[network.get("activation", "relu")]
    for i, (weights, biases) in enumerate(layers):
        x = x @ weights.astype(np.float64).T + biases
        if network.get("deep"):
            x = activate(x)
            outputs.append(x)
        elif i < len(layers) - 1 or network.get("last"):
            x = activate(x)
    return np.concatenate(outputs, axis=1) if outputs else x


def mean_of_subsets(network: dict[str, Any], x: Float64) -> Float64:
    """The mean output of networks, each of its own subset of the columns."""
    parts = [through_layers(part, x[:, columns]) for part, columns in zip(network["parts"], network["subsets"], strict=True)]
    mean: Float64 = np.mean(parts, axis=0)
    return mean


def of_scores(network: dict[str, Any], x: Float64) -> Float64:
    """A linear map of principal scores plus hidden layers over them."""
    scores = spread_out_cells(x, network["metric"]) @ network["projection"].astype(np.float64) + network["shift"]
    return through_layers(network["straight"], scores) + through_layers(network["body"], scores)


def spread_out_cells(values: Float64, metric: str) -> Float64:
    """Rows in a space whose squared Euclidean distances are proportional to the metric."""
    if metric == "euclidean":
        return values
    if metric in ("manhattan", "hamming"):
        bins = values.round().clip(0, 4)
        levels = [bins > i for i in range(4)] if metric == "manhattan" else [bins == i for i in range(5)]
        return np.concatenate(levels, axis=1).astype(np.float64)
    if metric == "correlation":
        values = values - values.mean(1, keepdims=True)
    lengths = np.sqrt((values**2).sum(1, keepdims=True))
    unit: Float64 = values / np.maximum(lengths, 1e-12)
    return unit


def of_era(network: dict[str, Any], x: Float64) -> Float64:
    """Latents of the era autoencoder, from cells, the era's code and a frozen network; the mean over `masks` where it has any."""
    bins = x * network["to_bins"]
    hidden = np.maximum(bins @ network["frozen"][0][0].astype(np.float64).T + network["frozen"][0][1], 0)
    random = sigmoid(hidden @ network["frozen"][1][0].astype(np.float64).T + network["frozen"][1][1])
    codes = np.full((len(x), 1), network["code"])
    draws = []
    for mask in network.get("masks") or [None]:
        values = np.concatenate([bins if mask is None else bins * mask[0], codes, random], axis=1)
        for i, (weights, biases) in enumerate(network["layers"]):
            values = sigmoid(values @ weights.astype(np.float64).T + biases)
            if mask is not None and i < len(network["layers"]) - 1:
                values = values * mask[i + 1]
        draws.append(values)
    latents: Float64 = np.mean(draws, axis=0)
    return latents


def of_latents(network: dict[str, Any], x: Float64) -> Float64:
    """A supervised autoencoder: latents of the cells, or the prediction from cells and latents."""
    latents = through_layers(network["encoding"], x)
    return (
        latents if network["prediction"] is None else through_layers(network["prediction"], np.concatenate([x, latents], axis=1))
    )


def from_centres(network: dict[str, Any], x: Float64) -> Float64:
    """Distances of a network's outputs to centres."""
    places = through_layers(network["places"], x)
    distances: Float64 = np.sqrt(((places[:, None] - network["centres"].astype(np.float64)) ** 2).sum(2))
    return distances


def mean_of_members(network: dict[str, Any], x: Float64) -> Float64:
    """The mean prediction of members, each brought to its level and spread; rows × 1. Inputs are standardised first.

    A member has `layers`, after an `encoder` whose outputs are standardised, if it has one.
    """
    x, outputs = (x - network["mean"]) * network["scale"], []
    for member in network["members"]:
        values = x
        if (encoder := member.get("encoder")) is not None:
            own = x if encoder["selected"] is None else x[:, encoder["selected"]]
            own = encoder["mean"] + own * encoder["deviation"] if encoder["in_cells"] else own
            values = (NETWORKS[encoder["network"]["form"]](encoder["network"], own) - member["centre"]) * member["unit"]
        outputs.append(through_layers(member, values))
    levelled: Float64 = (np.concatenate(outputs, axis=1) - network["level"]) / network["spread"]
    mean: Float64 = levelled.mean(1, keepdims=True)
    return mean


def sigmoid(values: Float64) -> Float64:
    """1 / (1 + exp(−x)), without overflow."""
    positive: Float64 = 1 / (1 + np.exp(-np.abs(values)))
    return np.where(values >= 0, positive, 1 - positive)


def relu(values: Float64) -> Float64:
    """max(x, 0)."""
    return np.maximum(values, 0)


def swish(values: Float64) -> Float64:
    """x · sigmoid(x)."""
    return values * sigmoid(values)


ACTIVATIONS = {"relu": relu, "swish": swish}
NETWORKS = {
    "layers": through_layers,
    "subsets": mean_of_subsets,
    "scores": of_scores,
    "era": of_era,
    "latents": of_latents,
    "centres": from_centres,
    "members": mean_of_members,
}
"""The function of each `form` of network."""
