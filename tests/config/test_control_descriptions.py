"""Every generator and augmenter states the world in which it must help, with its source, or why there is none."""

import pytest

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.config.catalogue import description
from numerai_lab.core.component import Component
from numerai_lab.generators import GENERATORS
from numerai_lab.models import MODELS

METHODS: dict[str, type[Component]] = {**GENERATORS, **AUGMENTERS}


@pytest.mark.parametrize("kind", METHODS)
def test_every_method_states_its_own_control_with_a_source_or_why_there_is_none(kind: str) -> None:
    control = METHODS[kind].control
    assert control.why != Component.control.why
    assert bool(control.world) == bool(control.source)
    assert str(control).startswith(f"must help in `{control.world}`: " if control.world else "no world: ")


def test_describe_tells_the_control_of_a_method_and_none_of_a_model() -> None:
    assert description("cutout")["control"].endswith("Source: Globerson & Roweis 2006.")
    assert {description(kind)["control"] for kind in MODELS} == {""}
