"""Generators and augmenters as scikit-learn estimators, for DataFrames of features with an era column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin

from numerai_lab.augmenters import Augmenter
from numerai_lab.core.arrays import Array, Float32, Int32
from numerai_lab.core.eras import DAYS_PER_ERA, Calendar, EraNumbers, number_eras
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT
from numerai_lab.core.seeding import rng_for
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.generators import Generator

Units = Literal["bins", "quarters", "continuous"]
"""Units of features: bins 0..4, quarters 0, .25 … 1, or any values on 0..1."""


@dataclass(frozen=True)
class FittedEras:
    """The eras of the fitted rows: their calendar (None for plain numbers), and the number of the last era."""

    calendar: Calendar | None
    last: int


class Columns(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer that adds a generator's columns to the features, or replaces them.

    Features are bins 0..4, bins 0, .25 … 1, or continuous on 0..1, one column each. `era` names the column of eras, in any
    order, which the output lacks unless keep_era. Rows of an era are transformed together, as live rows are. Eras are numbers
    (573, `0573`, `era573`) or dates, `X` for live rows; days_per_era as in a config's data.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        era: str = "era",
        append: bool = True,
        keep_era: bool = False,
        seed: int = 0,
        days_per_era: int = DAYS_PER_ERA,
    ) -> None:
        self.generator = generator
        self.era = era
        self.append = append
        self.keep_era = keep_era
        self.seed = seed
        self.days_per_era = days_per_era

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Learns from the features alone and ignores y. Raises ValueError for features in other units, and missing values.

        Raises ValueError also for a generator that learns from targets or selects features.
        """
        if self.generator.select is not None:
            raise ValueError("Columns: `select` needs feature sets and targets; choose the DataFrame's columns instead")
        if self.generator.uses_labels:
            raise ValueError(
                f"Columns: {self.generator.kind} learns from targets; only `nlab run` keeps its training rows honest"
            )
        self.units_ = units_of(X.drop(columns=self.era, errors="ignore"))
        eras, self.eras_ = fitted_eras(X, self.era, self.days_per_era)
        panel = panel_of(X, None, self.era, self.units_, eras)
        self.features_ = panel.feature_names
        generator = self.generator.settled(panel.n_rows)
        self.generator_ = generator.fresh().fit(panel, rng_for(self.seed, "generator", generator.seed_key), NO_CONTEXT)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The generated columns, beside the features with `append`, in the order and with the index of X."""
        eras = era_numbers(X, self.era, self.eras_)
        panel = panel_of(X[[self.era, *self.features_]], None, self.era, self.units_, eras)
        values = np.empty((len(X), len(self.generator_.names_out())), np.float32)
        for block, rows in zip(panel.blocks(), _rows(eras), strict=True):
            values[rows] = self.generator_.columns_for(block)
        columns = pd.DataFrame(values, index=X.index, columns=self._generated_names())
        passed_through = [*([self.era] if self.keep_era else []), *(self.features_ if self.append else ())]
        return pd.concat([X[passed_through], columns], axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the columns that `transform` returns."""
        passed_through = [*([self.era] if self.keep_era else []), *(self.features_ if self.append else ())]
        return np.array([*passed_through, *self._generated_names()], dtype=object)

    def _generated_names(self) -> list[str]:
        return [f"{self.generator.kind}_{name}" for name in self.generator_.names_out()]


