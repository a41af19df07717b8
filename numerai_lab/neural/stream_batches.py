"""A training stream as batches of one era each, epoch after epoch."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from numerai_lab.core.arrays import Array, Float32, Float64, Int64
from numerai_lab.core.errors import NlabError
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.neural.rows import MOMENT_ROWS, RowBatch

MOMENT_BATCHES = 64
SAMPLE_BATCHES, SAMPLE_ROWS = 8, 1024


class _Rows(NamedTuple):
    """The rows of one of the stream's batches, as in `RowBatch`. cells: int8 or float32."""

    cells: Array
    target: Float32
    weight: Float32 | None
    benchmark: Float32 | None

    def taken(self, chosen: Int64) -> "_Rows":
        """A copy of some rows."""
        weight, benchmark = (None if values is None else values[chosen] for values in (self.weight, self.benchmark))
        return _Rows(self.cells[chosen], self.target[chosen], weight, benchmark)


class StreamBatches:
    """Batches of one era each, at most `size` rows, in an order that depends on the seed and the number of the epoch.

    An epoch takes all batches of the stream in a random order. One with more rows than `size` is
    cut at random into parts of about equal size. These follow each other, so that rows are made once an
    epoch. Binned inputs stay int8. Batches of a single row, which has no correlation, are left out.
    """

    def __init__(self, stream: TrainingStream, size: int, seed: int, benchmark: str | None = None) -> None:
        """Raises NlabError for a stream without a batch of two rows."""
        self.stream, self.seed, self.benchmark, self.n_given = stream, seed, benchmark, 0
        n_rows = np.array(stream.n_rows)
        self.n_parts = np.where(n_rows < 2, 0, -(-n_rows // size))
        if not self.n_parts.any():
            raise NlabError("no training era has two rows with a target, and a network learns from two or more; take other eras")
        self._current: tuple[int, int, list[RowBatch]] | None = None

    def __len__(self) -> int:
        """Batches in an epoch."""
        return int(self.n_parts.sum())

    def next(self) -> RowBatch:
        """The next batch."""
        epoch, place = divmod(self.n_given, len(self))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.stream))
        ends = np.cumsum(self.n_parts[order])
        k = int(np.searchsorted(ends, place, side="right"))
        i = int(order[k])
        if self._current is None or self._current[:2] != (epoch, i):
            rng = np.random.default_rng([self.seed, epoch, i])
            self._current = epoch, i, list(self._parts(i, rng))
        self.n_given += 1
        return self._current[2][place - int(ends[k] - self.n_parts[i])]

    def sample(self, rng: np.random.Generator) -> list[RowBatch]:
        """Some rows of a few of the stream's batches, about 8,000 in all."""
        usable = np.flatnonzero(self.n_parts)
        sample = []
        for i in np.sort(rng.permutation(usable)[:SAMPLE_BATCHES]).tolist():
            rows = _rows(self.stream, i, self.benchmark)
            chosen = rng.permutation(len(rows.target))[:SAMPLE_ROWS]
            sample.append(_batch(rows.taken(np.sort(chosen)), self.stream.origins[i].era))
        return sample

    def state(self) -> Array:
        """How many batches were given, as bytes."""
        return np.frombuffer(np.int64(self.n_given).tobytes(), np.uint8)

    def load(self, state: Array) -> None:
        """Goes on from a state."""
        self.n_given = int(np.frombuffer(state.tobytes(), np.int64)[0])

    def release(self) -> None:
        """Takes the pages of the memory-maps out of the process."""
        self.stream.panel.release()

    def _parts(self, i: int, rng: np.random.Generator) -> Iterator[RowBatch]:
        rows, era = _rows(self.stream, i, self.benchmark), self.stream.origins[i].era
        n_parts = int(self.n_parts[i])
        if n_parts == 1:
            yield _batch(rows, era)
            return
        for part in np.array_split(rng.permutation(len(rows.target)), n_parts):
            yield _batch(rows.taken(np.sort(part)), era)


def n_raw(stream: TrainingStream) -> int:
    """The number of raw features, which come first among the inputs."""
    return len(stream.panel.raw_names) if "raw" in stream.inputs else 0


def input_moments(stream: TrainingStream, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """Mean and standard deviation of every input, float64.

    Of binned features they are those of five equally frequent bins, so that no input that happens
    to be constant in training is lost. Of all others they come from about 50,000 rows of up to 64 batches.
    """
    n_fixed = n_raw(stream) if stream.panel.features.dtype == np.int8 else 0
    mean = np.full(len(stream.input_names), stream.panel.top / 2)
    deviation = np.full(len(mean), stream.panel.top / np.sqrt(8))
    if n_fixed < len(mean):
        sample = np.concatenate(list(_sampled(stream, n_fixed, rng)))
        mean[n_fixed:], variance = sample.mean(0), sample.var(0)
        deviation[n_fixed:] = np.sqrt(np.where(variance > 1e-12 * (1 + mean[n_fixed:] ** 2), variance, 0))
    return mean, deviation


def _sampled(stream: TrainingStream, first: int, rng: np.random.Generator) -> Iterator[Float64]:
    """The inputs from the `first` one on, of some rows of some batches."""
    usable: Int64 = np.flatnonzero(stream.n_rows)
    chosen = rng.permutation(usable)[:MOMENT_BATCHES]
    for i in np.sort(chosen).tolist():
        X = stream[i].X[:, first:]
        yield X[rng.permutation(len(X))[: -(-MOMENT_ROWS // len(chosen))]].astype(np.float64)


def _rows(stream: TrainingStream, i: int, benchmark: str | None) -> _Rows:
    cells: Array
    if stream.binned:
        cells, target = stream.in_bins(i)
    else:
        batch = stream[i]
        cells, target = batch.X, batch.y
    weight = np.full(len(target), stream.weight_of(i), np.float32) if stream.weighted else None
    return _Rows(cells, target, weight, None if benchmark is None else stream.predictions_of(i, benchmark))


def _batch(rows: _Rows, era: int) -> RowBatch:
    n = len(rows.target)
    return RowBatch(
        cells=torch.from_numpy(np.require(rows.cells, requirements=["C", "W"])),  # torch wants arrays that may be written
        era=torch.full((n,), era),
        groups=((0, n),),
        target=torch.from_numpy(rows.target),
        weight=None if rows.weight is None else torch.from_numpy(rows.weight),
        benchmark=None if rows.benchmark is None else torch.from_numpy(rows.benchmark),
    )
