"""Trained models as plain values and arrays, which `container.columns` computes with."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from numerai_lab.core.arrays import Array, arrays_from_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.models import Model
from numerai_lab.models.boosting import XGBoost
from numerai_lab.models.catboost import CatBoost
from numerai_lab.models.lightgbm import LightGBM
from numerai_lab.models.linear import Ridge
from numerai_lab.models.networks import MLP, TabM
from numerai_lab.tournament.generator_arrays import Plain
from numerai_lab.tournament.tree_arrays import catboost_trees, lightgbm_trees, xgboost_trees

Layer = tuple[Array, Array]


def model_arrays(model: Model, content: bytes) -> Plain:
    """A model from the content of its file in the run folder. Raises NlabError for a model that can't be deployed."""
    if message := undeployable_model(model):
        raise NlabError(message)
    return next(convert for kind, convert in CONVERTERS.items() if isinstance(model, kind))(content)


def undeployable_model(model: Model, outputs: int = 1) -> str:
    """A sentence that says why a model can't be deployed; empty where it can. outputs: targets that it predicts at once."""
    if any(isinstance(model, kind) for kind in CONVERTERS):
        return "" if outputs == 1 else f"{model.kind} with several outputs can't be deployed; train a model for each target"
    return f"the model {model.kind} needs more than numpy, so it can't be deployed; deploy a variant with another model"


def _ridge(content: bytes) -> Plain:
    state = arrays_from_bytes(content)
    return {"function": "linear", "weights": state["weights_"], "intercept": float(state["intercept_"])}


def _mlp(content: bytes) -> Plain:
    state = arrays_from_bytes(content)
    members: list[Plain] = [{"layers": _member_layers(state, i)} for i in range(len(state["network_level_"]))]
    if "encoder_shape_" in state:
        shape = json.loads(state["encoder_shape_"].tobytes())
        for i, member in enumerate(members):
            encoder = _begun_encoder(state, shape, f"network_encoders.{i}.")
            member |= {"encoder": encoder, "centre": state["network_centre_"][i], "unit": state["network_unit_"][i]}
    return _network(state, members)


def _member_layers(state: Mapping[str, Array], i: int) -> list[Layer]:
    return [*_linears(state, f"network_trunks.{i}.layers."), *_linears(state, f"network_heads.{i}.")]


def _tabm(content: bytes) -> Plain:
    """Each member as a network of its own: its weights are the shared ones, scaled."""
    state = arrays_from_bytes(content)
    n_layers = sum(name.startswith("network_layers.") and name.endswith(".r_") for name in state)
    parts = [[state[f"network_layers.{i}.{name}_"] for name in ("weight", "bias", "r", "s")] for i in range(n_layers)]
    members = []
    for i in range(len(state["network_level_"])):
        hidden = [(s[i][:, None] * weight * r[i], bias[i]) for weight, bias, r, s in parts]
        members.append({"layers": [*hidden, (state["network_head_weight_"][i], state["network_head_bias_"][i])]})
    return _network(state, members)


def _network(state: Mapping[str, Array], members: list[Plain]) -> Plain:
    standard = {name: state[f"network_{name}_"] for name in ("mean", "scale", "level", "spread")}
    return {"function": "network", "network": {"form": "members", **standard, "members": members}}


def _begun_encoder(state: Mapping[str, Array], shape: Mapping[str, Any], prefix: str) -> Plain:
    """The encoder of a generator that a network began with. Forms that compute with cells get their inputs back in cells."""
    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    facts = {"selected": own.get("selected_"), "mean": own["mean_"], "deviation": own["deviation_"]}
    if shape["form"] == "layers":
        network: Plain = {"form": "layers", "layers": _linears(own, "net."), "deep": shape["deep"]}
    elif shape["form"] == "scores":
        axes = {"metric": shape["metric"], "projection": own["projection_"], "shift": own["shift_"]}
        body, straight = _linears(own, "encoder.body."), _linears(own, "encoder.straight.")
        network = {"form": "scores", **axes, "body": {"layers": body}, "straight": {"layers": straight}}
    else:
        layers: Plain = {name: _linears(own, f"encoder.{name}.") for name in ("frozen", "layers")}
        network = {"form": "era", "to_bins": 4 / shape["top"], **layers, "masks": [], "code": float(shape["code"])}
    return {**facts, "in_cells": shape["form"] != "layers", "network": network}


def _linears(state: Mapping[str, Array], prefix: str) -> list[Layer]:
    """The linear layers under a name, in their order: `<prefix>weight_`, or `<prefix><number>.weight_`."""
    stems = [name.removesuffix("weight_") for name in state if name.startswith(prefix) and name.endswith("weight_")]
    numbered = sorted(stems, key=lambda stem: int(stem.removeprefix(prefix).rstrip(".") or 0))
    return [(state[f"{stem}weight_"], state[f"{stem}bias_"]) for stem in numbered]


def _trees(read: Callable[[bytes], Plain]) -> Callable[[bytes], Plain]:
    return lambda content: {"function": "trees", **read(content)}


CONVERTERS: Mapping[type[Model], Callable[[bytes], Plain]] = {
    XGBoost: _trees(xgboost_trees),
    LightGBM: _trees(lightgbm_trees),
    CatBoost: _trees(catboost_trees),
    Ridge: _ridge,
    MLP: _mlp,
    TabM: _tabm,
}
"""How a model becomes arrays; kinds that are not here can't be deployed."""
