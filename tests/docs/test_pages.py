"""The manual is whole: every page, link, command, option, kind and config has its place, and generated sections are fresh."""

import inspect
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

import numerai_lab
from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.cli.app import app
from numerai_lab.config.catalogue import description
from numerai_lab.data import SOURCES
from numerai_lab.docs.generate import READ_MORE, generated
from numerai_lab.docs.pages import ORDER, source, summary
from numerai_lab.generators import GENERATORS
from numerai_lab.metrics import METRICS
from numerai_lab.metrics.realism_measures import REALISM_MEASURES
from numerai_lab.models import MODELS
from numerai_lab.target_transforms import TARGET_TRANSFORMS
from tests.docs.markdown import CODE, MANUAL, PAGES, README, RESULTS, ROOT, SHIPPED, anchors, blocks, links, prose

ROOT_COMMAND = typer.main.get_command(app)
KINDS = [*GENERATORS, *AUGMENTERS, *MODELS, *TARGET_TRANSFORMS, *SOURCES]
CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
NUMBERS = re.compile(r"\d+(\.\d+)? (CPU-seconds|rows a second|µs|MB|s and)\b|\d ×(?! \d)")
"""What a measured number looks like."""


def test_the_readme_is_at_most_8000_characters() -> None:
    assert len(README.read_text(encoding="utf-8")) <= 8000


def test_every_page_is_listed_once_with_a_title_and_a_line_that_says_what_it_is_about() -> None:
    assert sorted(ORDER) == [page.stem for page in PAGES]
    for page in ORDER:
        assert re.match(r"# \w", source(page))
        assert re.fullmatch(r"[A-Z].{10,120}\.", summary(page))


def test_generated_sections_are_fresh() -> None:
    stale = [page for page, text in generated(ROOT_COMMAND).items() if text != source(page)]
    assert stale == [], "make docs-pages"


