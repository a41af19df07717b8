"""What every registered augmenter that weighs promises, asked through the stream that models read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from numerai_lab.augmenters import AUGMENTERS, Augmenter
from numerai_lab.core.arrays import Float32, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.runs.reading import Run
from tests.augmenters.small_panels import SMALL_PANELS
from tests.conftest import component, make_config, make_panel

KINDS = [kind for kind, cls in AUGMENTERS.items() if cls.weighs]
kinds = pytest.mark.parametrize("kind", KINDS)
TRAIN = range(1, 16)


def fitted(kind: str, panel: Panel, seed: int = 0, **parameters: object) -> Augmenter:
    weigher: Augmenter = component(kind, **parameters).fit(panel.only(TRAIN), np.random.default_rng(seed))
    return weigher


def weights(weigher: Augmenter, panel: Panel, seed: int = 0) -> Float32:
    stream = TrainingStream(panel.only(TRAIN), ("raw",), panel.raw_names, seed, {"w": weigher})
    assert stream.origins == tuple(stream.origins_of(""))
    values = stream.weights()
    assert values is not None
    return values


@kinds
def test_weights_are_float32_positive_differ_and_have_mean_1_over_the_rows_with_a_target(kind: str) -> None:
    panel = make_panel()
    target = panel.target.copy()  # type: ignore[union-attr]
    target[80:120] = target[7:20] = np.nan  # all of era 3, some of era 1
    values = weights(fitted(kind, replace(panel, target=target)), replace(panel, target=target))
    assert (values.dtype, values.shape) == (np.float32, (547,))
    assert values.min() > 0
    assert values.std() > 0
    assert values.mean(dtype=np.float64) == pytest.approx(1, abs=1e-6)


@kinds
def test_the_same_seed_gives_the_same_weights_and_saving_executes_nothing(kind: str) -> None:
    panel = make_panel()
    weigher = fitted(kind, panel)
    again = component(kind).restored(arrays_from_bytes(arrays_to_bytes(weigher.state())))
    np.testing.assert_array_equal(weights(weigher, panel), weights(fitted(kind, panel), panel))
    np.testing.assert_array_equal(weights(weigher, panel), weights(again, panel))
    other = weights(fitted(kind, panel, seed=1), panel)
    assert np.array_equal(weights(weigher, panel), other) == (not AUGMENTERS[kind].stochastic)


@kinds
def test_garbage_after_the_training_eras_and_in_rows_without_a_target_changes_no_weight(kind: str) -> None:
    panel = make_panel()
    target = panel.target.copy()  # type: ignore[union-attr]
    target[80:120] = target[7:20] = np.nan
    features, other = panel.features.copy(), target.copy()
    features[600:], other[600:] = 4 - features[600:], 1 - target[600:]
    features[80:120] = features[7:20] = 0
    clean, dirty = replace(panel, target=target), replace(panel, features=features, target=other)
    np.testing.assert_array_equal(weights(fitted(kind, clean), clean), weights(fitted(kind, dirty), dirty))


@kinds
def test_shuffled_weights_are_the_same_in_another_order_that_depends_on_the_seed_alone(kind: str) -> None:
    panel = make_panel()
    weigher, placebo = fitted(kind, panel), fitted(kind, panel, shuffle_eras=True)
    assert weigher.seed_key == placebo.seed_key
    plain, shuffled = weights(weigher, panel), weights(placebo, panel)
    np.testing.assert_array_equal(np.sort(plain), np.sort(shuffled))
    eras, dealt = (values.reshape(15, 40).mean(1) for values in (plain, shuffled))
    np.testing.assert_allclose(np.sort(eras), np.sort(dealt), rtol=1e-6)
    assert not np.allclose(eras, dealt)
    np.testing.assert_array_equal(shuffled, weights(placebo, panel))
    assert not np.array_equal(shuffled, weights(placebo, panel, seed=1))


@kinds
def test_it_has_no_parameter_of_augmenters_that_make_rows(kind: str) -> None:
    assert not {"copies", "ratio", "mode", "weight", "materialize"} & AUGMENTERS[kind].model_fields.keys()
    with pytest.raises(ValueError, match="copies"):
        component(kind, copies=2)


@kinds
@pytest.mark.parametrize("which", SMALL_PANELS)
def test_small_panels_give_finite_weights_or_are_refused_in_a_sentence(kind: str, which: str) -> None:
    panel, template = SMALL_PANELS[which](), component(kind)
    refused = template.refusal(panel)
    try:
        weigher = template.fit(panel, np.random.default_rng(0))
    except NlabError as error:
        assert str(error).startswith(refused)
        assert kind in str(error)
    else:
        assert refused == ""
        stream = TrainingStream(panel, ("raw",), panel.raw_names, 0, {"w": weigher})
        assert all(np.isfinite(stream.weight_of(i)).all() for i in range(len(stream)))


def test_there_are_no_rows_of_it_to_export() -> None:
    from numerai_lab.studies.export_eras import _fitted

    config = make_config(augmenters={"recent": {"kind": "recency"}})
    with pytest.raises(NlabError, match="--augmenter: 'recent' weighs rows and makes none to export"):
        _fitted(Run(Path("run"), {}, pl.DataFrame(), pl.DataFrame()), config, "recent", 0)
