"""What a fit may see: poison what it may not see, and nothing may change. Runs over every registered component."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.augmenters.copula import Copula
from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import Float32
from numerai_lab.core.panel import Auxiliary, Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.splits import Splits
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.variants import RunContext, fit_generators, train_and_predict
from numerai_lab.generators import GENERATORS
from numerai_lab.generators.linear import PCA
from numerai_lab.models import MODELS
from numerai_lab.models.linear import Ridge
from numerai_lab.storage.scratch import Scratch
from tests.conftest import Quiet, make_config, make_panel, quick

Outcome = tuple[dict[str, Float32], Float32]
SPLITS = Splits(tuple(range(1, 16)), (16, 17, 22, 23), tuple(range(18, 22)), tuple(range(24, 31)), 2, 2)


def outcome(config: Config, panel: Panel, folder: Path) -> Outcome:
    """Generated columns of the training eras, by generator, and all predictions."""
    folder.mkdir(parents=True)
    space = Scratch(folder)
    context = RunContext(config, panel, FitPlan.of(config, SPLITS), space, Quiet(), lambda name, content: None)
    fitted = fit_generators(context)
    predictions = train_and_predict(context, fitted)
    train = slice(0, panel.rows(15).stop)
    return {name: np.array(fit.columns[train]) for (name, _), fit in fitted.items()}, predictions.values


def poisoned_targets(panel: Panel) -> Panel:
    """Every target after the training eras, auxiliary ones too, replaced by garbage."""

    def poisoned(target: Float32) -> Float32:
        later = slice(panel.rows(15).stop, None)
        garbage = np.random.default_rng(1).uniform(-9, 9, len(target[later])).astype(np.float32)
        return np.concatenate([target[: later.start], garbage])

    assert panel.target is not None
    further = {name: Auxiliary(poisoned(each.values)) for name, each in panel.auxiliary.items()}
    return replace(panel, target=poisoned(panel.target), auxiliary=further)


def make_labelled() -> Panel:
    """A panel with auxiliary targets, the half of one of them unknown."""
    panel, rng = make_panel(), np.random.default_rng(2)
    further = rng.uniform(size=(2, len(panel.ids))).astype(np.float32)
    further[1, ::2] = np.nan
    return replace(panel, auxiliary={f"target_{i}": Auxiliary(values) for i, values in enumerate(further)})


def poisoned_features(panel: Panel) -> Panel:
    """Every feature after the training eras replaced by garbage."""
    features = panel.features.copy()
    later = slice(panel.rows(15).stop, None)
    features[later] = np.random.default_rng(1).choice([0, 4], features[later].shape)
    return replace(panel, features=features)


def poisoned_extras(panel: Panel) -> Panel:
    """Other people's predictions replaced by garbage."""
    return replace(panel, extras={name: -values for name, values in panel.extras.items()})


def with_everything(model: str = "ridge", fit_on: str = "train") -> Config:
    """All generators and augmenters, with and without post-processing."""
    names = list(GENERATORS)
    variants: dict[str, Any] = {
        "baseline": {},
        **{f"raw+{name}": {"features": ["raw", name]} for name in names},
        **{name: {"augment": [name]} for name in AUGMENTERS},
        "both": {"features": ["raw", "pca"], "augment": list(AUGMENTERS)},
        "blend": {"ensemble": ["baseline", "both"]},
        "neutral": {"neutralize": {"features": "all", "proportion": 0.5}},
    }
    return make_config(
        data={"source": "synthetic", "size": "tiny", "feature_set": "all"},
        generators={name: quick(name) | ({} if GENERATORS[name].uses_labels else {"fit_on": fit_on}) for name in names},
        augmenters={name: quick(name) for name in AUGMENTERS},
        model=quick(model),
        variants=variants,
    )


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """What everything gives on clean data, by `fit_on`."""
    return {
        on: outcome(with_everything(fit_on=on), make_labelled(), tmp_path_factory.mktemp(on) / "clean") for on in ("train", "all")
    }


@pytest.mark.parametrize("poison", [poisoned_targets, poisoned_extras])
@pytest.mark.parametrize("fit_on", ["train", "all"])
def test_garbage_in_validation_targets_changes_no_column_and_no_prediction(
    honest: dict[str, Outcome], tmp_path: Path, poison: Callable[[Panel], Panel], fit_on: str
) -> None:
    clean = honest[fit_on]
    dirty = outcome(with_everything(fit_on=fit_on), poison(make_labelled()), tmp_path / "dirty")
    for name in GENERATORS:
        np.testing.assert_array_equal(clean[0][name], dirty[0][name])
    np.testing.assert_array_equal(clean[1], dirty[1])


def test_garbage_in_validation_targets_changes_no_models_predictions(tmp_path: Path) -> None:
    panel = make_panel()
    models = {kind: {"augment": list(AUGMENTERS), "model": quick(kind)} for kind in MODELS}
    config = make_config(augmenters={name: quick(name) for name in AUGMENTERS}, variants={"baseline": {}, **models})
    clean = outcome(config, panel, tmp_path / "clean")[1]
    dirty = outcome(config, poisoned_targets(panel), tmp_path / "dirty")[1]
    assert clean.shape[1] == len(config.variants) == 1 + len(MODELS)
    for name, before, after in zip(config.variants, clean.T, dirty.T, strict=True):
        np.testing.assert_array_equal(before, after, name)
        assert before.std() > 0, name


