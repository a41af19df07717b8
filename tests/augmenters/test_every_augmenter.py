"""What every registered augmenter that makes rows promises, asked through the stream that models read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from numerai_lab.augmenters import AUGMENTERS, Augmenter
from numerai_lab.contracts.augmenters import CHECKS
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import no_progress
from numerai_lab.core.training_stream import Batch, TrainingStream
from numerai_lab.fitting.materialized import FEATURES, MaterializedRows, make
from tests.augmenters.small_panels import SMALL_PANELS
from tests.conftest import component, make_panel

KINDS = [kind for kind, cls in AUGMENTERS.items() if not cls.weighs]
kinds = pytest.mark.parametrize("kind", KINDS)
TRAIN = range(1, 16)


def fitted(kind: str, panel: Panel, seed: int = 0, **parameters: object) -> Augmenter:
    augmenter: Augmenter = component(kind, **parameters).fit(panel.only(TRAIN), np.random.default_rng(seed))
    return augmenter


def made(augmenter: Augmenter, panel: Panel, seed: int = 0) -> list[Batch]:
    """Its batches alone."""
    blocks = TrainingStream(panel.only(TRAIN), ("raw",), panel.raw_names, seed, {"a": augmenter}, last_era=int(panel.eras[-1]))
    return [blocks[i] for i, origin in enumerate(blocks.origins) if origin.augmenter]


def joined(batches: list[Batch]) -> np.ndarray:
    return np.concatenate([np.column_stack([batch.X, batch.y]) for batch in batches])


def contents(block: Block) -> tuple[object, ...]:
    """All there is to a block of rows."""
    assert block.target is not None
    return block.era, block.top, *((array.dtype, array.tobytes()) for array in (block.features, block.target)), *block.columns


@kinds
def test_the_registry_and_the_class_agree_on_the_name(kind: str) -> None:
    assert AUGMENTERS[kind].model_fields["kind"].default == kind


@kinds
@pytest.mark.parametrize("binned", [True, False])
def test_it_makes_rows_of_the_panels_width_without_nan_for_every_era_and_copy(kind: str, binned: bool) -> None:
    panel = make_panel(binned=binned)
    batches = made(fitted(kind, panel, copies=2), panel)
    assert [batch.X.shape for batch in batches] == [(40, 12)] * 30
    assert np.isfinite(joined(batches)).all()
    real = np.column_stack([panel.features[:600], panel.target[:600]])  # type: ignore[index]
    assert np.array_equal(joined(batches[:15]), real) == (not AUGMENTERS[kind].stochastic)


@kinds
def test_a_ratio_makes_that_share_of_the_rows_and_at_least_one(kind: str) -> None:
    panel = make_panel()
    invents = AUGMENTERS[kind].invents_eras
    assert [len(batch.y) for batch in made(fitted(kind, panel, ratio=0.2), panel)] == ([40] * 3 if invents else [8] * 15)
    assert [len(batch.y) for batch in made(fitted(kind, panel, ratio=0.001), panel)] == ([40] if invents else [1] * 15)


@kinds
def test_new_rows_are_of_their_era_or_of_one_beyond_every_real_one(kind: str) -> None:
    panel = make_panel()
    eras = [batch.era for batch in made(fitted(kind, panel, copies=2), panel)]
    assert eras == (list(range(100, 130)) if AUGMENTERS[kind].invents_eras else [*TRAIN, *TRAIN])


@kinds
def test_the_same_seeds_give_the_same_rows_others_give_others_and_the_panel_is_left_alone(kind: str) -> None:
    panel = make_panel()
    before = panel.features.copy()
    one, again, other = (joined(made(fitted(kind, panel, seed), panel, seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.array_equal(one, other) == (not AUGMENTERS[kind].stochastic)
    np.testing.assert_array_equal(panel.features, before)


@kinds
@pytest.mark.parametrize("promise", CHECKS)
def test_it_keeps_the_promises_of_every_augmenter(kind: str, promise: str) -> None:
    assert CHECKS[promise](component(kind), make_panel().only(TRAIN), 0.0) == ""


@kinds
def test_it_has_a_state_after_a_fit_if_it_learns(kind: str) -> None:
    assert bool(fitted(kind, make_panel()).state()) == AUGMENTERS[kind].learns


@kinds
def test_garbage_after_the_training_eras_changes_no_row(kind: str) -> None:
    panel = make_panel()
    features, target = panel.features.copy(), panel.target.copy()  # type: ignore[union-attr]
    features[600:], target[600:] = 4 - features[600:], 1 - target[600:]
    dirty = replace(panel, features=features, target=target)
    np.testing.assert_array_equal(joined(made(fitted(kind, dirty), dirty)), joined(made(fitted(kind, panel), panel)))


@kinds
def test_rows_without_a_target_and_eras_without_any_take_no_part(kind: str) -> None:
    panel = make_panel()
    target, features = panel.target.copy(), panel.features.copy()  # type: ignore[union-attr]
    target[80:120] = target[7:20] = np.nan  # all of era 3, some of era 1
    clean = joined(made(fitted(kind, replace(panel, target=target)), replace(panel, target=target)))
    features[80:120] = features[7:20] = 0
    dirty = replace(panel, target=target, features=features)
    assert np.isfinite(clean).all()
    np.testing.assert_array_equal(joined(made(fitted(kind, dirty), dirty)), clean)


@kinds
def test_rows_that_are_kept_are_those_made_anew_and_lie_in_the_type_that_is_estimated(kind: str, tmp_path: Path) -> None:
    panel = make_panel()
    augmenter = fitted(kind, panel, copies=2)
    anew = TrainingStream(panel.only(TRAIN), ("raw",), panel.raw_names, 0, {"a": augmenter}, last_era=int(panel.eras[-1]))
    make(tmp_path, anew, "a", no_progress)
    kept = replace(anew, kept={"a": MaterializedRows.of(tmp_path, anew, "a")})
    assert kept.binned == anew.binned == (not augmenter.between_bins)
    assert np.load(tmp_path / FEATURES, mmap_mode="r").dtype == (np.float32 if augmenter.between_bins else np.int8)
    for origin in reversed(anew.origins):
        assert contents(kept.rows_of(origin)) == contents(anew.rows_of(origin))


@pytest.mark.parametrize("kind", [kind for kind, each in AUGMENTERS.items() if "rebin" in each.model_fields])
def test_rebinned_rows_do_not_lie_between_bins(kind: str) -> None:
    panel = make_panel()
    augmenter = fitted(kind, panel, rebin=True)
    blocks = TrainingStream(panel.only(TRAIN), ("raw",), panel.raw_names, 0, {"a": augmenter})
    assert blocks.binned
    assert not augmenter.between_bins


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "umap_inverse"])  # compiles for eleven seconds
@pytest.mark.parametrize("which", SMALL_PANELS)
def test_small_panels_give_finite_rows_or_are_refused_in_a_sentence(kind: str, which: str) -> None:
    panel = SMALL_PANELS[which]()
    template = component(kind)
    refused = template.refusal(panel)
    try:
        fitted = template.fit(panel, np.random.default_rng(0))
    except NlabError as error:
        assert str(error).startswith(refused)
    else:
        assert refused == ""
        blocks = TrainingStream(panel, ("raw",), panel.raw_names, 0, {"a": fitted}, last_era=int(panel.eras[-1]))
        assert np.isfinite(joined([blocks[i] for i, origin in enumerate(blocks.origins) if origin.augmenter])).all()


def test_dreaming_over_one_feature_has_no_step_and_is_refused() -> None:
    with pytest.raises(NlabError, match="dream: a step is the gradient over its standard deviation across features"):
        component("dream").fit(make_panel(n_features=1), np.random.default_rng(0))
