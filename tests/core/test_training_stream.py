"""The training stream: the same bytes on every pass, in any order; augmented rows behind the panel's own."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.augmenters.average import Average
from numerai_lab.augmenters.base import Augmenter
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.stream_parts import Origin
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.storage.scratch import Scratch
from tests.conftest import component


def stream(panel: Panel, seed: int = 0, **augmenters: object) -> TrainingStream:
    return TrainingStream(panel, ("raw",), panel.raw_names, seed, augmenters)  # type: ignore[arg-type]


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


ROWS = [kind for kind, cls in AUGMENTERS.items() if not cls.weighs]
"""Kinds of augmenters that make rows."""


@pytest.mark.parametrize("kind", ROWS)
def test_a_batch_is_the_same_on_every_pass_and_in_any_order(panel: Panel, kind: str) -> None:
    train = panel.only(range(1, 16))
    blocks = stream(train, a=component(kind, copies=2).fit(train, np.random.default_rng(0)))
    forwards = [batch.X for batch in blocks]
    backwards = [blocks[i].X for i in reversed(range(len(blocks)))][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(one, other)


LEARNED_ONLY = ("dream", "unet")
"""What they learn is drawn at random, what they make of a row is not."""


@pytest.mark.parametrize("kind", [name for name in ROWS if AUGMENTERS[name].stochastic and name not in LEARNED_ONLY])
def test_eras_copies_and_seeds_draw_differently(panel: Panel, kind: str) -> None:
    assert panel.target is not None
    tiles = (np.tile(panel.features[:40], (30, 1)), np.tile(panel.target[:40], 30))
    same = replace(panel, features=tiles[0], target=tiles[1]).only(range(1, 16))
    augmenter = component(kind, copies=2).fit(panel.only(range(1, 16)), np.random.default_rng(0))
    blocks = [stream(same, seed, a=augmenter) for seed in (0, 1)]
    batches = [blocks[0][i] for i in (15, 16, 30, 31)] + [blocks[1][15]]
    made = [np.column_stack([batch.X, batch.y]) for batch in batches]
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
    blocks = TrainingStream(train, ("raw", "p"), (), 0, {"a": component("cutout")}, {"p": Counted()}, space)  # type: ignore[dict-item]
    first, second = blocks[2].X, blocks[2].X
    np.testing.assert_array_equal(first, second)
    assert len(calls) == 1
    assert not np.allclose(first[:, -3:], blocks[0].X[:, -3:])


class Drawn(Augmenter):
    """Invents eras of noise."""

    invents_eras = True

    def invent(self, number: int, n_rows: int, rng: np.random.Generator) -> Block:
        return Block(-1, rng.integers(0, 5, (n_rows, 12)).astype(np.int8), 4.0, np.full(n_rows, 0.5, np.float32))


def test_generated_columns_are_those_of_the_very_rows_though_variants_share_a_shelf(panel: Panel, space: Scratch) -> None:
    class Copied:
        def transform(self, block: Block) -> np.ndarray:
            return block.features[:, :1].astype(np.float32)

    whole = panel.with_columns("p", panel.features[:, :1].astype(np.float32))
    few, law, mixed = Drawn(ratio=0.2), Drawn(), Average(within_era=False)
    sets = [(range(1, 16), {"few": few, "law": law}), (range(1, 16), {"law": law}), (range(4, 16), {"law": law})]
    sets += [(eras, {"mixed": mixed}) for eras in (range(1, 16), range(4, 16))]
    for eras, augmenters in sets:
        train = whole.only(eras)
        blocks = TrainingStream(train, ("raw", "p"), (), 0, augmenters, {"p": Copied()}, space, 30)  # type: ignore[arg-type,dict-item]
        for batch in blocks:
            np.testing.assert_array_equal(batch.X[:, -1], batch.X[:, 0])


def test_an_invented_era_is_the_same_whatever_other_augmenters_invent_before_it(panel: Panel) -> None:
    train = panel.only(range(1, 6))
    alone, behind = stream(train, law=Drawn()), stream(train, few=Drawn(ratio=0.2), law=Drawn())
    for one, other in zip(alone.origins_of("law"), behind.origins_of("law"), strict=True):
        np.testing.assert_array_equal(alone.rows_of(one).features, behind.rows_of(other).features)


def test_only_small_integers_count_as_binned(panel: Panel) -> None:
    assert stream(panel.only([1]), a=component("cutout")).binned
    assert not stream(panel.only([1]), a=component("gaussian_noise")).binned


class Numbered(Augmenter):
    """Invents eras whose every cell is the era's number."""

    invents_eras = True

    def invent(self, number: int, n_rows: int, rng: np.random.Generator) -> Block:
        return Block(-1, np.full((n_rows, 12), number, np.int8), 4.0, np.full(n_rows, 0.5, np.float32))


