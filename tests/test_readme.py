"""What the README shows works: its config is valid, its example generator passes, its tables name what there is."""

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
import yaml

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.config.loading import parse_config
from numerai_lab.generators import GENERATORS, Generator
from numerai_lab.models import MODELS
from tests.conftest import make_panel

README = Path("README.md").read_text(encoding="utf-8")
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", README, flags=re.MULTILINE)]


def block(begins: str) -> str:
    """The indented block of the README that begins with a text."""
    (found,) = (text for text in BLOCKS if text.strip().startswith(begins))
    return found


def test_the_config_it_explains_is_valid() -> None:
    config = parse_config(yaml.safe_load(block("name: umap_medium")), "README")
    assert list(config.variants) == ["baseline", "raw+umap", "cutout", "blend", "neutral"]


def test_the_generator_it_adds_in_one_file_works(monkeypatch: pytest.MonkeyPatch) -> None:
    head = (
        "from typing import Literal, Self\nimport numpy as np\nfrom numerai_lab.core.progress import ALONE, Aid\n"
        "from numerai_lab.core.arrays import Float32\n"
        "from numerai_lab.generators.base import Generator\nfrom numerai_lab.core.panel import Block, Panel\n"
    )
    space: dict[str, type[Generator]] = {}
    exec(head + block("# numerai_lab/generators/mean.py"), space)  # the README is ours
    monkeypatch.setitem(GENERATORS, "mean", space["Mean"])
    panel = make_panel()
    fitted = GENERATORS["mean"]().fit(panel, np.random.default_rng(0))
    values = fitted.transform(panel.block(1))
    np.testing.assert_allclose(values[:, 0], panel.features[:40].mean(1) / 4, rtol=1e-6)
    assert values.shape == (40, 1)


def test_every_method_stands_in_its_tables_and_every_name_there_exists() -> None:
    there = {*GENERATORS, *AUGMENTERS, *MODELS}
    section = README[README.index("## What there is") : README.index("**Adding a method**")]
    assert set(re.findall(r"`([a-z_]+)`", section)) - {"transform"} == there


COMMANDS = [
    "run",
    "resume",
    "compare",
    "score",
    "audit",
    "methods",
    "validate",
    "list",
    "describe",
    "export",
    "transform",
    "show",
    "open",
    "new",
    "schema",
    "sweep",
    "power",
    "inspect",
    "unseal",
    "ledger",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_its_table(command: str) -> None:
    from numerai_lab.cli.app import app

    assert re.search(rf"^\| `nlab {command}[ `]", README, flags=re.MULTILINE)
    assert len(app.registered_commands) == len(COMMANDS)


@pytest.mark.parametrize("group", ["data", "cache"])
def test_every_command_of_a_group_is_in_its_table(group: str) -> None:
    from numerai_lab.cli.cache import cache_app
    from numerai_lab.cli.data import data_app

    registered = {"data": data_app, "cache": cache_app}[group].registered_commands
    for command in registered:
        assert command.callback is not None
        name = command.name or command.callback.__name__
        assert f"`nlab {group} {name}" in README
