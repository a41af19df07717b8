"""The bins of LightGBM: small integers are cut by how often each value occurs, other inputs by sampled rows."""

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Int8, Int64
from numerai_lab.core.training_stream import TrainingStream

SAMPLED = 50_000
"""Rows that inputs other than bins are cut by, at 20 bytes a cell; LightGBM's default of 200,000 costs more than training."""
LEAST_IN_BIN = 3
"""LightGBM's `min_data_in_bin`: rarer values share a bin with the next."""
MOST_FREQUENT = 0.7
"""LightGBM treats the most frequent value of a column apart where it fills this share of the rows."""
REFERENCE_ROWS = 100


def reference_of(stream: TrainingStream, parameters: dict[str, Any]) -> Any:
    """A small lightgbm.Dataset with the bins of all rows; None where LightGBM has to sample rows of all inputs.

    A Dataset of the stream's rows that refers to it is the one that LightGBM makes of the same rows and a sample, but for
    values of small integers that the sample misses.
    """
    if not stream.raw_in_bins or parameters["max_bin"] <= stream.panel.top + 1:
        return None
    start, n_rows = stream.input_names.index(stream.panel.raw_names[0]), sum(stream.n_rows)
    counts, sample = _looked_at(stream, start, parameters)
    of_sample = parameters["min_data_in_leaf"] * len(sample) // n_rows
    integers = rows_like(counts, parameters["min_data_in_leaf"])
    tables = [(sample[:, :start], of_sample), (integers, 1), (sample[:, start:], of_sample)]
    names = iter([f"Column_{i}" for i in range(len(stream.input_names))])
    whole, *further = [_one_row(table, {**parameters, "min_data_in_leaf": n}, names) for table, n in tables if table.shape[1]]
    for block in further:
        with warnings.catch_warnings(action="ignore"):  # of raw data and categorical features, which there are none of
            whole.add_features_from(block)
    whole.params = dict(parameters)  # a Dataset takes over those of the one that it refers to
    return whole


def _one_row(table: Float32, parameters: dict[str, Any], names: Iterator[str]) -> Any:
    """A lightgbm.Dataset of one row with the bins of a table, whose columns have the next of these names."""
    import lightgbm

    n_columns = table.shape[1]
    cut = lightgbm.Dataset(table, params=parameters).construct()
    columns = list(itertools.islice(names, n_columns))
    return lightgbm.Dataset(np.zeros((1, n_columns)), reference=cut, feature_name=columns, params=parameters).construct()


def _looked_at(stream: TrainingStream, start: int, parameters: dict[str, Any]) -> tuple[Int64, Float32]:
    """Rows with each value of each raw feature, features × values; the sampled rows of the other inputs.

    start: the place of the first raw feature among the inputs.
    """
    end, n_values = start + stream.panel.n_raw, int(stream.panel.top) + 1
    counts = np.zeros((stream.panel.n_raw, n_values), np.int64)
    if stream.binned:
        for i in range(len(stream)):
            counts += value_counts(stream.in_bins(i)[0], n_values)
        return counts, np.empty((0, 0), np.float32)
    rows, first, sample = _sampled_rows(sum(stream.n_rows), parameters), 0, []
    for batch in stream:
        counts += value_counts(batch.X[:, start:end].astype(np.int8), n_values)
        chosen = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + len(batch.X))] - first
        sample.append(np.delete(batch.X, np.s_[start:end], axis=1)[chosen])
        first += len(batch.X)
    return counts, np.concatenate(sample)


def _sampled_rows(n_rows: int, parameters: dict[str, Any]) -> Int64:
    """The rows that LightGBM cuts columns by, rising: those that it asks a sequence of rows for."""
    import lightgbm

    if n_rows <= SAMPLED:
        return np.arange(n_rows)
    asked = []

    class Rows(lightgbm.Sequence):  # type: ignore[misc]
        batch_size = n_rows

        def __getitem__(self, rows: int | slice) -> Array:
            if isinstance(rows, slice):
                return np.zeros((n_rows, 1), np.float32)
            asked.append(rows)
            return np.zeros(1)

        def __len__(self) -> int:
            return n_rows

    lightgbm.Dataset(Rows(), params=parameters).construct()
    return np.array(asked, np.int64)


def value_counts(block: Int8, n_values: int) -> Int64:
    """Rows with each value 0, 1 … of each column: columns × values."""
    counts = np.zeros((block.shape[1], n_values), np.int64)
    for start in range(0, len(block), 255):  # so many ones fit a byte, which adds up eight times as fast
        rows = block[start : start + 255]
        for value in range(n_values):
            counts[:, value] += (rows == value).view(np.uint8).sum(0, dtype=np.uint8)
    return counts


def rows_like(counts: Int64, least_in_leaf: int) -> Float32:
    """A hundred rows that LightGBM cuts as it cuts all of them. counts: features × values. least_in_leaf: rows in a leaf."""
    repeats = np.array([_repeats(of_feature, least_in_leaf) for of_feature in counts])
    values = np.tile(np.arange(counts.shape[1], dtype=np.float32), len(counts))
    return np.repeat(values, repeats.ravel()).reshape(len(counts), REFERENCE_ROWS).T


def _repeats(counts: Int64, least_in_leaf: int) -> Int64:
    """How many of a hundred rows have each value: rare, missing and most frequent ones are those of `counts`."""
    n_rows, left = counts.sum(), np.cumsum(counts)[:-1]
    top = counts.argmax()
    repeats = np.minimum(counts, LEAST_IN_BIN)
    if not np.any((left >= least_in_leaf) & (n_rows - left >= least_in_leaf)):  # no leaf can be split by it
        repeats = np.zeros_like(counts)
    elif counts[top] < MOST_FREQUENT * n_rows:
        often = np.flatnonzero(counts >= LEAST_IN_BIN)
        repeats[often] += (REFERENCE_ROWS - repeats.sum()) // len(often)
        top = often[0]
    repeats[top] += REFERENCE_ROWS - repeats.sum()
    return repeats
