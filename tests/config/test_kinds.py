"""Kinds that are several classes: umap by mode, contrastive by method. Parameters belong to one of them."""

from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml

from numerai_lab.config.catalogue import description
from numerai_lab.config.kinds import component_of
from numerai_lab.config.loading import load_config, load_recorded, parse_config
from numerai_lab.config.starter import schema, starter
from numerai_lab.core.arrays import arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.generators import GENERATORS, Generator
from numerai_lab.generators.contrastive import BarlowTwins, EraContrastive, LearnedFromRandomness, Scarf
from numerai_lab.generators.umap import UMAPAuto
from numerai_lab.generators.umap_exact import UMAPExact
from numerai_lab.generators.umap_parametric import UMAPParametric
from numerai_lab.generators.umap_placed import UMAPPlaced
from tests.conftest import component, make_config, make_panel


def generator(**values: Any) -> Generator:
    return make_config(generators={"g": values}).generators["g"]


def refused(**values: Any) -> str:
    with pytest.raises(NlabError) as caught:
        generator(**values)
    return str(caught.value)


OLDER = {
    "kind": "umap",
    "mode": "exact",
    **{"fit_on": "all", "era_steps": 50, "n_components": 7, "n_neighbors": 15, "min_dist": 0.0, "metric": "euclidean"},
    **{"landmarks": None, "n_epochs": None, "principal": 64, "hidden": 256, "n_layers": 2, "steps": 500},
    **{"batch_size": 1024, "warm_start": False, "global_weight": 0.0, "negatives": 256, "learning_rate": 0.002},
    **{"device": "auto", "select": None},
}
"""As the config.yaml of a run wrote it out before parameters belonged to modes."""


def test_each_mode_and_method_is_a_class_of_its_own_and_the_default_needs_no_name() -> None:
    modes = {mode: type(generator(kind="umap", mode=mode)) for mode in ("auto", "exact", "parametric", "placed")}
    assert modes == {"auto": UMAPAuto, "exact": UMAPExact, "parametric": UMAPParametric, "placed": UMAPPlaced}
    assert type(generator(kind="umap")) is UMAPAuto
    assert type(generator(kind="contrastive")) is Scarf
    assert type(generator(kind="contrastive", method="barlow")) is BarlowTwins


def test_a_parameter_of_another_algorithm_is_refused_with_the_path_and_whose_it_is() -> None:
    assert "generators.g.hidden: a parameter of mode: parametric, and this is mode: exact; leave it out" in refused(
        kind="umap", mode="exact", hidden=64
    )
    assert "generators.g.principal: a parameter of mode: parametric or placed, and this is mode: exact" in refused(
        kind="umap", mode="exact", principal=32
    )
    assert "generators.g.temperature: a parameter of method: scarf or era, and this is method: vime" in refused(
        kind="contrastive", method="vime", temperature=0.5
    )
    assert "generators.g.subsets: a parameter of method: subtab, and this is method: scarf" in refused(
        kind="contrastive", subsets=3
    )
    assert "generators.g.fit_on: got 'per_era', wanted 'train' or 'all'; 'per_era' is of mode: parametric" in refused(
        kind="umap", mode="placed", fit_on="per_era"
    )
    assert "generators.g.hiden: unknown key, did you mean 'hidden'?" in refused(kind="umap", mode="parametric", hiden=64)


def test_auto_takes_the_parameters_of_every_mode_and_hands_the_decided_one_its_own() -> None:
    asked = generator(kind="umap", hidden=64, n_epochs=30, n_components=5, fit_on="all")
    assert asked.settled(100).model_dump() == UMAPExact(n_epochs=30, n_components=5, fit_on="all").model_dump()
    many = UMAPParametric(n_epochs=30, n_components=5, fit_on="all", hidden=64)
    assert asked.settled(10**6).model_dump() == many.model_dump()


def test_an_unknown_mode_is_answered_with_the_nearest() -> None:
    assert "generators.g.mode: got 'exct', wanted one of auto, exact, parametric, placed; did you mean 'exact'?" in refused(
        kind="umap", mode="exct"
    )
    assert "generators.g.method: got 3, wanted one of scarf, vime" in refused(kind="contrastive", method=3)


def test_a_config_that_an_older_run_wrote_out_is_read() -> None:
    assert generator(**OLDER).model_dump() == UMAPExact(fit_on="all", n_components=7).model_dump()
    older = {"method": "lfr", "corruption": None, "draws_from": "era", "temperature": 0.1, "subsets": 4, "overlap": 0.75}
    assert generator(kind="contrastive", **older).model_dump()["method"] == "lfr"
    assert "hidden: a parameter of mode: parametric" in refused(**OLDER | {"hidden": 128})


