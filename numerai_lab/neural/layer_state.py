"""Layers of networks as learned state: `weights_0_`, `biases_0_`, `weights_1_` …

No torch at import.
"""

from collections.abc import Mapping, Sequence

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.component import Component

Layers = Sequence[tuple[Float32, Float32]]
"""Weights (out × in) and biases of layer after layer."""


def keep_layers(component: Component, layers: Layers, prefix: str = "") -> None:
    """Stores layers as learned arrays of a component, under names that begin with `prefix`."""
    for i, (weights, biases) in enumerate(layers):
        setattr(component, f"{prefix}weights_{i}_", weights)
        setattr(component, f"{prefix}biases_{i}_", biases)


def layers_in(state: Mapping[str, Array], n_layers: int, prefix: str = "") -> list[tuple[Array, Array]]:
    """The layers that `keep_layers` put into a state. Raises KeyError where one is missing."""
    return [(state[f"{prefix}weights_{i}_"], state[f"{prefix}biases_{i}_"]) for i in range(n_layers)]
