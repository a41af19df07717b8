"""Probes of a run's generators: columns that hold the signal score high, noise does not, and no fit sees what it must not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numerai_lab.core.arrays import Float32
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import no_progress
from numerai_lab.experiment import run
from numerai_lab.report.inspection_page import inspection_page
from numerai_lab.report.probes import Probed, probe_cells, probe_table
from numerai_lab.runs.reading import Run
from numerai_lab.studies.inspection import inspected
from numerai_lab.studies.probes import _Probes, probed
from tests.conftest import Quiet, make_config, make_panel, quick

TRAIN, LATER = range(1, 26), range(30, 61)


class Planted:
    """A stand-in for a fitted generator whose columns are made from an era's rows."""

    def __init__(self, columns: Callable[[Block, np.random.Generator], Any]) -> None:
        self.columns = columns

    def columns_for(self, block: Block) -> Float32:
        return np.asarray(self.columns(block, np.random.default_rng(block.era)), np.float32)


@pytest.fixture(scope="module")
def panel() -> Panel:
    """A target that is round a circle in the plane of two features: no linear relation shows it, neighbours do."""
    plain, rng = make_panel(n_eras=60, n_rows=100, n_features=8), np.random.default_rng(7)
    x = plain.features[:, :2].astype(np.float64) - 2
    score = (x**2).sum(1) + 2 * rng.normal(size=len(x))
    return replace(plain, target=(np.argsort(np.argsort(score)) / len(x)).astype(np.float32))


def scores_of(panel: Panel, columns: Callable[[Block, np.random.Generator], Any] | None) -> Probed:
    fit: Any = None if columns is None else Planted(columns)
    probes = _Probes.fitted(panel, TRAIN, fit, no_progress)
    linear, neighbours = np.array([probes.scores(panel, era) for era in LATER]).T
    return Probed("planted", "", probes.n_columns, tuple(LATER), linear, neighbours, 1)


def number(row: dict[str, object], name: str) -> float:
    value = row[name]
    assert isinstance(value, float)
    return value


def test_columns_that_hold_the_signal_score_high_and_noise_scores_nothing(panel: Panel) -> None:
    raw = scores_of(panel, None)
    squares = scores_of(panel, lambda block, rng: (block.features[:, :2].astype(float) - 2) ** 2).row(raw)
    places = scores_of(panel, lambda block, rng: block.features[:, :2]).row(raw)
    noise = scores_of(panel, lambda block, rng: rng.normal(size=(len(block), 4))).row(raw)
    assert number(squares, "linear") > 0.5
    assert number(squares, "neighbours") > 0.5
    assert number(squares, "delta_linear") > 0.5
    assert number(places, "neighbours") > 0.5  # a plane in which the target is round a circle
    assert abs(number(places, "linear")) < 0.1
    assert number(places, "delta_neighbours") > 3 * number(places, "delta_neighbours_error") > 0
    for probe in ("linear", "neighbours"):
        assert abs(number(noise, probe)) < 3 * number(noise, f"{probe}_error") < 0.1
    whole = scores_of(panel, lambda block, rng: np.full((len(block), 1), block.era)).row(raw)
    assert (whole["linear"], whole["neighbours"]) == (None, None)  # constant within an era: no corr


def test_no_target_of_a_scored_era_enters_a_probe(panel: Panel) -> None:
    assert panel.target is not None
    target = panel.target.copy()
    target[panel.rows(26).start :] = np.random.default_rng(8).uniform(-9, 9, len(target) - panel.rows(26).start)
    clean, dirty = (_Probes.fitted(p, TRAIN, None, no_progress) for p in (panel, replace(panel, target=target)))
    np.testing.assert_array_equal(clean.weights, dirty.weights)
    np.testing.assert_array_equal(clean.neighbours.target, dirty.neighbours.target)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    generators = {
        "pca": quick("pca"),
        "noise": {"kind": "random_columns", "n_columns": 3},
        "early": {**quick("siamese"), "emit": "latent", "scheme": "early"},
        "fold": quick("siamese"),
    }
    variants = {"baseline": {}, **{f"raw+{name}": {"features": ["raw", name]} for name in generators}}
    config = make_config(generators=generators, variants=variants, splits={})
    return run(config, tmp_path_factory.mktemp("runs"), Quiet())


def test_every_generator_stands_beside_raw_features(done: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[list[int]] = []
    plain = _Probes.fitted.__func__  # type: ignore[attr-defined]

    def spied(cls: type[_Probes], panel: Panel, train: Any, *rest: Any) -> _Probes:
        fitted.append([*train])
        made: _Probes = plain(cls, panel, train, *rest)
        return made

    monkeypatch.setattr(_Probes, "fitted", classmethod(spied))
    probes = probed(done, Quiet())
    table = probe_table(probes)
    assert table["columns_of"].to_list() == ["raw features", "pca", "noise", "early", "fold"]
    assert table["columns"].to_list() == [60, 3, 3, 3, 5]
    splits = done.manifest["splits"]
    scored = {*splits["val1"], *splits["val2"]}
    for representation in probes:
        assert {*representation.eras} == scored
        assert np.isfinite(representation.linear).all()
    for train in fitted:
        assert min(train) > 38  # 30 of 60 training eras were learned from with labels, 8 purged
        assert {*train} <= {*splits["train"]}
    for probe in ("linear", "neighbours"):
        noise = table.filter(table["columns_of"] == "noise").row(0, named=True)
        assert abs(noise[probe]) < 3 * noise[f"{probe}_error"]


def test_the_page_has_the_table(done: Run) -> None:
    cells = probe_cells(probed(done, Quiet()))
    page = inspection_page("x", [], inspected(done, Quiet()), None, cells)
    assert "Probes are yardsticks" in page
    assert '<td class="text">raw features</td>' in page
    assert probe_cells([]) is None


def test_a_run_that_keeps_no_fit_has_no_probes(tmp_path: Path) -> None:
    assert probed(run(make_config(variants={"baseline": {}}), tmp_path, Quiet()), Quiet()) == []
