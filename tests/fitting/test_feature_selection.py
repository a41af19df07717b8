"""`select`: which raw features a generator reads, and that only training labels ever steer it."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import arrays_from_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.fitting.feature_selection import chosen, variance_of_corr
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.generator_stages import Fitted
from numerai_lab.fitting.notes import notes_of
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.variants import fit_generators, train_and_predict
from numerai_lab.generators.linear import PCA
from numerai_lab.generators.select import Select
from numerai_lab.storage.scratch import Scratch
from tests.conftest import Quiet, make_config, make_panel
from tests.test_leakage import SPLITS, poisoned_features, poisoned_targets


def planted() -> Panel:
    """12 features, the first 6 a set; 2 and 8 follow the target in odd eras and oppose it in even ones, 5 and 9 always follow."""
    panel = make_panel(30, 200)
    rng = np.random.default_rng(3)
    features = rng.integers(0, 5, panel.features.shape).astype(np.int8)
    assert panel.target is not None
    good = np.clip(panel.target * 4 + rng.integers(-1, 2, len(features)), 0, 4).astype(np.int8)
    even = np.repeat(panel.eras % 2 == 0, 200)
    features[:, [5, 9]] = good[:, None]
    features[:, [2, 8]] = np.where(even, 4 - good, good)[:, None]
    return replace(
        panel, features=features, feature_sets={"all": np.arange(12), "first": np.arange(6), "odd": np.arange(1, 12, 2)}
    )


def fitted(panel: Panel, folder: Path, saved: dict[str, bytes] | None = None, **select: Any) -> Fitted:
    """The one generator of `config_with`; saved: gets what the run folder would hold."""
    folder.mkdir(exist_ok=True)
    kept = {} if saved is None else saved
    context = RunContext(
        config_with(**select), panel, FitPlan.of(config_with(**select), SPLITS), Scratch(folder), Quiet(), kept.__setitem__
    )
    return fit_generators(context)["g", 0]


def selected(found: Fitted) -> list[int]:
    assert found.fits.selected is not None
    return found.fits.selected.tolist()


def config_with(kind: str = "pca", fit_on: str = "train", **select: Any) -> Config:
    return make_config(generators={"g": {"kind": kind, "n_components": 2, "fit_on": fit_on, "select": select}})


def test_feature_sets_are_united_and_cut_to_the_features_that_are_read() -> None:
    panel = replace(planted(), n_raw=8)
    assert chosen(Select(features=["first"]), panel).tolist() == [0, 1, 2, 3, 4, 5]
    assert chosen(Select(features=["first", "odd"]), panel).tolist() == [0, 1, 2, 3, 4, 5, 7]


def test_variance_of_the_correlation_tells_features_that_turn_from_steady_ones() -> None:
    panel = planted()
    assert chosen(Select(by="variance", keep="highest", top_k=2), panel).tolist() == [2, 8]
    assert chosen(Select(features=["first"], by="variance", keep="highest", top_k=1), panel).tolist() == [2]
    steady = chosen(Select(by="variance", top_k=10), panel).tolist()
    assert not {2, 8} & set(steady)
    by_hand = np.corrcoef(panel.features[:200, 5], panel.target[:200])[0, 1] if panel.target is not None else 0
    assert variance_of_corr(panel.only([1, 2]))[2] == pytest.approx(by_hand**2, rel=0.2)  # +c in one era, −c in the next


def test_rows_without_a_target_and_eras_of_constant_features_take_no_part() -> None:
    panel = planted()
    assert panel.target is not None
    target, features = panel.target.copy(), panel.features.copy()
    target[::3] = np.nan
    features[panel.rows(4)] = 2
    variance = variance_of_corr(replace(panel, target=target, features=features))
    others = [era for era in panel.eras.tolist() if era != 4]
    np.testing.assert_allclose(variance, variance_of_corr(replace(panel, target=target).only(others)), rtol=1e-9)


@pytest.mark.parametrize("keep", ["lowest", "highest"])
def test_features_that_are_dead_in_training_are_chosen_last(keep: Literal["lowest", "highest"]) -> None:
    panel = planted()
    features = panel.features.copy()
    features[:, [0, 7]] = 2
    features[panel.rows(1), 7] = panel.features[panel.rows(1), 7]  # one era is no variance
    dead = replace(panel, features=features)
    assert not {0, 7} & set(chosen(Select(by="variance", keep=keep, top_k=10), dead).tolist())
    assert len(chosen(Select(by="variance", keep=keep, top_k=11), dead)) == 11


def test_a_generator_sees_the_selected_features_and_no_others(tmp_path: Path) -> None:
    panel = planted()
    fit = fitted(panel, tmp_path / "s", features=["first"])
    alone = PCA(n_components=2).fit(replace(panel, n_raw=6).only(SPLITS.train), np.random.default_rng(0))
    for era in (3, 20):
        wanted = alone.transform(replace(panel, n_raw=6).block(era))
        np.testing.assert_allclose(fit.columns[panel.rows(era)], wanted, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(fit.fits.columns_for(panel.block(era)), fit.columns[panel.rows(era)])
    garbage = panel.features.copy()
    garbage[:, 6:] = 4 - garbage[:, 6:]
    again = fitted(replace(panel, features=garbage), tmp_path / "g", features=["first"])
    np.testing.assert_array_equal(fit.columns, again.columns)


def test_a_restored_generator_knows_what_it_selected(tmp_path: Path) -> None:
    panel = planted()
    saved: dict[str, bytes] = {}
    fit = fitted(panel, tmp_path / "s", saved, by="variance", keep="highest", top_k=2)
    state = arrays_from_bytes(saved["models/generator-g@0.safetensors"])
    assert state["selected_"].tolist() == [2, 8]
    restored = PCA.model_validate(fit.fits.template.model_dump()).restored(state)
    np.testing.assert_array_equal(restored.columns_for(panel.block(20)), fit.columns[panel.rows(20)])


@pytest.mark.parametrize("fit_on", ["train", "all"])
def test_validation_targets_never_steer_the_selection(tmp_path: Path, fit_on: str) -> None:
    clean, dirty = (
        fitted(panel, tmp_path / name, fit_on=fit_on, by="variance", keep="highest", top_k=3)
        for name, panel in (("clean", planted()), ("dirty", poisoned_targets(planted())))
    )
    np.testing.assert_array_equal(clean.columns, dirty.columns)


def test_validation_features_never_steer_the_selection(tmp_path: Path) -> None:
    panel = planted()
    train = slice(0, panel.rows(15).stop)
    clean, dirty = (
        fitted(each, tmp_path / name, by="variance", keep="highest", top_k=3)
        for name, each in (("clean", panel), ("dirty", poisoned_features(panel)))
    )
    np.testing.assert_array_equal(clean.columns[train], dirty.columns[train])
    in_all = [
        fitted(each, tmp_path / name, fit_on="all", by="variance", keep="highest", top_k=3)
        for name, each in (("c", panel), ("d", poisoned_features(panel)))
    ]
    assert selected(in_all[0]) == selected(in_all[1])


def test_training_labels_do_steer_it_or_the_tests_above_would_show_nothing(tmp_path: Path) -> None:
    panel = planted()
    assert panel.target is not None
    shuffled = replace(panel, target=np.random.default_rng(0).permutation(panel.target))
    clean, dirty = (
        fitted(each, tmp_path / name, by="variance", keep="highest", top_k=2) for name, each in (("c", panel), ("d", shuffled))
    )
    assert selected(clean) == [2, 8] != selected(dirty)


def test_synthetic_rows_get_columns_of_the_selected_features(tmp_path: Path) -> None:
    panel = planted()
    config = make_config(
        generators={"g": {"kind": "pca", "n_components": 2, "select": {"features": ["first"]}}},
        augmenters={"c": {"kind": "cutout"}},
        variants={"both": {"features": ["raw", "g"], "augment": ["c"]}},
    )
    context = RunContext(config, panel, FitPlan.of(config, SPLITS), Scratch(tmp_path), Quiet(), lambda name, content: None)
    assert np.isfinite(train_and_predict(context, fit_generators(context)).values).all()


def test_variants_say_when_labels_chose_their_features() -> None:
    by_labels = notes_of(FitPlan.of(config_with(by="variance", top_k=3), SPLITS), "")
    assert by_labels["raw+g"] == "selected with training labels"
    assert by_labels["baseline"] == ""
    assert notes_of(FitPlan.of(config_with(features=["all"]), SPLITS), "")["raw+g"] == ""


@pytest.mark.parametrize(
    ("select", "said"),
    [
        ({}, "generators.g.select: selects nothing; give features, or by and top_k"),
        ({"top_k": 3}, "generators.g.select: by and top_k go together"),
        ({"by": "varianc", "top_k": 3}, "generators.g.select.by: got 'varianc', wanted 'variance'; did you mean 'variance'?"),
        ({"featurs": ["a"], "by": "variance", "top_k": 1}, "generators.g.select.featurs: unknown key, did you mean 'features'?"),
    ],
)
def test_a_select_that_makes_no_sense_is_one_sentence(select: dict[str, Any], said: str) -> None:
    with pytest.raises(NlabError) as caught:
        config_with(**select)
    assert said in str(caught.value)


def test_too_few_features_and_unknown_sets_are_refused() -> None:
    panel = planted()
    with pytest.raises(NlabError, match="select.top_k: 7 of only 6 features"):
        chosen(Select(features=["first"], by="variance", top_k=7), panel)
    with pytest.raises(NlabError, match="no feature set 'frist'; did you mean 'first'"):
        chosen(Select(features=["frist"]), panel)
    with pytest.raises(NlabError, match="none of the features that are read belongs to late"):
        chosen(Select(features=["late"]), replace(panel, n_raw=4, feature_sets={"late": np.array([7])}))
