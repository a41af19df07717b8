"""What every registered model promises."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.contracts.models import CHECKS
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import FitContext
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models import MODELS, Model
from tests.conftest import component, make_panel

kinds = pytest.mark.parametrize("kind", MODELS)
BY_EPOCHS = [kind for kind, model in MODELS.items() if "epochs" in model.model_fields]
"""Models that take a step a batch: twice as many batches are twice as many steps, whatever they weigh."""


def stream(panel: Panel, **augmenters: object) -> TrainingStream:
    return TrainingStream(panel.only(range(1, 21)), ("raw",), panel.raw_names, 0, augmenters)  # type: ignore[arg-type]


def unsampled(kind: str) -> dict[str, object]:
    """Parameters with which trees see all rows and columns."""
    everything = {"subsample": 1.0, "colsample_bytree": 1.0}
    few = {"lightgbm": {"min_data_in_leaf": 1}, "catboost": {"random_strength": 0.0, "l2_leaf_reg": 0.0}}
    return {**everything, **few[kind]} if kind in few else {}


def fitted(kind: str, panel: Panel, **augmenters: object) -> Model:
    model: Model = component(kind).fit(stream(panel, **augmenters), np.random.default_rng(0))
    return model


@kinds
def test_the_registry_and_the_class_agree_on_the_name(kind: str) -> None:
    assert MODELS[kind].model_fields["kind"].default == kind


@kinds
@pytest.mark.parametrize("binned", [True, False])
def test_it_learns_a_planted_signal_and_predicts_float32(kind: str, binned: bool) -> None:
    panel = make_panel(n_rows=200, binned=binned)
    model = fitted(kind, panel)
    block = panel.block(25)
    predictions = model.predict(block.matrix(["raw"]))
    assert predictions.dtype == np.float32
    assert predictions.shape == (len(block),)
    assert np.corrcoef(predictions, block.target)[0, 1] > 0.3  # type: ignore[arg-type]


@kinds
@pytest.mark.parametrize("promise", CHECKS)
def test_it_keeps_the_promises_of_every_model(kind: str, promise: str, panel: Panel) -> None:
    assert CHECKS[promise](component(kind), panel.only(range(1, 22)), 0.0) == ""


@kinds
def test_a_stream_that_was_walked_before_gives_the_same_model(kind: str, panel: Panel) -> None:
    X = panel.block(25).matrix(["raw"])
    blocks = stream(panel, c=component("cutout"), n=component("gaussian_noise"))
    list(blocks)
    blocks[7]
    walked = component(kind).fit(blocks, np.random.default_rng(0)).predict(X)
    fresh = fitted(kind, panel, c=component("cutout"), n=component("gaussian_noise")).predict(X)
    np.testing.assert_array_equal(walked, fresh)


@kinds
def test_augmented_rows_change_the_model(kind: str, panel: Panel) -> None:
    X = panel.block(25).matrix(["raw"])
    assert not np.array_equal(fitted(kind, panel).predict(X), fitted(kind, panel, n=component("gaussian_noise")).predict(X))


@kinds
def test_saved_and_loaded_it_predicts_the_same(kind: str, panel: Panel) -> None:
    X = panel.block(25).matrix(["raw"])
    model = fitted(kind, panel)
    suffix, content = model.saved()
    assert suffix in (".json", ".txt", ".safetensors", ".skops", ".cbm")
    np.testing.assert_array_equal(component(kind).loaded(content).predict(X), model.predict(X))


@kinds
def test_ticks_end_at_the_total(kind: str, panel: Panel) -> None:
    seen: list[tuple[int, int]] = []
    component(kind).fit(
        stream(panel), np.random.default_rng(0), FitContext(lambda done, total, note="": seen.append((done, total)))
    )
    assert seen[-1][0] == seen[-1][1]


@kinds
def test_predicting_in_batches_of_any_size_changes_nothing(kind: str, panel: Panel) -> None:
    X = panel.block(25).matrix(["raw"])
    model = fitted(kind, panel)
    for n_batches in (2, 7, len(X)):
        parts = [model.predict(part) for part in np.array_split(X, n_batches)]
        np.testing.assert_array_equal(np.concatenate(parts), model.predict(X))


@pytest.mark.parametrize("kind", [kind for kind in MODELS if kind not in BY_EPOCHS])
def test_duplicates_of_weight_3_teach_what_three_copies_teach(kind: str, panel: Panel) -> None:
    X = panel.block(25).matrix(["raw"])

    def learned(**parameters: object) -> np.ndarray:
        blocks = stream(panel, d=component("duplicate", **parameters))
        return component(kind, **unsampled(kind)).fit(blocks, np.random.default_rng(0)).predict(X)  # type: ignore[no-any-return]

    three_copies = learned(copies=3, mode="replace")
    np.testing.assert_allclose(learned(weight=3.0, mode="replace"), three_copies, rtol=0, atol=2e-5)


@kinds
def test_rows_of_little_weight_teach_little(kind: str, panel: Panel) -> None:
    X = panel.block(25).matrix(["raw"])
    light, plain = (
        component(kind, **unsampled(kind))
        .fit(stream(panel, n=component("gaussian_noise", weight=weight)), np.random.default_rng(0))
        .predict(X)
        for weight in (1e-6, 1.0)
    )
    assert not np.allclose(light, plain, atol=1e-3)


@kinds
def test_the_importance_of_a_loaded_model_is_largest_where_the_signal_is(kind: str, panel: Panel) -> None:
    planted = replace(panel, target=panel.features[:, 3].astype(np.float32) / 4)
    model = fitted(kind, planted)
    importance = component(kind).loaded(model.saved()[1]).importance()
    if importance is None:  # a model that can't tell says so
        return
    assert importance.shape == (panel.n_raw,)
    assert (importance >= 0).all()
    assert importance.argmax() == 3
