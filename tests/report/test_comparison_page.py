"""The page of many runs: what it links to, that it sorts and filters, that it is quick."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

from numerai_lab.metrics.significance import mean_differences
from numerai_lab.report.comparison import Comparison, compare
from numerai_lab.report.comparison_page import comparison_page
from numerai_lab.report.differing import differing
from tests.many_runs import make_runs
from tests.report.browser import Page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("many")


@pytest.fixture(scope="module")
def found(folder: Path) -> Comparison:
    return compare(make_runs(folder / "runs", 4))


@pytest.fixture(scope="module")
def page(found: Comparison, folder: Path) -> Path:
    path = folder / "pages" / "compared.html"
    path.parent.mkdir()
    path.write_text(comparison_page(found, path))
    return path


def shown(browser: Page, column: int) -> list[str]:
    """The cells of a column in the rows that are not filtered out."""
    rows = "[...document.querySelectorAll('#table-1 tbody tr')].filter((row) => !row.hidden)"
    cells: list[str] = browser.js(f"{rows}.map((row) => row.cells[{column}].textContent)")
    return cells


def test_only_keys_that_differ_tell_runs_apart(found: Comparison) -> None:
    differing_keys = differing(found.groups[0].members)
    assert differing_keys.columns == ["run", "model.learning_rate"]
    assert differing_keys["model.learning_rate"].to_list() == ["0.01", "0.0101", "0.0102", "0.0103"]
    assert differing(found.groups[0].members[:1]).columns == ["run"]


def test_runs_link_to_their_reports_from_where_the_page_lies(page: Path, found: Comparison) -> None:
    links = {*re.findall(r'<a href="([^"]*)">', page.read_text())}
    assert links == {f"../runs/{name}/report.html" for name in found.groups[0].runs}
    assert all((page.parent / link).is_file() for link in links)


@pytest.mark.parametrize(("split", "parts"), [("val", ["val1", "val2"]), ("val2", ["val2"])])
def test_pairs_are_paired_differences_of_corr_over_the_split(split: str, parts: list[str], found: Comparison) -> None:
    comparison = compare([run.path for run in found.groups[0].members], split=split)
    (text,) = re.findall(r'id="figures">(.*?)</script>', comparison_page(comparison, Path("page.html")), re.DOTALL)
    (heat,) = json.loads(text)["pairs-1"]["data"]
    group = found.groups[0]

    def corr(name: str) -> pl.Series:
        run, _, variant = name.partition("/")
        (member,) = [each for each in group.members if each.name == run]
        return member.per_era.filter(pl.col("split").is_in(parts)).filter(variant=variant).sort("era")["corr"]

    first, last = heat["y"][0], heat["x"][-1]
    wanted = mean_differences((corr(first) - corr(last)).to_numpy()[:, None], 4)
    assert heat["z"][0][-1] == pytest.approx(float(wanted.value[0]), abs=1e-6)
    assert heat["text"][0][-1] == ("•" if wanted.p[0] < 0.05 else "")
    assert heat["z"][-1][0] == -heat["z"][0][-1]


def test_runs_that_were_made_elsewhere_are_named(page: Path, found: Comparison) -> None:
    assert f'<p class="warning" role="note">{found.foreign}</p>' in page.read_text()


def test_it_opens_sorts_and_filters(page: Path, browser: Page) -> None:
    for width in (390, 1280):
        browser.open(page, width)
        assert browser.complaints() == []
        assert browser.requests() == []
        assert browser.js("[...document.querySelectorAll('.drawing')].every((p) => p.querySelector('.trace path, .hm image'))")
        assert browser.js("document.documentElement.scrollWidth") <= width
    heads = browser.js("[...document.querySelectorAll('#table-1 th')].map((head) => head.textContent)")
    corr, run, variant = (heads.index(name) for name in ("corr", "run", "variant"))
    assert len(shown(browser, corr)) == 12
    assert shown(browser, corr) == sorted(shown(browser, corr), key=float, reverse=True)
    browser.click("#table-1 th button", corr)
    browser.click("#table-1 th button", corr)
    assert shown(browser, corr) == sorted(shown(browser, corr), key=float)
    browser.click("#table-1 th button", run)
    assert shown(browser, run) == sorted(shown(browser, run))
    browser.type("input[type=search]", "cutout 000002")
    assert shown(browser, variant) == ["cutout"]
    assert browser.js("document.querySelector('output').textContent") == "1 rows"
    browser.choose("select[name=split]", "")
    assert len(shown(browser, variant)) == 3


def test_a_single_run_of_one_variant_has_a_page_too(tmp_path: Path) -> None:
    text = comparison_page(compare(make_runs(tmp_path, 1, ["baseline"])), tmp_path / "page.html")
    assert "baseline" in text
    assert '"pairs-1"' not in text
