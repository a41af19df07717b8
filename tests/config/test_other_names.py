"""Methods are found by the names that other tools and papers give them."""

import re

import pytest

from numerai_lab.config.catalogue import description
from numerai_lab.config.loading import parse_config
from numerai_lab.config.messages import FAMILIES, KINDS
from numerai_lab.config.other_names import OTHER_NAMES, named_here
from numerai_lab.config.starter import starter
from numerai_lab.core.errors import NlabError


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_what_the_advice_names_is_there(name: str) -> None:
    for key, value in re.findall(r"`(kind|source): (\w+)`", OTHER_NAMES[name]):
        assert value in (FAMILIES["sources"] if key == "source" else KINDS)
    for kind, parameter, value in re.findall(r"`kind: (\w+)` with `(\w+): ([\w.]+)`", OTHER_NAMES[name]):
        raw = {"kind": kind, parameter: value}
        family = next(family for family, kinds in FAMILIES.items() if kind in kinds)
        config = {"name": "x", "data": {"source": "synthetic"}, "model": {"kind": "ridge"}}
        parse_config(config | ({"model": raw} if family == "models" else {family: {"x": raw}}), "advice")
    assert name not in KINDS or name in OTHER_NAMES[name]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("mixup", "`kind: average` with `alpha`"),
        ("DAE", "`kind: autoencoder`"),
        ("SCARF", "`kind: contrastive` with `method: scarf`"),
        ("FA", "`kind: factor_analysis`"),
        ("NMF", "`kind: sklearn_transformer` with `estimator: sklearn.decomposition.NMF`"),
        ("t-SNE", "none is built in"),
        ("RandomForest", "`estimator: RandomForestRegressor`"),
        ("LGBMRegressor", "`kind: lightgbm`"),
    ],
)
def test_describe_new_and_a_config_say_what_is_written_here_instead(name: str, advice: str) -> None:
    assert advice in named_here(name)
    for ask in (description, lambda name: starter([name])):
        with pytest.raises(NlabError, match=re.escape(advice)):
            ask(name)
    raw = {"name": "x", "data": {"source": "synthetic"}, "model": {"kind": name}, "generators": {"x": {"kind": name}}}
    with pytest.raises(NlabError, match=re.escape(f"model.kind: unknown {name!r}, here: ")):
        parse_config(raw, "config")


def test_a_name_like_no_other_is_answered_with_the_lists_and_not_with_eighty_names() -> None:
    with pytest.raises(NlabError) as error:
        description("zzzzzz")
    assert "`nlab list FAMILY` lists sources, generators, augmenters, models" in str(error.value)
    assert len(str(error.value)) < 200
