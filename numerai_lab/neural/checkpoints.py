"""Weights and the optimiser's moments as named arrays, for checkpoints."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from numerai_lab.core.arrays import Array


def training_state(module: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Array]:
    """Weights and the optimiser's moments, as arrays of a checkpoint."""
    moments = optimiser.state_dict()["state"]
    return {
        **{f"now/{name}": array_of(value) for name, value in module.state_dict().items()},
        **{f"moment/{i}/{name}": array_of(value) for i, values in moments.items() for name, value in values.items()},
    }


def load_training_state(arrays: Mapping[str, Array], module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Loads the weights and moments that `training_state` returned."""
    module.load_state_dict(tensors_in(arrays, "now/", next(module.parameters()).device))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors_in(arrays, "moment/", torch.device("cpu")).items():
        i, part = name.split("/")
        moments.setdefault(int(i), {})[part] = value
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})


def array_of(value: Tensor) -> Array:
    """A tensor as an array of its own, on the CPU."""
    array: Array = value.detach().cpu().numpy().copy()
    return array


def tensors_in(arrays: Mapping[str, Array], prefix: str, device: torch.device) -> dict[str, Tensor]:
    """The arrays whose names begin with `prefix`, without it, as tensors of their own."""
    selected = {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}
    return {name: torch.from_numpy(value.copy()).to(device) for name, value in selected.items()}


def copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies that training leaves as they are."""
    return {name: value.detach().clone() for name, value in weights.items()}
