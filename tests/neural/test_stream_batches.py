"""Batches of a training stream: every row once an epoch, within one era, in an order that a state restores."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.neural.rows import RowBatch
from numerai_lab.neural.stream_batches import StreamBatches, input_moments
from tests.conftest import component, make_panel


def numbered(n_eras: int = 5, n_rows: int = 40) -> Panel:
    """A panel whose first feature is the number of the row."""
    panel = make_panel(n_eras=n_eras, n_rows=n_rows)
    features = panel.features.astype(np.float32)
    features[:, 0] = np.arange(len(features))
    return replace(panel, features=features, top=1.0)


def stream(panel: Panel, **augmenters: object) -> TrainingStream:
    return TrainingStream(panel, ("raw",), panel.raw_names, 0, augmenters)  # type: ignore[arg-type]


def epoch(batches: StreamBatches) -> list[RowBatch]:
    return [batches.next() for _ in range(len(batches))]


def rows_of(batch: RowBatch) -> list[int]:
    return [int(row) for row in batch.cells[:, 0]]


@pytest.mark.parametrize("size", [8, 12, 16, 40, 1000])
def test_every_epoch_has_every_row_once_in_batches_of_one_era_and_no_larger_than_asked(size: int) -> None:
    batches = StreamBatches(stream(numbered()), size, 0)
    for _ in range(2):
        given = epoch(batches)
        assert sorted(row for batch in given for row in rows_of(batch)) == list(range(200))
        assert max(map(len, given)) <= size
        assert min(map(len, given)) > min(size, 40) / 2
        assert all(set(batch.era.tolist()) == {row // 40 + 1 for row in rows_of(batch)} for batch in given)


def test_orders_and_parts_differ_between_epochs_and_seeds_and_repeat_with_the_seed() -> None:
    batches, again, other = (StreamBatches(stream(numbered()), 16, seed) for seed in (0, 0, 1))
    first, second = ([rows_of(batch) for batch in epoch(batches)] for _ in range(2))
    assert [rows_of(batch) for batch in epoch(again)] == first
    assert first not in ([rows_of(batch) for batch in epoch(other)], second)
    assert [rows[0] // 40 for rows in first] != [rows[0] // 40 for rows in second]
    assert {frozenset(rows) for rows in first}.isdisjoint(map(frozenset, second))


def test_a_state_goes_on_with_the_same_batches() -> None:
    whole, begun, resumed = (StreamBatches(stream(numbered()), 16, 0) for _ in range(3))
    wanted = [rows_of(whole.next()) for _ in range(40)]
    for _ in range(17):
        begun.next()
    resumed.load(begun.state())
    assert [rows_of(resumed.next()) for _ in range(23)] == wanted[17:]


def test_bins_stay_int8_and_hold_what_floats_hold() -> None:
    panel = make_panel()
    bins = StreamBatches(stream(panel, c=component("cutout")), 16, 0)
    floats = StreamBatches(stream(panel, c=component("cutout")), 16, 0)
    floats.stream.__dict__["binned"] = False
    for left, right in zip(epoch(bins), epoch(floats), strict=True):
        assert (left.cells.dtype, right.cells.dtype) == (torch.int8, torch.float32)
        torch.testing.assert_close(left.cells.float(), right.cells)
        torch.testing.assert_close(left.target, right.target)


def test_an_era_is_made_once_an_epoch_however_many_batches_it_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    bins = TrainingStream.in_bins
    monkeypatch.setattr(TrainingStream, "in_bins", lambda self, i: (asked.append(i), bins(self, i))[1])
    batches = StreamBatches(stream(make_panel(n_eras=5)), 8, 0)
    epoch(batches)
    assert sorted(asked) == [0, 1, 2, 3, 4]


def test_weights_of_rows_reach_the_batches_and_there_are_none_where_all_are_1() -> None:
    panel = make_panel(n_eras=3)
    assert all(batch.weight is None for batch in epoch(StreamBatches(stream(panel), 1000, 0)))
    weighted = epoch(StreamBatches(stream(panel, d=component("duplicate", weight=0.25)), 1000, 0))
    assert sorted({float(value) for batch in weighted for value in batch.weight}) == [0.25, 1]  # type: ignore[union-attr]


def test_eras_with_a_single_known_target_give_no_batch_and_where_there_is_no_other_it_is_refused() -> None:
    panel = make_panel(n_eras=3)
    target = panel.target.copy()  # type: ignore[union-attr]
    target[:39] = np.nan
    batches = StreamBatches(stream(replace(panel, target=target)), 1000, 0)
    assert {int(batch.era[0]) for batch in epoch(batches)} == {2, 3}
    with pytest.raises(NlabError, match="no training era has two rows with a target"):
        StreamBatches(stream(replace(panel, target=target).only([1])), 1000, 0)


def test_moments_of_bins_are_of_equal_bins_and_of_other_inputs_those_of_the_training_rows() -> None:
    panel = make_panel(n_eras=5)
    constant = panel.features.copy()
    constant[:, 0] = 3
    values = np.random.default_rng(0).normal(5, 2, (200, 2)).astype(np.float32)
    values[:, 1] = 7
    wide = replace(panel, features=constant).with_columns("g", values)
    mixed = TrainingStream(wide, ("raw", "g"), (*panel.raw_names, "g_1", "g_2"), 0)
    mean, deviation = input_moments(mixed, np.random.default_rng(0))
    np.testing.assert_allclose(mean, [*[2.0] * 12, values[:, 0].mean(), 7], rtol=1e-6)
    np.testing.assert_allclose(deviation, [*[np.sqrt(2)] * 12, values[:, 0].std(), 0], rtol=1e-6)
    floats = make_panel(n_eras=5, binned=False)
    mean, deviation = input_moments(stream(floats), np.random.default_rng(0))
    np.testing.assert_allclose(mean, floats.features.mean(0), rtol=1e-5)
    np.testing.assert_allclose(deviation, floats.features.std(0), rtol=1e-5)
