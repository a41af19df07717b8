"""A variant with a model of its own is what a run with that model would have made of it."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from numerai_lab.config.placebos import placebos_of
from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import run
from tests.conftest import Quiet, make_config

TREES: dict[str, Any] = {"kind": "xgboost", "n_estimators": 5}
METHODS: dict[str, Any] = {"generators": {"pca": {"kind": "pca", "n_components": 2}}, "augmenters": {"cut": {"kind": "cutout"}}}


def test_predictions_and_models_are_those_of_a_run_with_that_model(tmp_path: Path) -> None:
    variants = {"baseline": {}, "cut": {"augment": ["cut"]}}
    both = {**variants, "trees": {"model": TREES}, "trees_cut": {"augment": ["cut"], "model": TREES}, "twin": {"model": TREES}}
    mixed = run(make_config(variants=both, **METHODS), tmp_path, Quiet())
    ridge = run(make_config(variants=variants, **METHODS), tmp_path, Quiet())
    trees = run(make_config(variants=variants, model=TREES, **METHODS), tmp_path, Quiet())
    of = {done.path: pl.read_parquet(done.path / "predictions.parquet") for done in (mixed, ridge, trees)}
    for name, single, other in (("baseline", ridge, "baseline"), ("trees", trees, "baseline"), ("trees_cut", trees, "cut")):
        assert of[mixed.path][name].equals(of[single.path][other], check_names=False), name
    assert of[mixed.path]["trees"].equals(of[mixed.path]["twin"], check_names=False)
    assert {path.name for path in (mixed.path / "models").glob("*@0.*")} == {
        "baseline@0.safetensors",
        "cut@0.safetensors",
        "trees@0.json",
        "trees_cut@0.json",
    }


def test_a_placebo_has_the_same_model() -> None:
    augmenters = {"cut": {"kind": "cutout"}, "again": {"kind": "duplicate"}}
    variants: dict[str, Any] = {"baseline": {}, "again": {"augment": ["again"]}, "cut": {"augment": ["cut"], "model": TREES}}
    assert placebos_of(make_config(augmenters=augmenters, variants=variants)).placebo == {}
    variants["again_trees"] = {"augment": ["again"], "model": TREES}
    assert placebos_of(make_config(augmenters=augmenters, variants=variants)).placebo == {"cut": "again_trees"}


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"model": {"kind": "rigde"}}, "variants.own.model.kind: unknown 'rigde', did you mean 'ridge'"),
        ({"model": {"alpha": 3}}, "variants.own.model.kind: missing, known: xgboost"),
        ({"model": {"kind": "ridge", "aplha": 3}}, "variants.own.model.aplha: unknown key, did you mean 'alpha'"),
        ({"model": TREES, "ensemble": ["baseline", "cut"]}, "an ensemble averages other variants; leave out model"),
    ],
)
def test_a_bad_model_of_a_variant_is_one_sentence(variant: dict[str, Any], message: str) -> None:
    with pytest.raises(NlabError, match=message):
        make_config(variants={"baseline": {}, "cut": {"augment": ["cut"]}, "own": variant}, **METHODS)
