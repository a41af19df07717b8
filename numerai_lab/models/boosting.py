"""What gradient boosting of all libraries shares, and XGBoost, fed through a DataIter."""

import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from numerai_lab.core.arrays import Float32, Float64
from numerai_lab.core.gpus import gpus
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.core.xgboost_matrix import BINS_FOR_BINNED, BINS_FOR_FLOATS, bins_of, paged_bytes, paged_matrix, quantile_matrix
from numerai_lab.models.base import Model
from numerai_lab.models.era_boost import ROUNDS, EraBoost

OF_DART = ("rate_drop", "skip_drop")
"""Parameters that only `booster: dart` has: elsewhere they are refused, and no config records them."""
NOT_OF_TREES = ("kind", "n_estimators", "n_jobs", "external_memory", "era_boost", "multi_strategy", "workers")
"""Parameters that XGBoost gets in another way, or not at all."""
SKETCH_BYTES = 3_300
"""The sketch by which XGBoost cuts a column that is no small integer, for each of its bins."""
VECTOR_LEAVES = (3, 2)
"""The first version of XGBoost whose trees of several targets sample rows and know the gain of a split."""
ROWS_OF_ERA = 5000
"""Rows that an estimate takes an era for."""
KEEP_EVERY = 60.0
"""Seconds between two checkpoints at least; they are taken every `ROUNDS` trees."""


class Boosting(Model):
    """Parameters that both libraries have under the same name."""

    n_estimators: int = Field(1000, gt=0, le=1_000_000, description="trees")
    learning_rate: float = Field(0.01, gt=0, le=1, description="weight of each tree")
    max_depth: int = Field(5, gt=0, le=1000, description="levels of a tree")
    colsample_bytree: float = Field(0.1, gt=0, le=1, description="share of the columns each tree may use")
    subsample: float = Field(1.0, gt=0, le=1, description="share of the rows each tree sees")
    max_bin: int | None = Field(
        None,
        ge=2,
        le=256,
        description="bins a column is cut into; none = 256, or 16 where all inputs are bins 0 to 4: same trees, less memory",
    )
    n_jobs: int = Field(
        0,
        ge=0,
        le=4096,
        description="threads, 0 = as many as the run has; predictions may differ in the last digits between thread counts",
    )

    def _bins(self, stream: TrainingStream) -> int:
        return self.max_bin or bins_of(stream)


