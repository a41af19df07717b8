"""What does not fit is refused before it costs anything, with what would fit; limits of control groups count."""

import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from numerai_lab.augmenters.diffusion import Diffusion
from numerai_lab.core.errors import NlabError
from numerai_lab.core.splits import Splits
from numerai_lab.experiment import RunOptions, run
from numerai_lab.fitting import estimate, room
from numerai_lab.fitting.estimate import EstimateInputs, need
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.room import refuse_too_much, ways_out
from numerai_lab.storage import machine
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.machine import free_disk, free_memory
from tests.conftest import Quiet, make_config, quick

SPLITS = Splits(tuple(range(1, 101)), (), tuple(range(101, 111)), (), 0, 0)


def task(rows: int = 5000, **changes: object) -> EstimateInputs:
    base = {"data": {"source": "synthetic", "feature_set": "medium"}, "model": quick("xgboost"), "variants": {"baseline": {}}}
    config = make_config(**{**base, **changes})
    return EstimateInputs(FitPlan.of(config, SPLITS), dict.fromkeys(range(1, 111), rows), 780)


def test_memory_grows_with_rows_copies_and_inputs() -> None:
    era, rows = 4 * 5000 * 780, 500_000 * (2 * 780 + 40)
    base = need(task()).memory_bytes
    assert base == pytest.approx(2.95e8 + era + rows)
    assert need(task(rows=10_000)).memory_bytes == pytest.approx(2.95e8 + 2 * (era + rows))
    cut = {"augmenters": {"cut": {"kind": "cutout", "copies": 2}}}
    assert need(task(**cut, variants={"c": {"augment": ["cut"]}})).memory_bytes == pytest.approx(2.95e8 + era + 3 * rows)
    replaced = {"augmenters": {"cut": {"kind": "cutout", "mode": "replace"}}}
    assert need(task(**replaced, variants={"c": {"augment": ["cut"]}})).memory_bytes == base


def test_parts_of_a_training_take_libraries_and_a_share_of_the_rows_each_and_nothing_here_if_they_run_elsewhere() -> None:
    parts = task(model={**quick("xgboost"), "workers": 4})
    libraries, era, rows = 1.45e8 + 1.5e8, 4 * 5000 * 780, 125_000 * (2 * 780 + 40)
    assert need(parts).memory_bytes == pytest.approx(libraries + 4 * (libraries + era + rows))
    assert need(replace(parts, parts_elsewhere=True)).memory_bytes < 2 * libraries


def test_only_used_generators_take_disk_and_only_those_that_draw_a_share_a_seed() -> None:
    generators = {"pca": quick("pca"), "umap": quick("umap"), "idle": quick("pca")}
    needs = need(task(generators=generators, seeds=[1, 2], variants={"v": {"features": ["pca", "umap"]}}))
    assert needs.disk_bytes - need(task(seeds=[1, 2], variants={"v": {}})).disk_bytes == 4 * 550_000 * (3 + 2 * 2)


def test_what_an_augmenter_learned_takes_disk_once_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {"augmenters": {"a": {"kind": "diffusion", "hidden": 64}}, "variants": {"v": {"augment": ["a"]}}}
    learned = make_config(**drawn).augmenters["a"].saved_bytes(780)
    assert learned > 4 * 64 * 64
    counted = [need(task(**drawn, seeds=seeds)).disk_bytes for seeds in ([1], [1, 2, 3])]
    monkeypatch.setattr(Diffusion, "saved_bytes", lambda *_: 0)
    without = [need(task(**drawn, seeds=seeds)).disk_bytes for seeds in ([1], [1, 2, 3])]
    assert np.subtract(counted, without).tolist() == [learned, 3 * learned]


def test_realism_of_invented_rows_takes_memory_after_training() -> None:
    small = task(rows=200, augmenters={"a": {"kind": "copula"}}, variants={"v": {"augment": ["a"]}})
    assert need(small).memory_bytes == pytest.approx(2.95e8 + 3.3e8 + 4 * 80_000 * 780, rel=1e-3)


def test_a_library_that_model_and_method_share_is_loaded_once() -> None:
    def needed(**parts: object) -> int:
        return need(task(rows=200, variants={"v": {"augment": ["a"]}}, model=quick("xgboost"), **parts)).memory_bytes

    assert needed(augmenters={"a": {"kind": "xgen"}}) == needed(augmenters={"a": {"kind": "copula"}})


