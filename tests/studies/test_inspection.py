"""`nlab inspect`: generators of a finished run, looked at."""

import json
import shutil
from pathlib import Path

import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import run
from numerai_lab.report.inspected import Inspected
from numerai_lab.report.inspection_page import inspection_page, inspection_table
from numerai_lab.report.page import redrawn
from numerai_lab.report.realism import realism_cells
from numerai_lab.runs.reading import Run, read_run
from numerai_lab.storage.stamped_json import read_mapping
from numerai_lab.studies.inspection import inspected
from tests.conftest import Quiet, make_config, quick
from tests.report.browser import Page


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    generators = {
        "pca": quick("pca"),
        "noise": {"kind": "random_columns", "n_columns": 3},
        "swap": quick("autoencoder"),
        "when": {"kind": "era_code"},
    }
    variants = {"baseline": {}, **{f"raw+{name}": {"features": ["raw", name]} for name in generators}}
    return run(make_config(seeds=[1, 2], generators=generators, variants=variants), tmp_path_factory.mktemp("runs"), Quiet())


@pytest.fixture(scope="module")
def found(done: Run) -> dict[str, Inspected]:
    return {each.name: each for each in inspected(done, Quiet())}


def test_what_is_known_of_a_generator_is_found(found: dict[str, Inspected]) -> None:
    rows = {name: each.row() for name, each in found.items()}
    assert float(rows["pca"]["r2_mean"]) > 0.99  # type: ignore[arg-type]
    assert float(rows["noise"]["r2_mean"]) < 0.05  # type: ignore[arg-type]
    assert float(rows["noise"]["stable"]) < 0.1 < float(rows["swap"]["stable"])  # type: ignore[arg-type]
    assert rows["pca"]["stable"] is None
    assert float(rows["pca"]["kept"]) > 3 * float(rows["pca"]["chance"])  # type: ignore[arg-type]
    assert float(rows["noise"]["kept"]) < 2 * float(rows["noise"]["chance"])  # type: ignore[arg-type]
    assert float(rows["when"]["shift"]) > 0.9 > float(rows["noise"]["shift"])  # type: ignore[arg-type]
    assert rows["noise"]["importance"] is not None
    assert rows["noise"]["share_of_columns"] == pytest.approx(3 / 63)


def test_eras_that_a_labelled_fit_has_seen_are_not_looked_at(tmp_path: Path) -> None:
    generators = {"fold": quick("siamese"), "early": {**quick("siamese"), "emit": "latent", "scheme": "early"}}
    variants = {name: {"features": ["raw", name]} for name in generators}
    each = {
        one.name: one
        for one in inspected(run(make_config(generators=generators, variants=variants, splits={}), tmp_path, Quiet()), Quiet())
    }
    assert min(*each["early"].eras, *each["fold"].eras) > 38  # 30 of 60 training eras were learned from, 8 purged
    assert each["fold"].names == tuple(f"distance{i}" for i in range(1, 6))


def test_pictures_hold_rows_of_every_part_and_drift_is_measured_from_training(found: dict[str, Inspected], done: Run) -> None:
    splits = done.manifest["splits"]
    for each in found.values():
        assert {*each.eras} <= {*splits["train"], *splits["val1"], *splits["val2"]}
        assert {*each.eras} & {*splits["val2"]}
        assert each.points.shape == (len(each.point_eras), 2)
        train = [era in splits["train"] for era in each.eras]
        assert abs(each.drift[train].mean()) < 0.3


def test_the_page_opens_and_every_picture_draws_and_can_be_coloured(
    found: dict[str, Inspected], tmp_path: Path, browser: Page
) -> None:
    page = tmp_path / "inspection.html"
    page.write_text(inspection_page("x", ["SYNTHETIC data"], list(found.values())))
    assert page.stat().st_size < 6_000_000
    assert inspection_table(list(found.values())).height == 4
    for width in (390, 1280):
        browser.open(page, width)
        assert browser.complaints() == []
        assert browser.requests() == []
        assert browser.js("document.documentElement.scrollWidth") <= width
        assert browser.js("[...document.querySelectorAll('.drawing')].every((p) => p.querySelector('.trace path, .hm image'))")
    place = "document.querySelector('.drawing[data-plot=picture-pca]')"
    browser.choose("select[data-plot=picture-pca]", "target")
    browser.until(f"{place}.data.map((trace) => trace.visible).join() === 'false,true'")


def test_a_run_without_fits_has_nothing_to_inspect_and_other_data_is_refused(done: Run, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(done.path, bare)
    for path in (bare / "models").glob("generator-*"):
        path.unlink()
    assert inspected(read_run(bare), Quiet()) == []
    done.manifest["data"]["features"] += 1
    try:
        with pytest.raises(NlabError, match="the data now has 60"):
            inspected(done, Quiet())
    finally:
        done.manifest["data"]["features"] -= 1


@pytest.mark.slow
def test_generators_that_use_labels_are_looked_at_by_fits_that_did_not_see_the_rows_and_invented_rows_stand_beside(
    tmp_path: Path,
) -> None:
    kind = {"kind": "supervised_autoencoder", **{k: v for k, v in quick("supervised_autoencoder").items() if k != "kind"}}
    config = make_config(
        generators={"early": {**kind, "emit": "latent", "scheme": "early", "share": 0.5}},
        augmenters={"path": {"kind": "covariance_path"}},
        variants={"baseline": {}, "raw+early": {"features": ["raw", "early"]}, "path": {"augment": ["path"]}},
    )
    done = run(config, tmp_path, Quiet())
    (found,) = inspected(done, Quiet())
    train = done.manifest["splits"]["train"]
    assert {era for era in found.eras if era in train} <= {*train[len(train) // 2 :]}
    page = inspection_page("x", [], [found], realism_cells(done))
    for text in (page, (done.path / "report.html").read_text()):
        assert "Invented rows" in text
        assert '<td class="text">path</td>' in text
    assert 'href="inspection.html"' not in (done.path / "report.html").read_text()
    (done.path / "inspection.html").write_text(page)
    redrawn(done)
    again = read_run(done.path)
    assert again.content("report.html") == (done.path / "report.html").read_bytes()
    assert 'href="inspection.html"' in (done.path / "report.html").read_text()
    facts = read_mapping(done.path / "manifest.json")
    del facts["stamp"], facts["files"]  # as old runs are
    (done.path / "manifest.json").write_text(json.dumps(facts))
    redrawn(read_run(done.path))
    assert "files" not in read_mapping(done.path / "manifest.json")