class XGBoost(Boosting):
    """Gradient-boosted trees by XGBoost (`hist`), fed batch by batch into a QuantileDMatrix.

    It trains 100 trees at a time. XGBoost's random state can't be saved, so each time starts a new
    one, with a seed of its own, from the trees so far. A killed training goes on from its last
    checkpoint (at most one per minute), to the same bytes.

    Source: Chen & Guestrin 2016 (arXiv:1603.02754), PyPI `xgboost`; defaults of [nyuton, Numerai
    forum]: 1000 × .01, depth 5, colsample .1; `era_boost` is [richai, Numerai forum]. `booster: dart`: Rashmi &
    Gilad-Bachrach 2015 (arXiv:1505.01866), best on Numerai's data in Wong & Barahona 2023 (arXiv:2301.00790).
    """

    library_bytes: ClassVar[int] = 150_000_000
    requires: ClassVar[tuple[str, ...]] = ("xgboost",)
    removed: ClassVar[Mapping[str, Any]] = {"reg_lambda": 1.0, "reg_alpha": 0.0}

    words: ClassVar[str] = "{n_estimators} trees of XGBoost"
    kind: Literal["xgboost"] = "xgboost"
    min_child_weight: float = Field(1.0, ge=0, description="least number of rows in a leaf")
    external_memory: bool = Field(
        False,
        description="binned rows lie on disk, two bytes a cell and 2 kB an era for each column of floats, while trees are "
        "grown: the same trees, in memory that rows hardly add to; a fifth slower, or more with eras of some hundred rows",
    )
    booster: Literal["gbtree", "dart"] = Field(
        "gbtree",
        description="dart: a tree is grown on what the others leave without some of them, drawn at random; time grows with the "
        "square of n_estimators",
    )
    rate_drop: float = Field(0.1, gt=0, le=1, description="booster: dart: share of the trees so far that a new one does without")
    skip_drop: float = Field(0.5, ge=0, lt=1, description="booster: dart: share of the trees that are grown beside all others")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "cpu", description="where trees are grown; auto = cuda where there is a GPU, whose trees differ a little"
    )
    multi_strategy: Literal["one_output_per_tree", "multi_output_tree"] = Field(
        "one_output_per_tree",
        description="multi_output_tree: one model learns all `targets` of a variant, and its leaves hold a value for each; "
        "else each has a model of its own",
    )
    era_boost: EraBoost | None = Field(
        None, description="grow later trees on the training eras that the trees so far rank worst: `{every: 10, share: 0.5}`"
    )

    workers: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="train in so many processes, each on its part of the eras: the same trees for any number of them. Columns "
        "that are no bins are cut by a sample of rows; with subsample below 1 trees depend on the number",
    )

    @property
    def learns_jointly(self) -> bool:
        return self.multi_strategy == "multi_output_tree"

    @property
    def uses_gpu(self) -> bool:
        return self.device == "cuda" or (self.device == "auto" and has_cuda())

    @property
    def n_parts(self) -> int:
        return self.workers or 1

    @property
    def parts_note(self) -> str:
        if self.n_parts == 1 or self.subsample == 1:
            return ""
        return f"subsample {self.subsample:g} with workers {self.n_parts}: trees repeat, but depend on the number of workers"

    @model_validator(mode="after")
    def _alone(self) -> Self:
        if self.workers is not None and (
            self.booster == "dart" or self.era_boost is not None or self.device != "cpu" or self.learns_jointly
        ):
            raise ValueError(
                "workers needs booster: gbtree and device: cpu, without era_boost and multi_strategy; leave workers out"
            )
        return self

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.booster != "dart":
            fields = type(self).model_fields
            if idle := [key for key in OF_DART if getattr(self, key) != fields[key].default]:
                raise ValueError(f"{' and '.join(idle)} without booster: dart; name it, or leave out what belongs to it")
        elif self.era_boost is not None:
            raise ValueError("booster: dart drops trees at random, and era_boost chooses eras by all of them; leave one out")
        elif self.external_memory:
            raise ValueError("booster: dart reads all rows again for every dropped tree; leave external_memory out")
        if self.learns_jointly and self.booster == "dart":
            raise ValueError("XGBoost has no multi_strategy: multi_output_tree for booster: dart; leave one out")
        if self.learns_jointly and self.era_boost is not None:
            raise ValueError(
                "multi_strategy: multi_output_tree has several targets, and era_boost ranks eras by one; leave one out"
            )
        return self

    @property
    def in_words(self) -> str:
        return f"{super().in_words}{', era-boosted' if self.era_boost else ''}"

    @model_serializer(mode="wrap")
    def _without_idle(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values = dump(self)
        return values if self.booster == "dart" else {key: value for key, value in values.items() if key not in OF_DART}

    def refusal(self, panel: Panel) -> str:
        if self.learns_jointly and (message := _without_vector_leaves()):
            return message
        if self.device != "cuda" or has_cuda():
            return ""
        return "device: cuda: there is no GPU that XGBoost can use; take device: auto or cpu"

    def fit(self, stream: TrainingStream, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        seed = int(rng.integers(2**31 - 1))
        matrix = self._matrix(stream, context)
        try:
            self.booster_ = self._grown(stream, matrix, seed, context)
        finally:
            if self.era_boost:
                weights = stream.weights()
                matrix.set_weight(np.ones(sum(stream.n_rows), np.float32) if weights is None else weights)
        return self

    def _matrix(self, stream: TrainingStream, context: FitContext) -> Any:
        """The binned rows, which models that differ in other parameters share."""
        bins, make = self._bins(stream), paged_matrix if self.external_memory else quantile_matrix
        sampled = self.workers is not None
        cuts = f"xgboost: {bins} bins, {self.n_jobs} threads, {self._device}, external_memory {self.external_memory}"
        return context.matrix(f"{cuts}, sampled {sampled}", lambda: make(stream, bins, self.n_jobs or None, sampled=sampled))

    @property
    def _device(self) -> str:
        return "cuda" if self.uses_gpu else "cpu"

    def _grown(self, stream: TrainingStream, matrix: Any, seed: int, context: FitContext) -> Any:
        """The trained booster."""
        import xgboost

        parameters = {
            "objective": "reg:squarederror",
            "tree_method": "hist",
            "nthread": self.n_jobs or None,
            **self.model_dump(exclude={*NOT_OF_TREES}),
            **({"multi_strategy": self.multi_strategy} if stream.n_targets > 1 else {}),
            "max_bin": self._bins(stream),
            "device": self._device,
        }
        model = (context.load_checkpoint() or {}).get("model")
        booster = xgboost.Booster(parameters, [matrix], None if model is None else bytearray(model))
        saved_at = time.monotonic()
        for tree in range(booster.num_boosted_rounds(), self.n_estimators):
            if tree % ROUNDS == 0:
                content = booster.save_raw("ubj") if tree else None
                if content and time.monotonic() - saved_at >= KEEP_EVERY:
                    context.save_checkpoint({"model": np.frombuffer(content, np.uint8)})
                    saved_at = time.monotonic()
                booster = xgboost.Booster({**parameters, "seed": (seed + tree) % 2**31}, [matrix], content)
            if self.era_boost and tree and tree % self.era_boost.every == 0:
                matrix.set_weight(_weights_on_worst(self.era_boost, stream, matrix, booster))
            booster.update(matrix, iteration=tree)
            context.progress(tree + 1, self.n_estimators)
        booster.set_param({"device": "cpu"})  # rows to predict lie in memory, and a loaded model is on the CPU too
        return booster.reset()

    def predict(self, X: Float32) -> Float32:
        return np.asarray(self.booster_.inplace_predict(X), np.float32)

    def saved(self) -> tuple[str, bytes]:
        return ".json", bytes(self.booster_.save_raw("json"))

    def loaded(self, content: bytes) -> Self:
        import xgboost

        fitted = self.fresh()
        fitted.booster_ = xgboost.Booster()
        fitted.booster_.load_model(bytearray(content))
        return fitted

    def importance(self) -> Float64:
        gains = np.zeros(self.booster_.num_features())
        for name, gain in self.booster_.get_score(importance_type="total_gain").items():
            gains[int(name.removeprefix("f"))] = gain
        return gains

    def saved_bytes(self, n_rows: int, n_columns: int) -> int:
        return int(self.n_estimators * 60 * 2 ** (min(self.max_depth, 8) + 1))  # deeper trees are seldom full

    def cutting_bytes(self, n_rows: int, n_columns: int) -> int:
        return n_columns * SKETCH_BYTES * (self.max_bin or BINS_FOR_FLOATS)

    def training_bytes(self, n_rows: int, n_columns: int) -> int:
        # One byte a cell row-wise and one column-wise, gradients, predictions and sampling weights a row.
        return n_rows * (60 if self.external_memory else 2 * n_columns + 40)

    @property
    def batch_bytes(self) -> int:
        return 40 if self.external_memory else super().batch_bytes  # pages of an era that it reads ahead

    def training_disk_bytes(self, n_rows: int, n_columns: int) -> int:
        bins = self.max_bin or BINS_FOR_BINNED
        return paged_bytes(n_rows, n_columns, bins, -(-n_rows // ROWS_OF_ERA)) if self.external_memory else 0


@cache
def has_cuda() -> bool:
    """XGBoost is built for CUDA, and there is a GPU that this process may use."""
    if not gpus():
        return False
    import xgboost

    return bool(xgboost.build_info().get("USE_CUDA"))


def _without_vector_leaves() -> str:
    """Why the installed XGBoost can't learn several targets in one tree; empty where it can."""
    installed = version("xgboost")
    if tuple(int(part) for part in installed.split(".")[:2]) >= VECTOR_LEAVES:
        return ""
    wanted = ".".join(map(str, VECTOR_LEAVES))
    return f"multi_strategy: multi_output_tree needs XGBoost {wanted}, {installed} is installed; pip install 'xgboost>={wanted}'"


def _weights_on_worst(era_boost: EraBoost, stream: TrainingStream, matrix: Any, booster: Any) -> Float32:
    """The weights of all rows, 0 in all eras but those that the booster ranks worst."""
    eras = np.repeat([origin.era for origin in stream.origins], stream.n_rows)
    worst = era_boost.worst(eras, matrix.get_label(), booster.predict(matrix))
    weights = stream.weights()
    return worst.astype(np.float32) if weights is None else np.where(worst, weights, np.float32(0))
