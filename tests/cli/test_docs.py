"""`nlab docs`: pages are listed, printed and searched; a wrong name gets the nearest one."""

import os
import re
import sys

import pytest

from numerai_lab.docs.pages import ORDER, for_terminal, source, summary
from tests.forks import nlab

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_without_a_page_all_are_listed_with_a_line_each() -> None:
    result = nlab("docs")
    assert result.returncode == 0
    assert [line.split("  ")[0].strip() for line in result.stdout.splitlines()] == list(ORDER)
    assert summary("trust") in result.stdout


def test_a_page_goes_into_a_pipe_as_it_is_without_the_markers_of_generated_sections() -> None:
    result = nlab("docs", "methods")
    assert result.stdout.startswith("# Methods\n\n")
    assert "| `n_components` |" in result.stdout
    assert "<!-- generated" in source("methods")
    assert "<!--" not in result.stdout


def test_an_unknown_page_is_one_sentence_with_the_nearest_name_and_exit_code_2() -> None:
    result = nlab("docs", "quikstart")
    assert result.returncode == 2
    assert result.stderr == "nlab: docs: no page 'quikstart'; did you mean 'quickstart'?\n"
    assert result.stdout == ""


def test_search_names_page_and_heading_of_every_line_with_the_word_whatever_its_case() -> None:
    result = nlab("docs", "--search", "EMBARGO")
    assert "configs · Splits\n    - `embargo` is left out before val1 and before val2." in result.stdout
    assert all("embargo" in line.casefold() for line in result.stdout.splitlines() if line.startswith("    "))
    of_page = nlab("docs", "trust", "--search", "embargo").stdout
    assert {line.split(" · ")[0] for line in of_page.splitlines() if not line.startswith(" ")} == {"trust"}


def test_a_search_without_a_match_says_so_and_fails() -> None:
    result = nlab("docs", "--search", "xyzzy")
    assert (result.returncode, result.stderr) == (1, "nlab: docs: nothing in the manual contains 'xyzzy'\n")


@pytest.mark.parametrize("page", ORDER)
def test_at_80_columns_no_word_of_a_page_is_cut_off(page: str) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(width=80, highlight=False)
    with console.capture() as capture:
        console.print(Markdown(for_terminal(page), hyperlinks=False))
    cut = {word for word in re.findall(r"\S+…", ESCAPES.sub("", capture.get())) if word not in source(page)}
    assert cut == set()


@pytest.mark.parametrize("width", [80, 120])
def test_on_a_terminal_a_page_is_rendered_within_its_width_and_paged(width: int) -> None:
    pexpect = pytest.importorskip("pexpect")
    environment = {**os.environ, "TERM": "xterm-256color", "PAGER": "cat"}
    environment.pop("COLUMNS", None)
    command = ["-m", "numerai_lab", "docs", "run-folder"]
    child = pexpect.spawn(sys.executable, command, dimensions=(40, width), env=environment, encoding="utf-8", timeout=60)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    lines = [ESCAPES.sub("", line).rstrip("\r") for line in child.before.split("\n")]
    assert max(map(len, lines)) <= width
    assert any("predictions.parquet" in line for line in lines)
    assert not any(line.startswith(("# ", "| ---", "```")) for line in lines)
    assert any("(nlab docs python)" in " ".join(lines[i : i + 2]).replace("  ", " ") for i in range(len(lines)))