def test_invented_eras_have_ids_beyond_all_data_and_the_sizes_of_training_eras(panel: Panel) -> None:
    train = panel.only([1, 2, 3])
    bounds = train.bounds.copy()
    bounds[0, 1] -= 15
    augmenters = {"one": Numbered(copies=2), "two": Numbered(ratio=0.4)}
    blocks = TrainingStream(replace(train, bounds=bounds), ("raw",), (), 0, augmenters, last_era=1234)  # type: ignore[arg-type]
    made = [Origin(10000 + i, "one", i // 3, i) for i in range(6)] + [Origin(10006, "two", 0, 0)]
    assert blocks.origins == (Origin(1), Origin(2), Origin(3), *made)
    assert blocks.n_rows == (25, 40, 40, 25, 40, 40, 25, 40, 40, 25)
    assert [batch.era for batch in blocks] == [1, 2, 3, *range(10000, 10007)]
    assert [batch.X[0, 0] for batch in blocks][3:] == [0, 1, 2, 3, 4, 5, 0]


def test_the_number_of_rows_of_every_batch_is_known_without_making_it(panel: Panel) -> None:
    def untouchable(block: Block, rng: np.random.Generator) -> Block:
        raise AssertionError("a block was made")

    class Untouchable(Augmenter):
        def augment(self, block: Block, rng: np.random.Generator) -> Block:
            return untouchable(block, rng)

    blocks = stream(panel.only([1, 2]), a=Untouchable(ratio=0.3, weight=0.5))
    assert blocks.n_rows == (40, 40, 12, 12)
    assert blocks.weighted
    np.testing.assert_array_equal(blocks.weights(), np.repeat(np.float32([1, 0.5]), [80, 24]))


def test_rows_weigh_what_their_augmenter_says(panel: Panel) -> None:
    blocks = stream(panel.only([1, 2]), c=component("cutout"), n=component("gaussian_noise", weight=0.25))
    assert [batch.weight for batch in blocks] == [1, 1, 1, 1, 0.25, 0.25]
    assert stream(panel.only([1, 2]), c=component("cutout")).weights() is None


def test_parents_of_a_share_of_the_rows_are_drawn_anew_for_every_copy_and_never_twice(panel: Panel) -> None:
    blocks = stream(panel.only([1]), d=component("duplicate", ratio=0.5, copies=2))
    own, first, second = (batch.X for batch in blocks)
    drawn = [np.flatnonzero((own == row).all(1))[0] for row in first]
    assert len(set(drawn)) == 20
    assert not np.array_equal(first, second)


def test_across_eras_every_training_row_is_the_partner_of_exactly_one_row(panel: Panel) -> None:
    numbered = replace(panel, target=np.arange(1200, dtype=np.float32))
    target = numbered.target.copy()  # type: ignore[union-attr]
    target[50:60] = np.nan
    train = replace(numbered, target=target).only([1, 2, 4, 5])
    blocks = stream(train, a=Average(within_era=False))
    own, made = (np.concatenate([blocks[i].y for i in places]) for places in (range(4), range(4, 8)))
    partners = 2 * made - own
    np.testing.assert_array_equal(np.sort(partners), own)
    assert 0.1 < np.mean(partners // 40 == own // 40) < 0.4  # a permutation keeps a quarter of the pairs inside an era


def test_an_augmenter_that_gives_nan_or_the_wrong_number_of_rows_is_stopped(panel: Panel) -> None:
    class Broken(Augmenter):
        nan: bool = False

        def augment(self, block: Block, rng: np.random.Generator) -> Block:
            features = block.features.astype(np.float32)
            if self.nan:
                features[0, 0] = np.nan
                return replace(block, features=features)
            return replace(block, features=features[1:], target=block.target[1:])  # type: ignore[index]

    with pytest.raises(NlabFailure, match="augmenters.a: gave 39 rows with 0 cells .* wanted 40"):
        stream(panel.only([1]), a=Broken())[1]
    with pytest.raises(NlabFailure, match="gave 40 rows with 1 cells"):
        stream(panel.only([1]), a=Broken(nan=True))[1]
