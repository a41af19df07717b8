"""`nlab export` and `nlab transform`: the very columns of the run, for every row there is, live ones included, and their card."""

import shutil
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError
from numerai_lab.core.splits import make_splits
from numerai_lab.data.live import live_rows
from numerai_lab.data.reader import load
from numerai_lab.data.synthetic_files import write_tournament
from numerai_lab.data.world import World
from numerai_lab.data.world_size import SIZES
from numerai_lab.experiment import run
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.holdout import era_table
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.variants import fit_generators
from numerai_lab.metrics.column_spread import Diagnosis
from numerai_lab.runs.reading import Run
from numerai_lab.storage.scratch import Scratch
from numerai_lab.storage.whole_files import PART
from numerai_lab.studies.export import export_run, transform
from tests.conftest import Quiet, make_config, quick

SELECTED = {"kind": "pca", "n_components": 2, "select": {"features": ["wisdom", "strength"], "by": "variance", "top_k": 8}}
SAVED = {"pca": {**SELECTED, "fit_on": "all"}, "noise": quick("random_columns"), "groups": {"kind": "group_stats"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny tournament as files, live.parquet among them."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    folder.mkdir()
    write_tournament(folder, World(SIZES["tiny"], 0))
    return folder


def config(folder: Path, **changes: Any) -> Config:
    variants = {"baseline": {}, **{f"raw+{name}": {"features": ["raw", name]} for name in SAVED}}
    data = {"source": "files", "path": str(folder), "feature_set": "medium"}
    return make_config(**{"data": data, "generators": SAVED, "variants": variants, "seeds": [3, 4], "splits": {}, **changes})


@pytest.fixture(scope="module")
def done(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(config(folder), tmp_path_factory.mktemp("runs"), Quiet())


def test_an_export_that_was_killed_before_its_card_can_be_repeated(
    done: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, content: str) -> NoReturn:
        monkeypatch.setattr("numerai_lab.storage.whole_files.Path.unlink", lambda *place, **how: None)  # a kill tidies nothing up
        raise KeyboardInterrupt

    out = tmp_path / "out.parquet"
    with monkeypatch.context() as patch:
        patch.setattr("numerai_lab.studies.export.write_page", killed)
        with pytest.raises(KeyboardInterrupt):
            export_run(done.path, "noise", out, Quiet(), 4)
    monkeypatch.undo()
    assert [path.suffix for path in tmp_path.iterdir()] == [PART]
    again = export_run(done.path, "noise", out, Quiet(), 4)
    assert (again.path, again.card.is_file(), len(pl.read_parquet(out))) == (out, True, sum(again.rows.values()))


@pytest.mark.parametrize(("name", "seed"), [("pca", 3), ("noise", 4), ("groups", 3)])
def test_an_export_holds_the_columns_that_the_run_trained_on(
    done: Run, folder: Path, tmp_path: Path, name: str, seed: int
) -> None:
    exported = export_run(done.path, name, tmp_path / "out.parquet", Quiet(), seed)
    table = pl.read_parquet(exported.path)
    loaded = load(config(folder).data, config(folder).extra_sets)
    panel, splits = loaded.panel, make_splits(config(folder).splits, era_table(loaded.panel), loaded.horizon_days)
    (tmp_path / "space").mkdir()
    context = RunContext(
        config(folder),
        panel,
        FitPlan.of(config(folder), splits),
        Scratch(tmp_path / "space"),
        Quiet(),
        lambda name, content: None,
    )
    used = fit_generators(context)[name, seed].columns
    seen = np.zeros(len(panel.ids), bool)
    for era in (*splits.train, *splits.validation):
        seen[panel.rows(era)] = True
    numbered = table.filter(pl.col("split") != "live")
    assert numbered["id"].to_list() == [row.decode() for row in panel.ids.tolist()]
    columns = [column for column in table.columns if column.startswith(f"{name}_")]
    assert table.columns == ["id", "era", "split", *columns]
    np.testing.assert_array_equal(numbered.select(columns).to_numpy()[seen], used[seen])
    in_train = numbered.filter(pl.col("split") == "train")
    assert in_train["era"].unique().sort().to_list() == [f"{era:04d}" for era in splits.train]
    assert np.isfinite(table.select(columns).to_numpy()).all()


def test_live_rows_come_last_without_an_era_and_from_their_own_features(done: Run, folder: Path, tmp_path: Path) -> None:
    exported = export_run(done.path, "groups", tmp_path / "out.parquet", Quiet())
    live = pl.read_parquet(exported.path).filter(pl.col("split") == "live")
    raw = pl.read_parquet(folder / "live.parquet").sort("id")
    assert live["id"].to_list() == raw["id"].to_list()
    assert live["era"].null_count() == len(live) == exported.rows["live"] > 0
    loaded = load(config(folder).data, config(folder).extra_sets)
    wisdom = [loaded.panel.raw_names[i] for i in loaded.panel.feature_sets["wisdom"] if i < loaded.panel.n_raw]
    wanted = raw.select(wisdom).to_numpy().mean(1) / 4
    np.testing.assert_allclose(live["groups_wisdom_mean"].to_numpy(), wanted, rtol=0, atol=1e-6)


def test_the_file_is_written_era_by_era(done: Run, tmp_path: Path) -> None:
    exported = export_run(done.path, "pca", tmp_path / "out.parquet", Quiet())
    file = pq.ParquetFile(exported.path)
    assert file.num_row_groups == SIZES["tiny"].n_eras + 1
    assert not list(tmp_path.glob(".*"))


def test_the_card_says_what_was_fitted_on_what(done: Run, tmp_path: Path) -> None:
    exported = export_run(done.path, "pca", tmp_path / "out.parquet", Quiet())
    card = exported.card.read_text()
    assert exported.card.name == "out.parquet.md"
    for said in (
        "| method | pca |",
        "(transductive); selected with training labels |",
        "| seed | none: nothing is drawn at random |",
        "| features read | 8 selected of ",
        f"| run | {done.path.name} |",
        "| config hash | ",
        "Source: [katsu1110",
        "KS train, validation",
    ):
        assert said in card
    stochastic = export_run(done.path, "noise", tmp_path / "noise.parquet", Quiet(), 4).card.read_text()
    assert "| seed | 4 |" in stochastic
    assert "| fitted on | training eras only, no labels |" in stochastic


def test_without_live_rows_it_says_so(done: Run, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "live.parquet").unlink()
    (found,) = transform(config(copy, generators={"groups": {"kind": "group_stats"}}, variants={}), tmp_path / "out", Quiet())
    assert found.rows["live"] == 0
    assert "no live rows" in found.remarks[0]
    assert "no live rows" in found.card.read_text()


def test_live_rows_without_a_feature_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    live = pl.read_parquet(folder / "live.parquet")
    source = config(copy).data
    panel = load(source, config(copy).extra_sets).panel
    live.drop(panel.raw_names[5]).write_parquet(copy / "live.parquet")
    with pytest.raises(NlabError, match=f"lacks 1 features, such as '{panel.raw_names[5]}'"):
        live_rows(source, panel)


def test_transform_writes_a_file_for_each_generator_but_the_placebo(folder: Path, tmp_path: Path) -> None:
    generators = {"pca": quick("pca"), "density": {"kind": "local_density", "landmarks": 50}}
    wanted = config(folder, generators=generators, variants={})
    assert "placebo_3" in wanted.generators
    exported = transform(wanted, tmp_path / "out", Quiet())
    assert [each.path.name for each in exported] == ["pca.parquet", "density@3.parquet", "density@4.parquet"]
    one, other = (pl.read_parquet(each.path)["density_log_distance"] for each in exported[1:])
    assert not one.equals(other)


def test_what_can_not_be_exported_is_one_sentence(done: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with pytest.raises(NlabError, match="no generator 'pcs'; did you mean 'pca'"):
        export_run(done.path, "pcs", out, Quiet())
    with pytest.raises(NlabError, match="keeps no fitted noise@9; did you mean 'noise@"):
        export_run(done.path, "noise", out, Quiet(), 9)
    out.write_text("mine")
    with pytest.raises(NlabError, match="exists already"):
        export_run(done.path, "pca", out, Quiet())
    assert out.read_text() == "mine"
    with pytest.raises(NlabError, match="no generators to transform with"):
        transform(make_config(), tmp_path / "new", Quiet())


def test_a_planted_shift_shows_in_the_diagnosis() -> None:
    rng = np.random.default_rng(0)
    diagnosis = Diagnosis(["still", "moved"])
    for era in range(60):
        split = "train" if era < 30 else "validation"
        values = rng.normal(size=(400, 2))
        values[:, 1] += split == "validation"
        diagnosis.add(split, values.astype(np.float32))
    still, moved = diagnosis.shift("train", "validation")
    assert still < 0.05  # 3,000 rows each: the 99.9 % point of the distance is .05
    assert moved == pytest.approx(0.383, abs=0.04)  # 2 Φ(½) − 1
    mean, deviation = diagnosis.spread("validation")
    np.testing.assert_allclose(mean, [0, 1], atol=0.04)
    np.testing.assert_allclose(deviation, [1, 1], atol=0.04)
    assert "0.38" in diagnosis.lines()[-1] or "0.39" in diagnosis.lines()[-1]


def test_labelled_columns_are_exported_by_the_fit_that_may_speak_and_left_out_where_none_may(
    folder: Path, tmp_path: Path
) -> None:
    generators = {
        "fold": quick("siamese"),
        "early": {**quick("siamese"), "emit": "latent", "scheme": "early", "share": 0.4},
    }
    variants = {name: {"features": [name]} for name in generators}
    asked = config(folder, generators=generators, variants=variants, seeds=[3])
    ran = run(asked, tmp_path / "runs", Quiet())
    transformed = transform(asked, tmp_path / "out", Quiet())
    for other in transformed:
        name = other.path.stem
        exported = export_run(ran.path, name, tmp_path / f"{name}.parquet", Quiet())
        assert pl.read_parquet(exported.path).equals(pl.read_parquet(other.path))
    fold, early = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in generators)
    assert fold.filter(split="train")["era"].unique().sort().to_list() == [f"{era:04d}" for era in range(1, 61)]
    assert early.filter(split="train")["era"].unique().sort().to_list() == [f"{era:04d}" for era in range(33, 61)]
    assert "0001" not in early["era"].to_list()
    cards = [(tmp_path / f"{name}.parquet.md").read_text() for name in generators]
    assert "saw neither their block of eras nor its neighbours" in cards[0]
    assert "eras 1-32 (32 eras) are left out" in cards[1]
    assert set(ran.scores.filter(variant="early")["notes"]) == {
        "learned from labels of the first 24 training eras; trained on 28 of 60 eras"
    }
