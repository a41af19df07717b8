"""Strict configs: every problem at once, no silent trap, overrides, and a resolved form that means the same."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.config.default_variants import with_variants
from numerai_lab.config.loading import load_config, load_recorded, parse_config
from numerai_lab.config.schema import Config
from numerai_lab.config.yaml_file import parse_yaml
from numerai_lab.core.errors import NlabError
from numerai_lab.core.seeding import rng_for
from numerai_lab.core.training_stream import TrainingStream
from tests.conftest import component, make_config, make_panel

VALID = """
name: ok
data: {source: synthetic, size: tiny}
generators: {p: {kind: pca, n_components: 3}}
augmenters: {c: {kind: cutout}}
model: {kind: xgboost}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def complaint(raw: dict[str, Any]) -> str:
    with pytest.raises(NlabError) as caught:
        parse_config(raw, "x.yaml")
    return str(caught.value)


def broken(**changes: Any) -> str:
    return complaint({**yaml.safe_load(VALID), **changes})


def test_every_problem_is_said_in_one_message() -> None:
    message = broken(
        nmae="x",
        seeds=[1, "two"],
        generators={"p": {"kind": "umpa"}, "q": {"kind": "pca", "n_components": -1, "whitn": True}},
        model={"kind": "xgboost", "learning_rate": "fast"},
        variants={"a": {"features": ["raw", "pp"]}, "b": {"neutralize": {"featurs": "x"}}},
        splits={"train": "1-100", "val1": "90-120", "embargo": -1},
    )
    assert message.splitlines()[0] == "x.yaml: 11 problems"
    for line in (
        "nmae: unknown key, did you mean 'name'?",
        "seeds[1]: got 'two', wanted a valid integer",
        "generators.p.kind: unknown 'umpa', did you mean 'umap'?; `nlab list generators` lists all",
        "generators.q.n_components: got -1, wanted greater than 0",
        "generators.q.whitn: unknown key, did you mean 'whiten'?",
        "model.learning_rate: got 'fast', wanted a valid number",
        "variants.a.features: no generator 'pp'; did you mean 'p'?",
        "variants.b.neutralize.features: missing",
        "variants.b.neutralize.featurs: unknown key, did you mean 'features'?",
        "splits.embargo: got -1, wanted greater than or equal to 0",
        "splits.val1: 90-120 must begin after train (1-100) ends",
    ):
        assert f"  {line}" in message.splitlines()


def test_an_unknown_key_is_answered_with_the_nearest_known_one() -> None:
    assert "splts: unknown key, did you mean 'splits'?" in broken(splts={})
    assert "splits.embrago: unknown key, did you mean 'embargo'?" in broken(splits={"embrago": 3})
    assert "splits.embargo.allow_leaks: unknown key, did you mean 'allow_leak'?" in broken(
        splits={"embargo": {"eras": 1, "allow_leaks": True}}
    )
    assert "data.sise: unknown key, did you mean 'size'?" in broken(data={"source": "synthetic", "sise": "tiny"})


def test_a_kind_that_is_missing_or_no_mapping_is_told_from_an_unknown_one() -> None:
    assert "model.kind: missing, known: xgboost, lightgbm, ridge" in broken(model={"alpha": 1.0})
    assert "generators[0].kind: missing, known: pca" in broken(generators={0: {"n_components": 3}})
    assert "model: got 'xgboost', wanted a mapping with the key kind" in broken(model="xgboost")
    message = "data.source: unknown 'web', known: synthetic, numerai, files; `nlab list sources` lists all; --plugin FILE "
    message += "adds one of your own"
    assert message in broken(data={"source": "web"})


def test_variants_are_checked_against_what_they_name() -> None:
    assert "variants.a.augment: no augmenter 'cutuot'; known: c" in broken(variants={"a": {"augment": ["cutuot"]}})
    assert "an ensemble averages other variants" in broken(
        variants={"a": {}, "b": {}, "e": {"ensemble": ["a", "b"], "augment": ["c"]}}
    )
    nested = {"a": {}, "b": {}, "e": {"ensemble": ["a", "b"]}, "f": {"ensemble": ["a", "e"]}}
    assert "variants.f.ensemble: no variant that is no ensemble 'e'" in broken(variants=nested)
    assert "scoring.reference: no variant 'basline'; did you mean 'baseline'?" in broken(scoring={"reference": "basline"})
    assert "generators.raw: this name stands for the raw features" in broken(generators={"raw": {"kind": "pca"}})
    assert "variants: '../up' is not a name" in broken(variants={"../up": {}})
    assert "seeds: [1, 1] names a seed twice" in broken(seeds=[1, 1])


