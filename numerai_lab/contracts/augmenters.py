"""What an augmenter that makes rows promises."""

from collections.abc import Callable, Mapping

import numpy as np

from numerai_lab.augmenters import Augmenter
from numerai_lab.core.arrays import Array, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.panel import Panel
from numerai_lab.core.training_stream import Batch, TrainingStream


def fitted(template: Augmenter, panel: Panel, seed: int = 0) -> Augmenter:
    """The augmenter, fitted on a panel if it learns."""
    return template.fresh().fit(panel, np.random.default_rng(seed))


def batches_of(augmenter: Augmenter, panel: Panel, seed: int = 0) -> list[Batch]:
    """Its batches alone, as a model reads them."""
    stream = TrainingStream(panel, ("raw",), panel.raw_names, seed, {"a": augmenter}, last_era=int(panel.eras[-1]))
    return [stream[i] for i, origin in enumerate(stream.origins) if origin.augmenter]


def shape_of_rows(template: Augmenter, panel: Panel, tolerance: float) -> str:
    """New rows are finite, as many as were asked for, as wide as the panel, and have a target."""
    try:
        batches = batches_of(fitted(template, panel), panel)
    except NlabFailure as error:
        return str(error).removeprefix("augmenters.a: ")
    wrong = next((batch for batch in batches if batch.X.shape[1] != panel.n_raw or not np.isfinite(batch.X).all()), None)
    return f"rows of era {wrong.era} have shape {wrong.X.shape}, or values that are not finite" if wrong else ""


def same_bytes(template: Augmenter, panel: Panel, tolerance: float) -> str:
    """The same seed gives the same rows."""
    first, again = (_joined(batches_of(fitted(template, panel), panel)) for _ in range(2))
    return "" if np.array_equal(first, again) else "the same seed gives other rows; draw random numbers from `rng` alone"


def same_when_restored(template: Augmenter, panel: Panel, tolerance: float) -> str:
    """Saved as plain arrays and restored, it makes the same rows."""
    augmenter = fitted(template, panel)
    restored = template.restored(arrays_from_bytes(arrays_to_bytes(augmenter.state()))) if augmenter.state() else template
    same = np.array_equal(_joined(batches_of(augmenter, panel)), _joined(batches_of(restored, panel)))
    return "" if same else "saved and loaded, it makes other rows; keep all that `fit` learns in names that end in _"


def data_left(template: Augmenter, panel: Panel, tolerance: float) -> str:
    """It changes neither features nor target that it is given."""
    before = [(np.array(block.features), np.array(block.target)) for block in panel.blocks()]
    batches_of(fitted(template, panel), panel)
    after = [(block.features, block.target) for block in panel.blocks()]
    same = all(
        np.array_equal(a, b) and np.array_equal(y, z, equal_nan=True)  # type: ignore[arg-type]
        for (a, y), (b, z) in zip(before, after, strict=True)
    )
    return "" if same else "it changes the rows that it is given; copy them first"


CHECKS: Mapping[str, Callable[[Augmenter, Panel, float], str]] = {
    "rows are finite, as many and as wide as asked for": shape_of_rows,
    "the same seed gives the same rows": same_bytes,
    "saved and loaded, it makes the same rows": same_when_restored,
    "the rows that it is given stay as they were": data_left,
}


def _joined(batches: list[Batch]) -> Array:
    return np.concatenate([np.column_stack([batch.X, batch.y]) for batch in batches])
