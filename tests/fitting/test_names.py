"""Names mean nothing: what is drawn at random follows from kinds, parameters and seeds, and columns have one order."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import RunOptions, run
from numerai_lab.report.findings import importances
from tests.conftest import Quiet, component, make_config, quick


def methods(prefix: str, names: tuple[str, ...]) -> dict[str, Any]:
    """A config whose generators, augmenters and variants have these names, in alphabetical order."""
    a, b, d, e, f = (prefix + name for name in names)
    return {
        "name": "named",
        "generators": {
            a: quick("autoencoder"),
            b: {"kind": "random_columns", "n_columns": 3, "like": a},
        },
        "augmenters": {d: quick("cutout"), e: quick("average") | {"ratio": 0.5}, f: quick("copula")},
        "model": quick("xgboost") | {"subsample": 0.7},
        "variants": {
            "baseline": {},
            f"{prefix}wide": {"features": ["raw", a, b]},
            f"{prefix}many": {"features": ["raw", b], "augment": [d, e]},
            f"{prefix}new": {"features": ["raw"], "augment": [f]},
        },
    }


def predictions(path: Path) -> np.ndarray:
    return pl.read_parquet(path / "predictions.parquet").drop("id", "era", "target", "split").to_numpy()


@pytest.mark.slow
def test_renaming_changes_no_byte(tmp_path: Path) -> None:
    alone = RunOptions(cached=False)
    short = run(make_config(**methods("", ("a", "b", "d", "e", "f"))), tmp_path, Quiet(), options=alone)
    long = run(make_config(**methods("v", ("ae", "blank", "drop", "extra", "fresh"))), tmp_path, Quiet(), options=alone)
    np.testing.assert_array_equal(predictions(short.path), predictions(long.path))
    for mine, theirs in (
        ("generator-a@0.safetensors", "generator-vae@0.safetensors"),
        ("generator-b@0.safetensors", "generator-vblank@0.safetensors"),
        ("augmenter-f@0.safetensors", "augmenter-vfresh@0.safetensors"),
        ("many@0.json", "vmany@0.json"),
    ):
        assert (short.path / "models" / mine).read_bytes() == (long.path / "models" / theirs).read_bytes()


def test_a_renamed_component_is_found_in_the_cache(tmp_path: Path) -> None:
    def named(pca: str, noise: str, cut: str, blend: str, variant: str) -> Config:
        return make_config(
            generators={pca: quick("pca"), noise: {"kind": "random_columns", "like": pca}},
            augmenters={cut: quick("cutout") | {"materialize": True}, blend: quick("average")},
            variants={"baseline": {}, variant: {"features": ["raw", pca, noise], "augment": [cut, blend]}},
        )

    first = run(named("p", "q", "r", "s", "t"), tmp_path, Quiet())
    again = run(named("pc", "r", "t", "v", "w"), tmp_path, Quiet())
    assert "rows of r@0" in first.manifest["costs"]
    assert set(again.manifest["costs"]) == {hit["stage"] for hit in again.manifest["cache_hits"]} > {"train w@0", "fit r@0"}


def test_the_order_of_a_list_changes_nothing(tmp_path: Path) -> None:
    generators = {"b": quick("pca"), "a": quick("random_columns")}
    augmenters = {"d": quick("cutout"), "c": quick("average")}
    lists = {"features": ["a", "raw", "b"], "augment": ["c", "d"]}
    turned = {"features": ["b", "raw", "a"], "augment": ["d", "c"]}
    configs = [
        make_config(generators=generators, augmenters=augmenters, variants={"baseline": {}, "v": each, "w": {"ensemble": both}})
        for each, both in ((lists, ["v", "baseline"]), (turned, ["baseline", "v"]))
    ]
    assert configs[0].variants["v"].inputs == ("raw", "a", "b")
    assert configs[0].to_yaml() == configs[1].to_yaml()


def test_importances_of_an_older_run_follow_the_order_its_config_was_written_in(tmp_path: Path) -> None:
    config = make_config(generators={"pca": quick("pca")}, variants={"baseline": {}, "v": {"features": ["raw", "pca"]}})
    done = run(config, tmp_path, Quiet())
    n_raw = done.manifest["data"]["features"]
    now = importances(done, config, n_raw)["v"]
    assert now["pca"].columns == 3 / (n_raw + 3)
    written = done.path / "config.yaml"
    written.write_text(written.read_text().replace("    - raw\n    - pca\n", "    - pca\n    - raw\n"))
    then = importances(done, config, n_raw)["v"]
    assert then["pca"].columns == now["pca"].columns
    assert then["pca"].importance != now["pca"].importance  # of the first three weights, no longer of the last


def test_amounts_and_devices_give_the_same_random_numbers_and_other_parameters_do_not() -> None:
    few, many = component("cutout", copies=1), component("cutout", copies=3, ratio=0.5, weight=0.1)
    assert few.seed_key == many.seed_key != component("cutout", fraction=0.3).seed_key
    assert component("autoencoder", device="cpu").seed_key == component("autoencoder").seed_key
    assert component("diffusion", device="cpu").seed_key == component("diffusion").seed_key
    assert component("random_columns", n_columns=3).seed_key != component("random_columns", n_columns=4).seed_key


def test_noise_of_another_width_is_other_noise() -> None:
    from numerai_lab.core.seeding import rng_for
    from tests.conftest import make_panel

    panel = make_panel()
    narrow, wide = (
        each.fit(panel, rng_for(0, "generator", each.seed_key)).transform(panel.block(1))
        for each in (component("random_columns", n_columns=3), component("random_columns", n_columns=4))
    )
    assert np.abs(np.corrcoef(narrow.T, wide.T)[:3, 3:]).max() < 0.6  # of 40 rows


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"generators": {"p": quick("pca"), "q": quick("pca")}, "variants": {"v": {"features": ["p", "q"]}}},
         "variants.v.features: 'p' and 'q' have the same kind and parameters; the same columns would stand twice"),
        ({"augmenters": {"p": quick("cutout"), "q": quick("cutout") | {"copies": 2}}, "variants": {"v": {"augment": ["p", "q"]}}},
         "variants.v.augment: 'p' and 'q' have the same kind and parameters (copies, ratio, weight aside); the same rows"),
    ],
)  # fmt: skip
def test_one_component_under_two_names_is_refused_in_one_variant(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(NlabError) as shown:
        make_config(**changes)
    assert says in str(shown.value)


def test_one_component_under_two_names_in_two_variants_is_fitted_once(tmp_path: Path) -> None:
    config: Config = make_config(
        generators={"p": quick("autoencoder"), "q": quick("autoencoder")},
        variants={"baseline": {}, "v": {"features": ["p"]}, "w": {"features": ["q"]}},
    )
    done = run(config, tmp_path, Quiet())
    table = predictions(done.path)
    np.testing.assert_array_equal(table[:, 1], table[:, 2])
    assert {"fit p@0", "train v@0"} < set(done.manifest["costs"])
    assert not {"fit q@0", "train w@0"} & set(done.manifest["costs"])
