"""What the manual says of JSON is what commands print, and the skill for agents says how commands are called."""

import json
import re

import pytest

from numerai_lab.docs.pages import skill
from tests.docs.markdown import ROOT
from tests.forks import nlab

PAGE = ROOT / "numerai_lab" / "docs" / "agents.md"


def documented() -> dict[str, set[str]]:
    """Command → the keys that the page gives for it."""
    rows = re.findall(r"^\| (`nlab [^|]+) \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {command: set(re.findall(r"`(\w+)`", keys)) for row, keys in rows for command in re.findall(r"`nlab ([a-z ]+)`", row)}


@pytest.mark.parametrize("command", ["list generators", "describe umap", "doctor", "cache list", "cache info"])
def test_json_has_the_keys_that_the_page_names(command: str) -> None:
    done = nlab(*command.split(), "--format", "json")
    assert done.returncode == 0
    printed = json.loads(done.stdout)
    keys = {key for row in ([printed] if isinstance(printed, dict) else printed) for key in row}
    words = command if command in documented() else command.split()[0]
    assert keys <= documented()[words]


def test_a_config_is_checked_for_scripts_too() -> None:
    done = nlab("validate", "configs/quickstart.yaml", "--format", "json")
    assert json.loads(done.stdout) == {"valid": True, "problems": []}
    done = nlab("validate", "configs/quickstart.yaml", "--set", "seedz=1", "--set", "model.kind=rf", "--format", "json")
    assert done.returncode == 2
    checked = json.loads(done.stdout)
    assert not checked["valid"]
    assert [problem.split(":")[0] for problem in checked["problems"]] == ["model.kind", "seedz"]


def test_the_skill_has_the_head_that_agents_read_and_is_printed_whole() -> None:
    head = re.match(r"---\nname: (\S+)\ndescription: (.+)\n---\n", skill())
    assert head
    assert head[1] == "numerai-lab"
    assert len(head[2]) <= 1024
    assert nlab("docs", "skill").stdout == skill()
