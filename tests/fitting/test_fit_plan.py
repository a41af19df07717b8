"""Generators that use labels: which fit sees what, and that nothing they emit remembers a target."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pytest

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import Float32, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.core.folds import CrossValidation, make_folds
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.splits import Splits
from numerai_lab.fitting.fit_plan import FitPlan, generator_fits, label_note, training_eras
from numerai_lab.fitting.fitted import FittedGenerator
from numerai_lab.fitting.generator_stages import Fitted
from numerai_lab.fitting.notes import notes_of
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.variants import fit_generators, train_and_predict
from numerai_lab.generators import GENERATORS, Generator
from numerai_lab.generators.labelled import Labelled
from numerai_lab.metrics.scoring import Predictions
from numerai_lab.runs.layout import generator_file
from numerai_lab.storage.scratch import Scratch
from numerai_lab.studies.audit import audit
from numerai_lab.studies.export import SCOPES
from tests.conftest import Quiet, component, make_config, make_panel, quick
from tests.studies.cheats import Memory, PeekingAtLabels

SPLITS = Splits(tuple(range(1, 21)), (21, 22), tuple(range(23, 26)), tuple(range(28, 31)), 2, 2)


def config_of(generator: Generator, **changes: Any) -> Config:
    config = make_config(**{"generators": {"g": quick("pca")}, **changes})
    config.generators["g"] = generator
    return config


def context_of(config: Config, panel: Panel, folder: Path, splits: Splits = SPLITS) -> RunContext:
    folder.mkdir(exist_ok=True)
    return RunContext(config, panel, FitPlan.of(config, splits), Scratch(folder), Quiet(), lambda name, content: None)


def fitted_in(generator: Generator, panel: Panel, folder: Path, splits: Splits = SPLITS) -> Fitted:
    """The generator as a run fits it."""
    return fit_generators(context_of(config_of(generator), panel, folder, splits))["g", 0]


def fitted(panel: Panel, folder: Path, **parameters: Any) -> Fitted:
    return fitted_in(Memory(**parameters), panel, folder)


def outcome(generator: Labelled, panel: Panel, folder: Path) -> tuple[Float32, Predictions]:
    context = context_of(config_of(generator), panel, folder)
    generators = fit_generators(context)
    return np.array(generators["g", 0].columns), train_and_predict(context, generators)


def with_targets(panel: Panel, seed: int, eras: tuple[int, ...] | None = None) -> Panel:
    """Targets drawn anew, in some eras or in all: pure noise."""
    assert panel.target is not None
    rng, target = np.random.default_rng(seed), panel.target.copy()
    for era in panel.eras.tolist() if eras is None else eras:
        rows = panel.rows(era)
        target[rows] = rng.choice([0, 0.25, 0.5, 0.75, 1], rows.stop - rows.start).astype(np.float32)
    return replace(panel, target=target)


def corr(columns: Float32, panel: Panel, eras: tuple[int, ...]) -> tuple[float, int]:
    """Of the first column with the target over the rows of some eras; and how many rows these are."""
    assert panel.target is not None
    rows = np.concatenate([np.arange(panel.rows(era).start, panel.rows(era).stop) for era in eras])
    return float(np.corrcoef(columns[rows, 0], panel.target[rows])[0, 1]), len(rows)


def test_blocks_cover_the_training_eras_and_no_fit_comes_near_the_rows_it_serves() -> None:
    *folds, last = generator_fits(Memory(blocks=4), SPLITS, "g")
    assert [part.serves for part in folds] == [tuple(range(first, first + 5)) for first in (1, 6, 11, 16)]
    assert folds[1].fitted_on == (1, 2, 3, *range(13, 21))
    for part in folds:
        assert min(abs(seen - era) for seen in part.fitted_on for era in part.serves) == SPLITS.embargo_eras + 1
    assert (last.fitted_on, last.serves) == (SPLITS.train, SPLITS.validation)


@pytest.mark.parametrize("kind", GENERATORS)
def test_every_choice_of_eras_that_a_generator_offers_is_one_that_is_known(kind: str) -> None:
    generator = component(kind)
    for fit_on in get_args(type(generator).model_fields["fit_on"].annotation):
        scope = generator.model_copy(update={"fit_on": fit_on}).fit_scope
        assert scope.kind in SCOPES
        assert scope.labelled is generator.uses_labels


@pytest.mark.parametrize(("fit_on", "seen"), [("train", SPLITS.train), ("all", (*SPLITS.train, *SPLITS.validation))])
def test_a_plain_generator_sees_the_training_eras_or_all_as_it_says(fit_on: str, seen: tuple[int, ...]) -> None:
    (part,) = generator_fits(component("pca", fit_on=fit_on), SPLITS, "g")
    assert (part.fitted_on, part.serves) == (seen, (*SPLITS.train, *SPLITS.validation))


def test_an_early_fit_leaves_models_what_follows_the_purge() -> None:
    early = Memory(scheme="early", share=0.4)
    (part,) = generator_fits(early, SPLITS, "g")
    assert part.fitted_on == tuple(range(1, 9))
    assert part.serves == (*range(11, 21), *SPLITS.validation)
    assert training_eras({"g": early, "h": Memory()}, ["raw", "h"], SPLITS) == SPLITS.train
    assert training_eras({"g": early, "h": Memory()}, ["raw", "h", "g"], SPLITS) == tuple(range(11, 21))


def test_a_fit_is_given_the_targets_of_its_own_eras_and_no_others(tmp_path: Path) -> None:
    seen: list[tuple[tuple[int, ...], set[int]]] = []

    class Curious(Memory):
        def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "Curious":
            assert panel.target is not None
            known = np.flatnonzero(np.isfinite(panel.target))
            seen.append((tuple(panel.eras.tolist()), set((known // 40 + 1).tolist())))
            return super().fit(panel, rng)  # type: ignore[return-value]

    fit_generators(context_of(config_of(Curious()), make_panel(), tmp_path))
    assert len(seen) == 5
    assert all(set(eras) == known <= set(SPLITS.train) for eras, known in seen)


@pytest.mark.parametrize("select", [None, {"by": "variance", "top_k": 6}])
def test_targets_of_a_block_and_its_neighbours_change_no_column_of_the_block(
    tmp_path: Path, select: dict[str, Any] | None
) -> None:
    panel = make_panel()
    parameters = {} if select is None else {"select": select}
    generator = Memory.model_validate(parameters)
    before = fit_generators(context_of(config_of(generator), panel, tmp_path / "a"))["g", 0].columns
    for block, unseen in (((6, 10), range(4, 13)), ((16, 20), range(14, 21))):
        changed = with_targets(panel, 1, tuple(unseen))
        after = fit_generators(context_of(config_of(generator), changed, tmp_path / f"b{block}"))["g", 0].columns
        rows = slice(panel.rows(block[0]).start, panel.rows(block[1]).stop)
        np.testing.assert_array_equal(before[rows], after[rows])
        assert not np.array_equal(before[: panel.rows(3).stop], after[: panel.rows(3).stop])


@pytest.mark.parametrize("kind", [kind for kind, generator in GENERATORS.items() if generator.uses_labels])
def test_so_it_is_with_every_registered_generator_that_uses_labels(tmp_path: Path, kind: str) -> None:
    panel, generator = make_panel(), component(kind)
    before = fitted_in(generator, panel, tmp_path / "a").columns
    after = fitted_in(generator, with_targets(panel, 1, tuple(range(1, 13))), tmp_path / "b").columns
    block, other = slice(0, panel.rows(10).stop), slice(panel.rows(11).start, panel.rows(20).stop)
    np.testing.assert_array_equal(before[block], after[block])
    assert not np.array_equal(before[other], after[other])


@pytest.mark.parametrize("scheme", ["cross_fit", "early"])
def test_garbage_in_validation_targets_changes_nothing(tmp_path: Path, scheme: Literal["cross_fit", "early"]) -> None:
    panel, generator = replace(make_panel(), target=with_targets(make_panel(), 0).target), Memory(scheme=scheme)
    later = with_targets(panel, 1, tuple(range(21, 31)))
    clean, dirty = outcome(generator, panel, tmp_path / "a"), outcome(generator, later, tmp_path / "b")
    np.testing.assert_array_equal(clean[0], dirty[0])
    np.testing.assert_array_equal(clean[1].values, dirty[1].values)
    earlier = outcome(generator, with_targets(panel, 2, tuple(range(1, 9))), tmp_path / "c")
    assert not np.array_equal(clean[1].values, earlier[1].values)


@pytest.mark.parametrize("scheme", ["cross_fit", "early"])
def test_what_is_emitted_for_training_remembers_no_noise(tmp_path: Path, scheme: Literal["cross_fit", "early"]) -> None:
    noise = with_targets(make_panel(30, 100), 3)
    generator = Memory(scheme=scheme)
    alone = generator.fresh().fit(noise.only(SPLITS.train), np.random.default_rng(0))
    cheating = np.concatenate([alone.transform(block) for block in noise.blocks()])
    assert corr(cheating, noise, SPLITS.train)[0] > 0.05
    honest, n = corr(*(fitted(noise, tmp_path, scheme=scheme).columns, noise), training_eras({"g": generator}, ["g"], SPLITS))
    assert abs(honest) <= 2 / np.sqrt(n)


def test_synthetic_rows_get_columns_from_the_fit_of_their_era(tmp_path: Path) -> None:
    from numerai_lab.fitting.stages import _stream

    config = config_of(
        Memory(), augmenters={"same": {"kind": "duplicate"}}, variants={"v": {"features": ["raw", "g"], "augment": ["same"]}}
    )
    context = context_of(config, make_panel(), tmp_path)
    found = {"g": fit_generators(context)["g", 0]}
    stream = _stream(context, config.variants["v"].inputs, found, config.augmenters, 0)
    for real, copy in zip(range(20), range(20, 40), strict=True):
        assert stream[real].era == stream[copy].era
        np.testing.assert_array_equal(stream[real].X, stream[copy].X)


def test_columns_of_a_cross_fit_have_one_distribution_in_training_and_validation(tmp_path: Path) -> None:
    panel = make_panel()
    columns = fitted(panel, tmp_path).columns
    means = [columns[panel.rows(era)].mean() for era in (*SPLITS.train, *SPLITS.validation)]
    np.testing.assert_allclose(means, 0.5, atol=1e-6)


def test_the_state_of_several_fits_comes_back_from_plain_arrays(tmp_path: Path) -> None:
    panel, found = make_panel(), fitted(make_panel(), tmp_path)
    again = FittedGenerator.restored(Memory(), arrays_from_bytes(arrays_to_bytes(arrays_from_bytes(found.state))))
    assert again.of_era == found.fits.of_era
    for era in (1, 7, 20, 21, 30):
        np.testing.assert_array_equal(again.columns_for(panel.block(era)), found.columns[panel.rows(era)])
    assert again.has_fit_for(31)


@pytest.mark.parametrize("generator", [component("pca"), Memory()])
def test_what_a_generator_learned_is_held_once_and_kept_in_the_run_folder(generator: Generator, tmp_path: Path) -> None:
    saved: dict[str, bytes] = {}
    context = replace(context_of(config_of(generator), make_panel(), tmp_path), save=saved.__setitem__)
    learned = fit_generators(context)["g", 0]
    assert saved[generator_file("g", 0)] == learned.state == arrays_to_bytes(learned.fits.state())
    assert [name for name, value in vars(learned).items() if isinstance(value, bytes)] == []
    for state, restored in zip(learned.fits.states, learned.fits.generators, strict=True):
        assert all(value is getattr(restored, name) for name, value in state.items())


def test_eras_that_an_early_fit_has_seen_have_no_columns_and_reach_no_model(tmp_path: Path) -> None:
    panel, generator = make_panel(), Memory(scheme="early")
    columns, predictions = outcome(generator, panel, tmp_path / "a")
    assert np.isnan(columns[: panel.rows(12).stop]).all()
    assert np.isfinite(columns[panel.rows(13).start : panel.rows(25).stop]).all()
    fits = fitted(panel, tmp_path / "b", scheme="early").fits
    assert [era for era in range(1, 31) if not fits.has_fit_for(era)] == [*range(1, 13), 26, 27]
    purged = outcome(generator, with_targets(panel, 1, (11, 12)), tmp_path / "c")
    of = {column.variant: i for i, column in enumerate(predictions.columns)}
    same = [np.array_equal(predictions.values[:, i], purged[1].values[:, i]) for i in of.values()]
    assert dict(zip(of, same, strict=True)) == {"baseline": False, "g_only": True, "raw+g": True, "raw+placebo": False}


def test_tables_say_what_labels_were_used_and_which_eras_are_missing() -> None:
    config = config_of(
        Memory(scheme="early"), variants={"baseline": {}, "raw+g": {"features": ["raw", "g"]}, "late": {"features": ["raw"]}}
    )
    config.variants["late"].after.append("g")
    assert notes_of(FitPlan.of(config, SPLITS), "") == {
        "baseline": "",
        "raw+g": "learned from labels of the first 10 training eras; trained on 8 of 20 eras",
        "late": "trained on 8 of 20 eras",
    }
    assert label_note(Memory(blocks=5), SPLITS) == "cross-fit with training labels in 5 blocks"


def test_columns_that_mean_another_thing_in_every_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="mean another thing in every fit"):
        Memory(emit="latent")
    assert Memory(emit="latent", scheme="early").comparable is False


@pytest.mark.parametrize(("kind", "refused"), [(kind, kind in ("average", "gmm_targets", "covariance_path")) for kind in
    ("duplicate", "cutout", "gaussian_noise", "swap_noise", "average", "gmm_targets", "covariance_path")])  # fmt: skip
def test_rows_of_several_eras_have_no_honest_column_of_a_cross_fit(kind: str, refused: bool) -> None:
    from numerai_lab.config import checks

    augmenter = AUGMENTERS[kind].model_validate({"kind": kind} | ({"within_era": False} if kind == "average" else {}))
    assert checks._unfit_augmenters([Memory()], {"a": augmenter}) == ["a"] * refused
    assert checks._unfit_augmenters([Memory(scheme="early")], {"a": augmenter}) == []


def test_too_few_eras_are_one_sentence_before_anything_is_fitted() -> None:
    few = replace(SPLITS, train=(1, 2, 3, 4))
    for generator, said in (
        (Memory(), "generators.g.blocks: 4 blocks of 4"),
        (Memory(scheme="early"), "generators.g.share: 0.5 of 4"),
    ):
        with pytest.raises(NlabError, match=said):
            FitPlan.of(config_of(generator), few)


def test_folds_of_cross_validation_have_cross_fits_of_their_own(tmp_path: Path) -> None:
    panel = make_panel()
    (fold, *_) = make_folds(CrossValidation(folds=2, scheme="blocked", embargo=2), SPLITS.train, None)
    context = context_of(config_of(Memory(blocks=2)), panel, tmp_path, fold)
    generators = fit_generators(context)
    assert set(generators["g", 0].fits.of_era) == {*fold.train, *fold.val1}
    assert np.isfinite(train_and_predict(context, generators).values).all()


@pytest.mark.slow
def test_the_audit_passes_an_honest_generator_and_names_one_that_peeks() -> None:
    config = config_of(Memory(blocks=2), splits={"train": "1-30"}, variants={"raw+g": {"features": ["raw", "g"]}})
    config.generators["peeking"] = PeekingAtLabels(blocks=2)
    failed = {f"{check.check}: {check.subject}" for check in audit(config, Quiet()).failed}
    assert failed == {"columns do not change with targets that their fit must not see: peeking"}
