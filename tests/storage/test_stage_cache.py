"""The stage cache: what an entry depends on, what happens to broken ones, and that two processes make it once."""

import errno
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numerai_lab.core.era_ranges import ranges_text
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.splits import Splits
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.variants import RunContext, fit_generators, train_and_predict
from numerai_lab.generators.linear import PCA
from numerai_lab.metrics.scoring import Predictions
from numerai_lab.storage.checksums import checksum
from numerai_lab.storage.cleanup import damaged_items, items, prune
from numerai_lab.storage.era_content import PanelContent
from numerai_lab.storage.resumable import CHECKPOINT, fit_context, journaled
from numerai_lab.storage.scratch import Scratch
from numerai_lab.storage.stage_cache import META, Cache, Entry, Stage
from numerai_lab.storage.stamped_json import read_stamped, with_stamp
from tests.conftest import Quiet, make_config, make_panel, quick

SPLITS = Splits(tuple(range(1, 16)), (16, 17, 22, 23), tuple(range(18, 22)), tuple(range(24, 31)), 2, 2)
STAGE = Stage("fit", "fit x", {"what": 1})


def writes(text: str) -> Callable[[Path], None]:
    return lambda work: (work / "file").write_text(text) and None


def never(work: Path) -> None:
    raise AssertionError("made again")


def outcome(tmp_path: Path, panel: Panel | None = None, splits: Splits = SPLITS, **changes: Any) -> tuple[list[str], Predictions]:
    """Labels of the stages that came from the cache, and the predictions."""
    base: dict[str, Any] = {
        "seeds": [1],
        "generators": {"pca": quick("pca"), "factors": quick("factor_analysis")},
        "augmenters": {"cut": quick("cutout")},
        "variants": {"baseline": {}, "raw+pca": {"features": ["raw", "pca"], "augment": ["cut"]}, "f": {"features": ["factors"]}},
    }
    folder = tmp_path / "space"
    folder.mkdir(exist_ok=True)
    panel = panel or make_panel()
    with Cache(tmp_path / "cache") as cache:
        context = RunContext(
            config=make_config(**{**base, **changes}),
            panel=panel,
            plan=FitPlan.of(make_config(**{**base, **changes}), splits),
            scratch=Scratch(folder),
            display=Quiet(),
            save=lambda name, content: None,
            cache=cache,
            content=PanelContent.of(panel),
        )
        predictions = train_and_predict(context, fit_generators(context))
        return [hit["stage"] for hit in cache.hits], predictions


def changed(era: int, *, target: bool = False) -> Panel:
    """The panel with one feature, or target, of an era changed."""
    panel = make_panel()
    assert panel.target is not None
    row = panel.rows(era).start
    (panel.target if target else panel.features)[row] = (panel.target[row] + 0.25) % 1 if target else 4 - panel.features[row]
    return panel


FITS = ["fit pca@1", "columns pca@1", "fit factors@1", "columns factors@1"]
BASELINE, BOTH, FACTORS = ([f"train {name}@1", f"predict {name}@1"] for name in ("baseline", "raw+pca", "f"))
TRAIN, VALIDATION = 3, 25
"""An era of each."""


def test_the_same_run_again_computes_nothing_and_predicts_the_same(tmp_path: Path) -> None:
    nothing, first = outcome(tmp_path)
    everything, again = outcome(tmp_path)
    assert nothing == []
    assert everything == [*FITS, *BASELINE, *BOTH, *FACTORS]
    np.testing.assert_array_equal(first.values, again.values)


@pytest.mark.parametrize(
    ("changes", "reused"),
    [
        ({"model": {"kind": "ridge", "alpha": 2.0}}, FITS),
        ({"generators": {"pca": {"kind": "pca", "n_components": 4}, "factors": quick("factor_analysis")}},
         [*FITS[2:], *BASELINE, *FACTORS]),
        ({"augmenters": {"cut": {"kind": "cutout", "fraction": 0.5}}}, [*FITS, *BASELINE, *FACTORS]),
        ({"panel": changed(TRAIN)}, []),
        ({"panel": changed(TRAIN, target=True)}, FITS),
        ({"panel": changed(VALIDATION)}, [FITS[0], FITS[2], BASELINE[0], BOTH[0], FACTORS[0]]),
        ({"panel": changed(VALIDATION, target=True)}, [*FITS, *BASELINE, *BOTH, *FACTORS]),
        ({"panel": changed(TRAIN, target=True), "generators": {
            "pca": {**quick("pca"), "select": {"by": "variance", "top_k": 5}}, "factors": quick("factor_analysis")}}, FITS[2:]),
        ({"variants": {"new": {"features": ["pca"]}, "baseline": {}}}, [*FITS[:2], *BASELINE]),
        ({"variants": {"baseline": {"neutralize": {"features": "all"}}}}, BASELINE),
        ({"seeds": [2]}, ["fit pca@2", "columns pca@2", "fit factors@2", "columns factors@2"]),
    ],
)  # fmt: skip
def test_a_change_recomputes_what_depends_on_it_and_nothing_else(
    tmp_path: Path, changes: dict[str, Any], reused: list[str]
) -> None:
    outcome(tmp_path)
    assert outcome(tmp_path, **changes)[0] == reused


