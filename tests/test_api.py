"""The laboratory from Python, and its methods inside scikit-learn."""

import html
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import numerai_lab
from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.core.errors import NlabError
from numerai_lab.core.seeding import rng_for
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.generators import GENERATORS
from tests.conftest import component, make_panel

RAW = {
    "name": "api",
    "data": {"source": "synthetic", "size": "tiny"},
    "model": {"kind": "ridge"},
    "augmenters": {"cut": {"kind": "cutout"}},
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return numerai_lab.run(numerai_lab.load_config(RAW), tmp_path_factory.mktemp("runs"))


def frame(**changes: Any) -> tuple[pd.DataFrame, np.ndarray]:
    """make_panel's rows with their eras mixed, as a DataFrame with an era column; rows of an era stay in order."""
    panel = make_panel(**changes)
    X = pd.DataFrame(panel.features, columns=list(panel.feature_names))
    X.insert(3, "era", np.repeat(panel.eras, panel.bounds[:, 1] - panel.bounds[:, 0]))
    mixed = np.random.default_rng(0).permutation(X["era"])
    order = np.empty(len(X), int)
    order[np.argsort(mixed, kind="stable")] = np.arange(len(X))
    assert panel.target is not None
    return X.iloc[order], panel.target[order]


def test_a_run_comes_back_as_dataframes(done: Any) -> None:
    again = numerai_lab.read_run(done.path)
    assert isinstance(again.scores, pd.DataFrame)
    both = again.per_era[again.per_era.split.isin(["val1", "val2"]) & (again.per_era.variant == "cut")]
    assert again.scores.loc[("cut", "val"), "corr_mean"] == pytest.approx(both["corr"].mean())
    assert {"id", "era", "target", "split", "baseline", "cut"} <= {*again.predictions.columns}
    asked = numerai_lab.load_config(RAW)
    decided = asked.splits.model_copy(update={"embargo": again.config.splits.embargo})
    assert isinstance(again.config.splits.embargo, int)
    assert again.config.to_yaml() == asked.model_copy(update={"splits": decided}).to_yaml()
    assert again.verdicts[0].startswith("cut: corr ")
    assert again.sentence.startswith("SYNTHETIC data. ")
    assert again.sentence in html.unescape(again._repr_html_())
    assert again.report.is_file()


def test_comparisons_too_and_both_show_themselves(done: Any) -> None:
    comparison = numerai_lab.compare([done, done.path])
    assert comparison.table.index.names == ["run", "variant", "split"]
    assert comparison.remarks == []
    for shown in (done._repr_html_(), comparison._repr_html_()):
        assert "<table>" in shown
        assert "95 % of Δ" in shown
    assert "SYNTHETIC data" in done._repr_html_()


def test_a_holdout_is_unsealed_once(tmp_path: Path) -> None:
    config = numerai_lab.load_config({**RAW, "splits": {"train": "1-30", "holdout": 16}})
    done = numerai_lab.run(config, tmp_path / "runs")
    look = numerai_lab.unseal(done, "cut")
    change = look.scores.loc[("cut", "holdout"), "delta_corr_mean"]
    own, reference = (look.scores.loc[(variant, "holdout"), "corr_mean"] for variant in ("cut", "baseline"))
    assert change == pytest.approx(own - reference, abs=1e-12)
    assert look.gain_retained is None or look.gain_retained == pytest.approx(
        change / done.scores.loc[("cut", "val"), "delta_corr_mean"]
    )
    assert [said.split(":")[0] for said in look.verdicts] == ["on validation", "on the holdout", "gain retained"]
    assert "look 1 at this holdout" in look._repr_html_()
    with pytest.raises(NlabError, match="has been looked at"):
        numerai_lab.unseal(str(done.path), "cut")
    again = numerai_lab.unseal(done.path, "cut", again=True)
    assert "look 2 at this holdout" in again._repr_html_()


def test_importing_the_package_is_quick_and_loads_nothing() -> None:
    code = "import sys, numerai_lab; print(len([m for m in sys.modules if m.split('.')[0] in ('numpy', 'pydantic', 'polars')]))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "0"
    with pytest.raises(AttributeError, match="rnu"):
        _ = numerai_lab.rnu


@pytest.mark.parametrize("kind", [kind for kind, each in GENERATORS.items() if not each.uses_labels])
def test_columns_in_a_pipeline_are_those_of_the_generator(kind: str) -> None:
    from numerai_lab.sklearn_adapter import Columns

    X, _ = frame(n_eras=8)
    panel = make_panel(n_eras=8)
    made = Columns(component(kind), append=False).fit_transform(X)
    fitted = component(kind).fit(panel.without_target(), rng_for(0, "generator", component(kind).seed_key))
    wanted = np.concatenate([fitted.columns_for(block) for block in panel.blocks()])
    np.testing.assert_allclose(made.sort_index().to_numpy(), wanted, rtol=1e-3, atol=1e-4)
    assert made.index.equals(X.index)
    assert list(made.columns) == [f"{kind}_{name}" for name in fitted.names_out()]


@pytest.mark.parametrize("kind", [kind for kind, generator in GENERATORS.items() if generator.uses_labels])
def test_generators_that_use_labels_are_refused_where_nothing_cross_fits_them(kind: str) -> None:
    from numerai_lab.sklearn_adapter import Columns

    X, y = frame(n_eras=8)
    with pytest.raises(ValueError, match="only `nlab run` keeps its training rows honest"):
        Columns(component(kind)).fit(X, y)


@pytest.mark.parametrize("kind", [kind for kind in AUGMENTERS if kind != "umap_inverse"])  # compiles for eleven seconds
def test_an_augmented_regressor_learns_from_the_rows_of_the_stream(kind: str) -> None:
    from numerai_lab.sklearn_adapter import Augmented

    X, y = frame(n_eras=8)
    panel = make_panel(n_eras=8)
    fitted = component(kind).fit(panel, rng_for(0, "augmenter", component(kind).seed_key))
    batches = list(TrainingStream(panel, ("raw",), panel.raw_names, 0, {kind: fitted}))
    learner = Remember()
    Augmented(learner, component(kind)).fit(X, y)
    seen = Remember.rows
    assert len(seen) == sum(len(batch.y) for batch in batches)
    assert (len(seen) > len(X)) == (not fitted.weighs)
    assert "era" not in seen.columns


class Remember:
    """A regressor that keeps what it was given."""

    rows: pd.DataFrame

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {}

    def fit(self, X: pd.DataFrame, y: Any, **more: Any) -> "Remember":
        Remember.rows = X
        return self


def test_pipelines_are_cloned_fitted_and_scored_by_sklearn() -> None:
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline

    from numerai_lab.sklearn_adapter import Augmented, Columns

    X, y = frame()
    for model in (
        make_pipeline(Columns(component("pca")), Ridge()),
        Augmented(make_pipeline(Columns(component("pca")), Ridge()), component("swap_noise"), keep_era=True),
    ):
        scores = cross_val_score(model, X, y, groups=X["era"], cv=GroupKFold(3))
        assert scores.mean() > 0.1


@pytest.mark.parametrize(("scale", "units"), [(1, "bins"), (0.25, "quarters"), (0.2, "continuous")])
def test_the_units_of_features_are_learned_once(scale: float, units: str) -> None:
    from numerai_lab.sklearn_adapter import Columns

    X, _ = frame(n_eras=6)
    features = [name for name in X.columns if name != "era"]
    X = X.astype(dict.fromkeys(features, float))
    X[features] *= scale
    fitted = Columns(component("pca"), append=False).fit(X)
    assert fitted.units_ == units
    few = X[X["era"] == 3]
    np.testing.assert_allclose(fitted.transform(few), fitted.transform(X).loc[few.index], rtol=1e-4, atol=1e-5)


def test_eras_may_be_written_as_numerai_writes_them_and_bad_frames_are_sentences() -> None:
    from numerai_lab.sklearn_adapter import Columns

    X, _ = frame(n_eras=6)
    named = X.assign(era=[f"era{era:04d}" for era in X["era"]])
    one, other = (Columns(component("pca"), append=False).fit_transform(each) for each in (X, named))
    np.testing.assert_array_equal(one, other)
    for wrong, said in ((X.drop(columns="era"), "no column 'era'"), (X * 9, "bins 0..4"), (X.mask(X == 1), "missing values")):
        with pytest.raises(ValueError, match=said):
            Columns(component("pca")).fit(wrong)


@pytest.mark.parametrize("kind", ["integers", "text", "datetimes", "categories", "floats"])
def test_columns_of_dated_eras_are_those_of_numbered_weeks(kind: str) -> None:
    from numerai_lab.sklearn_adapter import Columns

    X, _ = frame(n_eras=12)
    days = pd.Timestamp("2020-01-03") + pd.to_timedelta(7 * (X["era"] - 1), unit="D")
    written = {
        "integers": days.dt.strftime("%Y%m%d").astype(int),
        "text": days.dt.strftime("%Y-%m-%d"),
        "datetimes": days.dt.tz_localize("Asia/Tokyo"),
        "categories": days.dt.strftime("%Y-%m-%d").astype("category"),
        "floats": X["era"].astype(float),
    }
    dated = X.assign(era=written[kind])
    later = X["era"] > 6
    encoder = Columns(component("era_code", emit_era="own"), append=False)  # a column that follows from the era's number alone
    plain = encoder.fit(X[~later]).transform(X[later])
    np.testing.assert_array_equal(encoder.fit(dated[~later]).transform(dated[later]), plain)


def test_live_rows_follow_the_last_era_that_was_fitted() -> None:
    from numerai_lab.sklearn_adapter import Columns

    X, _ = frame(n_eras=6)
    encoder = Columns(component("era_code", emit_era="own"), append=False).fit(X)
    one = X[X["era"] == 6]
    np.testing.assert_array_equal(encoder.transform(one.assign(era="X")), encoder.transform(one.assign(era=7)))


def test_daily_rows_need_their_step_and_dates_do_not_follow_numbers() -> None:
    from numerai_lab.sklearn_adapter import Columns

    X, _ = frame(n_eras=6)
    daily = X.assign(era=pd.Timestamp("2020-01-06") + pd.to_timedelta(X["era"] % 5, unit="D"))
    with pytest.raises(ValueError, match="fall into one week"):
        Columns(component("pca")).fit(daily)
    assert Columns(component("pca"), days_per_era=1).fit(daily).eras_.last == 5
    with pytest.raises(ValueError, match="are dates, and were numbers when this was fitted"):
        Columns(component("pca")).fit(X).transform(X.assign(era="2020-01-03"))
    with pytest.raises(ValueError, match="a row has no era"):
        Columns(component("pca")).fit(X.assign(era=X["era"].where(X["era"] > 1)))