@pytest.mark.parametrize("path", MANUAL, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in links(path):
        if link.startswith(("http:", "https:")):
            continue
        name, _, fragment = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{path.name}: {link}"
        assert not fragment or fragment in anchors(target), f"{path.name}: {link}"


@pytest.mark.parametrize("page", ORDER)
def test_the_readme_leads_to_every_page(page: str) -> None:
    assert f"numerai_lab/docs/{page}.md" in links(README)


def commands() -> dict[str, list[str]]:
    """`run`, `data info` … → the options that people see."""
    leaves = {}
    for name, command in ROOT_COMMAND.commands.items():
        if hasattr(command, "commands"):
            leaves |= {f"{name} {sub}": leaf for sub, leaf in command.commands.items()}
        else:
            leaves[name] = command
    return {name: [option for option in _options(leaf) if option != "--help"] for name, leaf in leaves.items()}


def _options(command: Any) -> list[str]:
    shown = [parameter for parameter in command.params if not parameter.hidden]
    return [option for parameter in shown for option in parameter.opts if option.startswith("--")]


@pytest.mark.parametrize("command", commands())
def test_every_command_has_a_section_with_all_its_options(command: str) -> None:
    page = source("commands")
    section = re.search(rf"^## nlab {command}\n(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE)
    assert section
    for option in commands()[command]:
        assert re.search(rf"^\| `.*{option}\b", section[1], flags=re.MULTILINE), option


def test_the_pages_that_commands_point_to_are_of_commands_that_exist() -> None:
    assert set(READ_MORE) <= set(ROOT_COMMAND.commands)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_section_and_an_entry(kind: str) -> None:
    assert f"[`{kind}`](#{kind})" in source("methods")
    assert kind in anchors(ROOT / "numerai_lab" / "docs" / "methods.md")


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_has_an_entry(metric: str) -> None:
    assert f"| `{metric}` |" in source("scores-and-verdicts")


@pytest.mark.parametrize("measure", REALISM_MEASURES)
def test_every_measure_of_realism_has_an_entry_and_a_description(measure: str) -> None:
    assert f"| `{measure}`" in source("run-folder")
    assert f"`{measure}`" in source("scores-and-verdicts") or measure.endswith("_ratio")
    assert REALISM_MEASURES[measure].says in description(f"realism.{measure}")["text"]


def test_every_shipped_config_has_a_row_and_the_seconds_that_were_measured() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.yaml\) \|.*\| ([^|]+) \|$", SHIPPED.read_text(), flags=re.MULTILINE)
    assert [row[:2] for row in rows] == [(name, name) for name in CONFIGS]
    measured = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|$", RESULTS.read_text(), flags=re.MULTILINE))
    assert {name: seconds for name, _, seconds in rows if seconds.endswith(" s")} == {
        name: f"{seconds} s" for name, seconds in measured.items() if name in CONFIGS
    }
    assert {seconds for _, _, seconds in rows if not seconds.endswith(" s")} <= {"–", "hours"}


def test_every_config_of_the_controls_has_a_row() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(controls/(\w+)\.yaml\) \|", SHIPPED.read_text(), flags=re.MULTILINE)
    assert rows == [(path.stem, path.stem) for path in sorted((ROOT / "configs" / "controls").glob("*.yaml"))]


def test_the_functions_of_a_notebook_are_described_with_their_parameters() -> None:
    described = re.findall(r"^\| `(\w+)\(([^)]*)\)` \|", source("python"), flags=re.MULTILINE)
    assert {name for name, _ in described} == set(numerai_lab.__all__)
    for name, parameters in described:
        own = inspect.signature(getattr(numerai_lab, name)).parameters
        assert [word.split("=")[0].strip("* ") for word in parameters.split(",")] == list(own), name


@pytest.mark.parametrize("path", MANUAL, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_commands_in_the_text_exist(path: Path) -> None:
    for text in CODE.findall(prose(path)):
        if text.startswith("nlab ") and not text.startswith("nlab --"):
            words = shlex.split(text)[1:]
            group = ROOT_COMMAND.commands.get(words[0])
            assert group is not None, text
            if hasattr(group, "commands") and len(words) > 1:
                assert words[1] in group.commands, text
        if text.startswith("make ") and len(text.split()) > 1:
            assert f"\n{text.split()[1]}:" in (ROOT / "Makefile").read_text(), text


@pytest.mark.parametrize("path", MANUAL, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_files_that_the_text_names_exist(path: Path) -> None:
    for text in CODE.findall(prose(path)):
        if re.fullmatch(r"(configs|tests|numerai_lab)/[\w./-]+", text):
            made_by_make_or_the_reader = text == "configs/schema.json" or "NAME" in text
            assert (ROOT / text).exists() or made_by_make_or_the_reader, f"{path.name}: {text}"


def test_the_tree_of_the_architecture_is_the_packages_own() -> None:
    tree = re.search(r"^    numerai_lab/\n((?:      .*\n)+)", source("architecture"), flags=re.MULTILINE)
    assert tree
    named = set(re.findall(r"^      ([\w.]+)", tree[1], flags=re.MULTILINE))
    there = {path.name for path in (ROOT / "numerai_lab").iterdir() if not path.name.startswith("_")}
    assert named == there


def test_the_layers_of_the_architecture_are_those_of_the_import_contract() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [re.split(r" [:|] ", layer.replace("numerai_lab.", "")) for layer in contract["layers"]]
    shown = re.search(r"^    cli\n(?:    .*\n)+", source("architecture"), flags=re.MULTILINE)
    assert shown
    assert [line.strip().split(", ") for line in shown[0].splitlines()] == layers


def test_files_that_the_architecture_names_lie_in_the_package() -> None:
    page = prose(ROOT / "numerai_lab/docs/architecture.md")
    paths = [text for text in CODE.findall(page) if re.fullmatch(r"(\w+/)+\w+\.py", text)]
    assert len(paths) >= 5
    assert [text for text in paths if not (ROOT / "numerai_lab" / text).exists()] == []


def test_measured_numbers_stand_in_the_results_alone() -> None:
    hand_written = {page: re.sub(r"<!-- generated.*?<!-- end", "", prose(page), flags=re.DOTALL) for page in [README, *PAGES]}
    assert {page.name: match[0] for page, text in hand_written.items() if (match := NUMBERS.search(text))} == {}


def test_lines_of_the_quickstart_are_those_that_were_measured() -> None:
    measured = RESULTS.read_text(encoding="utf-8").splitlines()
    shown = [block for page in [README, *PAGES] for block in blocks(page, "text") if block.mode == "quickstart"]
    assert {block.path.stem for block in shown} == {"README", "quickstart", "scores-and-verdicts"}
    for block in shown:
        assert [line for line in block.text.splitlines() if line not in measured] == [], str(block)
        assert max(map(len, block.text.splitlines())) <= 80
