"""The training stream as a matrix of XGBoost, batch by batch."""

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from numerai_lab.core.training_stream import TrainingStream

BINS_FOR_BINNED, BINS_FOR_FLOATS = 16, 256
SAMPLED = 20_000
"""Rows by which the columns of a stream in parts are cut, at 4 bytes a cell."""


def bins_of(stream: TrainingStream) -> int:
    """The bins that columns are cut into by default: 16 where all are small integers, which gives the same trees; else 256."""
    return BINS_FOR_BINNED if stream.binned else BINS_FOR_FLOATS


def quantile_matrix(
    stream: TrainingStream, max_bin: int, n_threads: int | None = None, pages: str | None = None, sampled: bool = False
) -> Any:
    """An xgboost.QuantileDMatrix of all rows of the stream with their targets and weights.

    Labels are a matrix, a column a target, where the stream has several targets.

    pages: a folder for binned rows, for an xgboost.ExtMemQuantileDMatrix; None keeps them in memory. sampled: columns are cut
    by a sample of rows, the same for any number of parts of the stream.
    """
    import xgboost

    cutting = {"max_bin": max_bin, "nthread": n_threads}
    matrix_type = xgboost.QuantileDMatrix if pages is None else xgboost.ExtMemQuantileDMatrix
    cuts = cuts_between_bins(stream, cutting)
    if cuts is None and sampled:
        cuts = cuts_of_sample(stream, cutting)
    return matrix_type(_iterator(stream, pages), ref=cuts, **cutting)


def paged_matrix(stream: TrainingStream, max_bin: int, n_threads: int | None = None, *, sampled: bool = False) -> Any:
    """As `quantile_matrix`, with binned rows in files that go when nobody holds the matrix any more.

    Raises OSError where the disk can't hold them: XGBoost writes them in threads, and ends the process where one fails.
    """
    pages = tempfile.mkdtemp(prefix="pages-", dir=stream.array_cache.folder if stream.array_cache else None)
    try:
        n_bins = min(max_bin, int(stream.panel.top) + 2) if stream.binned else max_bin
        _refuse_full_disk(pages, paged_bytes(sum(stream.n_rows), len(stream.input_names), n_bins, len(stream)))
        matrix = quantile_matrix(stream, max_bin, n_threads, pages, sampled)
    except BaseException:
        shutil.rmtree(pages, ignore_errors=True)
        raise
    weakref.finalize(matrix, shutil.rmtree, pages, ignore_errors=True)
    return matrix


def paged_bytes(n_rows: int, n_columns: int, n_bins: int, n_batches: int) -> int:
    """Bytes of the file of `paged_matrix`: each cell row-wise and column-wise, and the cuts of every batch.

    n_bins: of a column.
    """
    return n_rows * (17 * n_columns // 8 + 10) + 8 * n_bins * n_columns * n_batches


def _refuse_full_disk(folder: str, n_bytes: int) -> None:
    """Has the disk set aside so many bytes in a file, as XGBoost writes them, and gives them back."""
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, n_bytes)


def cuts_between_bins(stream: TrainingStream, cutting: dict[str, Any]) -> Any:
    """A matrix with a row per bin, whose cuts are those between bins; None where inputs are not cut by bins."""
    import xgboost

    if not stream.binned or cutting["max_bin"] <= stream.panel.top:
        return None
    bins = np.arange(int(stream.panel.top) + 1, dtype=np.float32)
    return xgboost.QuantileDMatrix(np.repeat(bins[:, None], len(stream.input_names), axis=1), label=bins, **cutting)


def cuts_of_sample(stream: TrainingStream, cutting: dict[str, Any]) -> Any:
    """A matrix of every k-th row of all parts, whose cuts are used; the first part alone holds its rows."""
    import xgboost
    from xgboost import collective

    n_rows = replace(stream, part=0, n_parts=1).n_rows
    step = -(-sum(n_rows) // SAMPLED)
    sample = np.zeros((-(-sum(n_rows) // step), len(stream.input_names)), np.float32)
    first = place = 0
    for number, n in enumerate(n_rows):
        rows = np.arange(-first % step, n, step)
        if len(rows) and number % stream.n_parts == stream.part:
            sample[place : place + len(rows)] = stream[number // stream.n_parts].X[rows]
        first, place = first + n, place + len(rows)
    if collective.is_distributed():
        whole = collective.allreduce(sample, collective.Op.SUM).reshape(sample.shape)
        sample = whole if stream.part == 0 else whole[:0]
    return xgboost.QuantileDMatrix(sample, label=np.zeros(len(sample), np.float32), **cutting)


def _iterator(stream: TrainingStream, pages: str | None) -> Any:
    """An xgboost.DataIter over the stream; XGBoost reads it four times, three times where the cuts are known.

    pages: a folder for binned rows; None keeps them in memory.
    """
    import xgboost

    class BatchIterator(xgboost.DataIter):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(cache_prefix=None if pages is None else f"{pages}/bins", release_data=True)
            self.next_batch = 0

        def next(self, input_data: Callable[..., None]) -> bool:
            if self.next_batch == len(stream):
                return False
            i = self.next_batch
            batch = None if stream.binned else stream[i]
            data, label = stream.in_bins(i) if batch is None else (batch.X, batch.y)
            label = label if stream.n_targets == 1 else stream.target_matrix(i)
            weight = {"weight": np.full(len(label), stream.weight_of(i), np.float32)} if stream.weighted else {}
            input_data(data=data, label=label, **weight)
            self.next_batch += 1
            return True

        def reset(self) -> None:
            self.next_batch = 0

    return BatchIterator()