def test_types_are_strict() -> None:
    assert "got '3', wanted a valid integer" in broken(generators={"p": {"kind": "pca", "n_components": "3"}})
    assert "got 1.5, wanted a valid integer" in broken(model={"kind": "xgboost", "n_estimators": 1.5})
    assert "got True, wanted a valid integer" in broken(seeds=[True])


def test_scientific_notation_is_a_number(tmp_path: Path) -> None:
    config, _ = load_config(
        write(tmp_path, VALID + "name2: x\n".replace("name2: x\n", "seeds: [1]\n")), ["model.learning_rate=1e-3"]
    )
    assert config.model.model_dump()["learning_rate"] == 0.001
    assert parse_yaml("[1e-3, 1E5, -2e+4, 1.5e3, e3, 1e]", "x") == [0.001, 100000.0, -20000.0, 1500.0, "e3", "1e"]


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NlabError, match="key 'name' stands twice"):
        load_config(write(tmp_path, VALID + "name: again\n"))


def test_yaml_that_would_run_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NlabError, match="not valid YAML"):
        load_config(write(tmp_path, "name: !!python/object/apply:os.system ['true']\n"))


def test_set_overrides_any_key_and_reads_yaml(tmp_path: Path) -> None:
    config, remarks = load_config(write(tmp_path, VALID), ["seeds=[3, 4]", "generators.p.n_components=7", "scoring.legacy=true"])
    assert config.seeds == [3, 4]
    assert config.generators["p"].model_dump()["n_components"] == 7
    assert config.scoring.legacy is True
    assert remarks == []


def test_set_of_another_kind_drops_what_the_new_one_does_not_know_and_says_so(tmp_path: Path) -> None:
    text = VALID.replace("{kind: xgboost}", "{kind: xgboost, n_estimators: 5, max_depth: 3}")
    config, remarks = load_config(write(tmp_path, text), ["model.kind=ridge", "model.alpha=2"])
    assert config.model.model_dump() == {"kind": "ridge", "alpha": 2.0}
    assert remarks[0] == "model.n_estimators: left out, kind ridge has no such parameter"


@pytest.mark.parametrize("override", ["seeds", "=3", "a..b=1", "name.x=1", "seeds=[1"])
def test_an_override_that_makes_no_sense_is_one_sentence(tmp_path: Path, override: str) -> None:
    with pytest.raises(NlabError, match=r"--set"):
        load_config(write(tmp_path, VALID), [override])


def recipes(config: Config) -> dict[str, tuple[tuple[str, ...], list[str]]]:
    return {name: (v.inputs, v.augment) for name, v in config.variants.items()}


def test_omitted_variants_are_each_method_beside_its_placebo() -> None:
    config = parse_config(yaml.safe_load(VALID), "x")
    found = recipes(config)
    duplicate = {"duplicate": (("raw",), ["duplicate"])} if "duplicate" in AUGMENTERS else {}
    assert found == {
        "baseline": (("raw",), []),
        "p_only": (("p",), []),
        "raw+p": (("raw", "p"), []),
        "raw+placebo": (("raw", "placebo"), []),
        "c": (("raw",), ["c"]),
        **duplicate,
    }
    assert config.generators["placebo"].names_out() == [f"noise{i + 1}" for i in range(3)]  # as many columns as p emits
    assert config.reference == "baseline"


def test_the_placebo_of_an_augmenter_adds_as_many_rows_of_the_same_weight() -> None:
    augmenters = {"dream": {"kind": "dream", "ratio": 0.05}, "law": {"kind": "copula"}, "cut": {"kind": "cutout", "weight": 0.5}}
    config = parse_config({**yaml.safe_load(VALID), "augmenters": augmenters}, "x")
    placebos = {name: each for name, each in config.augmenters.items() if each.kind == "duplicate"}
    assert list(placebos) == ["duplicate_1_ratio_0.05", "duplicate_1", "duplicate_1_weight_0.5"]
    assert [(each.growth, each.weight) for each in placebos.values()] == [(0.05, 1), (1, 1), (1, 0.5)]
    assert set(placebos) <= set(config.variants)