def test_validation_that_has_grown_fits_nothing_again_and_trains_nothing_again(tmp_path: Path) -> None:
    panel = make_panel()
    shorter = panel.until(28)
    before = outcome(tmp_path, shorter, replace(SPLITS, val2=tuple(range(24, 29))))[1]
    reused, after = outcome(tmp_path, panel)
    assert reused == [FITS[0], FITS[2], BASELINE[0], BOTH[0], FACTORS[0]]
    np.testing.assert_array_equal(after.values[: len(before.values)], before.values)


def test_what_scores_alone_read_does_not_refit(tmp_path: Path) -> None:
    panel = make_panel()
    outcome(tmp_path, panel)
    assert panel.extras
    other = replace(
        panel,
        extras={},
        feature_sets={"all": np.arange(12), "new": np.array([3, 12])},
        feature_names=(*panel.feature_names, "further"),
        scoring_features=np.ones((len(panel.ids), 1), np.int8),
    )
    assert outcome(tmp_path, other)[0] == [*FITS, *BASELINE, *BOTH, *FACTORS]


def test_feature_sets_are_part_of_the_fits_that_read_them_and_of_no_others(tmp_path: Path) -> None:
    panel = replace(make_panel(), feature_sets={"first": np.arange(6), "other": np.arange(6, 12)})
    moved = replace(panel, feature_sets={"first": np.arange(5), "other": np.arange(6, 12)})
    chosen = {**quick("pca"), "select": {"features": ["first"]}}
    generators = {"groups": {"kind": "group_stats", "groups": ["first"]}, "pca": quick("pca"), "chosen": chosen}
    changes: dict[str, Any] = {"generators": generators, "variants": {"all": {"features": ["raw", *generators]}}}
    outcome(tmp_path, panel, **changes)
    assert outcome(tmp_path, moved, **changes)[0] == FITS[:2]


@pytest.mark.parametrize("change", [{"horizon_days": 60}, {"days_per_era": 20}])
def test_another_horizon_refits_what_learns_from_labels_and_nothing_else(tmp_path: Path, change: dict[str, Any]) -> None:
    """Labelled networks leave out eras whose targets reach into those that they stop on."""
    panel = replace(make_panel(), horizon_days=20)
    learned = {**quick("supervised_autoencoder"), "emit": "latent", "scheme": "early", "held_out_eras": "last"}
    changes: dict[str, Any] = {
        "generators": {"pca": quick("pca"), "learned": learned},
        "augmenters": {},
        "variants": {"baseline": {}, "pca": {"features": ["pca"]}, "learned": {"features": ["learned"]}},
    }
    outcome(tmp_path, panel, **changes)
    reused, after = outcome(tmp_path, replace(panel, **change), **changes)
    assert reused == FITS[:2]
    empty = tmp_path / "empty"
    empty.mkdir()
    np.testing.assert_array_equal(after.values, outcome(empty, replace(panel, **change), **changes)[1].values)


def test_a_stage_whose_code_changed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from numerai_lab.storage import code_version as code_versions

    outcome(tmp_path)
    code_versions._version_reached.cache_clear()
    original = code_versions._digest
    monkeypatch.setattr(
        code_versions, "_digest", lambda path: b"new" if path.parts[-2:] == ("generators", "linear.py") else original(path)
    )
    assert outcome(tmp_path)[0] == BASELINE
    code_versions._version_reached.cache_clear()


class Doubled(PCA):
    """A generator of somebody's notebook under the kind of ours."""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "Doubled":
        super().fit(panel, rng)
        self.loadings_ = 2 * self.loadings_
        return self


