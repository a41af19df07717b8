"""TabM: an ensemble whose members share the weights of every hidden layer, but for scales of inputs and outputs."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from numerai_lab.core.arrays import Float64
from numerai_lab.neural.networks import linear
from numerai_lab.neural.predictors import Dropout, PredictionNetwork, activated


class SharedLinear(nn.Module):
    """The linear layers of all members: member i has the weights s_i · W · r_i (out × in) and a bias of its own.

    W is shared; r and s, members × in and members × out, are vectors of a member. BatchEnsemble, Wen
    et al. 2020 (arXiv:2002.06715). Its authors scale the inputs and outputs of every row; to scale
    the weights is the same product and touches fewer numbers.
    """

    def __init__(self, n_in: int, n_out: int, members: int, init: torch.Generator) -> None:
        super().__init__()
        shared = linear(n_in, n_out, init)
        self.weight = shared.weight
        self.bias = nn.Parameter(shared.bias.detach().repeat(members, 1))
        self.r, self.s = nn.Parameter(torch.ones(members, n_in)), nn.Parameter(torch.ones(members, n_out))

    def weights(self) -> Tensor:
        """The weights of every member: members × out × in."""
        return self.s[:, :, None] * self.weight * self.r[:, None]

    def forward(self, x: Tensor, dropout: Dropout | None = None) -> Tensor:
        """Activations, members × out × rows, of in × rows that all members read, or of members × in × rows."""
        scale = 1.0 if dropout is None else dropout.scale
        weights, bias = self.weights() * scale, self.bias * scale
        if x.dim() == 3:
            return activated(torch.baddbmm(bias[:, :, None], weights, x), dropout)
        values = torch.addmm(bias.reshape(-1, 1), weights.flatten(0, 1), x)
        return activated(values, dropout).view(*bias.shape, -1)


class TabMNetwork(PredictionNetwork):
    """A trunk of shared layers with ReLU and dropout, and a linear head of every member's own.

    Members begin alike but for the first layer's r, random signs, and the heads. Gorishniy, Kotelnikov, Babenko 2025.
    """

    def __init__(self, moments: tuple[Float64, Float64], hidden: Sequence[int], members: int, init: torch.Generator) -> None:
        super().__init__(moments, members)
        sizes = [len(moments[0]), *hidden]
        self.layers = nn.ModuleList(SharedLinear(*pair, members, init) for pair in itertools.pairwise(sizes))
        with torch.no_grad():
            self.trunk[0].r.bernoulli_(0.5, generator=init).mul_(2).sub_(1)
        heads = [linear(sizes[-1], 1, init) for _ in range(members)]
        self.head_weight = nn.Parameter(torch.stack([head.weight.detach() for head in heads]))
        self.head_bias = nn.Parameter(torch.stack([head.bias.detach() for head in heads]))

    @property
    def trunk(self) -> list[SharedLinear]:
        """The hidden layers in their order."""
        return [layer for layer in self.layers if isinstance(layer, SharedLinear)]

    def forward(self, x: Tensor, dropout: Dropout | None = None) -> Tensor:
        hidden = self.hidden(x, dropout)
        return torch.baddbmm(self.head_bias[:, :, None], self.head_weight, hidden)[:, 0].T

    def hidden(self, x: Tensor, dropout: Dropout | None = None) -> Tensor:
        """Activations of the trunk: members × width × rows."""
        hidden = x.T
        for layer in self.layers:
            hidden = layer(hidden, dropout)
        return hidden
