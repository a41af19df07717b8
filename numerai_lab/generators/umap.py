"""UMAP: an embedding that keeps neighbours together; by umap-learn, or by an encoder trained on UMAP's own loss."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext, sub_progress
from numerai_lab.generators.landmarks import landmarks
from numerai_lab.generators.neural import NetworkGenerator
from numerai_lab.neural.layer_state import keep_layers, layers_in
from numerai_lab.neural.umap_learn import umap_learn

if TYPE_CHECKING:
    import torch

    from numerai_lab.neural.umap import Encoder, Plan, Space

EXACT_ROWS = 100_000
"""Rows to learn from up to which `mode: auto` is exact."""
START_SECONDS = 6.0
"""numba's compilation."""
PASS_FLOPS, STEP_FLOPS, FORWARD_FLOPS = 200, 15, 8
"""What looking through one distance costs, a training step for a row and weight, and columns for these: as they were measured."""


class UMAP(NetworkGenerator):
    """Coordinates in a low-dimensional embedding of the rows' neighbourhood graph.

    Fitted on a sample of rows (`landmarks`), the same number an era. parametric: principal scores of the landmarks, their
    exact nearest neighbours, umap-learn's fuzzy graph of these, and an encoder trained on UMAP's cross-entropy between graph
    and columns; a row's columns are the encoder's, whatever comes with it, so training and later rows do not differ.
    placed: umap-learn's layout of the same graph, and every row for itself among the positions of its nearest landmarks: two or
    three columns are torn in a way that no encoder learns, but a row costs twenty times as much.
    exact: umap-learn, on features scaled to 0..1; columns of every row, training rows included, come from its `transform`,
    era by era: never from the fitted layout, whose distribution differs. umap-learn optimises the rows of a call jointly,
    so its columns are repeatable for whole eras only; a seed makes it single-threaded.

    Source: McInnes, Healy, Melville 2018 (arXiv:1802.03426), PyPI `umap-learn`; Sainburg, McInnes, Gentner 2021
    (arXiv:2009.12981) for the encoder; settings of [nyuton, Numerai forum]: n_components 60, n_neighbors 15, min_dist 0,
    euclidean.
    """

    library_bytes: ClassVar[int] = 0  # in fitting_bytes: which ones depends on the mode

    kind: Literal["umap"] = "umap"
    mode: Literal["auto", "exact", "parametric", "placed"] = Field(
        "auto",
        description="exact: umap-learn; parametric: an encoder; placed: among landmarks; auto = exact up to 100,000 rows to "
        "learn from, above that placed for 2 or 3 columns and parametric for more",
    )
    fit_on: Literal["train", "all", "per_era"] = Field(  # type: ignore[assignment]  # one choice more than others have
        "train",
        description="eras whose features are learned from; all = validation features too (label-free, but transductive: every "
        "table says so); per_era = training eras, then each era's own rows for era_steps (parametric): columns keep their "
        "meaning but are repeatable for whole eras only",
    )
    era_steps: int = Field(
        50, gt=0, le=10_000_000, description="fit_on: per_era: training steps on an era's own graph, at a quarter of the rate"
    )
    n_components: int = Field(60, gt=1, le=1024, description="columns to emit")
    n_neighbors: int = Field(15, gt=1, le=1000, description="neighbours a row is linked to, itself included")
    min_dist: float = Field(0.0, ge=0, le=0.99, description="how near points may lie in the embedding")
    metric: Literal["euclidean", "manhattan", "cosine", "correlation", "hamming"] = Field(
        "euclidean", description="distance between rows"
    )
    landmarks: int | None = Field(
        None,
        ge=100,
        le=500_000,
        description="rows to fit on, drawn evenly from the eras; none = 10,000 (exact: about 3 s each 1,000 at 60 columns) "
        "or 50,000",
    )
    n_epochs: int | None = Field(None, gt=0, le=10**6, description="exact, placed: layout passes; none = umap-learn's 200 or 500")
    principal: int = Field(64, gt=1, le=4096, description="not exact: principal components of the landmarks that stand for a row")
    hidden: int = Field(256, gt=0, le=16384, description="parametric: width of the encoder's hidden layers")
    n_layers: int = Field(2, gt=0, le=8, description="parametric: hidden layers")
    steps: int = Field(500, gt=0, description="parametric: training steps; the learning rate falls to 0 along a cosine")
    batch_size: int = Field(1024, ge=8, le=1_000_000, description="parametric: edges a step, drawn by their membership")
    warm_start: bool = Field(
        False, description="parametric: begin with half as many steps of regression on umap-learn's layout of the landmarks"
    )
    global_weight: float = Field(
        0.0,
        ge=0,
        description="parametric: weight of 1 − the correlation of distances between rows of a batch in columns and in principal "
        "scores; more of the whole shape, less of the neighbourhoods",
    )
    negatives: int = Field(256, gt=0, description="parametric: rows of a batch that each of its edges is pushed away from")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="parametric: of Adam, at its height")

    @property
    def whole_era(self) -> bool:
        exact = "reducer_" in self.__dict__ or ("projection_" not in self.__dict__ and self.mode in ("auto", "exact"))
        return exact or self.fit_on == "per_era"

    def settled(self, n_rows: int) -> Self:
        return self.model_copy(update={"mode": self._mode(n_rows)})

    def refusal(self, panel: Panel) -> str:
        mode = self._mode(panel.n_rows)
        if mode != "exact" and panel.features.dtype != np.int8 and self.metric in ("manhattan", "hamming"):
            return f"umap: metric {self.metric} on continuous features needs mode: exact"
        few = self._of_rows(mode, min(self._n_landmarks(mode), panel.n_rows))
        return few if mode == "exact" else self.no_device() or few

    def _of_rows(self, mode: str, n: int) -> str:
        """What is wrong with n rows to fit on; a layout begins with eigenvectors of their graph, of which there are n − 2."""
        if n <= self.n_neighbors:
            return f"umap: {n} rows to fit on, n_neighbors {self.n_neighbors} needs more"
        if self.n_components > n - 2 and (mode != "parametric" or self.warm_start):
            return f"umap: {n} rows to fit on give at most {n - 2} columns, n_components is {self.n_components}"
        return ""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        self._forget()
        rows = landmarks(panel, self._n_landmarks(mode := self._mode(panel.n_rows)), rng)
        if message := self.refusal(panel) or self._of_rows(mode, len(rows)):
            raise NlabError(message)
        return self._fit_exact(rows, panel.top, rng) if mode == "exact" else self._fit_space(mode, rows, rng, context)

    def transform(self, block: Block) -> Float32:
        if "reducer_" not in self.__dict__:
            own = self.fit_on == "per_era" and len(block) > self.n_neighbors
            return self._of_the_era(block) if own else super().transform(block)
        with umap_learn():
            columns = np.asarray(self.reducer_.transform(block.unit()), np.float32)
        if not np.isfinite(columns).all():
            raise NlabError(f"umap: umap-learn gave NaN for {np.isnan(columns).any(1).sum()} rows of era {block.era}")
        return columns

    def names_out(self) -> list[str]:
        return [f"u{i + 1}" for i in range(self.n_components)]

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        # numba and the functions it compiles; the sample and its copies; neighbours, graph and layout.
        mode = self._mode(n_rows)
        rows = min(self._n_landmarks(mode), n_rows)
        if mode == "exact":
            return 400_000_000 + rows * (12 * n_columns + 400 * self.n_neighbors + 16 * self.n_components)
        return 780_000_000 + 4 * 8 * n_columns**2 + rows * (n_columns + 400 * self.n_neighbors + 8 * self.principal)

    def seconds(self, n_fitted: int, n_rows: int, n_columns: int, flops: float) -> float:
        mode, d = self._mode(n_fitted), self.n_components
        n = min(self._n_landmarks(mode), n_fitted)
        if mode == "exact":
            return n * (7e-4 + 4e-5 * d) + n_rows * (6e-4 + 3e-5 * d)  # as umap-learn was measured; it does no matrix products
        search, training = self._work(n)
        if mode == "placed":
            return START_SECONDS + n * 3e-4 + (search + 2 * n_rows * search / n) / flops
        a_row = FORWARD_FLOPS * (self.principal * n_columns + self._n_weights)
        return START_SECONDS + (search + training + 2 * n * n_columns**2 + n_rows * a_row) / flops

    def _work(self, n: int) -> tuple[float, float]:
        """Of a fit on n landmarks: what the search for neighbours and the training take, in floating-point operations."""
        return n**2 * (2 * self.principal + PASS_FLOPS), self.steps * 2 * self.batch_size * STEP_FLOPS * self._n_weights

    @property
    def _n_weights(self) -> int:
        return self.hidden * (self.principal + (self.n_layers - 1) * self.hidden + self.n_components)

    def state(self) -> dict[str, Array]:
        return {name: values for name, values in super().state().items() if name != "reducer_"}

    def restored(self, state: dict[str, Array]) -> Self:
        """Builds umap-learn's object anew around the stored layout: the neighbour index follows from rows and seed."""
        fitted = super().restored(state)
        if "embedding_" in state:
            reducer = fitted._fitted_reducer(init=fitted.embedding_, n_epochs=0)
            reducer.embedding_, reducer.n_epochs = fitted.embedding_, self.n_epochs
            fitted.reducer_ = reducer
        return fitted

    def _forget(self) -> None:
        """Drops what the last fit learned: the other mode keeps other arrays."""
        for name in [name for name in self.__dict__ if name.endswith("_")]:
            del self.__dict__[name]
        self._network = None

    def _mode(self, n_rows: int) -> str:
        if self.fit_on == "per_era":
            if self.mode not in ("auto", "parametric"):
                raise NlabError(f"umap: fit_on: per_era needs mode: parametric, not {self.mode}")
            return "parametric"
        if self.mode != "auto":
            return self.mode
        return "exact" if n_rows <= EXACT_ROWS else "placed" if self.n_components <= 3 else "parametric"

    def _n_landmarks(self, mode: str) -> int:
        return self.landmarks or (10_000 if mode == "exact" else 50_000)

    def _fit_exact(self, rows: Array, top: float, rng: np.random.Generator) -> Self:
        self.landmarks_ = rows.astype(np.float32) / np.float32(top)
        self.seed_ = np.array(rng.integers(2**31 - 1))
        self.reducer_ = self._fitted_reducer()
        self.embedding_ = np.asarray(self.reducer_.embedding_, np.float32)
        return self

    def _fitted_reducer(self, **changes: Any) -> Any:
        parameters = {
            "n_components": self.n_components,
            "n_neighbors": self.n_neighbors,
            "min_dist": self.min_dist,
            "metric": self.metric,
            "n_epochs": self.n_epochs,
            "random_state": int(self.seed_),
            "transform_seed": int(self.seed_),
            "n_jobs": 1,
        }
        with umap_learn() as umap:
            reducer = umap.UMAP(**(parameters | changes)).fit(self.landmarks_)
        # It returns the stored layout for rows equal to those it was fitted on; ours always come from transform.
        reducer._input_hash = None
        return reducer

    def _fit_space(self, mode: str, rows: Array, rng: np.random.Generator, context: FitContext) -> Self:
        import torch

        from numerai_lab.neural.networks import device_for
        from numerai_lab.neural.placing import layout
        from numerai_lab.neural.umap import neighbourhoods

        cells = torch.from_numpy(rows).to(device_for(self.device))
        search, training = self._work(len(rows))
        until = search / (search + training * (mode == "parametric"))
        space = neighbourhoods(cells, self.metric, self.principal, self.n_neighbors, sub_progress(context.progress, 0, until))
        # Row after row, as they are read back: a GPU multiplies by another order in another way.
        self.projection_, self.shift_ = (np.ascontiguousarray(values.cpu().numpy()) for values in (space.projection, space.shift))
        if mode == "parametric":
            return self._train(space, rng, replace(context, progress=sub_progress(context.progress, until, 1)))
        self.scores_ = space.scores.cpu().numpy()
        self.layout_ = layout(space, self.n_components, self.min_dist, self.n_epochs, int(rng.integers(2**31 - 1)))
        return self

    def _train(self, space: "Space", rng: np.random.Generator, context: FitContext) -> Self:
        from numerai_lab.neural.placing import layout, warm_up
        from numerai_lab.neural.umap import curve, train

        self.seed_ = np.array(rng.integers(2**62))
        encoder = self._encoder(space)
        if self.warm_start and context.load_checkpoint() is None:
            places = layout(space, self.n_components, self.min_dist, self.n_epochs, int(rng.integers(2**31 - 1)))
            warm_up(encoder, space.scores, places, self._plan(self.steps // 2, self.learning_rate), int(self.seed_))
        self.curve_ = train(
            encoder, space, curve(self.min_dist), self._plan(self.steps, self.learning_rate), int(self.seed_), context
        )
        keep_layers(self, encoder.arrays())
        return self

    def _encoder(self, space: "Space") -> "Encoder":
        """An untrained one."""
        from numerai_lab.neural.networks import generator_for
        from numerai_lab.neural.umap import Encoder

        widths, init = [self.hidden] * self.n_layers, generator_for(int(self.seed_))
        return Encoder(space.scores.shape[1], widths, self.n_components, init).to(space.scores.device)

    def _plan(self, steps: int, learning_rate: float) -> "Plan":
        from numerai_lab.neural.umap import Plan

        return Plan(steps, self.batch_size, min(self.negatives, self.batch_size), learning_rate, self.global_weight)

    def _of_the_era(self, block: Block) -> Float32:
        """Columns by the encoder of all eras after some steps on this era's graph."""
        import torch

        from numerai_lab.neural.networks import device_for
        from numerai_lab.neural.umap import curve, train, within

        cells, *map_ = (
            torch.from_numpy(values).to(device_for(self.device))
            for values in (np.array(block.features), self.projection_, self.shift_)
        )
        space = within(cells, self.metric, map_[0], map_[1], self.n_neighbors)
        encoder = self._encoder(space)
        encoder.take(self._layers())
        train(
            encoder, space, curve(self.min_dist), self._plan(self.era_steps, self.learning_rate / 4), int(self.seed_), NO_CONTEXT
        )
        with torch.inference_mode():
            columns: Float32 = encoder(space.scores).cpu().numpy()
        return columns

    def _layers(self) -> list[tuple[Array, Array]]:
        return layers_in(self.state(), self.n_layers + 2)

    def _built(self, device: "torch.device") -> Any:
        from numerai_lab.neural.placing import Placing
        from numerai_lab.neural.umap import Embedding, curve

        state = self.state()
        if "layout_" in state:
            arrays = {name: state[f"{name}_"] for name in ("projection", "shift", "scores", "layout")}
            return Placing(self.metric, arrays, curve(self.min_dist), self.n_neighbors, device)
        return Embedding(self.metric, self.projection_, self.shift_, self._layers(), device)

    def _columns(self, cells: "torch.Tensor", block: Block) -> "torch.Tensor":
        columns: torch.Tensor = self._network(cells)
        return columns
