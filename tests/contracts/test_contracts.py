"""Checks of methods on a few rows: each finds the promise that a broken method breaks, and passes a whole one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from numerai_lab.config.plugins import load_plugins
from numerai_lab.contracts.small_panels import cut
from numerai_lab.contracts.trying import tried
from numerai_lab.core.component import Component
from tests.conftest import component, make_panel
from tests.own_methods import MINE, registries_restored

CUMULATIVE = "deviation = np.cumsum(X - self.mean_, axis=0)"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    with registries_restored():
        yield


def methods_of(folder: Path, text: str) -> dict[str, Component]:
    path = folder / "mine.py"
    path.write_text(text)
    (plugin,) = load_plugins([str(path)])
    return {kind: method() for kind, (_, method) in plugin.methods.items()}


@pytest.mark.parametrize("binned", [True, False])
def test_whole_methods_pass_every_check(tmp_path: Path, binned: bool) -> None:
    for method in methods_of(tmp_path, MINE).values():
        outcomes = dict(tried(method, make_panel(n_eras=5, binned=binned)))
        assert len(outcomes) >= 4
        assert set(outcomes.values()) == {""}


@pytest.mark.parametrize(
    ("kind", "old", "new", "sentence"),
    [
        ("row_moments", "self.mean_ = X.mean(0)", "self.mean_ = X.mean(0) * np.nan", "values are NaN or infinite"),
        ("row_moments", "self.mean_ = X.mean(0)", "self.mean_ = np.random.rand()", "draw random numbers from"),
        ("row_moments", "deviation = X - self.mean_", CUMULATIVE, "depend on the rows that come with it"),
        ("row_moments", "self.mean_ = X.mean(0)", "self.mean_ = X.mean(0); X -= 1", ""),
        ("half_swap", "X = X.copy()", "X = X.copy(); X[0, 0] = np.nan", "cells or targets not finite"),
        ("half_swap", "rng.permutation(len(X))", "np.random.permutation(len(X))", "draw random numbers from `rng` alone"),
        ("half_swap", "return X, y", "y[:] = 0; return X, y", ""),
        ("least_squares", "@ self.weights_", "@ self.weights_ * np.inf", "predictions are NaN or infinite"),
        ("least_squares", "(X - self.mean_) @", "(X - X.mean(0)) @", "depends on the rows that come with it"),
        (
            "least_squares",
            "self.mean_ = X.mean(0)",
            "self.mean_ = X.mean(0) + np.random.rand()",
            "draw random numbers from `rng`",
        ),
    ],
)
def test_a_broken_promise_is_found(tmp_path: Path, kind: str, old: str, new: str, sentence: str) -> None:
    assert old in MINE
    method = methods_of(tmp_path, MINE.replace(old, new))[kind]
    broken = [outcome for _, outcome in tried(method, make_panel(n_eras=5)) if outcome]
    assert any(sentence in outcome for outcome in broken) if sentence else not broken


@pytest.mark.parametrize(
    ("learned", "message"),
    [
        ("self.mean_ = lambda: 0", "mean_ is a function"),
        ("self.mean_ = np.array([object()])", "mean_ is an array of object"),
        ("self.names_ = X.mean(0)", "names_ is a name that the program uses itself"),
        ("self.mean = X.mean(0)", "has no attribute 'mean_'"),
    ],
)
def test_what_can_not_be_saved_is_found(tmp_path: Path, learned: str, message: str) -> None:
    method = methods_of(tmp_path, MINE.replace("self.mean_ = X.mean(0)\n", f"{learned}\n", 1))["row_moments"]
    assert all(message in outcome for _, outcome in tried(method, make_panel(n_eras=5)))


def test_built_in_methods_pass_the_checks_that_plugins_go_through() -> None:
    for kind in ("pca", "cutout", "gmm_targets", "ridge"):
        assert {outcome for _, outcome in tried(component(kind), make_panel(n_eras=8, n_rows=100))} == {""}


def test_a_panel_is_cut_to_a_few_rows_without_a_copy() -> None:
    panel = make_panel(n_eras=30, n_rows=400)
    few = cut(panel)
    assert (len(few.eras), few.n_rows) == (8, 1200)
    assert few.features is panel.features
