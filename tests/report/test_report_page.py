"""report.html as somebody sees it who was not there: in a browser, from disk, without a network."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.config.loading import load_config
from numerai_lab.experiment import run
from numerai_lab.report.conclusion import conclusion_of
from numerai_lab.report.figure import GREY, palette
from numerai_lab.report.figures import differences, over_eras
from numerai_lab.report.page import report_page
from numerai_lab.runs.reading import Run, read_run
from tests.conftest import Quiet, make_config, quick
from tests.report.browser import Page

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a network, a closed-form generator and an augmenter, two seeds."""
    config = make_config(
        seeds=[1, 2],
        generators={"swap": quick("autoencoder"), "pca": quick("pca")},
        augmenters={"cut": {"kind": "cutout"}, "again": {"kind": "duplicate"}},
        variants={
            "baseline": {},
            "raw+swap": {"features": ["raw", "swap"]},
            "raw+pca": {"features": ["raw", "pca"]},
            "cut": {"augment": ["cut"]},
            "blend": {"ensemble": ["baseline", "cut"]},
            "again": {"augment": ["again"]},
        },
    )
    return run(config, tmp_path_factory.mktemp("runs"), Quiet())


@pytest.fixture(scope="module")
def report(done: Run) -> Path:
    return done.path / "report.html"


