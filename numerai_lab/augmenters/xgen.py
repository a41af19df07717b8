"""New eras whose rows boosted trees draw, column after column."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from numerai_lab.augmenters.bins import MOST_VALUES, sampled_blocks, varies
from numerai_lab.augmenters.latent import Latent, Pooled, fit_latent
from numerai_lab.augmenters.ordinal_trees import Trees, boosters_of, draw_column, fit_column
from numerai_lab.augmenters.proportions import Proportioned
from numerai_lab.core.arrays import Array, Float32, Float64, Int64
from numerai_lab.core.control import Control
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext

HELD_OUT = 0.1
"""Share of the eras, the last ones, that decide on the number of trees."""
POINTS = 8
"""Quantiles kept for each class of a continuous column."""
BINS, NODE_BYTES = 5, 60
"""Classifiers of a feature in bins, or of the target; bytes of a tree's node in the cache."""
KEEP_EVERY = 60.0
"""Seconds between two checkpoints at least."""


class XGen(Proportioned):
    """New eras whose rows boosted trees draw column after column, each given the columns before it, the target last.

    A column has ordinal classes: its bins, or `classes` quantiles where it is continuous. They are
    halved again and again, and for each halving XGBoost learns which half a row belongs to. It stops
    once trees no longer improve on the last tenth of the training eras, and those of the target are
    shallow, so that the target depends on noise as little as it can. With more features than
    `most_features`, columns are scores on factors behind the bins, whose noise is drawn. A class of a
    continuous column becomes a value between the training rows' quantiles. Features and target are
    ranked within the era to the proportions of the training rows.

    Source: the autoregressive model of XGenBoost, Achterberg et al. 2026 (arXiv:2603.06904); Chen &
    Guestrin 2016 (arXiv:1603.02754), PyPI `xgboost`. The end of training on later eras and the factors
    are this project's.
    """

    control: ClassVar[Control] = Control(
        why="no published theory says where rows of a fitted generative model add to the rows it was fitted on"
    )
    words: ClassVar[str] = "eras drawn column by column by boosted trees"
    kind: Literal["xgen"] = "xgen"
    invents_eras: ClassVar[bool] = True
    invents_rows: ClassVar[bool] = True
    expensive: ClassVar[bool] = True
    library_bytes: ClassVar[int] = 150_000_000
    requires: ClassVar[tuple[str, ...]] = ("xgboost",)

    most_features: int = Field(60, gt=1, le=60, description="with more features than these, work on factor scores")
    factors: int = Field(32, gt=0, le=60, description="factors that then stand for the features, at most a third of them")
    classes: int = Field(16, ge=2, le=64, description="classes of a continuous column, with equally many rows in each")
    max_rows: int = Field(50_000, ge=100, le=5_000_000, description="rows to learn from, drawn evenly from the eras")
    n_estimators: int = Field(200, gt=0, le=10_000, description="trees of a classifier at most")
    learning_rate: float = Field(0.1, gt=0, le=1, description="weight of each tree")
    max_depth: int = Field(4, gt=0, le=30, description="levels of a tree")
    target_depth: int = Field(2, gt=0, le=30, description="levels of a tree for the target, which depends on the rest faintly")
    patience: int = Field(10, gt=0, le=1000, description="trees that may not improve before a classifier is finished")

    _boosters: Any = PrivateAttr(None)

    def refusal(self, panel: Panel) -> str:
        n_eras = np.count_nonzero(panel.n_known)
        return "" if n_eras >= 2 else f"xgen: at least 2 eras with targets to learn from are needed, got {n_eras}"

    def saved_bytes(self, n_columns: int) -> int:
        scored = n_columns > self.most_features
        n_classifiers = (min(self.factors, n_columns // 3) * self.classes if scored else n_columns * BINS) + BINS
        return int(n_classifiers * self.n_estimators * NODE_BYTES * 2 ** (self.max_depth + 1))

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns proportions and the classifiers of every column. Raises NlabError for eras that `refusal` refuses."""
        if message := self.refusal(panel):
            raise NlabError(message)
        panel = panel.only(panel.eras[panel.n_known > 0].tolist())
        self._boosters = None
        features = self._learn_proportions(panel, rng)
        if panel.n_raw > self.most_features:
            latent = fit_latent(panel, Pooled.of(panel), features, min(self.factors, panel.n_raw // 3), rng)
            for name, values in latent.state().items():
                setattr(self, name, values)
        columns, eras = self._columns(panel, rng)
        grid = self._grid(columns)
        self.values_, self.n_classes_, self.continuous_ = grid.values, grid.n_classes, grid.continuous
        first_held = panel.eras[-max(1, round(HELD_OUT * len(panel.eras)))]
        self._learn(columns, grid, eras >= first_held, context)
        return self

    def invent(self, number: int, n_rows: int, rng: np.random.Generator) -> Block:
        if self._boosters is None:
            self._boosters = boosters_of(self.trees_, self.ends_)
        grid, first = ClassGrid(self.values_, self.n_classes_, self.continuous_), 0
        columns = np.empty((n_rows, len(grid.n_classes)), np.float32)
        for j, n_classes in enumerate(grid.n_classes.tolist()):
            part = slice(first, first + n_classes - 1)
            classes = draw_column(columns[:, :j], n_classes, self._boosters[part], self.shares_[part], rng)
            columns[:, j] = grid.drawn(j, classes, rng)
            first = part.stop
        values, target = columns[:, :-1], columns[:, -1]
        if self._scored:
            values = Latent.from_state(self.state()).values(values, target - target.mean(), rng)
        elif self.binned_:
            values = values + rng.random(values.shape, dtype=np.float32)  # ranks rows of the same bin at random
        return self._era_of(values, target, rng)

    @property
    def _scored(self) -> bool:
        """Whether columns are factor scores."""
        return "latent_offset_" in self.state()

    def _columns(self, panel: Panel, rng: np.random.Generator) -> tuple[Float32, Int64]:
        """Features (or factor scores) and, last, the target of the rows to learn from; and the era of each row.

        A feature is NaN in eras in which it is constant, unless it is so in all.
        """
        parts, eras, absent = [], [], []
        for block in sampled_blocks(panel, self.max_rows, rng):
            if len(block):
                x = Latent.from_state(self.state()).of(block) if self._scored else block.features.astype(np.float32)
                parts.append(np.column_stack([x, block.target]))  # type: ignore[list-item]
                eras.append(np.full(len(block), block.era))
                absent.append(np.zeros(x.shape[1], bool) if self._scored else ~varies(block))
        lacking = np.array(absent) & ~np.all(absent, axis=0)
        for part, lacks in zip(parts, lacking, strict=True):
            part[:, :-1][:, lacks] = np.nan
        return np.concatenate(parts), np.concatenate(eras)

    def _grid(self, columns: Float32) -> "ClassGrid":
        """The classes of every column: bins, the target's values, or quantiles."""
        n_features = columns.shape[1] - 1
        binned = bool(self.binned_) and not self._scored
        bins: list[Float64 | None] = [np.arange(float(self.top_) + 1)] * n_features if binned else [None] * n_features
        few = len(self.target_values_) <= MOST_VALUES
        return ClassGrid.of(columns, [*bins, self.target_values_ if few else None], self.classes)

    def _learn(self, columns: Float32, grid: "ClassGrid", held: NDArray[np.bool_], context: FitContext) -> None:
        """Fits the classifiers of one column after another, from the checkpoint on."""
        saved, saved_at = context.load_checkpoint() or {}, time.monotonic()
        content = [np.asarray(saved.get("trees", np.zeros(0, np.uint8)))]
        ends, shares = list(saved.get("ends", [])), list(saved.get("shares", []))
        n_columns = columns.shape[1]
        for j in range(int(saved.get("columns", 0)), n_columns):
            rows = np.isfinite(columns[:, j])
            classes, n_classes = grid.classes(j, columns[rows, j]), int(grid.n_classes[j])
            depth = self.target_depth if j == n_columns - 1 else self.max_depth
            trees = Trees(self.n_estimators, self.learning_rate, depth, self.patience)
            for model, share in fit_column(columns[rows, :j], classes, n_classes, held[rows], trees):
                content.append(np.frombuffer(model, np.uint8))
                ends.append((ends[-1] if ends else 0) + len(model))
                shares.append(share)
            if time.monotonic() - saved_at >= KEEP_EVERY:
                context.save_checkpoint({**_arrays(content, ends, shares), "columns": np.array(j + 1)})
                saved_at = time.monotonic()
            context.progress(j + 1, n_columns)
        learned = _arrays(content, ends, shares)
        self.trees_, self.ends_, self.shares_ = learned["trees"], learned["ends"], learned["shares"]


def _arrays(content: Sequence[Array], ends: Sequence[int], shares: Sequence[float]) -> dict[str, Array]:
    """The bytes of all trees, where each classifier's end, and the share of its upper classes."""
    return {"trees": np.concatenate(content), "ends": np.array(ends, np.int64), "shares": np.array(shares, np.float64)}


@dataclass(frozen=True)
class ClassGrid:
    """The ordinal classes of columns.

    values: columns × points, rising: the value of each class, or POINTS quantiles a class of a continuous
    column and its largest value; what is left repeats the last. n_classes: columns. continuous: bool,
    columns.
    """

    values: Float64
    n_classes: Int64
    continuous: NDArray[np.bool_]

    @classmethod
    def of(cls, columns: Float32, values: Sequence[Float64 | None], n_classes: int) -> Self:
        """The grid of columns with these values each, or n_classes quantiles where there are none. NaN is left out."""
        shares = np.linspace(0, 1, n_classes * POINTS + 1)
        points = [
            np.quantile(column[np.isfinite(column)].astype(np.float64), shares) if own is None else own
            for own, column in zip(values, columns.T, strict=True)
        ]
        n_points = max(map(len, points))
        padded = [np.pad(own, (0, n_points - len(own)), mode="edge") for own in points]
        sizes = [n_classes if own is None else len(own) for own in values]
        return cls(np.array(padded), np.array(sizes), np.array([own is None for own in values]))

    def classes(self, j: int, column: Float32) -> Int64:
        """The class of every value of column j."""
        n = int(self.n_classes[j])
        if self.continuous[j]:
            return np.searchsorted(self.values[j, POINTS : n * POINTS : POINTS], column, side="right").astype(np.int64)
        return np.searchsorted(self.values[j, :n], column).astype(np.int64)

    def drawn(self, j: int, classes: Int64, rng: np.random.Generator) -> Float64:
        """A value of every class of column j, between its quantiles where the column is continuous."""
        if not self.continuous[j]:
            return np.take(self.values[j], classes)
        points = np.arange(self.n_classes[j] * POINTS + 1)
        drawn: Float64 = np.interp((classes + rng.random(len(classes))) * POINTS, points, self.values[j, : len(points)])
        return drawn
