"""Every code block of the manual runs, or is marked and its names are checked."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from numerai_lab.cli.app import app
from numerai_lab.config.loading import parse_config
from tests.docs.markdown import MANUAL, ROOT, Block, blocks
from tests.forks import nlab

GROUP = typer.main.get_command(app)
MODES = {"bash": {"", "no-run"}, "python": {"", "no-run"}, "yaml": {"", "part", "no-run"}, "text": {"", "quickstart", "printed"}}
BASE: dict[str, Any] = {"name": "page", "data": {"source": "synthetic", "size": "tiny"}, "model": {"kind": "ridge"}}


def pages_with(language: str) -> list[Path]:
    return [path for path in MANUAL if any(not block.mode for block in blocks(path, language))]


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", MANUAL, ids=named)
def test_every_block_says_what_it_is(path: Path) -> None:
    for block in blocks(path):
        assert block.mode in MODES.get(block.language, set()), str(block)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with the shipped configs."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    return tmp_path


@pytest.mark.parametrize("path", pages_with("bash"), ids=named)
def test_commands_run(path: Path, folder: Path) -> None:
    for block in blocks(path, "bash"):
        for line in [] if block.mode else block.text.splitlines():
            words, target = command(line, folder)
            assert words[0] == "nlab", f"{block}: {line}"
            done = nlab(*words[1:], cwd=folder)
            assert done.returncode == 0, f"{block}: {line}\n{done.stderr}"
            if target:
                (folder / target).write_text(done.stdout)


def command(line: str, folder: Path) -> tuple[list[str], str]:
    """The words of a shell line, patterns of files expanded, and the file that the output goes to."""
    words = shlex.split(line, comments=True)
    words, target = (words[:-2], words[-1]) if ">" in words else (words, "")
    found = [sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if "*" in word else [word] for word in words]
    return [word for part in found for word in part], target


@pytest.mark.parametrize("path", MANUAL, ids=named)
def test_commands_that_are_not_run_exist_with_their_options(path: Path) -> None:
    for block in blocks(path, "bash"):
        for line in block.text.splitlines():
            check_names(shlex.split(line, comments=True), f"{block}: {line}")


def check_names(words: list[str], where: str) -> None:
    if words[0] == "make":
        assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(), where
        return
    if words[:3] == ["python3", "-m", "venv"] or words[:2] == [".venv/bin/pip", "install"]:
        return
    assert words[0] == "nlab", where
    leaf = GROUP.commands[words[1]]
    leaf = leaf.commands[words[2]] if hasattr(leaf, "commands") else leaf
    options = {option for parameter in leaf.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options, where


@pytest.mark.parametrize("path", pages_with("python"), ids=named)
def test_python_runs_and_prints_what_the_page_says(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    space: dict[str, Any] = {"__name__": "page"}
    for block in blocks(path, "python", "text"):
        if block.mode == "printed":
            assert capsys.readouterr().out == block.text, str(block)
        if block.language != "python":
            continue
        code = compile(block.text, str(block), "exec")
        if not block.mode:
            exec(code, space)  # the pages are ours
    if path.stem == "python":
        assert space["predictions"].shape == (len(space["validation"]),)
        assert "raw+pca" in space["done"].scores.index.get_level_values("variant")


def test_the_generator_of_your_own_method_works(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from numerai_lab.generators import GENERATORS
    from tests.conftest import make_panel

    _, block = blocks(ROOT / "numerai_lab/docs/your-own-method.md", "python")
    space: dict[str, Any] = {"__name__": "mean"}
    exec(block.text, space)  # the pages are ours
    monkeypatch.setitem(GENERATORS, "mean", space["Mean"])
    panel = make_panel()
    values = GENERATORS["mean"]().fit(panel, np.random.default_rng(0)).transform(panel.block(1))
    np.testing.assert_allclose(values[:, 0], panel.features[:40].mean(1) / 4, rtol=1e-6)
    assert values.shape == (40, 1)


@pytest.mark.parametrize("block", [block for path in MANUAL for block in blocks(path, "yaml")], ids=str)
def test_configs_are_valid(block: Block) -> None:
    values = yaml.safe_load(block.text)
    if block.mode == "no-run":
        return
    config = parse_config({**BASE, **values} if block.mode else values, str(block))
    if block.path.stem == "configs" and not block.mode:
        assert list(config.variants) == ["baseline", "raw+umap", "cutout", "blend", "neutral"]