class Augmented(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor that also learns from an augmenter's rows, or by its weights; it predicts real rows alone.

    The estimator may be a Pipeline that begins with `Columns` (keep_era=True here gives it the era): its generator then
    learns from synthetic rows too, unlike in `nlab run`. Eras as in `Columns`; the estimator receives their numbers.
    """

    def __init__(
        self,
        estimator: Any,
        augmenter: Augmenter,
        *,
        era: str = "era",
        keep_era: bool = False,
        seed: int = 0,
        days_per_era: int = DAYS_PER_ERA,
    ) -> None:
        self.estimator = estimator
        self.augmenter = augmenter
        self.era = era
        self.keep_era = keep_era
        self.seed = seed
        self.days_per_era = days_per_era

    def fit(self, X: pd.DataFrame, y: Any) -> Self:
        """Learns from the rows of X with a target, and from synthetic rows made of them."""
        from sklearn.base import clone

        self.units_ = units_of(X.drop(columns=self.era, errors="ignore"))
        eras, self.eras_ = fitted_eras(X, self.era, self.days_per_era)
        panel, name = panel_of(X, np.asarray(y, np.float32), self.era, self.units_, eras), self.augmenter.kind
        fitted = self.augmenter.fresh().fit(panel, rng_for(self.seed, "augmenter", self.augmenter.seed_key))
        stream = TrainingStream(panel, ("raw",), panel.raw_names, self.seed, {name: fitted})
        batches = list(stream)
        rows = pd.DataFrame(np.concatenate([batch.X for batch in batches]), columns=panel.feature_names)
        if self.keep_era:
            rows.insert(0, self.era, np.concatenate([np.full(len(batch.y), batch.era) for batch in batches]))
        weights = np.concatenate([np.full(len(batch.y), batch.weight) for batch in batches])
        given = {"sample_weight": weights} if stream.weighted else {}
        self.features_ = panel.feature_names
        self.estimator_ = clone(self.estimator).fit(rows, np.concatenate([batch.y for batch in batches]), **given)
        return self

    def predict(self, X: pd.DataFrame) -> Array:
        """Predictions in the order of X."""
        values = _features(X[list(self.features_)], self.units_).astype(np.float32)
        rows = pd.DataFrame(values, columns=self.features_, index=X.index)
        if self.keep_era:
            rows.insert(0, self.era, era_numbers(X, self.era, self.eras_))
        predictions: Array = self.estimator_.predict(rows)
        return predictions


def fitted_eras(X: pd.DataFrame, era: str, days_per_era: int = DAYS_PER_ERA) -> tuple[Int32, FittedEras]:
    """The era number of every row (int32), and the fitted eras, by which later rows are numbered.

    Raises EraError, a ValueError, when a label is no era.
    """
    codes, labels = _labels(X, era)
    numbering = number_eras(labels, days_per_era)
    last = max(numbering.numbers.values(), default=0)
    return _by_row(codes, labels, numbering, last + 1), FittedEras(numbering.calendar, last)


def era_numbers(X: pd.DataFrame, era: str, fitted: FittedEras) -> Int32:
    """The era number (int32) of every row, by the calendar of the fitted rows; live rows come after all others.

    Raises ValueError when a label is no era, and when eras are dates that were numbers at the fit.
    """
    codes, labels = _labels(X, era)
    numbering = number_eras(labels, calendar=fitted.calendar)
    if numbering.calendar is not None and fitted.calendar is None:
        raise ValueError(f"eras in column {era!r} are dates, and were numbers when this was fitted")
    return _by_row(codes, labels, numbering, max([fitted.last, *numbering.numbers.values()]) + 1)


def panel_of(X: pd.DataFrame, y: Float32 | None, era: str, units: Units, eras: Int32) -> Panel:
    """A DataFrame as a panel, with rows sorted by era; eras: the number of every row."""
    order = np.concatenate(list(_rows(eras)))
    features = _features(X.drop(columns=era), units)
    counts = [len(rows) for rows in _rows(eras)]
    ends = np.cumsum(counts)
    return Panel(
        feature_names=tuple(map(str, X.columns.drop(era))),
        features=np.ascontiguousarray(features[order]),
        n_raw=features.shape[1],
        top=1.0 if units == "continuous" else 4.0,
        ids=np.array([str(i).encode() for i in range(len(X))], np.bytes_)[order],
        eras=np.unique(eras),
        bounds=np.column_stack([ends - counts, ends]).astype(np.int64),
        data_types=("train",) * len(counts),
        target=None if y is None else y[order],
        feature_sets={"all": np.arange(features.shape[1])},
    )


def _labels(X: pd.DataFrame, era: str) -> tuple[Array, list[str | None]]:
    """For every row the position of its era label among the distinct labels; None is a missing value."""
    if era not in X.columns:
        raise ValueError(f"no column {era!r} of eras among {', '.join(map(str, X.columns[:5]))} …; name it with era=")
    codes, distinct = pd.factorize(X[era], use_na_sentinel=True)
    missing: list[str | None] = [None] if (codes < 0).any() else []
    return codes, [*map(str, distinct), *missing]


def _by_row(codes: Array, labels: Sequence[str | None], numbering: EraNumbers, live: int) -> Int32:
    return np.array([numbering.numbers.get(label or "", live) for label in labels], np.int32)[codes]


def _rows(eras: Int32) -> Iterator[Array]:
    """Positions of the rows of each era, eras rising."""
    order = np.argsort(eras, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(eras[order])) + 1)


def units_of(X: pd.DataFrame) -> Units:
    """The units of the features. Raises ValueError for missing values, and values outside of 0..4."""
    values = X.to_numpy(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("features have missing values; Numerai's mean the middle bin: X.fillna(2) for bins 0..4, .5 for 0..1")
    low, high = values.min(initial=0), values.max(initial=0)
    whole = bool((values == np.round(values)).all())
    if low < 0 or high > 4 or (high > 1 and not whole):
        raise ValueError(f"features must be bins 0..4 or lie on 0..1; got {low:g} … {high:g}")
    if whole and (high > 1 or all(kind.kind in "iu" for kind in X.dtypes)):
        return "bins"
    return "quarters" if (values * 4 == np.round(values * 4)).all() else "continuous"


def _features(X: pd.DataFrame, units: Units) -> Array:
    """Features as int8 bins 0..4, or float32 on 0..1."""
    values = X.to_numpy(np.float32)
    return values if units == "continuous" else np.round(values * (4 if units == "quarters" else 1)).astype(np.int8)
