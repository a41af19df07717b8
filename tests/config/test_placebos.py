"""Which placebo stands beside which variant: read off what variants are made of, whatever they are called."""

from typing import Any

import pytest

from numerai_lab.config.placebos import placebos_of, unequal
from numerai_lab.core.placebo_pairs import Placebos
from tests.conftest import make_config

PCA = {"kind": "pca", "n_components": 4}
NOISE = {"kind": "random_columns", "n_columns": 4}


def found(**changes: Any) -> dict[str, dict[str, str]]:
    return placebos_of(make_config(**changes)).as_dict()


def test_by_default_each_method_is_beside_noise_of_its_width_an_untrained_network_of_its_shape_and_the_same_rows() -> None:
    placebos = found(
        generators={
            "pca": PCA,
            "wide": {"kind": "pca", "n_components": 9},
            "net": {"kind": "autoencoder", "n_components": 4, "hidden": 16},
            "other": {"kind": "autoencoder", "n_components": 4, "hidden": 16, "n_layers": 1},
            "stats": {"kind": "group_stats"},
        },
        augmenters={"cut": {"kind": "cutout"}, "twice": {"kind": "gaussian_noise", "copies": 2, "ratio": 0.5, "weight": 0.5}},
    )
    assert placebos["placebo"] == {
        "raw+pca": "raw+placebo_4",
        "raw+wide": "raw+placebo_9",
        "raw+net": "raw+placebo_4",
        "raw+other": "raw+placebo_4",
        "raw+stats": "raw+placebo_stats",
        "cut": "duplicate_1",
        "twice": "duplicate_2_ratio_0.5_weight_0.5",
    }
    assert placebos["untrained"] == {
        "net_only": "untrained_net_only",
        "raw+net": "raw+untrained_net",
        "other_only": "untrained_other_only",
        "raw+other": "raw+untrained_other",
    }


def test_an_early_generator_is_beside_the_placebos_that_train_on_the_eras_it_leaves() -> None:
    early = {"kind": "siamese", "emit": "latent", "scheme": "early", "n_components": 4}
    placebos = found(generators={"g": early, "net": {"kind": "autoencoder", "n_components": 4}})
    assert placebos["placebo"]["raw+g"] == "raw+placebo_after_g"
    assert placebos["placebo"]["raw+net"] == "raw+placebo"
    assert placebos["untrained"]["g_only"] == "untrained_only_after_g"
    assert placebos["untrained"]["net_only"] == "untrained_only"


def test_variants_of_the_user_are_told_by_what_they_are_made_of() -> None:
    placebos = found(
        generators={"a": PCA, "b": NOISE, "c": {"kind": "random_encoder", "n_components": 4}},
        augmenters={"x": {"kind": "cutout"}, "again": {"kind": "duplicate"}},
        variants={
            "placebo": {"features": ["raw", "a"]},  # a name says nothing
            "one": {"features": ["raw", "b"]},
            "two": {"features": ["raw", "c"]},
            "three": {},
            "both": {"features": ["a", "raw"], "augment": ["x"]},
            "half": {"features": ["raw", "b"], "augment": ["x"]},
            "neither": {"features": ["raw", "b"], "augment": ["again"]},
            "alone": {"features": ["a"]},
            "neutral": {"features": ["raw", "a"], "neutralize": {"features": "small"}},
        },
        scoring={"reference": "three"},
    )
    # PCA is no network, so that no random encoder is its untrained self; `alone` has no noise alone beside it.
    assert placebos == {"placebo": {"placebo": "one", "both": "neither", "half": "neither"}, "untrained": {}}


def test_an_ensemble_is_beside_the_ensemble_whose_members_gave_way_to_their_placebos() -> None:
    placebos = found(
        generators={"a": PCA, "b": NOISE},
        variants={
            "baseline": {},
            "with": {"features": ["raw", "a"]},
            "noise": {"features": ["raw", "b"]},
            "blend": {"ensemble": ["baseline", "with"]},
            "blind": {"ensemble": ["noise", "baseline"]},
            "more": {"ensemble": ["baseline", "noise", "with"]},
        },
    )
    assert placebos["placebo"] == {"with": "noise", "blend": "blind"}


