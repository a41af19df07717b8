"""Weights that make the training eras resemble what comes next: DDG-DA with a linear proxy in closed form."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.augmenters.linear_proxy import EraRelations, penalised
from numerai_lab.augmenters.weigher import EraWeigher
from numerai_lab.core.arrays import Float64
from numerai_lab.core.control import Control
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.splits import embargo_for


class DDGDA(EraWeigher):
    """Weights of segments of eras, as a forecast of which of them the next segment will be like.

    Every segment i of eras gives a ridge regression; f_i is how much of the target's variance it
    explains in each of the last `history` segments before the forecast, standardised. A linear
    forecaster θ weighs segment i with m^tanh(θ · f_i), m = `most`. It is trained over tasks that
    roll through the training eras: in each, the ridge regression over all earlier segments, weighted
    so, is solved in closed form, and θ minimises its mean loss on the next segment. Between a task's
    segments and the one it is scored on lie as many eras as the target needs. The weights for the
    model are those that θ gives at the end of the training eras.

    Source: Li et al. 2022, DDG-DA (arXiv:2201.04038), as in Qlib: linear proxy, weights m^tanh. Here
    segments take the place of its rolling tasks, and inputs are centred within eras.
    """

    control: ClassVar[Control] = Control(why="no world has a relation that moves in a way its past tells")
    words: ClassVar[str] = "weights of segments of {segment} eras by forecast"
    kind: Literal["ddg_da"] = "ddg_da"
    segment: int = Field(4, gt=0, le=1000, description="eras of a segment, which share a weight")
    history: int = Field(6, gt=0, le=100, description="segments before the forecast in which the others' relations are tried")
    gap: int | None = Field(
        None, ge=0, le=1000, description="eras between a task's segments and its test; none = the embargo of the target's horizon"
    )
    most: float = Field(2.0, gt=1, le=100, description="largest weight before division by the mean; the smallest is its inverse")
    decay: float = Field(0.01, ge=0, description="penalty on θ², in units of the variance that equal weights explain")
    penalty: float = Field(0.01, ge=0, description="ridge penalty of the regressions, in mean variances of their inputs")
    n_inputs: int = Field(
        64, gt=0, le=500, description="with more features than this regressions read their first principal components"
    )

    def refusal(self, panel: Panel) -> str:
        if self.gap is None and panel.reach_days is None:
            return "ddg_da: the target's horizon is unknown; set gap, the eras between a task and its test"
        return self._too_short(int(np.count_nonzero(panel.n_known >= 2)), self._gap_segments(panel))

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns θ (`theta_`) and the weights. Raises NlabError for eras with a `refusal`, or whose target varies in too few."""
        if message := self.refusal(panel):
            raise NlabError(message)
        relations = EraRelations.of(panel, self.n_inputs, context)
        gap = self._gap_segments(panel)
        if message := self._too_short(len(relations.eras), gap):
            raise NlabError(f"{message}, counting those in which the target varies")
        n_segments = len(relations.eras) // self.segment
        groups = np.array_split(np.arange(len(relations.eras)), n_segments)
        segments = relations.over(groups)
        explained = _explained(segments, self.penalty)
        self.theta_ = self._trained(self._tasks(segments, explained, gap))
        last = _standardised(explained[:, n_segments - self.history :])
        weights = _forecast(self.theta_, last, self.most)[0]
        eras = panel.eras[panel.n_known > 0].astype(np.int64)
        starts = np.array([relations.eras[group[0]] for group in groups[1:]])
        self._learn(eras, weights[np.searchsorted(starts, eras, side="right")])
        return self

    def _gap_segments(self, panel: Panel) -> int:
        """Segments that cover the gap."""
        gap = self.gap if self.gap is not None else embargo_for(panel.reach_days or 0, panel.days_per_era)
        return -(-gap // self.segment)

    def _first_test(self, gap: int) -> int:
        """The first segment that a task is scored on: it has a past of `history` segments and one more."""
        return self.history + gap + 1

    def _too_short(self, n_eras: int, gap: int) -> str:
        wanted = self.segment * (self._first_test(gap) + 2)
        few = f"ddg_da: two tasks need {wanted} eras with two known targets, got {n_eras}; take a smaller segment or history"
        return few if n_eras < wanted else ""

    def _tasks(self, segments: EraRelations, explained: Float64, gap: int) -> "list[_Task]":
        """The tasks within the training eras; each knows the segments that end `gap` segments before its test."""
        ends = [(test, test - gap) for test in range(self._first_test(gap), len(segments.eras))]
        return [_Task(segments, _standardised(explained[:end, end - self.history : end]), test) for test, end in ends]

    def _trained(self, tasks: "list[_Task]") -> Float64:
        from scipy.optimize import minimize

        equal = np.zeros(self.history)
        unit = max(float(np.mean([abs(1 - task.loss(equal, self.most, self.penalty)[0]) for task in tasks])), 1e-12)

        def objective(theta: Float64) -> tuple[float, Float64]:
            parts = [task.loss(theta, self.most, self.penalty) for task in tasks]
            slope = np.mean([gradient for _, gradient in parts], axis=0) / unit + 2 * self.decay * theta
            return float(np.mean([loss - 1 for loss, _ in parts])) / unit + self.decay * float(theta @ theta), slope

        return np.asarray(minimize(objective, equal, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x, np.float64)


@dataclass(frozen=True)
class _Task:
    """A forecast within the training eras. past: segments × history, of the first segments; test: the segment scored on."""

    segments: EraRelations
    past: Float64
    test: int

    def loss(self, theta: Float64, most: float, penalty: float) -> tuple[float, Float64]:
        """The loss on the test segment of the regression with the forecaster's weights, and its gradient."""
        weights, slopes = _forecast(theta, self.past, most)
        grams, crosses = self.segments.grams[: len(weights)], self.segments.crosses[: len(weights)]
        gram = penalised(np.tensordot(weights, grams, 1), penalty)
        coefficients = np.linalg.solve(gram, weights @ crosses)
        target_gram, target_cross = self.segments.grams[self.test], self.segments.crosses[self.test]
        loss = 1 - 2 * target_cross @ coefficients + coefficients @ target_gram @ coefficients
        pull = np.linalg.solve(gram, 2 * (target_gram @ coefficients - target_cross))
        levels = np.trace(grams, axis1=1, axis2=2) / gram.shape[0]
        by_weight = (crosses - grams @ coefficients) @ pull - penalty * levels * (coefficients @ pull)
        return float(loss), by_weight @ slopes


def _forecast(theta: Float64, past: Float64, most: float) -> tuple[Float64, Float64]:
    """Weights of the segments, and their derivative by θ: segments, segments × history."""
    turn = np.tanh(past @ theta)
    weights = most**turn
    return weights, (weights * np.log(most) * (1 - turn**2))[:, None] * past


def _explained(segments: EraRelations, penalty: float) -> Float64:
    """The share of variance that the regression of one segment explains in another, row by column; its own too."""
    n = len(segments.eras)
    fits = [segments.coefficients(row, penalty) for row in np.eye(n)]
    return np.array([1 - segments.losses(fit) for fit in fits])


def _standardised(values: Float64) -> Float64:
    """Columns with mean 0 and standard deviation 1 over the segments; 0 where they do not differ.

    A segment's fit to itself says nothing of others: it is first replaced by the mean of its row's other columns.
    """
    n, k = values.shape
    own = np.zeros((n, k), bool)
    own[np.arange(n - k, n), np.arange(k)] = True
    rest = np.where(own, 0, values).sum(1, keepdims=True) / np.maximum((~own).sum(1, keepdims=True), 1)
    filled = np.where(own, rest, values)
    spread = filled.std(0)
    centred = filled - filled.mean(0)
    standardised: Float64 = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-12)
    return standardised
