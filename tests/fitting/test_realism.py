"""Rows that augmenters invent: kept once in the cache, judged in the run folder, exported as eras of the tournament's layout."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from numerai_lab.cli.app import app
from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import arrays_from_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.seeding import rng_for
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.data.reader import load
from numerai_lab.experiment import run
from numerai_lab.fitting.materialized import FEATURES, MaterializedRows, make
from numerai_lab.report.realism import measures_table, remarks
from numerai_lab.runs.reading import Run
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.stage_cache import STAGES
from numerai_lab.studies.export_eras import export_eras
from tests.conftest import Quiet, component, make_config, quick

AUGMENTERS = {
    "new": quick("diffusion"),
    "few": {**quick("diffusion"), "ratio": 0.1},
    "law": {"kind": "copula"},
    "cut": {"kind": "cutout"},
    "mean": {"kind": "average"},
}
FITS = ["augmenter-law@3.safetensors", "augmenter-law@3-since-33.safetensors"]


def config(**changes: Any) -> Config:
    data = {"source": "synthetic", "size": "tiny", "feature_set": "small"}
    variants = {"baseline": {}, **{f"raw+{name}": {"augment": [name]} for name in AUGMENTERS}}
    return make_config(**{"data": data, "augmenters": AUGMENTERS, "variants": variants, "seeds": [3], **changes})


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(config(), tmp_path_factory.mktemp("runs"), Quiet())


def test_a_run_judges_the_augmenters_that_invent_rows_and_no_others(done: Run) -> None:
    table = pl.read_csv(done.path / "realism.csv")
    assert table["augmenter"].to_list() == ["new", "few", "law"]
    assert table["eras"].to_list() == [60, 6, 60]
    assert (table["memorised"] > 0.8).all()
    assert table.filter(pl.col("augmenter") == "law")["corr_ratio"].item() < 3
    bins = pl.read_parquet(done.path / "realism_bins.parquet")
    np.testing.assert_allclose(bins.select(pl.col("^share_.*$")).to_numpy().sum(1), 1)
    assert len(bins) == 3 * 42


def test_a_run_keeps_intervals_floors_and_augmentation_curves(done: Run) -> None:
    table = pl.read_csv(done.path / "realism.csv")
    assert (table["coverage_low"] < table["coverage"]).all()
    assert (table["auc_real"] > 0.5).all()  # eras of this world differ
    assert table["copies"].max() == table["copies_real"].max() == 0
    curve = pl.read_csv(done.path / "realism_curve.csv")
    assert curve["augmenter"].unique(maintain_order=True).to_list() == ["new", "few", "law"]
    assert curve.filter(augmenter="law")["share"].to_list() == [0, 0.25, 0.5, 1, 2]
    assert (curve["change_low"] <= curve["change"]).all()
    assert (curve["invented_rows"] == (curve["share"] * curve["real_rows"]).round()).all()


def test_the_page_and_the_markdown_have_every_measure_and_the_curve(done: Run) -> None:
    written = (done.path / "realism.md").read_text()
    page = (done.path / "report.html").read_text()
    for text in ("Augmentation curve", "1 − NewRowSynthesis", "near_copies"):
        assert text in written
        assert text in page


def test_a_table_of_an_older_run_is_read_without_what_it_lacks(done: Run) -> None:
    table = pl.read_csv(done.path / "realism.csv")
    older = table.select([name for name in table.columns if not re.search("_low$|_high$|cop|membership|_real$|pairs", name)])
    assert "pairs" not in measures_table(older)["measure"].to_list()
    assert measures_table(older).filter(measure="corr")["between"].to_list() == [""] * 3
    assert [line for line in remarks(older) if "copies" in line] == []


def test_remarks_name_copies_and_what_gives_training_rows_away(done: Run) -> None:
    table = pl.read_csv(done.path / "realism.csv").filter(augmenter="law")
    near = table.with_columns(
        near_copies=pl.lit(0.4), membership_low=pl.lit(0.7), membership=pl.lit(0.8), membership_real=pl.lit(0.5)
    )
    assert "40% of its rows differ from a training row in at most 3 features, and 0% of held-out rows" in remarks(near)[0]
    assert "tell training rows from held-out rows: area 0.80" in remarks(near)[1]
    (line,) = remarks(table.with_columns(copies=pl.lit(1.0), near_copies=pl.lit(1.0)))
    assert "100% of its rows are training rows" in line


def test_inspect_prints_what_the_run_found(done: Run) -> None:
    shown = CliRunner().invoke(app, ["inspect", str(done.path), "--rows", "--format", "json"])
    assert shown.exit_code == 0
    assert '"augmenter": "law"' in shown.stdout
    output = CliRunner().invoke(app, ["inspect", str(done.path)], env={"COLUMNS": "250"}).stdout
    for text in ("0.5 = not at all", "invented ÷ real", "TVComplement"):
        assert text in output


def test_a_run_without_invented_rows_has_nothing_to_inspect(tmp_path: Path) -> None:
    plain = run(config(variants={"baseline": {}, "raw+cut": {"augment": ["cut"]}}), tmp_path, Quiet())
    shown = CliRunner().invoke(app, ["inspect", str(plain.path), "--rows"])
    assert isinstance(shown.exception, NlabError)
    assert "no augmenter of this run invents rows" in str(shown.exception)


@pytest.mark.slow
def test_another_model_takes_the_rows_from_the_cache_and_ratios_share_a_fit(tmp_path: Path) -> None:
    first = run(config(), tmp_path, Quiet())
    second = run(config(model=quick("lightgbm")), tmp_path, Quiet())
    taken = {hit["stage"] for hit in second.manifest["cache_hits"]}
    assert {"rows of new@3", "rows of few@3", "realism of new@3"} <= taken
    fits = [(first.path / "models" / f"augmenter-{name}@3.safetensors").read_bytes() for name in ("new", "few")]
    assert fits[0] == fits[1]


def test_eras_are_exported_in_the_tournaments_layout_and_are_those_the_run_trained_on(done: Run, tmp_path: Path) -> None:
    exported = export_eras(done.path, "new", 70, tmp_path / "eras.parquet", Quiet())
    table = pl.read_parquet(exported.path)
    features = [name for name, dtype in table.schema.items() if dtype == pl.Int8]
    assert table.columns == ["id", "era", "data_type", *features, "target"]
    assert len(features) == 42
    assert table["era"].unique().sort().to_list() == [f"{1000 + i}" for i in range(70)]
    assert table["data_type"].unique().to_list() == ["synthetic"]
    assert table["id"].n_unique() == len(table) == 70 * 80
    state = arrays_from_bytes((done.path / "models/augmenter-new@3.safetensors").read_bytes())
    fitted = component("diffusion").restored(state)
    own = fitted.invent(7, 80, rng_for(3, "invent", fitted.seed_key, 7))
    written = table.filter(pl.col("era") == "1007")
    np.testing.assert_array_equal(written.select(features).to_numpy(), own.features)
    np.testing.assert_array_equal(written["target"].to_numpy(), own.target)
    card = exported.card.read_text()
    assert "5,600 in 70 eras" in card
    assert "| new |" in card  # its realism


def test_rows_made_out_of_real_ones_are_exported_too(done: Run, tmp_path: Path) -> None:
    exported = export_eras(done.path, "cut", 61, tmp_path / "eras.parquet", Quiet())
    table = pl.read_parquet(exported.path)
    assert table["era"].n_unique() == 61
    assert "out of training eras 1 to 60" in exported.card.read_text()


def test_averages_halfway_between_bins_are_exported_as_either_alike(done: Run, tmp_path: Path) -> None:
    table = pl.read_parquet(export_eras(done.path, "mean", 60, tmp_path / "eras.parquet", Quiet()).path)
    shares = np.bincount(table.select(pl.col(pl.Int8)).to_numpy().ravel(), minlength=5) / (len(table) * 42)
    assert abs(shares[1] - shares[3]) < 0.02
    assert (shares[[1, 3]] > shares[2] / 2).all()  # half to even would fill the middle at their cost


@pytest.mark.parametrize(
    ("name", "seed", "eras", "says"),
    [("nwe", None, 5, "did you mean 'new'"), ("new", 4, 5, "has no seed 4; it has 3"), ("new", None, 0, "at least 1")],
)
def test_what_a_run_does_not_have_is_refused(
    done: Run, tmp_path: Path, name: str, seed: int | None, eras: int, says: str
) -> None:
    with pytest.raises(NlabError, match=says):
        export_eras(done.path, name, eras, tmp_path / "eras.parquet", Quiet(), seed)


def test_export_wants_a_generator_or_an_augmenter(done: Run, tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["export", str(done.path), "--out", str(tmp_path / "x.parquet")])
    assert "either --generator or --augmenter" in str(shown.exception)


@pytest.mark.slow
def test_materialized_rows_are_made_once_for_all_models_and_change_no_prediction(tmp_path: Path) -> None:
    def done(materialize: bool, model: str = "ridge") -> Run:
        augmenters = {name: {**AUGMENTERS[name], "materialize": materialize} for name in ("law", "mean")}
        variants = {"baseline": {}, **{name: {"augment": [name]} for name in augmenters}}
        return run(config(augmenters=augmenters, variants=variants, model=quick(model)), tmp_path, Quiet())

    def taken(found: Run) -> set[str]:
        return {hit["stage"] for hit in found.manifest["cache_hits"]}

    kept = done(materialize=True)
    assert {"rows of law@3", "rows of mean@3"} <= {*kept.manifest["costs"]}
    assert {"rows of law@3", "rows of mean@3"} <= taken(done(materialize=True, model="xgboost"))
    assert {"train law@3", "train mean@3", "realism of law@3"} <= taken(done(materialize=False))  # the same rows
    shutil.rmtree(cache_dir() / STAGES)
    made = done(materialize=False)
    assert made.manifest["cache_hits"] == []
    tables = [pl.read_parquet(each.path / "predictions.parquet") for each in (kept, made)]
    assert tables[0].equals(tables[1])
    assert (kept.path / "realism.csv").read_bytes() == (made.path / "realism.csv").read_bytes()


def late(tmp_path: Path, *variants: str) -> Run:
    """A run whose variants use an augmenter that learns on all training eras, or `after` a generator on those it leaves."""
    there = {"baseline": {}, "all": {"augment": ["law"]}, "late": {"augment": ["law"], "after": ["g"]}}
    generators = {"g": {**quick("siamese"), "blocks": 5, "scheme": "early"}}
    wanted = {name: there[name] for name in ("baseline", *variants)}
    augmenters = {"law": {"kind": "copula", "scope": "pooled"}}
    return run(config(augmenters=augmenters, generators=generators, variants=wanted), tmp_path, Quiet())


@pytest.mark.slow
def test_fits_on_all_training_eras_and_on_fewer_are_both_kept_and_the_first_is_exported(tmp_path: Path) -> None:
    first, swapped = late(tmp_path, "all", "late"), late(tmp_path, "late", "all")
    for done in (first, swapped):
        assert {path.name for path in done.path.glob("models/augmenter-*")} == {*FITS}
        fits = [(done.path / "models" / name).read_bytes() for name in FITS]
        assert fits[0] != fits[1]
        assert fits[0] == (first.path / "models" / FITS[0]).read_bytes()
        assert (done.path / "realism.csv").read_bytes() == (first.path / "realism.csv").read_bytes()
    exported = export_eras(swapped.path, "law", 3, tmp_path / "eras.parquet", Quiet())
    own = component("copula", scope="pooled").restored(arrays_from_bytes(fits[0]))
    panel = load(config().data).panel
    train = TrainingStream(panel.only(range(1, 61)), ("raw",), panel.raw_names, 3, {"law": own})
    written = pl.read_parquet(exported.path).filter(pl.col("era") == "1000").select(pl.col(pl.Int8)).to_numpy()
    np.testing.assert_array_equal(written, train.rows_of(train.origins_of("law")[0]).features)
    assert "1-60 (60 eras), features and target |" in exported.card.read_text()
    (swapped.path / "models" / FITS[1]).unlink()  # as runs were when the last fit took the place of the others
    card = export_eras(swapped.path, "law", 3, tmp_path / "old.parquet", Quiet()).card.read_text()
    assert "1-60 (60 eras), features and target; or of these eras those alone that a generator left" in card


def test_an_augmenter_that_no_variant_fits_on_all_training_eras_is_not_exported_and_what_there_is_is_said(tmp_path: Path) -> None:
    with pytest.raises(NlabError, match="law@3 fitted on all training eras; it learned from era 33 on, for variants that"):
        export_eras(late(tmp_path, "late").path, "law", 3, tmp_path / "eras.parquet", Quiet())
    with pytest.raises(NlabError, match="law@3 fitted on all training eras; no variant of the run uses it"):
        export_eras(late(tmp_path).path, "law", 3, tmp_path / "eras.parquet", Quiet())


class Killed(Exception):
    """Stands for the end of a process."""


def test_kept_rows_are_those_of_the_stream_and_a_killed_try_goes_on(panel: Panel, tmp_path: Path) -> None:
    train = panel.only(range(1, 16))
    fitted = component("covariance_path", copies=2).fit(train, np.random.default_rng(0))
    stream = TrainingStream(train, ("raw",), train.raw_names, 0, {"a": fitted}, last_era=30)

    def dies(at: int) -> Any:
        def progress(made: int, total: int) -> None:
            if made == at:
                raise Killed

        return progress

    with pytest.raises(Killed):
        make(tmp_path, stream, "a", dies(10))
    before = np.load(tmp_path / FEATURES)
    seen: list[int] = []
    object.__setattr__(fitted, "invent", lambda *asked: seen.append(asked[0]) or type(fitted).invent(fitted, *asked))
    make(tmp_path, stream, "a", lambda made, total: None)
    assert sorted(set(seen)) == [0, *range(10, 30)]  # the first tells the dtype
    kept = MaterializedRows.of(tmp_path, stream, "a")
    assert np.array_equal(kept.features[:400], before[:400])
    again = TrainingStream(train, ("raw",), train.raw_names, 0, {"a": fitted}, last_era=30, kept={"a": kept})
    for own, read in zip(stream, again, strict=True):
        np.testing.assert_array_equal(own.X, read.X)
        np.testing.assert_array_equal(own.y, read.y)