def test_columns_that_are_no_bins_are_cut_by_sketches_of_as_many_bytes_as_bins() -> None:
    noise = {"augmenters": {"a": {"kind": "gaussian_noise"}}, "variants": {"v": {"augment": ["a"]}}}
    cells = {"augmenters": {"a": {"kind": "cutout"}}, "variants": {"v": {"augment": ["a"]}}}
    for bins in (None, 64):
        model = {**quick("xgboost"), "max_bin": bins}
        more = need(task(**noise, model=model)).memory_bytes - need(task(**cells, model=model)).memory_bytes
        assert more == 780 * 3300 * (bins or 256)


def test_a_run_that_makes_its_store_counts_the_reader_and_folds_their_columns() -> None:
    plain = task(rows=100, generators={"pca": quick("pca")}, variants={"v": {"features": ["pca"]}})
    made = replace(plain, new_stores=True, n_rows=dict.fromkeys(range(1, 111), 100_000), plan=FitPlan.of(make_config(), SPLITS))
    assert need(made).memory_bytes == pytest.approx(2.7e8 + 780 * 1e5 + 330 * 11e6)
    fold = Splits(tuple(range(1, 41)), (), tuple(range(51, 61)), (), 0, 0)
    more = need(replace(plain, folds=[FitPlan.of(plain.config, fold)])).disk_bytes - need(plain).disk_bytes
    assert more == 4 * 60 * 100 * 3 + 10 * 100 * (8 + 4 * (1 + 1)) + plain.config.model.saved_bytes(6000, 3)


def test_rows_that_are_kept_take_disk_and_no_memory_four_bytes_a_cell_between_bins() -> None:
    def needed(folds: int = 0, cell_bytes: int = 1, **parameters: object) -> estimate.ResourceNeeds:
        augmenters = {"a": {"kind": "average", "ratio": 0.5, "copies": 3, **parameters}}
        changed = task(augmenters=augmenters, seeds=[1, 2], variants={"v": {"augment": ["a"]}, "w": {"augment": ["a"]}})
        fold = Splits(tuple(range(1, 41)), (), tuple(range(51, 61)), (), 0, 0)
        return need(replace(changed, folds=[FitPlan.of(changed.config, fold)] * folds, cell_bytes=cell_bytes))

    made, kept = needed(), needed(materialize=True)
    assert kept.memory_bytes == made.memory_bytes
    assert kept.disk_bytes - made.disk_bytes == 2 * 750_000 * (4 * 780 + 4)
    assert needed(rebin=True, materialize=True).disk_bytes - made.disk_bytes == 2 * 750_000 * (780 + 4)
    assert needed(4, 4, rebin=True, materialize=True).disk_bytes - needed(4).disk_bytes == 2 * 750_000 * 1.4 * (4 * 780 + 4)


def test_a_refusal_says_by_how_much_and_what_would_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(room, "free_memory", lambda: int(0.8e9))
    with pytest.raises(NlabError) as refused:
        refuse_too_much(task(), tmp_path)
    message = str(refused.value)
    assert "about 1.1 GB of memory needed, 800.0 MB free: 310.6 MB too much" in message
    assert "--set splits.train=41-100 (about 790.6 MB), the last 60 of 100 training eras" in message
    assert "--set model.kind=ridge (about 323.1 MB)" in message
    assert "--set model.external_memory=true (about 481.0 MB)" in message
    assert "--force" in message
    monkeypatch.setattr(room, "free_memory", lambda: int(1.2e9))
    refuse_too_much(task(), tmp_path)


def test_every_way_out_fits() -> None:
    for memory in (int(0.35e9), int(0.6e9), int(0.9e9)):
        assert all(float(way.split("about ")[1].split()[0]) * 1e6 <= memory for way in ways_out(task(), memory))


def test_too_little_disk_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(room, "free_disk", lambda path: 10_000)
    with pytest.raises(NlabError, match=r"\d+\.\d MB of disk needed .* 10\.0 kB free: \d+\.\d MB too much"):
        refuse_too_much(task(generators={"pca": quick("pca")}, variants={"v": {"features": ["pca"]}}), tmp_path)