def test_generators_of_several_widths_get_a_placebo_of_each() -> None:
    generators = {
        "p": {"kind": "pca", "n_components": 5},
        "q": {"kind": "pca", "n_components": 5},
        "f": {"kind": "factor_analysis", "n_components": 5},
    }
    config = parse_config({**yaml.safe_load(VALID), "generators": generators}, "x")
    assert [name for name in config.variants if "placebo" in name] == ["raw+placebo_5", "raw+placebo_6"]
    assert [len(config.generators[name].names_out()) for name in ("placebo_5", "placebo_6")] == [5, 6]


def test_networks_stand_beside_an_untrained_one_of_each_shape_that_reads_the_same_features() -> None:
    few = {"by": "variance", "top_k": 9}
    generators = {
        "scarf": {"kind": "contrastive", "hidden": 64, "n_components": 8},
        "vime": {"kind": "contrastive", "method": "vime", "hidden": 64, "n_components": 8},
        "few": {"kind": "autoencoder", "hidden": 64, "n_components": 8, "select": few},
        "p": {"kind": "pca", "n_components": 8},
    }
    config = parse_config({**yaml.safe_load(VALID), "generators": generators}, "x")
    assert [name for name in config.variants if "untrained" in name] == [
        "untrained_scarf_only",
        "untrained_few_only",
        "raw+untrained_scarf",
        "raw+untrained_few",
    ]
    shape = config.generators["untrained_few"].model_dump()
    assert (shape["kind"], shape["hidden"], shape["n_layers"], shape["n_components"]) == ("random_encoder", 64, 2, 8)
    assert shape["select"]["top_k"] == 9
    assert config.generators["untrained_scarf"].select is None


def test_a_config_with_a_placebo_of_its_own_or_with_variants_gets_none() -> None:
    noise = {"p": {"kind": "pca"}, "n": {"kind": "random_columns", "n_columns": 3}}
    own = parse_config({**yaml.safe_load(VALID), "generators": noise}, "x")
    assert [name for name in own.variants if "c" != name != "duplicate"] == ["baseline", "p_only", "raw+p", "raw+n"]
    named = parse_config({**yaml.safe_load(VALID), "variants": {"a": {}}}, "x")
    assert list(named.generators) == ["p"]
    assert list(named.augmenters) == ["c"]


def test_the_same_rows_again_stand_beside_augmenters_that_add_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numerai_lab.config.default_variants.AUGMENTERS", {**AUGMENTERS, "duplicate": AUGMENTERS["cutout"]})
    augmenters = {"a": {"kind": "cutout"}, "b": {"kind": "cutout", "copies": 3}, "r": {"kind": "cutout", "mode": "replace"}}
    values = with_variants({"augmenters": augmenters})
    assert values["augmenters"]["duplicate_1"] == {"kind": "duplicate", "copies": 1}
    assert values["augmenters"]["duplicate_3"] == {"kind": "duplicate", "copies": 3}
    assert list(values["variants"]) == ["baseline", "a", "b", "r", "duplicate_1", "duplicate_3"]
    replacing = with_variants({"augmenters": {"r": augmenters["r"]}})
    assert list(replacing["variants"]) == ["baseline", "r"]


def test_the_resolved_config_loads_to_itself_with_every_default_written_out() -> None:
    config = parse_config(yaml.safe_load(VALID), "x")
    again = parse_config(parse_yaml(config.to_yaml(), "y"), "y")
    assert again.resolved() == config.resolved()
    assert config.resolved()["model"]["min_child_weight"] == 1.0