def test_garbage_in_validation_features_changes_no_training_column(honest: dict[str, Outcome], tmp_path: Path) -> None:
    clean = honest["train"]
    dirty = outcome(with_everything(), poisoned_features(make_labelled()), tmp_path / "dirty")
    for name in GENERATORS:
        np.testing.assert_array_equal(clean[0][name], dirty[0][name])
    assert not np.array_equal(clean[1], dirty[1])


def test_a_generator_fitted_on_all_does_see_validation_features(honest: dict[str, Outcome], tmp_path: Path) -> None:
    clean = honest["all"][0]
    dirty = outcome(with_everything(fit_on="all"), poisoned_features(make_labelled()), tmp_path / "dirty")[0]
    for name, generator in GENERATORS.items():
        assert np.array_equal(clean[name], dirty[name]) is (generator.uses_labels or not generator.learns)


@pytest.mark.parametrize("model", MODELS)
def test_a_prediction_depends_on_no_other_validation_row(tmp_path: Path, model: str) -> None:
    panel = make_panel()
    features = panel.features.copy()
    features[panel.rows(30)] = 4 - features[panel.rows(30)]
    changed = replace(panel, features=features)
    config = make_config(model=quick(model), generators={"pca": quick("pca")})
    clean, dirty = (outcome(config, p, tmp_path / str(i))[1] for i, p in enumerate((panel, changed)))
    np.testing.assert_array_equal(clean[:-40], dirty[:-40])
    assert not np.array_equal(clean[-40:], dirty[-40:])


class Peeking(PCA):
    """A cheat: centres on all rows of the table instead of the eras it was given."""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "Peeking":
        super().fit(panel, rng)
        self.mean_ = panel.features.mean(0) / panel.top - 0.5
        return self


def test_these_tests_catch_a_generator_that_peeks(tmp_path: Path) -> None:
    panel = make_panel()
    config = make_config(generators={"cheat": quick("pca")})
    config.generators["cheat"] = Peeking(n_components=3)
    clean = outcome(config, panel, tmp_path / "clean")[0]
    dirty = outcome(config, poisoned_features(panel), tmp_path / "dirty")[0]
    assert not np.array_equal(clean["cheat"], dirty["cheat"])


SECRET = 777.0
"""The target of every row after the training eras, where it is to be searched for."""


def reachable(root: object) -> Iterator[np.ndarray[Any, Any]]:
    """Every array that can be reached from an object: attributes, cached properties, containers, bases of views."""
    seen: dict[int, object] = {}
    ahead = [root]
    while ahead:
        each = ahead.pop()
        if id(each) in seen or isinstance(each, str | bytes | int | float | type | ModuleType):
            continue
        seen[id(each)] = each
        if isinstance(each, np.ndarray):
            yield each
            ahead.append(each.base)
        elif isinstance(each, Mapping):
            ahead += each.values()
        elif isinstance(each, list | tuple | set):
            ahead += each
        else:
            ahead += vars(each).values() if hasattr(each, "__dict__") else []


def holds_secret(root: object) -> bool:
    return any(array.dtype.kind == "f" and bool((array == SECRET).any()) for array in reachable(root))


def test_no_fit_can_reach_the_target_of_a_validation_row(space: Scratch) -> None:
    seen: dict[str, list[bool]] = {"augmenter": [], "augment": [], "generator": [], "model": []}

    class CuriousAugmenter(Copula):
        def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "CuriousAugmenter":
            seen["augmenter"] += [holds_secret(panel), *(holds_secret(block) for block in panel.blocks())]
            return super().fit(panel, rng)

        def augment(self, block: Block, rng: np.random.Generator) -> Block:
            seen["augment"].append(holds_secret(block))
            return super().augment(block, rng)

    class CuriousGenerator(PCA):
        uses_labels = True

        def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "CuriousGenerator":
            seen["generator"] += [holds_secret(panel), *(holds_secret(block) for block in panel.blocks())]
            return super().fit(panel, rng)

    class CuriousModel(Ridge):
        def fit(self, stream: TrainingStream, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "CuriousModel":
            seen["model"].append(holds_secret(stream))
            return super().fit(stream, rng)

    panel = make_labelled()
    later = np.arange(len(panel.ids)) >= panel.rows(15).stop
    assert panel.target is not None
    auxiliary = {name: replace(each, values=np.where(later, SECRET, each.values)) for name, each in panel.auxiliary.items()}
    hiding = replace(panel, target=np.where(later, SECRET, panel.target).astype(np.float32), auxiliary=auxiliary)
    config = make_config(
        generators={"g": quick("pca")},
        augmenters={"a": quick("copula")},
        variants={"baseline": {}, "a": {"features": ["raw", "g"], "augment": ["a"]}},
    )
    config.generators["g"], config.augmenters["a"] = CuriousGenerator(n_components=2), CuriousAugmenter()
    config = config.model_copy(update={"model": CuriousModel()})
    assert holds_secret(hiding)
    context = RunContext(config, hiding, FitPlan.of(config, SPLITS), space, Quiet(), lambda name, content: None)
    train_and_predict(context, fit_generators(context))
    assert all(seen.values())
    assert not any(any(found) for found in seen.values()), seen


def test_a_generator_is_given_no_target(space: Scratch) -> None:
    seen: list[object] = []

    class Curious(PCA):
        def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "Curious":
            seen.extend([panel.target, *(block.target for block in panel.blocks())])
            return super().fit(panel, rng)

    config = make_config(generators={"g": quick("pca")})
    config.generators["g"] = Curious(n_components=3)
    panel = make_panel()

    fit_generators(RunContext(config, panel, FitPlan.of(config, SPLITS), space, Quiet(), lambda name, content: None))
    assert len(seen) == 1 + len(SPLITS.train)
    assert all(target is None for target in seen)
