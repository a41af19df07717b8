"""Several targets at once: what they teach the supervised autoencoder, and that it sees none that it must not."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from numerai_lab.augmenters.copula import Copula
from numerai_lab.core.arrays import Float32
from numerai_lab.core.panel import Auxiliary, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.fitting.stages import fitted_augmenter
from numerai_lab.fitting.variants import fit_generators
from numerai_lab.generators import Generator
from numerai_lab.generators.supervised import Siamese, SupervisedAutoencoder
from numerai_lab.neural.networks import generator_for
from numerai_lab.neural.rows import draw, held_out
from numerai_lab.neural.supervised import SupervisedAutoencoding
from numerai_lab.storage.era_content import PanelContent
from numerai_lab.storage.stage_cache import Cache
from numerai_lab.studies.audit import audit
from tests.conftest import Quiet, make_config, make_panel, quick
from tests.fitting.test_fit_plan import Memory, config_of, context_of, corr, fitted_in
from tests.generators.test_supervised import MEMORISING, PLAIN, QUICKLY, SPLITS, TRAIN, columns, noise, shape


def with_further(panel: Panel, *values: Float32, days: int | None = None) -> Panel:
    return replace(panel, auxiliary={f"target_{i}": Auxiliary(each, days) for i, each in enumerate(values)})


@cache
def few_rows(seed: int) -> tuple[Panel, Float32]:
    """A target that is a factor and nine times as much noise, three others with little noise; and the factor."""
    rng, panel = np.random.default_rng(seed), make_panel(20, 40, 24)
    latent = rng.normal(size=(len(panel.ids), 4))
    values = latent @ rng.normal(size=(4, 24)) + rng.normal(size=(len(latent), 24))
    bins = (np.argsort(np.argsort(values, axis=0), axis=0) / len(latent) * 5).astype(np.int8)
    told = [latent[:, 0] + spread * rng.normal(size=len(latent)) for spread in (3, 0.5, 0.5, 0.5)]
    target, *further = [(0.5 + each / 4 / each.std()).astype(np.float32) for each in told]
    return with_further(replace(panel, features=bins, target=target), *further), latent[:, 0].astype(np.float32)


@pytest.mark.parametrize("seed", [0, 2])
def test_targets_that_share_a_factor_teach_each_other_where_rows_are_few(seed: int) -> None:
    panel, factor = few_rows(seed)
    net = SupervisedAutoencoder.model_validate(QUICKLY | {"n_components": 8, "hidden": [32, 16], "dropout": [0.1, 0.1]})
    held, truth = tuple(range(13, 21)), replace(panel, target=factor, auxiliary={})

    def found(shown: Panel) -> float:
        fitted = net.fresh().fit(shown.only(range(1, 11)), np.random.default_rng(0))
        values = np.concatenate([fitted.transform(block) for block in panel.blocks()])
        assert values.shape[1] == 1
        return corr(values, truth, held)[0]

    both, alone = found(panel), found(replace(panel, auxiliary={}))
    assert both > 0.65
    assert both > alone + 0.1


def test_errors_are_means_over_the_targets_that_are_known() -> None:
    panel = make_panel(4, 40)
    known, unknown = np.random.default_rng(0).uniform(size=(2, len(panel.ids))).astype(np.float32)
    unknown[:] = np.nan
    unknown[::3] = 0.25
    batch = draw(with_further(panel, known, unknown), 90, 3, np.random.default_rng(0))
    net = SupervisedAutoencoding(shape(n_targets=3), generator_for(0)).eval()
    x, restored, auxiliary, told = (each.detach() for each in net(batch.cells, generator_for(0)))
    assert batch.target is not None
    assert batch.auxiliary is not None
    wanted = torch.cat([batch.target[:, None], batch.auxiliary], dim=1).numpy() - 0.5
    n = np.isfinite(wanted).sum()
    assert len(batch) * 2 < n < len(batch) * 3

    def missed(found: torch.Tensor) -> float:
        return float(np.nansum((found.numpy() - wanted) ** 2) / n)

    assert net.validation_loss(batch, generator_for(0)).item() == pytest.approx(missed(told), rel=1e-5)
    whole = float((restored - x).square().mean()) + missed(auxiliary) + missed(told)
    assert net.loss(batch, generator_for(0)).item() == pytest.approx(whole, rel=1e-5)


def test_a_target_that_is_known_nowhere_makes_no_column_nan() -> None:
    panel = make_panel(20, 30)
    shown = with_further(panel, np.full(len(panel.ids), np.nan, np.float32))
    assert np.isfinite(columns(SupervisedAutoencoder.model_validate(quick("supervised_autoencoder")), shown)).all()


def test_the_siamese_net_is_shown_none_of_them_and_gives_the_same_columns(tmp_path: Path) -> None:
    panel = replace(make_panel(), horizon_days=20)
    shown = with_further(panel, np.random.default_rng(0).uniform(size=len(panel.ids)).astype(np.float32), days=40)
    for kind, same in ((Siamese, True), (SupervisedAutoencoder, False)):
        generator = kind.model_validate(quick(kind.model_fields["kind"].default))
        alone, beside = (fitted_in(generator, each, tmp_path / f"{kind}{i}") for i, each in enumerate((panel, shown)))
        assert np.array_equal(alone.columns, beside.columns, equal_nan=True) is same


def test_a_panel_that_hides_the_target_hides_all_of_them_and_a_shorter_one_has_no_more_rows() -> None:
    panel = with_further(make_panel(), np.zeros(1200, np.float32), days=60)
    with pytest.raises(ValueError, match="the target is hidden, and auxiliary targets are not"):
        replace(panel, target=None)
    assert panel.without_target().auxiliary == {}
    assert len(panel.until(7).auxiliary["target_0"].values) == panel.rows(7).stop
    assert (panel.reach_days, replace(panel, horizon_days=20).reach_days) == (None, 60)


class Curious(Memory):
    """Writes down the eras in which it sees targets."""

    several_targets: ClassVar[bool] = True
    seen: ClassVar[list[tuple[set[int], ...]]] = []

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "Curious":
        shown = (panel.target, *(each.values for each in panel.auxiliary.values()))
        self.seen.append(tuple(set((np.flatnonzero(np.isfinite(each)) // 40 + 1).tolist()) for each in shown if each is not None))
        return super().fit(panel, rng)  # type: ignore[return-value]


def test_a_fit_is_given_auxiliary_targets_of_its_own_eras_and_no_others(tmp_path: Path) -> None:
    Curious.seen.clear()
    fitted_in(Curious(), with_further(make_panel(), *np.zeros((2, 1200), np.float32)), tmp_path)
    assert len(Curious.seen) == 5
    assert all(target == first == second <= set(SPLITS.train) for target, first, second in Curious.seen)


def test_those_of_a_block_and_its_neighbours_change_no_column_of_the_block(tmp_path: Path) -> None:
    panel, generator = make_panel(), SupervisedAutoencoder.model_validate(quick("supervised_autoencoder"))
    drawn = np.random.default_rng(0).uniform(size=(2, len(panel.ids))).astype(np.float32)
    changed = np.where(np.arange(len(panel.ids)) < panel.rows(12).stop, drawn[1], drawn[0])
    before, after = (
        fitted_in(generator, with_further(panel, each), tmp_path / str(i)).columns for i, each in enumerate((drawn[0], changed))
    )
    block, other = slice(0, panel.rows(10).stop), slice(panel.rows(11).start, panel.rows(20).stop)
    np.testing.assert_array_equal(before[block], after[block])
    assert not np.array_equal(before[other], after[other])


@pytest.mark.slow
def test_a_cross_fit_remembers_no_noise_of_any_target_and_without_it_there_would_be_some(tmp_path: Path) -> None:
    panel = noise(5)
    further = noise(6).target
    assert further is not None
    shown = with_further(panel, further)
    generator = SupervisedAutoencoder.model_validate(MEMORISING | PLAIN | {"n_components": 16})
    assert corr(columns(generator.fresh(), shown), panel, TRAIN)[0] > 0.05
    found = fitted_in(generator, shown, tmp_path, SPLITS).columns
    for target in (panel.target, further):
        honest, n = corr(found, replace(panel, target=target), TRAIN)
        assert abs(honest) <= 2 / np.sqrt(n)


@pytest.mark.parametrize(("kind", "again"), [("supervised_autoencoder", True), ("siamese", False)])
def test_other_auxiliary_targets_are_another_fit_of_those_that_learn_them(tmp_path: Path, kind: str, again: bool) -> None:
    generator: Generator = {"siamese": Siamese, "supervised_autoencoder": SupervisedAutoencoder}[kind].model_validate(quick(kind))
    panels = [with_further(make_panel(), np.full(1200, value, np.float32)) for value in (0, 1, 0)]
    with Cache(tmp_path / "cache") as cache:
        settings = [context_of(config_of(generator), panel, tmp_path / "a") for panel in panels]
        known = [replace(each, cache=cache, content=PanelContent.of(each.panel)) for each in settings]
        keys = [fit_generators(each)["g", 0].recipe for each in known]
    assert keys[0] == keys[2]
    assert (keys[0] != keys[1]) is again


def test_eras_between_those_learned_from_and_those_stopped_on_follow_the_furthest_target() -> None:
    panel = replace(make_panel(), horizon_days=20)
    assert held_out(panel, 0.1, "last")[0].eras[-1] == 19
    assert held_out(with_further(panel, np.zeros(1200, np.float32), days=40), 0.1, "last")[0].eras[-1] == 15


@pytest.mark.slow
def test_an_audit_of_several_targets_finds_nothing() -> None:
    data = {"source": "synthetic", "size": "tiny", "auxiliary_targets": ["target_cyrusd_20"]}
    generators: dict[str, Any] = {"g": quick("supervised_autoencoder")}
    report = audit(make_config(data=data, splits={}, generators=generators), Quiet())
    assert report.failed == ()
    assert "columns do not change with targets that their fit must not see" in {check.check for check in report.checks}


def test_augmenters_learn_the_same_whatever_further_targets_there_are(tmp_path: Path) -> None:
    class Looking(Copula):
        def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "Looking":
            seen.append(dict(panel.auxiliary))
            return super().fit(panel, rng, context)

    seen: list[dict[str, Auxiliary]] = []
    config = make_config(augmenters={"law": {"kind": "copula"}})
    config = config.model_copy(update={"augmenters": {"law": Looking()}})
    panel = make_panel()
    assert panel.target is not None
    context = context_of(config, with_further(panel, panel.target, days=60), tmp_path)
    fitted_augmenter(context, "law", 7)
    assert seen == [{}]