def test_a_class_of_the_same_kind_from_elsewhere_is_another_stage(tmp_path: Path) -> None:
    outcome(tmp_path)
    config = make_config(generators={"pca": quick("pca")})
    config.generators["pca"] = Doubled(n_components=3)
    with Cache(tmp_path / "cache") as cache:
        panel = make_panel()
        content = PanelContent.of(panel)
        context = RunContext(
            config, panel, FitPlan.of(config, SPLITS), Scratch(tmp_path / "space"), Quiet(), lambda *_: None, cache, content
        )
        fit_generators(context)
        assert cache.hits == []


@pytest.mark.parametrize("how", ["flip", "cut", "gone", "more", "facts", "no json"])
def test_a_damaged_entry_is_made_anew_with_a_line_and_never_used(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Cache(tmp_path) as cache:
        entry = cache.obtain(STAGE, writes("right"))
    file, meta = entry.folder / "file", entry.folder / META
    if how == "flip":
        file.write_text("wrong")
    elif how == "cut":
        file.write_text("rig")
    elif how == "gone":
        file.unlink()
    elif how == "more":
        (entry.folder / "more").write_text("x")
    elif how == "facts":
        meta.write_text(json.dumps({**entry.meta, "facts": {"what": 2}}))
    else:
        meta.write_text(meta.read_text()[:-20])
    with caplog.at_level(logging.WARNING, "nlab"), Cache(tmp_path) as cache:
        again = cache.obtain(STAGE, writes("right"))
        assert cache.hits == []
    assert "is damaged" in caplog.text
    assert again.damage() == ""
    assert (again.folder / "file").read_text() == "right"
    assert sorted(path.name for path in again.folder.iterdir()) == ["file", META]


ODD: tuple[Any, ...] = (None, True, -1, 2**63, 10**400, 1e400, float("nan"), "", "x", "1", "\ud800", [], [1], {}, {"a": "x"})


@pytest.mark.parametrize("key", ["seconds", "bytes", "label", "family", "facts", "files", "peak_bytes"])
def test_an_entry_whose_meta_holds_wrong_types_is_damaged_though_its_stamp_fits(key: str, tmp_path: Path) -> None:
    with Cache(tmp_path / "stages") as cache:
        entry = cache.obtain(STAGE, writes("right"))
    meta = read_stamped(entry.folder / META)
    fitting = {"label": {"", "x", "1"}}.get(key, set())
    absent = [] if key == "peak_bytes" else [...]
    for value in [*absent, *(value for value in ODD if not isinstance(value, str) or value not in fitting)]:
        odd = {name: known for name, known in {**meta, key: value}.items() if known is not ...}
        (entry.folder / META).write_text(with_stamp(odd))
        assert entry.damage(), value
        ((item, damage),) = damaged_items(tmp_path)
        assert damage, value
        shown = ("seconds", "bytes", "label")
        assert key not in shown or value == 2**63 or (item.what, item.seconds) == ("damaged", 0.0), value
        with Cache(tmp_path / "stages") as cache:
            assert cache.obtain(STAGE, writes("right")).damage() == ""
            assert (cache.hits, cache.n_bytes) == ([], 5)
    (entry.folder / META).write_text(with_stamp({**meta, key: "\ud800"}))
    assert prune(tmp_path, 0, data=False)[1] == 0


@pytest.mark.parametrize("depth", [900, 1000, 100_000])
@pytest.mark.parametrize("key", ["facts", "label", "files"])
def test_an_entry_whose_meta_is_nested_deep_is_damaged(key: str, depth: int, tmp_path: Path) -> None:
    with Cache(tmp_path / "stages") as cache:
        entry = cache.obtain(STAGE, writes("right"))
    text = (entry.folder / META).read_text()
    meta = json.loads(text)
    nested = with_stamp({**meta, key: 7}).replace(f'"{key}": 7', f'"{key}": {"[" * depth}{"]" * depth}')
    (entry.folder / META).write_text(nested)
    assert entry.damage()
    (item,) = items(tmp_path)
    assert (item.what == "damaged") is (key == "label")


@pytest.mark.parametrize("what", ["link", "link to nothing", "file"])
def test_a_link_or_file_in_the_place_of_an_entry_gives_way_and_what_it_points_to_stays(what: str, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / META).write_text("precious")
    place = tmp_path / "stages" / STAGE.family / STAGE.key
    place.parent.mkdir(parents=True)
    if what == "file":
        place.touch()
    else:
        place.symlink_to(precious if what == "link" else tmp_path / "nothing")
    with Cache(tmp_path / "stages") as cache:
        assert (cache.obtain(STAGE, writes("right")).folder / "file").read_text() == "right"
    assert not place.is_symlink()
    assert [(path.name, path.read_text()) for path in precious.iterdir()] == [(META, "precious")]


def test_an_entry_says_what_it_is_and_checks_itself(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        entry = cache.obtain(STAGE, writes("right"))
    assert entry.folder == tmp_path / "fit" / STAGE.key
    meta = entry.meta
    assert (meta["family"], meta["facts"], meta["bytes"]) == ("fit", {"what": 1}, 5)
    assert meta["files"] == {"file": checksum(entry.folder / "file")}


def test_a_stage_that_fails_leaves_nothing_and_one_that_the_machine_or_its_user_ends_what_it_reached(tmp_path: Path) -> None:
    def breaks(error: BaseException) -> Callable[[Path], None]:
        def make(work: Path) -> None:
            fit_context(work, NO_CONTEXT.progress).save_checkpoint({"round": np.array(7)})
            raise error

        return make

    full = OSError(errno.ENOSPC, "No space left on device")
    for error, left in ((ValueError("a bug"), False), (full, True), (MemoryError(), True), (KeyboardInterrupt(), True)):
        with Cache(tmp_path) as cache, pytest.raises(type(error)):
            cache.obtain(STAGE, breaks(error))
        assert (tmp_path / "fit" / f".{STAGE.key}" / CHECKPOINT).exists() is left
    assert not (tmp_path / "fit" / STAGE.key).exists()

    def goes_on(work: Path) -> None:
        kept = fit_context(work, NO_CONTEXT.progress).load_checkpoint()
        assert kept is not None
        (work / "file").write_text(str(kept["round"]))

    with Cache(tmp_path) as cache:
        entry = cache.obtain(STAGE, goes_on)
    assert (entry.folder / "file").read_text() == "7"
    assert sorted(path.name for path in entry.folder.iterdir()) == ["file", META]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"\x80\x04\x95 a pickle"])