def test_a_refused_run_leaves_nothing_and_a_forced_one_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(room, "free_memory", lambda: 1000)
    with pytest.raises(NlabError, match="does not fit"):
        run(make_config(), tmp_path, Quiet())
    assert list(tmp_path.iterdir()) == []
    forced = run(make_config(), tmp_path, Quiet(), options=RunOptions(force=True))
    assert forced.manifest["expected"]["memory_bytes"] > 1e8
    assert forced.manifest["measured"]["memory_bytes"] > 1e8
    on_disk = sum(path.stat().st_size for path in (cache_dir() / "stages").rglob("[!.]*") if path.name != "meta.json")
    kept = sum(path.stat().st_size for path in forced.path.rglob("*") if path.name not in ("manifest.json", "log.txt"))
    folders = [path for root in (cache_dir() / "stages", forced.path) for path in root.rglob("*") if path.is_dir()]
    assert forced.manifest["measured"]["disk_bytes"] == on_disk + kept - sum(path.stat().st_size for path in folders)


@pytest.mark.parametrize(
    ("controlled", "files", "wanted"),
    [
        ("0::/a/b", {"a/memory.max": "3000", "a/memory.current": "1000", "a/memory.stat": "inactive_file 200"}, 2200),
        ("0::/a/b", {"a/b/memory.max": "max", "a/b/memory.current": "5", "memory.max": "900", "memory.current": "100"}, 800),
        ("4:memory:/x", {"memory/x/memory.limit_in_bytes": "500", "memory/x/memory.usage_in_bytes": "800"}, 0),
        ("3:cpu,memory:/host", {"memory/memory.limit_in_bytes": "700", "memory/memory.usage_in_bytes": "100"}, 600),
    ],
)
def test_limits_of_control_groups_of_both_versions_count(
    tmp_path: Path, controlled: str, files: dict[str, str], wanted: int
) -> None:
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text)
    (tmp_path / "fs" / "a" / "b").mkdir(parents=True, exist_ok=True)
    (tmp_path / "controlled").write_text(f"1:cpu:/\n{controlled}\n")
    assert free_memory(tmp_path / "fs", tmp_path / "controlled") == wanted


def test_without_control_groups_what_is_available_counts(tmp_path: Path) -> None:
    assert free_memory(tmp_path, tmp_path / "absent") > 1e8
    assert free_disk(tmp_path / "not" / "there") > 0


def test_a_limit_of_the_process_counts_less_what_it_has_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = psutil.Process().memory_info().vms
    limits = {resource.RLIMIT_AS: taken + 10**8, resource.RLIMIT_DATA: resource.RLIM_INFINITY}
    monkeypatch.setattr(machine.resource, "getrlimit", lambda what: (limits[what], limits[what]))
    assert 0 < free_memory(tmp_path, tmp_path / "absent") <= 1.2e8
    limits[resource.RLIMIT_AS] = 10**6
    assert free_memory(tmp_path, tmp_path / "absent") == 0


@pytest.mark.parametrize("family", ["generators", "augmenters"])
def test_a_network_takes_memory_by_its_width_and_its_batches(family: str) -> None:
    def needed(**parameters: object) -> int:
        kind, use = ("autoencoder", "features") if family == "generators" else ("diffusion", "augment")
        return need(task(**{family: {"n": {"kind": kind, **parameters}}}, variants={"v": {use: ["n"]}})).memory_bytes

    small = needed(hidden=32, batch_size=64)
    assert needed(hidden=4096, batch_size=64) - small > 12 * 4 * 4096**2
    assert needed(hidden=4096, batch_size=65_536) - needed(hidden=4096, batch_size=64) > 4 * 65_472 * 4 * 4096


def test_what_a_network_learned_takes_disk_in_the_cache_and_in_the_run() -> None:
    def needed(hidden: int) -> int:
        generators = {"n": {"kind": "autoencoder", "hidden": hidden, "n_layers": 2, "n_components": 32}}
        return need(task(generators=generators, seeds=[1, 2], variants={"v": {"features": ["n"]}})).disk_bytes

    few, some, many = (780 * hidden + hidden**2 + 32 * hidden for hidden in (16, 64, 4096))
    assert needed(64) - needed(16) == 2 * 2 * 4 * (some - few)
    # Two checkpoints of weights and two moments, of what encodes and what decodes, are gone before columns are written.
    assert needed(4096) == 2 * 3 * 2 * 4 * many
