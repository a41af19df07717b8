"""Parametric UMAP: neighbours and planted factors survive, later rows are treated as earlier ones, training can be broken off."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from numerai_lab.core.arrays import Array, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block
from numerai_lab.core.progress import FitContext
from numerai_lab.core.splits import Splits
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.plan import plan
from numerai_lab.fitting.variants import resolved_config
from numerai_lab.generators import umap
from numerai_lab.generators.umap import UMAPAuto
from numerai_lab.generators.umap_base import UMAPBase
from numerai_lab.generators.umap_exact import UMAPExact
from numerai_lab.generators.umap_parametric import UMAPParametric
from numerai_lab.generators.umap_placed import UMAPPlaced
from numerai_lab.neural import umap_encoder
from numerai_lab.neural.umap_graph import membership_curve, space_on
from tests.conftest import make_config, make_panel, quick
from tests.generators.planted import N_TRAIN, world
from tests.generators.test_linear import held_out_r2
from tests.generators.test_umap import as_panel, blobs, purity

SMALL = {"hidden": 64, "batch_size": 256, "negatives": 64, "learning_rate": 5e-3}


def parametric(**parameters: Any) -> UMAPParametric:
    return UMAPParametric.model_validate(SMALL | parameters)


@cache
def of_planted() -> UMAPParametric:
    """Fitted on the training eras of the planted world."""
    generator = parametric(n_components=12, landmarks=3000, steps=150)
    return generator.fit(world()[0].only(range(1, 31)), np.random.default_rng(0))


@cache
def planted_columns() -> Array:
    return np.concatenate([of_planted().transform(block) for block in world()[0].blocks()])


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine", "correlation", "hamming"])
def test_blobs_keep_their_neighbours_in_every_metric(metric: str) -> None:
    train, _ = blobs(600, seed=1)
    later, label = blobs(400, seed=2)
    fitted = parametric(n_components=2, landmarks=600, steps=60, metric=metric).fit(as_panel(train), np.random.default_rng(0))
    assert purity(fitted.transform(later), label) > 0.99


def test_planted_factors_are_found_on_held_out_eras_far_better_than_by_a_random_projection() -> None:
    panel, factors = world()
    random = panel.features @ np.random.default_rng(3).normal(size=(panel.n_raw, 12)).astype(np.float32)
    assert held_out_r2(planted_columns(), factors, N_TRAIN) > held_out_r2(random, factors, N_TRAIN) + 0.15


def test_columns_of_training_and_held_out_eras_are_distributed_alike() -> None:
    columns = planted_columns()
    assert max(ks_2samp(column[:N_TRAIN], column[N_TRAIN:]).statistic for column in columns.T) <= 0.03


def test_a_row_has_the_same_bytes_whatever_comes_with_it() -> None:
    rows = world()[0].features
    whole = of_planted().transform(Block(0, rows, 4.0))
    np.testing.assert_array_equal(whole, planted_columns())
    for first, last in ((0, 1), (7, 300), (5000, 6111)):
        np.testing.assert_array_equal(of_planted().transform(Block(0, rows[first:last], 4.0)), whole[first:last])


def test_a_fit_saved_as_arrays_gives_the_same_columns() -> None:
    state = arrays_from_bytes(arrays_to_bytes(of_planted().state()))
    restored = parametric(n_components=12, landmarks=3000, steps=150).restored(state)
    np.testing.assert_array_equal(restored.transform(world()[0].block(35)), of_planted().transform(world()[0].block(35)))


def test_per_era_fits_each_era_on_its_own_and_columns_keep_their_meaning() -> None:
    panel = world()[0]
    own = parametric(fit_on="per_era", n_components=12, landmarks=3000, steps=150, era_steps=40)
    own.fit(panel.only(range(1, 31)), np.random.default_rng(0))
    block = panel.block(35)
    columns, shared = own.transform(block), of_planted().transform(block)
    np.testing.assert_array_equal(columns, own.transform(block))
    assert own_loss(own, block, columns) < own_loss(own, block, shared) - 0.01
    assert min(np.corrcoef(a, b)[0, 1] for a, b in zip(columns.T, shared.T, strict=True)) > 0.7


def own_loss(generator: UMAPParametric, block: Block, columns: Array) -> float:
    """UMAP's cross-entropy between an era's own graph and some columns."""
    cells, projection, shift = (torch.from_numpy(a) for a in (block.features, generator.projection_, generator.shift_))
    edges = umap_encoder.GraphEdges(space_on(projection, shift, cells, "euclidean", 15).graph())
    heads, tails = edges.draw(4000, np.random.default_rng(0))
    weights, points = torch.from_numpy(edges.push_weights(heads, tails, 400)), torch.from_numpy(columns)
    pull, push = umap_encoder.cross_entropy(points[heads], points[tails], points[tails[:400]], weights, membership_curve(0.0))
    return (pull + push).item()


@cache
def placed() -> UMAPPlaced:
    """In two columns, among 2,000 landmarks of the training eras of the planted world."""
    panel = world()[0].only(range(1, 31))
    return UMAPPlaced(n_components=2, landmarks=2000, n_epochs=60).fit(panel, np.random.default_rng(0))


def test_rows_placed_among_landmarks_keep_their_neighbours_and_have_the_same_bytes_whatever_comes_with_them() -> None:
    train, _ = blobs(600, seed=1)
    later, label = blobs(400, seed=2)
    fitted = UMAPPlaced(n_components=2, landmarks=600, n_epochs=60).fit(as_panel(train), np.random.default_rng(0))
    assert purity(fitted.transform(later), label) > 0.99
    rows = world()[0].features
    whole = placed().transform(Block(0, rows[:3000], 4.0))
    np.testing.assert_array_equal(placed().transform(Block(0, rows[1111:1999], 4.0)), whole[1111:1999])


def test_rows_that_were_landmarks_are_placed_as_others_are() -> None:
    panel = world()[0]
    before, later = (
        placed().transform(Block(0, panel.features[rows], 4.0)) for rows in (slice(0, N_TRAIN, 2), slice(N_TRAIN, None))
    )
    assert max(ks_2samp(a, b).statistic for a, b in zip(before.T, later.T, strict=True)) <= 0.03


def test_a_training_that_was_broken_off_ends_with_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(umap_encoder, "CHECKPOINT_EVERY", 10)
    panel = make_panel(n_eras=10, n_rows=60)
    kept: list[Mapping[str, Array]] = []
    template = parametric(n_components=3, landmarks=300, steps=25)
    whole = template.fresh().fit(panel, np.random.default_rng(0), FitContext(save_checkpoint=kept.append))
    last = dict(kept[-2])
    again = template.fresh().fit(panel, np.random.default_rng(0), FitContext(load_checkpoint=lambda: last))
    assert last["curve"][-1][0] == 20
    assert arrays_to_bytes(again.state()) == arrays_to_bytes(whole.state())


def test_continuous_features_work_and_metrics_of_bins_are_refused() -> None:
    panel = make_panel(binned=False)
    columns = parametric(landmarks=300, steps=10).fit(panel, np.random.default_rng(0)).transform(panel.block(20))
    assert columns.shape == (40, 60)
    assert np.isfinite(columns).all()
    with pytest.raises(NlabError, match="hamming on continuous features needs mode: exact"):
        parametric(metric="hamming").fit(panel, np.random.default_rng(0))


def test_auto_is_exact_for_few_rows_and_for_many_placed_or_parametric_by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(umap, "EXACT_ROWS", 600)
    for n_eras, n_components, learned in ((15, 2, "embedding_"), (16, 2, "layout_"), (16, 4, "curve_")):
        fitted = UMAPAuto(n_components=n_components, landmarks=200, n_neighbors=5, steps=1, n_epochs=1)
        assert learned in fitted.fit(make_panel(n_eras), np.random.default_rng(0)).state()


def test_rows_that_are_all_equal_are_embedded_too() -> None:
    panel = make_panel()
    constant = replace(panel, features=np.full_like(panel.features, 2))
    columns = parametric(landmarks=200, steps=5).fit(constant, np.random.default_rng(0)).transform(constant.block(3))
    assert np.isfinite(columns).all()


@pytest.mark.slow
def test_networks_trained_after_umap_learn_have_as_many_threads_as_without_it() -> None:
    # In a process of its own: numba starts its threads once, and torch must not be there yet.
    program = (
        "import numba; from numerai_lab.neural.umap_learn import umap_learn\n"
        "with umap_learn(): assert numba.get_num_threads() == 3\n"
        "import torch; print(torch.get_num_threads())"
    )
    threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | threads, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1"], done.stderr


def test_all_fits_of_a_run_take_the_mode_that_its_training_rows_ask_for() -> None:
    asked = make_config(generators={name: {"kind": "umap", "n_components": d} for name, d in (("plane", 2), ("wide", 60))})
    panel = make_panel(12, 4)
    splits = Splits(train=tuple(range(1, 9)), embargo=(9,), val1=(10,), val2=(11, 12), embargo_eras=1, required_eras=1)
    few = resolved_config(asked, panel, FitPlan.of(asked, splits)).generators.values()
    assert {type(each) for each in few if isinstance(each, UMAPBase)} == {UMAPExact}
    many = [asked.generators[name].settled(100_001) for name in ("plane", "wide")]
    assert [type(each) for each in many] == [UMAPPlaced, UMAPParametric]
    everywhere = make_config(generators={"umap": {"kind": "umap", "fit_on": "all"}})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(umap, "EXACT_ROWS", 40)  # of 32 in training, 48 in all
        (found,) = (
            g
            for g in resolved_config(everywhere, panel, FitPlan.of(everywhere, splits)).generators.values()
            if isinstance(g, UMAPBase)
        )
    assert type(found) is UMAPParametric
    assert type(UMAPExact().settled(10**6)) is UMAPExact
    assert type(UMAPAuto(fit_on="per_era").settled(10)) is UMAPParametric
    assert UMAPAuto(fit_on="per_era").fit_scope.kind == "per_era"


def test_what_a_fit_will_take_is_told_before_it_starts_and_while_it_goes_on() -> None:
    config = make_config(generators={"umap": {"kind": "umap", "fit_on": "all"}, "pca": quick("pca")})
    (told,) = (line for line in plan(config).lines() if line.endswith("a seed (rough: by the speed of one core)"))
    assert "umap about" in told
    assert "pca" not in told
    fast, slow = (UMAPParametric().seconds(300_000, 300_000, 780, flops) for flops in (2e11, 1e11))
    assert fast < slow < UMAPExact().seconds(300_000, 300_000, 780, 1e11) / 10
    seen: list[tuple[int, int]] = []
    context = FitContext(progress=lambda done, total, note="": seen.append((done, total)))
    parametric(landmarks=300, steps=20).fit(world()[0].only(range(1, 5)), np.random.default_rng(0), context)
    assert {total for _, total in seen} == {1000}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == 1000


def test_a_warm_start_begins_at_umap_learns_layout_and_the_global_term_keeps_more_of_the_whole_shape() -> None:
    panel = world()[0].only(range(1, 11))
    block = world()[0].block(12)

    def far(generator: UMAPParametric) -> float:
        """Correlation of distances between rows in columns and in principal scores."""
        fitted = generator.fit(panel, np.random.default_rng(0))
        scores = block.features @ fitted.projection_ + fitted.shift_
        one, other = (np.linalg.norm(x[:-1] - x[1:], axis=1) for x in (fitted.transform(block), scores))
        return float(np.corrcoef(one, other)[0, 1])

    few: dict[str, Any] = {"n_components": 4, "landmarks": 800, "steps": 60}
    plain, weighted = far(parametric(**few)), far(parametric(**few, global_weight=20.0))
    assert weighted > plain + 0.02
    given = {**few, "n_epochs": 50, "steps": 100}
    begun: list[float] = []

    def first_weights(arrays: Mapping[str, Array]) -> None:
        begun.append(float(np.abs(arrays["now/straight.weight"] - np.eye(4, 60, dtype=np.float32)).mean()))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(umap_encoder, "CHECKPOINT_EVERY", 1)
        for warm in (False, True):
            parametric(**given, warm_start=warm).fit(panel, np.random.default_rng(0), FitContext(save_checkpoint=first_weights))
    assert begun[100] > 3 * begun[0]  # after one step of training the way has been gone already
