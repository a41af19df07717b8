"""The encoder of a fitted generator, as a network that predicts begins with it. No torch at import."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numerai_lab.core.arrays import Array
from numerai_lab.neural.layer_state import Layers


@dataclass(frozen=True)
class StartingEncoder:
    """What a network needs to begin with an encoder.

    Attributes
    ----------
    shape: plain values from which an untrained encoder of this form is built; see `neural.trunks`.
    layers: the learned weights, layer after layer, for features in the panel's units.
    selected: positions of the raw features that the encoder reads; None = all.
    constants: what the encoder computes with and never trains, by name.
    """

    shape: Mapping[str, Any]
    layers: Layers
    selected: Array | None = None
    constants: Mapping[str, Array] = field(default_factory=dict)
