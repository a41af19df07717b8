"""Rows of augmenters that are expensive or have `materialize: true`: written to files once and read from there at every pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.panel import Block, release_pages
from numerai_lab.core.progress import Progress
from numerai_lab.core.stream_parts import Origin
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.storage.array_files import mapped, new_array, reopened
from numerai_lab.storage.resumable import journaled

FEATURES, TARGET = "features.npy", "target.npy"


@dataclass(frozen=True)
class MaterializedRows:
    """Rows of an augmenter, batch after batch, as views over memory-maps. bounds: the first row of each batch, and the end."""

    features: Array
    target: Float32
    bounds: tuple[int, ...]
    top: float

    @classmethod
    def of(cls, folder: Path, stream: TrainingStream, name: str) -> "MaterializedRows":
        """The rows that `make` wrote for this stream. Raises NlabFailure when there are more or fewer than the stream has."""
        features, target = (mapped(folder / file) for file in (FEATURES, TARGET))
        bounds = _bounds(stream, name)
        if len(features) != len(target) or len(target) != bounds[-1]:
            raise NlabFailure(
                f"cache entry {folder}: holds {len(features)} rows, wanted {bounds[-1]}; `nlab cache verify --repair` mends it"
            )
        return cls(features, target, bounds, stream.panel.top)

    def block(self, i: int) -> Block:
        """The rows of a batch."""
        rows = slice(self.bounds[i], self.bounds[i + 1])
        block = Block(-1, np.array(self.features[rows]), self.top, np.array(self.target[rows]))
        release_pages(self.features)
        return block


def make(work: Path, stream: TrainingStream, name: str, progress: Progress) -> None:
    """Writes the rows of an augmenter, batch after batch; goes on where a killed try stopped."""
    origins, bounds = stream.origins_of(name), _bounds(stream, name)
    dtype = str(stream.rows_of(origins[0]).features.dtype)
    features, journal = journaled(work / FEATURES, (bounds[-1], stream.panel.n_raw), dtype)
    existing = reopened(work / TARGET, bounds[-1:], "float32")
    target = new_array(work / TARGET, "float32", bounds[-1:]) if existing is None else existing

    def written(i: int) -> Array:
        rows = slice(bounds[i], bounds[i + 1])
        return np.concatenate([np.ravel(features[rows]).view(np.uint8), target[rows].view(np.uint8)])

    done = journal.read(written)
    with journal.writing() as note:
        for group in _passes(stream, origins, bounds):
            if not done.issuperset(group):  # a pass is made as a whole: its sums depend a little on what is in it
                for i, block in zip(group, _invented(stream, [origins[i] for i in group]), strict=True):
                    rows = slice(bounds[i], bounds[i + 1])
                    features[rows], target[rows] = block.features, block.target
                    note(i, written(i))
                release_pages(features)
            progress(group[-1] + 1, len(origins))


def _passes(stream: TrainingStream, origins: Sequence[Origin], bounds: Sequence[int]) -> list[list[int]]:
    """The places of the batches that are made in each pass: one, or several invented eras."""
    most, groups, first = stream.augmenters[origins[0].augmenter].rows_a_pass, list[list[int]](), 0
    for i, origin in enumerate(origins):
        if not groups or origin.number is None or bounds[i + 1] - first > most:
            groups.append([])
            first = bounds[i]
        groups[-1].append(i)
    return groups


def _invented(stream: TrainingStream, origins: Sequence[Origin]) -> list[Block]:
    return [stream.rows_of(origins[0])] if len(origins) == 1 else stream.invented(origins)


def _bounds(stream: TrainingStream, name: str) -> tuple[int, ...]:
    sizes = [n for n, origin in zip(stream.n_rows, stream.origins, strict=True) if origin.augmenter == name]
    return (0, *np.cumsum(sizes).tolist())