def described(report: Path) -> dict[str, Any]:
    """The figures of a page."""
    (found,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', report.read_text(), re.DOTALL)
    figures: dict[str, Any] = json.loads(found)
    return figures


def test_the_page_is_small_and_names_no_other_place(report: Path) -> None:
    text = report.read_text()
    assert len(text.encode()) < 6_000_000
    assert "default-src 'none'" in text
    outside = re.sub(r'<script type="text/plain" id="library">.*?</script>', "", text, flags=re.DOTALL)
    assert re.findall(r"(?:src|href)=\"(?!#|data:)([^\"]*)\"", outside) == ["scores.csv", "per_era.parquet"]


def test_every_figure_is_one_that_plotly_knows(report: Path) -> None:
    go = pytest.importorskip("plotly.graph_objects")
    figures = described(report)
    assert {*figures} == {
        *("forest", "differences", "improvement", "cumulative", "drawdown"),
        *("halves", "likeness", "exposures", "importance", "training", "stages"),
    }
    for figure in figures.values():
        go.Figure({"data": figure["data"], "layout": figure["layout"]})


def test_curves_are_the_sums_of_the_tables(done: Run, report: Path) -> None:
    figures = described(report)
    both = done.per_era.filter(pl.col("split").is_in(["val1", "val2"]))
    total = {name: own["corr"].sum() / 2 for (name,), own in both.group_by("variant")}
    for trace in figures["cumulative"]["data"]:
        assert trace["y"][-1] == pytest.approx(total[trace["name"]], abs=1e-5)
    for trace in figures["improvement"]["data"]:
        assert trace["y"][-1] == pytest.approx(total[trace["name"]] - total["baseline"], abs=1e-5)
    for traces in figures["differences"]["choices"].values():
        low, high, path, each = (figures["differences"]["data"][i] for i in traces)
        assert path["y"][-1] == pytest.approx(sum(each["y"]), abs=1e-4)
        assert low["y"] == [-value for value in high["y"]]


def test_the_picture_shows_the_changes_and_intervals_of_the_table_and_placebos_in_grey(done: Run, report: Path) -> None:
    against, beside = described(report)["forest"]["data"]
    rows = {row["variant"]: row for row in done.scores.filter(split="val").to_dicts()}
    names = [text.split(":")[0] for text in against["text"]]
    assert names == ["raw+swap", "raw+pca", "cut", "blend", "again"]
    for name, x, low, high, colour in zip(
        names,
        against["x"],
        *(against["error_x"][end] for end in ("arrayminus", "array")),
        against["marker"]["color"],
        strict=True,
    ):
        assert x == pytest.approx(rows[name]["delta_corr_mean"], abs=1e-6)
        assert x - low == pytest.approx(rows[name]["delta_corr_mean_sim_low"], abs=2e-6)
        assert x + high == pytest.approx(rows[name]["delta_corr_mean_sim_high"], abs=2e-6)
        assert (colour == GREY) is (name == "again")
    assert [text.split(":")[0] for text in beside["text"]] == ["cut"]
    assert beside["x"] == [pytest.approx(rows["cut"]["delta_placebo_corr_mean"], abs=1e-6)]


def test_a_drawdown_is_the_distance_from_the_highest_point_so_far(done: Run, report: Path) -> None:
    corr = done.per_era.filter(pl.col("split").is_in(["val1", "val2"]), variant="cut").group_by("era").agg(pl.col("corr").mean())
    path = np.cumsum(corr.sort("era")["corr"].to_numpy())
    (trace,) = [trace for trace in described(report)["drawdown"]["data"] if trace["name"] == "cut"]
    shown = np.array([value for value in trace["y"] if value is not None])
    np.testing.assert_allclose(shown, path - np.maximum.accumulate(path), atol=2e-6)
    assert shown.min() < 0


def test_the_first_screen_has_the_sentence_a_line_for_each_variant_and_their_picture(
    done: Run, report: Path, browser: Page
) -> None:
    browser.open(report)
    assert browser.js("document.querySelector('.sentence').textContent") == conclusion_of(done).sentence
    tops = "['.sentence', '.lines', '#forest .drawing'].map((at) => document.querySelector(at).getBoundingClientRect().top)"
    assert all(0 < top < 700 for top in browser.js(tops))
    rows = browser.js(
        "[...document.querySelectorAll('.lines tbody tr')].map((row) => row.textContent.replace(/\\s+/g, ' ').trim())"
    )
    assert rows[0].startswith("baselineraw features, by ridge regression")
    assert rows[2].startswith("raw+pcaraw features and 3 principal components")
    assert rows[-1].startswith("again (placebo)raw features, plus the same rows again")
    bold = "[...document.querySelectorAll('.lines tbody *')].filter((cell) => getComputedStyle(cell).fontWeight >= 600)"
    assert browser.js(f"{bold}.every((cell) => cell.matches('.better, .worse'))")
    assert browser.js("[...document.querySelectorAll('#scores ~ .wide td[title]')][1].title") == (
        "raw features and 3 columns of a denoising autoencoder"
    )


def test_a_screen_reader_finds_the_table_of_variants_on_a_phone_too(report: Path, browser: Page) -> None:
    browser.open(report, 390)
    tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = [node["role"]["value"] for node in tree if not node["ignored"]]
    names = [node["name"]["value"] for node in tree if not node["ignored"] and node["role"]["value"] == "rowheader"]
    assert roles.count("table") >= 3
    assert len(names) == 6
    assert all(name.startswith(variant) for name, variant in zip(names, ("baseline", "raw+swap", "raw+pca", "cut"), strict=False))


def test_importance_is_of_the_blocks_that_a_variant_reads_and_adds_up(report: Path) -> None:
    bars = {trace["name"]: dict(zip(trace["y"], trace["x"], strict=True)) for trace in described(report)["importance"]["data"]}
    assert {name for name, share in bars["pca"].items() if share is not None} == {"raw+pca"}
    assert "blend" not in bars["raw"]
    for name in bars["raw"]:
        assert sum(share[name] or 0 for share in bars.values()) == pytest.approx(1, abs=1e-5)


def test_likeness_is_one_with_itself_and_symmetric_and_has_the_meta_model(report: Path) -> None:
    (heat,) = described(report)["likeness"]["data"]
    values = np.array(heat["z"], float)
    assert heat["x"][-1] == "meta model"
    np.testing.assert_allclose(np.diag(values), 1, atol=1e-4)
    np.testing.assert_allclose(values, values.T)
    assert values[0, heat["x"].index("blend")] > 0.9 > abs(values[0, -1])


def test_what_a_foreign_run_holds_is_text_in_the_page(done: Run, tmp_path: Path, browser: Page) -> None:
    config, _ = load_config(done.path / "config.yaml")
    manifest = json.loads(json.dumps(done.manifest).replace("synthetic tiny", HOSTILE)) | {"warnings": [HOSTILE]}
    renamed = [table.with_columns(pl.col("variant").replace("cut", HOSTILE)) for table in (done.scores, done.per_era)]
    predictions = pl.read_parquet(done.path / "predictions.parquet").rename({"cut@1": f"{HOSTILE}@1", "cut@2": f"{HOSTILE}@2"})
    predictions.write_parquet(tmp_path / "predictions.parquet")
    del manifest["files"]  # who forges tables forges checksums
    page = tmp_path / "report.html"
    page.write_text(report_page(Run(tmp_path, manifest, *renamed), config))
    assert HOSTILE not in page.read_text()
    browser.open(page)
    assert browser.js("document.querySelectorAll('img').length") == 0
    assert browser.js(f"[...document.querySelectorAll('.legendtext')].some((text) => text.textContent === {HOSTILE!r})")
    assert browser.complaints() == []


def test_it_opens_without_complaint_or_network_and_every_plot_draws(report: Path, browser: Page) -> None:
    for width in (1280, 390):
        browser.open(report, width)
        assert browser.complaints() == []
        assert browser.requests() == []
        assert browser.js("document.querySelectorAll('.drawing').length") == 11
        assert browser.js(
            "[...document.querySelectorAll('.drawing')].every((p) => p.querySelector('.cartesianlayer .trace path, .hm image'))"
        )
        assert browser.js("document.documentElement.scrollWidth") <= width


def test_a_click_in_the_legend_hides_a_curve(report: Path, browser: Page) -> None:
    browser.open(report)
    browser.click(".drawing[data-plot=improvement] .legendtoggle", 1)
    place = "document.querySelector('.drawing[data-plot=improvement]')"
    browser.until(f"{place}.data[1].visible === 'legendonly'")
    assert browser.js(f"{place}.data[0].visible") is True


def test_another_variant_can_be_chosen_in_the_difference_plot(report: Path, browser: Page) -> None:
    browser.open(report)
    place = "document.querySelector('.drawing[data-plot=differences]')"
    assert browser.js(f"{place}.data.map((trace) => trace.visible).indexOf(true)") == 0
    browser.choose("select[data-plot=differences]", "cut")
    shown = described(report)["differences"]["choices"]["cut"]
    browser.until(
        f"{place}.data.map((trace, i) => trace.visible ? i : -1).filter((i) => i >= 0).join() === '{','.join(map(str, shown))}'"
    )


def test_a_click_on_a_heading_sorts_within_the_splits(report: Path, browser: Page) -> None:
    browser.open(report)
    heads = browser.js("[...document.querySelectorAll('table.sortable th')].map((head) => head.textContent)")
    corr = heads.index("corr")
    browser.click("table.sortable th button", corr)
    for body in range(3):
        cells = browser.js(
            f"[...document.querySelector('table.sortable').tBodies[{body}].rows].map((row) => row.cells[{corr}].dataset.value)"
        )
        assert [*map(float, cells)] == sorted(map(float, cells), reverse=True)
    assert browser.js(f"document.querySelectorAll('table.sortable th')[{corr}].ariaSort") == "descending"


def test_everything_to_look_at_has_words_and_tables_have_headings(report: Path, browser: Page) -> None:
    browser.open(report)
    assert browser.js("[...document.querySelectorAll('.drawing')].every((plot) => plot.ariaLabel.length > 30)")
    assert browser.js(
        "[...document.querySelectorAll('table')].every((table) => table.caption && table.tHead.querySelector('th[scope=col]'))"
    )
    assert browser.js("document.documentElement.lang") == "en"
    assert browser.js("[...document.querySelectorAll('select, input')].every((field) => field.labels.length)")


def test_a_run_read_back_gives_the_page_that_was_written_with_it(done: Run, report: Path, tmp_path: Path) -> None:
    config, _ = load_config(done.path / "config.yaml")
    again = tmp_path / "report.html"
    again.write_text(report_page(read_run(done.path), config))
    assert described(again) | {"stages": None} == described(report) | {"stages": None}


def test_it_is_dark_where_the_reader_wants_it_and_light_and_narrow_on_paper(report: Path, browser: Page) -> None:
    colour = "document.querySelector('.drawing[data-plot=improvement]')._fullLayout.font.color"
    width = "document.querySelector('.drawing[data-plot=improvement]')._fullLayout.width"
    browser.open(report)
    assert browser.js(colour) == "#1c2024"
    browser.scheme("dark")
    browser.until(f"{colour} === '#e4e6e8'")
    browser.js("dispatchEvent(new Event('beforeprint'))")
    browser.until(f"{colour} === '#1c2024' && {width} === 660")
    browser.js("dispatchEvent(new Event('afterprint'))")
    browser.until(f"{colour} === '#e4e6e8' && {width} > 1000")
    browser.scheme("light")


def test_the_dearest_steps_stand_in_it_dearest_first(done: Run, report: Path) -> None:
    costs = done.manifest["costs"]
    dearest = max(costs, key=lambda name: costs[name]["seconds"])
    text = report.read_text()
    first = text[text.index("The dearest steps") :]
    assert re.findall(r'<td class="text">(.*?)</td>', first)[0] == dearest


def test_a_hundred_variants_over_600_eras_stay_under_the_limit() -> None:
    rng = np.random.default_rng(0)
    names = ["baseline", *(f"variant_{i}" for i in range(99))]
    curves = {name: (list(range(1, 601)), rng.normal(0, 0.03, 600)) for name in names}
    colours = palette(names, "baseline")
    found = [differences(curves, "baseline", colours, 4)]
    found += [over_eras(curves, colours, 300, key="a", title="b", says="c") for _ in range(2)]
    assert len(found[0].choices) == 30
    assert sum(len(json.dumps(figure.as_dict())) for figure in found) < 3_500_000