def test_what_the_reference_has_too_is_not_what_a_placebo_replaces() -> None:
    variants = {
        "baseline": {"features": ["raw", "a"]},
        "more": {"features": ["raw", "a", "f"]},
        "wrong": {"features": ["raw", "f", "b"]},
        "right": {"features": ["raw", "a", "b"]},
    }
    generators = {"a": PCA, "f": {"kind": "factor_analysis", "n_components": 4}, "b": NOISE}
    assert found(generators=generators, variants=variants)["placebo"] == {"more": "right"}


def test_the_nearest_width_is_taken_and_a_placebo_of_another_is_said_to_be_unfair() -> None:
    config = make_config(
        generators={"a": PCA, "n2": {**NOISE, "n_columns": 2}, "n6": {**NOISE, "n_columns": 6}},
        variants={
            "baseline": {},
            "raw+a": {"features": ["raw", "a"]},
            "n2": {"features": ["raw", "n2"]},
            "n6": {"features": ["raw", "n6"]},
        },
    )
    placebos = placebos_of(config)
    assert placebos.placebo == {"raw+a": "n6"}
    assert unequal(config, placebos) == ["raw+a adds 4 columns, its placebo n6 6: not a fair comparison"]
    fair = make_config(generators={"a": PCA}, augmenters={"cut": {"kind": "cutout", "copies": 3}})
    assert unequal(fair, placebos_of(fair)) == []


def test_rows_that_replace_real_ones_are_beside_the_same_rows_in_their_place() -> None:
    cutout = {"kind": "cutout", "mode": "replace"}
    assert found(augmenters={"all": cutout})["placebo"] == {}
    placebos = found(augmenters={"half": {**cutout, "ratio": 0.5}, "more": {"kind": "cutout", "ratio": 0.5}})["placebo"]
    assert placebos == {"half": "duplicate_1_ratio_0.5_mode_replace", "more": "duplicate_1_ratio_0.5"}


def test_weights_are_beside_the_same_weights_over_shuffled_eras_and_never_beside_repeated_rows() -> None:
    recent = {"kind": "recency", "half_life": 20.0}
    config = make_config(augmenters={"new": recent, "newer": {**recent, "half_life": 5.0}, "cut": {"kind": "cutout"}})
    assert config.augmenters["shuffled_newer"].model_dump() == {"kind": "recency", "half_life": 5.0, "shuffle_eras": True}
    placebos = placebos_of(config)
    assert placebos.placebo == {"new": "shuffled_new", "newer": "shuffled_newer", "cut": "duplicate"}
    assert unequal(config, placebos) == []
    own = make_config(augmenters={"a": recent, "dealt": {**recent, "shuffle_eras": True}})
    assert list(own.augmenters) == ["a", "dealt"]
    assert placebos_of(own).placebo == {"a": "dealt"}


def test_rows_and_weights_together_are_beside_the_variant_that_replaces_most_of_them() -> None:
    placebos = found(
        augmenters={
            "cut": {"kind": "cutout"},
            "again": {"kind": "duplicate"},
            "new": {"kind": "recency"},
            "dealt": {"kind": "recency", "shuffle_eras": True},
        },
        variants={
            "baseline": {},
            "both": {"augment": ["cut", "new"]},
            "rows": {"augment": ["again", "new"]},
            "neither": {"augment": ["again", "dealt"]},
        },
    )
    assert placebos["placebo"] == {"both": "neither", "rows": "neither"} or placebos["placebo"] == {"both": "neither"}


@pytest.mark.parametrize("recorded", [None, 3, {"placebo": ["a"]}, {"placebo": {"a": 3}}, {"other": {"a": "b"}}])
def test_a_manifest_that_records_none_or_nonsense_has_none(recorded: Any) -> None:
    assert Placebos.of_manifest({"placebos": recorded}) == Placebos()


def test_what_the_manifest_records_is_read_again() -> None:
    placebos = Placebos({"raw+a": "noise"}, {"net": "random"})
    assert Placebos.of_manifest({"placebos": placebos.as_dict()}) == placebos
