"""Weights that look after the worst block of eras: group distributionally robust optimisation."""

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.augmenters.linear_proxy import EraRelations
from numerai_lab.augmenters.weigher import EraWeigher
from numerai_lab.core.arrays import Float64, Int64
from numerai_lab.core.control import Control
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext


class BlockDRO(EraWeigher):
    """Weights of chronological blocks of eras, larger where a model that minds all blocks still errs.

    Group DRO minimises the largest loss of any group. At each step the learner is fitted with the
    weights q, and q_b ← q_b · exp(η · loss_b / s), divided by its sum; the weights are the mean of
    q over the steps. The learner is a ridge regression of the target on features, both centred
    within the era; the loss of a block is the mean over its eras of squared error over target
    variance; s is the standard error of such a mean under equal weights, so that η means the same
    on any data. A block of pure noise gets the largest weight of all: that is a known fault of
    group DRO, and `steps` × `step_size` bounds it.

    Source: Sagawa et al. 2020 (arXiv:1911.08731), algorithm 1, for groups that are blocks of eras
    and a linear learner in closed form (this project).
    """

    control: ClassVar[Control] = Control(why="no world has a block of training eras whose relation is that of validation")
    words: ClassVar[str] = "weights of {blocks} blocks of eras, more for hard ones"
    kind: Literal["block_dro"] = "block_dro"
    blocks: int = Field(8, ge=2, le=1000, description="blocks of as many eras each, in order of time")
    steps: int = Field(50, gt=0, le=10_000, description="updates of the weights")
    step_size: float = Field(0.01, gt=0, le=10, description="η: how far a step moves weights, a standard error of loss apart")
    penalty: float = Field(0.01, ge=0, description="ridge penalty of the learner, in mean variances of its inputs")
    n_inputs: int = Field(
        64, gt=0, le=500, description="with more features than this the learner reads their first principal components"
    )

    def refusal(self, panel: Panel) -> str:
        n_eras = int(np.count_nonzero(panel.n_known >= 2))
        message = f"block_dro: {self.blocks} blocks of two eras or more need {2 * self.blocks} eras with two known targets"
        return f"{message}, got {n_eras}; take fewer blocks" if n_eras < 2 * self.blocks else ""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns the weights of the blocks. Raises NlabError for eras with a `refusal`, or whose target varies in too few."""
        if message := self.refusal(panel):
            raise NlabError(message)
        relations = EraRelations.of(panel, self.n_inputs, context)
        if len(relations.eras) < 2 * self.blocks:
            raise NlabError(f"block_dro: the target varies in {len(relations.eras)} eras, wanted {2 * self.blocks}")
        groups = np.array_split(np.arange(len(relations.eras)), self.blocks)
        weights = self._weights(relations, groups)
        eras = panel.eras[panel.n_known > 0].astype(np.int64)
        starts = np.array([relations.eras[group[0]] for group in groups[1:]])
        self._learn(eras, weights[np.searchsorted(starts, eras, side="right")])
        return self

    def _weights(self, relations: EraRelations, groups: list[Int64]) -> Float64:
        blocks = relations.over(groups)
        shares = np.full(len(groups), 1 / len(groups))
        by_era = relations.losses(blocks.coefficients(shares, self.penalty))
        error = float(np.sqrt(np.mean([by_era[group].var(ddof=1) / len(group) for group in groups])))
        total = np.zeros(len(groups))
        for _ in range(self.steps):
            losses = blocks.losses(blocks.coefficients(shares, self.penalty))
            shares = shares * np.exp(self.step_size * (losses - losses.max()) / max(error, 1e-12))
            shares /= shares.sum()
            total += shares
        weights: Float64 = total * len(groups) / self.steps
        return weights