def test_the_config_of_a_run_folder_is_read_whatever_parameters_it_did_not_use(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    raw = {"g": OLDER | {"hidden": 128}, "l": {"kind": "contrastive", "method": "lfr", "corruption": 0.3}}
    path.write_text(yaml.safe_dump({"name": "x", "data": {"source": "synthetic"}, "model": {"kind": "ridge"}, "generators": raw}))
    generators = load_recorded(path).generators
    assert generators["g"] == UMAPExact(fit_on="all", n_components=7)
    assert type(generators["l"]) is LearnedFromRandomness
    with pytest.raises(NlabError, match="corruption: a parameter of method: all but lfr, and this is method: lfr"):
        load_config(path)


@pytest.mark.parametrize("mode", ["exact", "parametric", "placed"])
def test_a_fit_of_an_older_run_is_restored_whose_config_leaves_the_mode_to_the_rows(mode: str) -> None:
    panel = make_panel()
    fitted = component("umap", mode=mode).fit(panel, np.random.default_rng(0))
    asked = UMAPAuto.model_validate(fitted.model_dump(exclude={"mode"}))
    restored = asked.restored(arrays_from_bytes(arrays_to_bytes(fitted.state())))
    assert type(restored) is type(fitted)
    np.testing.assert_array_equal(restored.transform(panel.block(20)), fitted.transform(panel.block(20)))


def test_random_numbers_are_those_of_before_parameters_belonged_to_algorithms() -> None:
    assert UMAPExact(n_components=3).seed_key == '{"kind": "umap", "mode": "exact", "n_components": 3}'
    assert UMAPAuto(n_components=3).seed_key == '{"kind": "umap", "n_components": 3}'
    assert UMAPParametric(device="cpu").seed_key == '{"kind": "umap", "mode": "parametric"}'
    assert Scarf().seed_key == '{"kind": "contrastive"}'
    assert Scarf(corruption=0.6).seed_key == '{"corruption": 0.6, "kind": "contrastive"}'
    assert EraContrastive(temperature=0.5).seed_key == '{"kind": "contrastive", "method": "era", "temperature": 0.5}'


def test_set_of_another_mode_drops_what_it_does_not_have_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    raw = {"g": {"kind": "umap", "hidden": 64, "n_components": 5}}
    path.write_text(yaml.safe_dump({"name": "x", "data": {"source": "synthetic"}, "model": {"kind": "ridge"}, "generators": raw}))
    config, remarks = load_config(path, ["generators.g.mode=exact"])
    assert type(config.generators["g"]) is UMAPExact
    assert remarks == ["generators.g.hidden: left out, mode exact has no such parameter"]


def test_the_schema_knows_the_parameters_of_each_mode() -> None:
    validator = jsonschema.Draft202012Validator(schema())
    raw = {"name": "x", "data": {"source": "synthetic"}, "model": {"kind": "ridge"}}

    def valid(**values: Any) -> bool:
        return bool(validator.is_valid({**raw, "generators": {"g": values}}))

    assert valid(kind="umap", hidden=64)
    assert valid(kind="umap", mode="parametric", hidden=64)
    assert not valid(kind="umap", mode="exact", hidden=64)
    assert valid(kind="contrastive", temperature=0.5)
    assert not valid(kind="contrastive", method="vime", temperature=0.5)


def test_describe_and_new_say_whose_a_parameter_is() -> None:
    rows = {row["name"]: row for row in description("umap")["parameters"]}
    assert rows["mode"]["type"] == "auto or exact or parametric or placed"
    assert rows["hidden"]["of"] == "parametric"
    assert rows["principal"]["of"] == "parametric, placed"
    assert rows["n_components"]["of"] == ""
    assert "- exact: Columns of umap-learn's `transform`" in description("umap")["text"]
    corruption = {row["of"]: row["says"] for row in description("contrastive")["parameters"] if row["name"] == "corruption"}
    assert corruption["scarf"] == "share of cells replaced in a view; none = 0.6"
    assert "# parametric: width of the encoder's hidden layers" in starter(["umap"])
    assert parse_config(yaml.safe_load(starter(["contrastive"])), "new").generators["contrastive"] == Scarf()


def test_a_removed_parameter_may_stand_at_the_value_it_always_has_and_at_no_other() -> None:
    config = make_config(
        generators={"g": {"kind": "autoencoder", "clip": 5.0, "held_out": 0.1}},
        model={"kind": "xgboost", "reg_lambda": 1.0, "reg_alpha": 0.0},
    )
    assert config.generators["g"] == component_of(GENERATORS["autoencoder"], {})
    assert "reg_lambda" not in config.to_yaml()
    assert "generators.g.clip: this parameter was removed, its value is always 5.0; leave it out" in refused(
        kind="autoencoder", clip=1.0
    )
    with pytest.raises(NlabError, match="model.reg_lambda: this parameter was removed, its value is always 1.0"):
        make_config(model={"kind": "xgboost", "reg_lambda": 2.0})