@pytest.mark.parametrize("path", sorted(Path("configs").rglob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_config_is_valid(path: Path) -> None:
    config, _ = load_config(path)
    assert config.name == ("control_" if path.parent.name == "controls" else "") + path.stem


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
paths = st.sampled_from(
    [
        "name",
        "seeds",
        "data",
        "data.source",
        "splits",
        "splits.embargo",
        "splits.val1",
        "generators",
        "generators.p",
        "generators.p.kind",
        "augmenters",
        "model",
        "model.kind",
        "variants",
        "variants.a",
        "variants.a.features",
        "variants.a.neutralize",
        "scoring",
        "extra",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(paths, json_values), min_size=1, max_size=4))
def test_any_value_anywhere_gives_a_config_or_one_message(changes: list[tuple[str, Any]]) -> None:
    raw = yaml.safe_load(VALID)
    for path, value in changes:
        *parents, last = path.split(".")
        at = raw
        for key in parents:
            at = at.setdefault(key, {}) if isinstance(at, dict) else {}
        if isinstance(at, dict):
            at[last] = value
    try:
        config = parse_config(raw, "x")
    except NlabError as error:
        assert "problem" in str(error)
    else:
        assert config.variants


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:{}[]-\n '\"!&*#%0e.", max_size=60))
def test_any_text_gives_a_value_or_one_message(text: str) -> None:
    try:
        parse_yaml(text, "x")
    except NlabError as error:
        assert str(error).startswith("x: not valid YAML")


MERGED = """
base: &base {kind: cutout, fraction: 0.25}
more: &more {copies: 2, fraction: 0.1}
half: {<<: *base, fraction: 0.5}
above: {fraction: 0.5, <<: *base}
both: {<<: [*base, *more]}
nested: &nested {<<: *base, weight: 0.5}
deep: {<<: [*nested, *base], fraction: 0.75}
"""


def test_merge_keys_are_read_and_what_is_written_beside_them_counts() -> None:
    values = parse_yaml(MERGED, "x")
    assert values["half"] == values["above"] == {"kind": "cutout", "fraction": 0.5}
    assert values["both"] == {"kind": "cutout", "fraction": 0.25, "copies": 2}
    assert values["nested"] == {"kind": "cutout", "fraction": 0.25, "weight": 0.5}
    assert values["deep"] == {"kind": "cutout", "fraction": 0.75, "weight": 0.5}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("b: &b {k: 1}\na: {<<: *b, m: 1, m: 2}", "key 'm' stands twice"),
        ("b: &b {k: 1, k: 2}\na: {<<: *b, k: 3}", "key 'k' stands twice"),
        ("b: &b {k: 1}\nc: &c {m: 1}\na: {<<: *b, <<: *c}", "key '<<' stands twice; merge a list, <<: [*one, *two]"),
        ("a: {<<: 3}", "<< merges a mapping, or a list of them"),
        ("a: {[1]: 3}", "a list or mapping is not a name"),
    ],
)
def test_a_key_that_is_written_twice_is_refused_beside_merges_too(text: str, says: str) -> None:
    with pytest.raises(NlabError, match=re.escape(says)):
        parse_yaml(text, "x")


def test_merges_of_merges_do_not_grow_without_end() -> None:
    lines = ["a0: &a0 {k: 1}", *(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12))]
    assert parse_yaml("\n".join(lines), "x")["a11"] == {"k": 1}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seeds": [-1]}, "seeds[0]: got -1, wanted greater than or equal to 0"),
        ({"seeds": []}, "seeds: got [], wanted at least 1 item"),
        ({"seeds": [0, 2**32]}, "seeds[1]: got 4294967296, wanted less than 4294967296"),
        ({"seeds": [2**63]}, "seeds[0]: got 9223372036854775808, wanted less than 4294967296"),
        ({"data": {"source": "synthetic", "seed": 2**63}}, "data.seed: got 9223372036854775808, wanted less than 4294967296"),
        ({"model": {"kind": "lightgbm", "num_leaves": 131_073}}, "model.num_leaves: got 131073, wanted less than"),
        ({"model": {"kind": "xgboost", "max_depth": 2**31}}, "model.max_depth: got 2147483648, wanted less"),
        ({"generators": {"p": {"kind": "pca", "n_components": 300_000_000}}}, "p.n_components: got 300000000, wanted less"),
    ],
)  # fmt: skip
def test_numbers_that_a_library_would_refuse_after_training_are_refused_at_once(changes: dict[str, Any], says: str) -> None:
    assert says in broken(**changes)


@pytest.mark.parametrize("kind", ["ridge", "xgboost", "lightgbm"])
def test_the_largest_seed_works(kind: str) -> None:
    blocks = TrainingStream(make_panel(n_eras=3), ("raw",), make_panel().raw_names, 2**32 - 1)
    model = component(kind).fit(blocks, rng_for(2**32 - 1, "model"))
    assert np.isfinite(model.predict(blocks[0].X)).all()


def test_a_folder_that_recorded_parameters_of_dart_beside_other_boosters_opens(tmp_path: Path) -> None:
    config = make_config(model={"kind": "xgboost"}, variants={"a": {}, "b": {"model": {"kind": "xgboost", "booster": "dart"}}})
    recorded = config.resolved()
    assert "rate_drop" not in recorded["model"]
    assert recorded["variants"]["b"]["model"]["rate_drop"] == 0.1
    older = {**recorded, "model": {**recorded["model"], "rate_drop": 0.1, "skip_drop": 0.5}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(older))
    opened = load_recorded(tmp_path / "config.yaml")
    assert (opened.model, opened.to_yaml()) == (config.model, config.to_yaml())