def test_a_broken_checkpoint_is_ignored_with_a_line(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with caplog.at_level(logging.WARNING, "nlab"):
        assert fit_context(tmp_path, NO_CONTEXT.progress).load_checkpoint() is None
    assert "is damaged" in caplog.text


def test_a_journal_trusts_only_eras_whose_rows_are_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "columns.npy"
    values, journal = journaled(path, (6, 2))
    with journal.writing() as note:
        for era in (1, 2, 3):
            values[2 * era - 2 : 2 * era] = era
            note(era, values[2 * era - 2 : 2 * era])
    values[2] = 99
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write("[4, ")  # killed while it wrote
    again, journal = journaled(path, (6, 2))
    assert journal.read(lambda era: again[2 * era - 2 : 2 * era]) == {1, 3}
    fresh, journal = journaled(path, (6, 3))
    assert journal.read(lambda era: fresh[2 * era - 2 : 2 * era]) == set()


PROGRAM = """
import sys, time
from pathlib import Path
from numerai_lab.storage.stage_cache import Cache, Stage
def make(work):
    with open(sys.argv[2], "a") as file: file.write("made\\n")
    time.sleep(1)
    (work / "file").write_text("x")
with Cache(Path(sys.argv[1])) as cache:
    assert (cache.obtain(Stage("fit", "fit x", {"what": 1}), make).folder / "file").read_text() == "x"
    print(len(cache.hits))
"""


def test_of_two_processes_that_want_the_same_entry_one_makes_it_and_the_other_waits(tmp_path: Path) -> None:
    count = tmp_path / "count"
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "cache"), str(count)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert count.read_text() == "made\n"
    assert sorted(outputs) == ["0", "1", "1"]


def test_an_entry_whose_maker_was_killed_is_made_by_the_next(tmp_path: Path) -> None:
    count = tmp_path / "count"
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "cache"), str(count)]
    with subprocess.Popen(command) as process:
        while not count.exists():
            time.sleep(0.02)
        process.kill()
    assert not (tmp_path / "cache" / "fit" / STAGE.key).exists()
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "0"
    assert Entry(tmp_path / "cache" / "fit" / STAGE.key).damage() == ""
    names = sorted(os.listdir(tmp_path / "cache" / "fit"))
    assert names == [f".{STAGE.key}.lock", STAGE.key]


def test_spans_of_eras_lose_nothing() -> None:
    assert ranges_text([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert ranges_text([]) == ""


def test_a_panel_without_a_name_is_like_no_other(tmp_path: Path) -> None:
    one, other = (
        RunContext(make_config(), make_panel(), FitPlan.of(make_config(), SPLITS), Scratch(tmp_path), Quiet(), lambda *_: None)
        for _ in range(2)
    )
    assert one.content.rows_of([1]) != other.content.rows_of([1])
