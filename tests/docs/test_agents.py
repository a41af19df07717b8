"""What the manual says of JSON is what commands print, and the skill for agents says how commands are called."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import typer

from numerai_lab.cli.app import app
from numerai_lab.docs.pages import skill
from tests.docs.markdown import ROOT
from tests.forks import nlab

PAGE = ROOT / "numerai_lab" / "docs" / "agents.md"


def documented() -> dict[str, set[str]]:
    """Command → the keys that the page gives for it."""
    rows = re.findall(r"^\| (`nlab [^|]+) \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {command: set(re.findall(r"`(\w+)`", keys)) for row, keys in rows for command in re.findall(r"`nlab ([a-z -]+)`", row)}


WITHOUT = {
    "open": "opens a browser",
    "docs": "prints Markdown",
    "schema": "prints JSON",
    "serve": "runs until it is stopped",
    "watch": "runs until it is stopped",
    "cluster scheduler": "runs until it is stopped",
    "cluster worker": "runs until it is stopped",
}
"""Commands without --format, and why."""


def commands() -> dict[str, set[str]]:
    """Every command that there is with its options."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        for inner, leaf in getattr(command, "commands", {"": command}).items():
            found[f"{name} {inner}".strip()] = {option for parameter in leaf.params for option in parameter.opts}
    return found


def test_every_command_prints_json_and_the_page_says_which() -> None:
    missing = [name for name, options in commands().items() if "--format" not in options and name not in WITHOUT]
    assert missing == []
    with_format = {name for name, options in commands().items() if "--format" in options}
    assert with_format - documented().keys() == set()


@pytest.mark.parametrize(
    "command",
    [
        *("list generators", "describe umap", "doctor", "cache list", "cache info", "cache verify", "cache prune --keep 1TB"),
        *("data path", "data list", "data synth --dry-run --out made", "new pca", "schedule --as cron", "init lab"),
    ],
)
def test_json_has_the_keys_that_the_page_names(command: str, tmp_path: Path) -> None:
    done = nlab(*command.split(), "--format", "json", cwd=tmp_path)
    assert done.returncode == 0
    printed = json.loads(done.stdout)
    keys = {key for row in ([printed] if isinstance(printed, dict) else printed) for key in row}
    words = max((name for name in documented() if f"{command} ".startswith(f"{name} ")), key=len)
    assert keys <= documented()[words]


def test_files_that_a_command_wrote_are_told_with_size_and_checksum(tmp_path: Path) -> None:
    written = json.loads(nlab("new", "pca", "--out", "my.yaml", "--format", "json", cwd=tmp_path).stdout)["files"]
    content = (tmp_path / "my.yaml").read_bytes()
    assert written == [{"path": "my.yaml", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}]
    assert len(json.loads(nlab("init", "lab", "--format", "json", cwd=tmp_path).stdout)["files"]) > 10


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
