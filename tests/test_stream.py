"""The block stream: the same bytes on every pass, in any order; augmented rows behind the panel's own."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.panel import Panel
from numerai_lab.store import Scratch
from numerai_lab.stream import BlockStream, Origin
from tests.conftest import component


def stream(panel: Panel, seed: int = 0, **augmenters: object) -> BlockStream:
    return BlockStream(panel, ("raw",), panel.raw_names, seed, augmenters)  # type: ignore[arg-type]


def test_own_rows_come_first_then_each_augmenter_copy_after_copy(panel: Panel) -> None:
    blocks = stream(panel.only([1, 2]), cut=component("cutout", copies=2))
    assert blocks.origins == (
        Origin(1), Origin(2), Origin(1, "cut", 0), Origin(2, "cut", 0), Origin(1, "cut", 1), Origin(2, "cut", 1),
    )  # fmt: skip
    assert [len(batch.y) for batch in blocks] == [40] * 6


def test_replace_leaves_the_own_rows_out(panel: Panel) -> None:
    assert stream(panel.only([1, 2]), n=component("gaussian_noise", mode="replace")).origins == (
        Origin(1, "n", 0),
        Origin(2, "n", 0),
    )


@pytest.mark.parametrize("kind", AUGMENTERS)
def test_a_batch_is_the_same_on_every_pass_and_in_any_order(panel: Panel, kind: str) -> None:
    blocks = stream(panel.only([1, 2, 3]), a=component(kind, copies=2))
    forwards = [batch.X for batch in blocks]
    backwards = [blocks[i].X for i in reversed(range(len(blocks)))][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", AUGMENTERS)
def test_eras_copies_and_seeds_draw_differently(panel: Panel, kind: str) -> None:
    same = replace(panel, features=np.tile(panel.features[:40], (30, 1)))
    blocks = stream(same.only([1, 2]), a=component(kind, copies=2))
    made = [blocks[i].X for i in range(2, 6)] + [stream(same.only([1]), seed=1, a=component(kind))[1].X]
    for i, one in enumerate(made):
        assert not any(np.array_equal(one, other) for other in made[:i])


def test_rows_without_a_target_never_reach_a_model(panel: Panel) -> None:
    target = panel.target.copy()  # type: ignore[union-attr]
    target[3:7] = np.nan
    blocks = stream(replace(panel, target=target).only([1, 2]), a=component("cutout"))
    assert [len(batch.y) for batch in blocks] == [36, 40, 36, 40]
    assert np.isfinite(blocks.targets()).all()
    np.testing.assert_array_equal(blocks.targets(), np.concatenate([batch.y for batch in blocks]))


def test_augmented_rows_get_their_generated_columns_from_the_fitted_generator_once(panel: Panel, space: Scratch) -> None:
    generator = component("pca").fit(panel.without_target(), np.random.default_rng(0))
    calls = []

    class Counted:
        def transform(self, block: object) -> object:
            calls.append(1)
            return generator.transform(block)

    columns = np.concatenate([generator.transform(block) for block in panel.blocks()])
    train = panel.with_columns("p", columns).only([1, 2])
    blocks = BlockStream(train, ("raw", "p"), (), 0, {"a": component("cutout")}, {"p": Counted()}, space)  # type: ignore[dict-item]
    first, second = blocks[2].X, blocks[2].X
    np.testing.assert_array_equal(first, second)
    assert len(calls) == 1
    assert not np.allclose(first[:, -3:], blocks[0].X[:, -3:])


def test_only_small_integers_count_as_binned(panel: Panel) -> None:
    assert stream(panel.only([1]), a=component("cutout")).binned
    assert not stream(panel.only([1]), a=component("gaussian_noise")).binned
