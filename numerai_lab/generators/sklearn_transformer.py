"""Columns by any transformer of scikit-learn itself, named by its class."""

import inspect
import re
from importlib import import_module
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from numerai_lab.core.arrays import Array, Float32, Int64
from numerai_lab.core.control import Control
from numerai_lab.core.errors import nearest
from numerai_lab.core.logged_warnings import warnings_logged
from numerai_lab.core.plain_state import from_arrays, is_estimator
from numerai_lab.core.sklearn_parameters import check_parameters
from numerai_lab.generators.arrays import ArrayGenerator

CLASS = re.compile(r"(sklearn(?:\.[a-z][a-z0-9_]*)+)\.([A-Z][A-Za-z0-9]*)")
SHORT = re.compile(r"[A-Z][A-Za-z0-9]*")
DEFAULT = "sklearn.decomposition.FastICA"
MODULES = (
    "decomposition",
    "preprocessing",
    "cluster",
    "kernel_approximation",
    "random_projection",
    "manifold",
    "feature_selection",
    "neural_network",
    "neighbors",
    "ensemble",
    "impute",
    "discriminant_analysis",
    "cross_decomposition",
    "feature_extraction",
)
"""The public modules of scikit-learn in which a class without its module is looked for."""
NOT_PUBLIC = {"tests", "conftest", "externals"}
"""Parts of scikit-learn that belong to no user."""
CELL_BYTES = 4 + 8 + 8
"""Bytes of a cell during a fit: float32, float64, and a copy that estimators make."""


class SklearnTransformer(ArrayGenerator):
    """Columns of any scikit-learn transformer that learns without targets and transforms new rows.

    The estimator is named by its class, such as `FastICA` or `sklearn.decomposition.FastICA`, and gets features on 0..1 as
    float64. It is saved without pickle, in the skops format; an estimator that can't be saved so, or that does not give the same
    columns for a row whatever rows come with it, is refused before any training.

    Source: Pedregosa et al. 2011 (scikit-learn), PyPI `skops` for the files; the default is independent component
    analysis, Hyvärinen & Oja 2000.
    """

    requires: ClassVar[tuple[str, ...]] = ("sklearn", "skops")
    control: ClassVar[Control] = Control(why="what it finds is up to the estimator")
    words: ClassVar[str] = "columns of scikit-learn's {name}"
    kind: Literal["sklearn_transformer"] = "sklearn_transformer"
    estimator: str = Field(DEFAULT, max_length=100, description="class of a transformer, alone or with its public module")
    parameters: dict[str, Any] = Field(default_factory=dict, description="parameters of the estimator; others have its defaults")
    n_components: int = Field(16, gt=0, le=10_000, description="passed to an estimator that has a parameter of this name")
    max_rows: int | None = Field(
        100_000, gt=0, description="rows to learn from, drawn evenly over eras; they are float64 in memory at once; none = all"
    )

    @field_validator("estimator")
    @classmethod
    def _of_scikit_learn(cls, name: str) -> str:
        """The name with its module."""
        if SHORT.fullmatch(name):
            return _with_module(name)
        if not CLASS.fullmatch(name) or {*name.split(".")} & NOT_PUBLIC:
            raise ValueError(f"{name!r} is no public class of scikit-learn such as FastICA or {DEFAULT}")
        return name

    def _word_values(self) -> dict[str, str]:
        return {"name": self.estimator.rpartition(".")[2]}

    @model_validator(mode="after")
    def _fitting_parameters(self) -> Self:
        if self.estimator == DEFAULT and not self.parameters:  # known to be right: nothing is imported for it
            return self
        transformer = self._class()
        if not hasattr(transformer, "transform"):
            raise ValueError(f"{self.estimator} can't transform rows that it was not fitted on; take another one")
        check_parameters(transformer, {**self._shared(transformer), **self.parameters}, {})
        return self

    def unfitted(self) -> Any:
        transformer = self._class()
        return transformer(**{**self._shared(transformer), **self.parameters})

    def _shared(self, transformer: Any) -> dict[str, Any]:
        """The parameters of this generator that the estimator has too."""
        return {"n_components": self.n_components} if "n_components" in inspect.signature(transformer).parameters else {}

    def learned(self, fitted: Any) -> dict[str, Any]:
        return {"estimator_": fitted}

    def revived(self) -> Any:
        """The fitted estimator. Raises ValueError where the saved one is of another class."""
        fitted = from_arrays(self.state())["estimator_"]
        if type(fitted) is not self._class():
            raise ValueError(f"the saved state holds a {type(fitted).__name__}, and the config names {self.estimator}")
        return fitted

    def fit_object(self, fitted: Any, X: Float32, eras: Int64, rng: np.random.Generator) -> None:
        if "random_state" in fitted.get_params(deep=False) and "random_state" not in self.parameters:
            fitted.set_params(random_state=int(rng.integers(2**31)))
        with warnings_logged(self.estimator):
            fitted.fit(X.astype(np.float64))

    def columns_of(self, fitted: Any, X: Float32) -> Array:
        # float64: how BLAS cuts the batch then changes nothing that is left after rounding to float32.
        columns = fitted.transform(X.astype(np.float64))
        return np.asarray(columns.toarray() if hasattr(columns, "toarray") else columns)

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        return CELL_BYTES * min(n_rows, self.max_rows or n_rows) * n_columns

    def _class(self) -> Any:
        """The class of the estimator. Raises ValueError where scikit-learn has no such estimator."""
        match = CLASS.fullmatch(self.estimator)
        assert match is not None
        try:
            module = import_module(match[1])
        except ImportError as error:
            raise ValueError(f"scikit-learn has no module {match[1]}") from error
        kind = getattr(module, match[2], None)
        if not isinstance(kind, type) or not is_estimator(kind):
            raise ValueError(f"{match[1]} has no estimator {match[2]}; {nearest(match[2], getattr(module, '__all__', []))}")
        return kind


def _with_module(name: str) -> str:
    """The public name of a transformer. Raises ValueError where scikit-learn has no class of this name."""
    known = []
    for module in MODULES:
        loaded = import_module(f"sklearn.{module}")
        if is_estimator(kind := getattr(loaded, name, object)) and kind.__name__ == name:
            return f"sklearn.{module}.{name}"
        known += [other for other in getattr(loaded, "__all__", []) if hasattr(getattr(loaded, other), "transform")]
    near = nearest(name, sorted({*known}))
    way = near if near.startswith("did") else "`nlab describe sklearn_transformer` shows how they are named"
    raise ValueError(f"scikit-learn has no transformer {name!r}; {way}; a class of another package needs a plug-in")
