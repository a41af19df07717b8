"""What `nlab new` prints is valid, and the schema that editors read agrees with the program."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.config.loading import parse_config
from numerai_lab.config.messages import KINDS
from numerai_lab.config.starter import SCHEMA_LINE, schema, starter
from numerai_lab.core.component import Component
from numerai_lab.core.errors import NlabError

CONFIGS = sorted(Path("configs").glob("**/*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Any:
    json_schema = schema()
    jsonschema.Draft202012Validator.check_schema(json_schema)
    return jsonschema.Draft202012Validator(json_schema)


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_of_any_method_is_valid_and_holds_its_defaults(kind: str, validator: Any) -> None:
    raw = yaml.safe_load(starter([kind]))
    validator.validate(raw)
    config = parse_config(raw, "new")
    made, *placebos = [part for part in _components(config) if type(part) is KINDS[kind]]
    assert len(placebos) == (kind in AUGMENTERS and AUGMENTERS[kind].weighs)  # the same weights, shuffled
    required = {name: "FILL_IN" for name, field in KINDS[kind].model_fields.items() if field.is_required()}
    assert made == KINDS[kind](**required)


def test_every_parameter_stands_with_what_it_does() -> None:
    text = " ".join(line.strip(" #") for line in starter(["umap", "cutout", "lightgbm", "numerai"]).splitlines())
    for kind in ("umap", "cutout", "lightgbm", "numerai"):
        for name, field in KINDS[kind].model_fields.items():
            assert f"{name}: " in text
            assert (field.description or "") in text
    assert max(map(len, starter([*KINDS][:1]).splitlines())) <= 120


def test_a_wrong_name_is_answered_with_the_nearest_and_two_models_are_refused() -> None:
    with pytest.raises(NlabError, match="did you mean 'umap'"):
        starter(["umpa"])
    with pytest.raises(NlabError, match="one source and one model"):
        starter(["ridge", "lightgbm"])
    with pytest.raises(NlabError, match="rank_gauss changes the target of a variant"):
        starter(["pca", "rank_gauss"])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_name_the_schema_and_pass_it(path: Path, validator: Any) -> None:
    above = "../" * (len(path.parts) - 2)
    assert path.read_text().splitlines()[0] == SCHEMA_LINE.replace("schema.json", f"{above}schema.json")
    validator.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    "changed",
    [
        {"modle": {}},
        {"model": {"kind": "xgbost"}},
        {"model": {"alpha": 1.0}},
        {"data": {"source": "synthetic", "sise": "tiny"}},
        {"generators": {"x": {"kind": "umap", "n_components": 0}}},
        {"seeds": "7"},
    ],
)
def test_the_schema_refuses_what_the_program_refuses(changed: dict[str, Any], validator: Any) -> None:
    raw = {"name": "x", "data": {"source": "synthetic"}, "model": {"kind": "ridge"}, **changed}
    assert not validator.is_valid(raw)
    with pytest.raises(NlabError):
        parse_config(raw, "changed")


def _components(config: Any) -> list[Component]:
    transforms = [variant.target_transform for variant in config.variants.values() if variant.target_transform]
    return [config.data, config.model, *config.generators.values(), *config.augmenters.values(), *transforms]
