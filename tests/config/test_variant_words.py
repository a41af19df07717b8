"""Every kind names itself in words, and a variant is described by the words of its parts."""

from itertools import chain

import pytest

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.config.kinds import members
from numerai_lab.config.placebos import placebos_of
from numerai_lab.config.variant_words import variant_words
from numerai_lab.core.component import Component
from numerai_lab.core.formatting import joined
from numerai_lab.fitting.variant_facts import variant_facts, with_seconds
from numerai_lab.generators import GENERATORS
from numerai_lab.models import MODELS
from numerai_lab.runs.variant_facts import VariantFacts
from numerai_lab.target_transforms import TARGET_TRANSFORMS
from tests.conftest import make_config

REGISTRIES = (GENERATORS, AUGMENTERS, MODELS, TARGET_TRANSFORMS)
EVERY = dict(chain.from_iterable(members(registry).items() for registry in REGISTRIES))
GIVEN = {"residual_to_benchmark": {"benchmark": "v5"}, "neutralized": {"features": "medium"}}


@pytest.mark.parametrize("name", EVERY)
def test_every_kind_names_itself_in_a_few_words(name: str) -> None:
    words = EVERY[name](**GIVEN.get(name, {})).in_words
    assert EVERY[name].words
    assert 3 < len(words) <= 60
    assert not set(words) & set("{}_[]")


def test_the_words_of_two_kinds_differ() -> None:
    words = {name: EVERY[name](**GIVEN.get(name, {})).in_words for name in EVERY}
    families = {name: "umap" if name.startswith("umap ") else name for name in EVERY}
    assert len({*words.values()}) == len({*families.values()})


CONFIG = make_config(
    seeds=[1, 2],
    generators={
        "pca": {"kind": "pca", "n_components": 12, "select": {"top_k": 50, "by": "variance"}},
        "noise": {"kind": "random_columns", "n_columns": 12},
        "code": {"kind": "autoencoder", "n_components": 3, "hidden": 8, "n_layers": 2, "emit": "deep_stack"},
        "wide": {"kind": "group_stats"},
        "like": {"kind": "random_columns", "like": "wide"},
    },
    augmenters={
        "cut": {"kind": "cutout", "copies": 2},
        "noisy": {"kind": "gaussian_noise", "mode": "replace"},
        "again": {"kind": "duplicate"},
        "recent": {"kind": "recency", "shuffle_eras": True},
    },
    variants={
        "baseline": {},
        "raw+pca": {"features": ["raw", "pca"]},
        "raw+noise": {"features": ["raw", "noise"]},
        "like": {"features": ["raw", "like"]},
        "code_only": {"features": ["code"]},
        "cut": {"augment": ["cut", "recent"]},
        "noisy": {"augment": ["noisy"]},
        "again": {"augment": ["again"]},
        "blend": {"ensemble": ["baseline", "cut"]},
        "half": {"neutralize": {"features": "small", "proportion": 0.5}},
        "forest": {"model": {"kind": "sklearn", "estimator": "ExtraTreesRegressor"}},
        "gauss": {"target_transform": {"kind": "rank_gauss"}},
    },
)


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("baseline", "raw features, by ridge regression"),
        ("raw+pca", "raw features and 12 principal components of selected features"),
        ("raw+noise", "raw features and 12 columns of noise"),
        ("like", "raw features and as many columns of noise as wide has"),
        ("code_only", "16 columns of a denoising autoencoder alone"),
        (
            "cut",
            "raw features, plus copies of rows with 25 % of features blanked, 2 times, "
            "under weights of eras that halve every 156 eras, shuffled over eras",
        ),
        ("noisy", "raw features, copies of rows with noise of deviation 0.3 in place of real rows"),
        ("again", "raw features, plus the same rows again"),
        ("blend", "mean of the ranks of baseline and cut"),
        ("half", "raw features, neutralised to small, by 50 %"),
        ("forest", "raw features, by scikit-learn's ExtraTreesRegressor"),
        ("gauss", "raw features, on normal scores of the target"),
    ],
)
def test_a_variant_is_what_its_parts_are(variant: str, words: str) -> None:
    assert variant_words(CONFIG, variant) == words


def test_a_kind_without_words_goes_by_its_name() -> None:
    class Plain(Component):
        kind: str = "my_own_method"

    assert Plain().in_words == "my own method"
    assert joined([]) == ""
    assert joined("abc") == "a, b and c"


def test_what_is_no_more_than_a_placebo_has_this_role_with_or_without_a_partner() -> None:
    roles = {name: facts.role for name, facts in variant_facts(CONFIG, placebos_of(CONFIG)).items()}
    assert roles["baseline"] == "reference"
    assert {name for name, role in roles.items() if role == "placebo"} == {"raw+noise", "like", "again"}


def test_the_cost_of_a_variant_is_that_of_all_it_needs_over_its_seeds() -> None:
    facts = variant_facts(CONFIG, placebos_of(CONFIG))
    shared = {name: "baseline" if name == "half" else name for name in CONFIG.trained}
    costs = {
        label: {"seconds": seconds}
        for label, seconds in {
            **{"fit pca@1": 1.0, "fit pca@1, 2 of 2": 0.5, "columns pca@1": 2.0, "fit noise@1": 64.0},
            **{"train raw+pca@1": 4.0, "train raw+pca@2": 8.0, "predict raw+pca@2": 16.0},
            **{"train baseline@1": 100.0, "rows of cut@1": 0.25, "train cut@1": 32.0},
        }.items()
    }
    seconds = {name: own["seconds"] for name, own in with_seconds(facts, CONFIG, shared, costs).items()}
    assert seconds["raw+pca"] == 31.5
    assert seconds["half"] == seconds["baseline"] == 100.0
    assert seconds["blend"] == 132.25
    assert seconds["forest"] is None


def test_facts_of_older_runs_and_of_strangers_manifests_are_what_can_be_known() -> None:
    older = {"scoring": {"reference": "baseline"}, "placebos": {"placebo": {"a": "noise"}}}
    assert {name: facts.role for name, facts in VariantFacts.of_manifest(older).items()} == {
        "noise": "placebo",
        "baseline": "reference",
    }
    forged = {"variants": {"a": {"words": 3, "role": "king", "seconds": "x"}, "b": 1, "c": {"seconds": True}}}
    assert VariantFacts.of_manifest(forged) == {"a": VariantFacts(), "c": VariantFacts()}
    assert VariantFacts.of_manifest({"scoring": 3, "placebos": [], "variants": 3}) == {}
