"""LightGBM's bins of small integers, made without a sample: the trees are those of LightGBM's own sample."""

from collections.abc import Callable
from dataclasses import replace

import lightgbm
import numpy as np
import pytest

from numerai_lab.core.progress import FitContext
from numerai_lab.core.shared_matrix import SharedMatrix
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.fitting.estimate import Training
from numerai_lab.models import LightGBM
from numerai_lab.models import lightgbm as model_module
from numerai_lab.models import lightgbm_bins as bins_module
from numerai_lab.models.lightgbm_bins import value_counts
from tests.conftest import make_panel

NAMES = {"g": ("g0", "g1", "g2"), "h": ("h0",)}


def stream_of(*inputs: str) -> TrainingStream:
    """Columns as files have them: raw ones alone with some missing in most eras, constant, or of rare values; generated ones."""
    panel, rng = make_panel(n_eras=40, n_rows=120, n_features=42), np.random.default_rng(0)
    features = np.array(panel.features)
    features[: len(features) * 8 // 10, 3] = 2
    features[:, 5] = 1
    features[:, 6] = rng.random(len(features)) < 0.01
    features[:, 7] = np.where(np.arange(len(features)) < 2, 0, np.maximum(features[:, 7], 1))
    if inputs == ("raw",):  # what a sample would miss
        features[:, 8] = np.where(np.arange(len(features)) < 19, 4, 3)  # one row too few for a leaf
    generated = rng.normal(size=(len(features), 3)).astype(np.float32)
    generated[:, 2] = np.arange(len(features)) % 7 == 0
    panel = replace(panel, features=features).with_columns("g", generated).with_columns("h", generated[:, :1] ** 2)
    named = {**NAMES, "raw": panel.raw_names}
    return TrainingStream(panel, inputs, tuple(name for each in inputs for name in named[each]), 0)


def trees(stream: TrainingStream, **parameters: object) -> str:
    model = LightGBM.model_validate({"n_estimators": 40, "learning_rate": 0.1, "n_jobs": 1, **parameters})
    text = model.fit(stream, np.random.default_rng(0)).saved()[1].decode()
    return text[: text.index("\nparameters")]


def by_lightgbms_sample(patch: pytest.MonkeyPatch) -> None:
    """Trains as LightGBM does by itself, row by row."""

    def sampled(stream: TrainingStream, parameters: dict[str, object]) -> None:
        parameters.update(force_row_wise=True, force_col_wise=False)

    patch.setattr(model_module, "reference_of", sampled)


@pytest.mark.parametrize(
    "parameters",
    [{"colsample_bytree": 0.3}, {"colsample_bytree": 1.0}, {"subsample": 0.5, "colsample_bytree": 0.5}, {"max_bin": 3}],
)
def test_bins_without_a_sample_and_columns_one_by_one_give_the_trees_of_lightgbms_own_way(
    parameters: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = trees(stream_of("raw"), **parameters)
    by_lightgbms_sample(monkeypatch)
    assert ours == trees(stream_of("raw"), **parameters)


@pytest.mark.parametrize("inputs", [("raw", "g"), ("g", "raw"), ("h", "raw", "g")])
def test_generated_columns_are_cut_by_the_rows_that_lightgbm_samples(
    inputs: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (model_module, bins_module):
        monkeypatch.setattr(module, "SAMPLED", 1000)
    ours = trees(stream_of(*inputs), colsample_bytree=0.4)
    monkeypatch.setattr(bins_module, "SAMPLED", 10_000)
    assert ours != trees(stream_of(*inputs), colsample_bytree=0.4)
    by_lightgbms_sample(monkeypatch)
    assert ours == trees(stream_of(*inputs), colsample_bytree=0.4)


def test_a_matrix_of_sampled_rows_serves_all_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (model_module, bins_module):
        monkeypatch.setattr(module, "SAMPLED", 1000)
    for inputs, parameters in ((("raw", "g"), {}), (("raw", "g"), {"max_bin": 3}), (("g",), {"min_data_in_leaf": 50})):
        stream, model = stream_of(*inputs), LightGBM.model_validate({"n_estimators": 20, "n_jobs": 1, **parameters})
        shared = FitContext(matrix=SharedMatrix().obtain)
        for seed in (0, 1, 2):
            trained = [model.fresh().fit(stream, np.random.default_rng(seed), each) for each in (shared, FitContext())]
            assert trained[0].saved() == trained[1].saved()


def test_no_row_of_bins_is_sampled_and_a_cell_is_read_as_four_bytes_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: list[np.ndarray] = []
    push: Callable[..., object] = lightgbm.Dataset._push_rows
    refuse = "rows of bins are sampled"

    def watched(self: object, data: np.ndarray) -> object:
        pushed.append(data)
        return push(self, data)

    monkeypatch.setattr(lightgbm.Dataset, "_push_rows", watched)
    monkeypatch.setattr(lightgbm.Dataset, "_init_from_sample", lambda *_: pytest.fail(refuse))
    stream = stream_of("raw")
    LightGBM(n_estimators=2).fit(stream, np.random.default_rng(0))
    assert [part.shape for part in pushed] == [(n, 42) for n in stream.n_rows]
    assert {part.dtype for part in pushed} == {np.dtype(np.float32)}


def test_memory_is_a_byte_a_cell_by_columns_and_two_by_rows_and_twenty_a_cell_of_the_sample() -> None:
    few = LightGBM(colsample_bytree=0.1)
    histograms = 31 * 6 * 16
    assert Training(few, 900_000, 3555, 0).memory_bytes() == 900_000 * (3555 + 40) + histograms * 3555
    whole = Training(LightGBM(colsample_bytree=1.0), 900_000, 3555, 0)
    assert whole.memory_bytes() == 900_000 * (2 * 3555 + 40) + histograms * 3555
    assert replace(whole, era_rows=5000).memory_bytes() - whole.memory_bytes() == 4 * 5000 * 3555
    sampled = 20 * 100 * 50_000
    assert Training(few, 900_000, 3655, 100).memory_bytes() == 900_000 * (3655 + 40) + histograms * 3655 + sampled
    assert LightGBM(num_leaves=1000).cutting_bytes(900_000, 100) == 256 * 16 * 1000 * 100


def test_values_are_counted_by_column() -> None:
    block = np.random.default_rng(0).integers(0, 5, (600, 7), dtype=np.int8)
    block[:, 0] = 3
    np.testing.assert_array_equal(value_counts(block, 5), [np.bincount(column, minlength=5) for column in block.T])
