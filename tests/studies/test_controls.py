"""`nlab controls`: what is asked of the worlds, what is measured there, and what is held against it."""

from pathlib import Path

import numpy as np
import pytest

from numerai_lab.cli.controls import controls
from numerai_lab.config.placebos import placebos_of
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.data.worlds import WORLDS
from numerai_lab.studies.control_findings import findings, musts_of, result_of
from numerai_lab.studies.control_outcomes import ControlRun, Interval, SeedOutcome, VariantOutcomes, compared, pooled
from numerai_lab.studies.control_requirements import CONTRASTS, MUST_NOTS, MUSTS, NEGATIVE
from numerai_lab.studies.controls import ControlSpec, control_configs, shipped_configs
from tests.config.test_control_descriptions import METHODS
from tests.conftest import make_config
from tests.studies.small_controls import configs

__all__ = ["configs"]
SHIPPED = Path("configs/controls")


def spec(**changes: object) -> ControlSpec:
    return ControlSpec(**{"configs": SHIPPED, "runs_dir": Path("runs"), **changes})  # type: ignore[arg-type]


def change(value: float, half: float = 0.001) -> Interval:
    return Interval(value, value - half, value + half)


def row(
    world: str, variant: str, *changes: Interval, kinds: tuple[str, ...] = ("umap",), **placebos: Interval
) -> VariantOutcomes:
    """A variant with the same change against its placebo as against the baseline, unless told otherwise."""
    outcomes = tuple(SeedOutcome(own, {"baseline": own, "placebo": own, **placebos}) for own in changes)
    return VariantOutcomes(world, variant, kinds, outcomes, changes[0], n_seeds=3)


def runs(world: str, *variants: str) -> list[ControlRun]:
    config = make_config(variants={name: {} for name in ("baseline", *variants)})
    return [ControlRun(world, seed, config, None) for seed in (11, 12, 13)]


def holds(world: str, variant: str, *changes: Interval, **placebos: Interval) -> bool:
    (finding,) = findings(runs(world, variant), [row(world, variant, *changes, **placebos)])
    return finding.holds


def test_every_world_has_a_config_of_its_size_and_every_requirement_a_variant_with_its_opponents() -> None:
    shipped = shipped_configs(SHIPPED)
    assert [name for name in shipped if name in WORLDS] == list(WORLDS)
    assert {*shipped} - {*WORLDS} == {"clusters_networks", "default_rows", "null_networks"}
    for config in shipped.values():
        assert isinstance(config.data, Synthetic)
        assert (config.data.size, config.data.seed) == ("control", 11)
        assert (config.splits.val1, config.splits.val2) == ("41-86", "95-140")
    for must in MUSTS:
        for world in CONTRASTS.get(must.world, (must.world,)):
            assert must.variant in shipped[world].variants
            placebos = placebos_of(shipped[world]).as_dict()
            assert all(must.variant in placebos[opponent] for opponent in must.than if opponent != "baseline")
    assert {world for must_not in MUST_NOTS for world in must_not.worlds} <= {*shipped, *CONTRASTS}


@pytest.mark.parametrize("kind", METHODS)
def test_the_world_that_a_method_names_exists(kind: str) -> None:
    assert METHODS[kind].control.world in ("", *WORLDS)


def test_a_gain_must_be_resolved_in_each_world_seed_and_of_the_size_that_is_asked_for() -> None:
    good = change(0.02)
    assert holds("clusters", "raw+umap", good, good, good)
    assert not holds("clusters", "raw+umap", good, good, change(0.02, half=0.03))
    assert not holds("clusters", "raw+umap", good, good, change(0.011))
    assert not holds("clusters", "raw+umap", good, good, change(0.031))
    assert not holds("clusters", "raw+umap", good, good, good, placebo=change(0.02, half=0.03))
    assert not holds("clusters", "raw+umap", good, good)


def test_two_of_three_world_seeds_are_enough_where_the_table_says_so_and_the_mean_counts_too() -> None:
    good, open_one = change(0.02), change(0.001, half=0.002)
    assert holds("clusters", "raw+scarf", good, good, open_one)
    assert not holds("clusters", "raw+scarf", good, open_one, open_one)
    assert not holds("clusters", "raw+scarf", change(0.004), change(0.004), change(0.004))


def test_a_loss_must_be_found_where_one_is_asked_for() -> None:
    loss = change(-0.015)
    assert holds("unflip", "neutralized", loss, loss, loss)
    assert not holds("unflip", "neutralized", loss, loss, change(0.015))


def test_one_gain_in_all_runs_without_signal_passes_for_luck_and_two_do_not() -> None:
    gain, none = change(0.005), change(0.0)
    without = [*runs("unpaid", "raw+umap"), *runs("null", "raw+umap")]
    lucky = [row("unpaid", "raw+umap", gain, none, none), row("null", "raw+umap", none, none, none)]
    (finding,) = findings(without, lucky)
    assert finding.holds
    assert finding.measured == "1 in 6 runs (unpaid raw+umap +.0050)"
    (finding,) = findings(without, [lucky[0], row("null", "raw+umap", none, gain, none)])
    assert not finding.holds
    assert result_of(lucky[0], []) == "gain"
    assert result_of(lucky[1], []) == "no gain"


def test_noise_columns_must_not_gain_in_clusters_and_variants_without_a_method_are_left_alone() -> None:
    gain = change(0.005)
    assert result_of(row("clusters", "raw+noise_32", gain, kinds=("random_columns",)), []) == "gain"
    assert result_of(row("clusters", "raw+oracle", gain, kinds=()), []) is None


def test_a_network_must_beat_the_one_begun_at_random_where_clusters_earn_and_not_where_nothing_does() -> None:
    gain, none = change(0.005), change(0.0)
    assert holds("clusters_networks", "from_scarf", none, none, none, untrained=gain)
    assert not holds("clusters_networks", "from_scarf", gain, gain, gain, untrained=none)
    assert holds("null_networks", "from_scarf", gain, gain, gain, untrained=none)
    assert not holds("null_networks", "from_scarf", none, none, none, untrained=gain)
    assert result_of(row("null_networks", "from_scarf", none, kinds=(), untrained=gain), []) == "gain"


def test_a_world_whose_runs_failed_misses_what_is_asked_of_it() -> None:
    (finding,) = findings(runs("clusters", "raw+umap"), [])
    assert (finding.holds, finding.measured) == (False, "no run")


def test_a_method_that_the_table_does_not_name_must_help_in_the_world_of_its_class() -> None:
    config = make_config(augmenters={"noisy": {"kind": "gaussian_noise"}})
    (must,) = musts_of([ControlRun("steady", 11, config, None)])
    assert (must.world, must.variant, must.than, must.share) == ("steady", "noisy", ("placebo",), 2 / 3)
    assert musts_of([ControlRun("clusters", 11, config, None)]) == []


def test_pooled_changes_have_the_mean_over_worlds_and_wider_intervals_where_worlds_differ() -> None:
    rng = np.random.default_rng(0)

    def tables(*means: float) -> list[dict[str, np.ndarray]]:
        noise = rng.normal(0, 0.02, (len(means), 1, 92))
        return [{"a": own + mean, "same": own * 0, "base": own * 0} for own, mean in zip(noise, means, strict=True)]

    opponents = {"a": "base", "same": "base"}
    alike, apart = (pooled(tables(*means), opponents, 4) for means in ((0.02, 0.02, 0.02), (0.0, 0.02, 0.04)))
    assert alike["a"].value == pytest.approx(0.02, abs=0.004)
    assert alike["a"].sign == 1
    assert apart["a"].high - apart["a"].low > 2 * (alike["a"].high - alike["a"].low)
    assert alike["same"].value == 0
    one = tables(0.02)
    assert pooled(one, opponents, 4) == compared(one[0], opponents, 4)


def test_only_runs_a_method_in_its_own_world_and_where_none_may_gain_beside_its_placebo() -> None:
    chosen = control_configs(spec(only=("gmm_targets",)))
    assert {*chosen} == {"steady", *NEGATIVE}
    assert {*chosen["steady"].variants} == {"baseline", "gmm_targets", "duplicate"}
    assert chosen["null"].augmenters["gmm_targets"].model_dump()["alpha"] == 300
    assert {*control_configs(spec(only=("cutout",)))} == {"steady", "missing", *NEGATIVE}
    assert {*control_configs(spec(only=("group_stats",)))} == {*NEGATIVE}
    assert {*control_configs(spec(only=("umap",), worlds=("clusters",)))["clusters"].variants} == {
        "baseline",
        "raw+umap",
        "raw+placebo",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"worlds": ("cluster",)}, "--world: no config of a world 'cluster' in configs/controls; did you mean 'clusters'?"),
        ({"only": ("umpa",)}, "--only: no method 'umpa'; did you mean 'umap'?"),
        ({"configs": Path("nowhere")}, "nowhere: no configs there; run this in the repository's folder"),
        ({"configs": Path("configs")}, "configs/catboost.yaml: the second config of the world 'default' in configs"),
    ],
)
def test_what_is_not_there_is_one_sentence(changes: dict[str, object], message: str) -> None:
    with pytest.raises(NlabError) as caught:
        control_configs(spec(**changes))
    assert str(caught.value).startswith(message)
    assert not isinstance(caught.value, NlabFailure)


@pytest.mark.slow
def test_a_second_call_takes_the_runs_that_are_there_and_writes_the_same_page(
    configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = configs / "controls.md"
    pages = []
    for _ in range(2):
        controls(world=["steady", "null"], seed=[11], configs=configs, runs_dir=configs / "runs", out=out)
        pages.append(out.read_text())
    assert pages[0] == pages[1]
    assert len([path for path in (configs / "runs" / "controls").iterdir() if path.is_dir()]) == 2
    assert "| steady | gmm_targets | + | found | +0." in pages[0]
    assert "| umap | must help in `clusters`: " in pages[0]
    assert "not in these runs: `nlab controls --only umap`" in pages[0]
    assert "steady gmm_targets: better than baseline and placebo in 1 of 1 worlds" in capsys.readouterr().out


@pytest.mark.controls
def test_umap_gains_where_clusters_are_paid_and_not_where_they_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    controls(world=["clusters", "unpaid"], only=["umap"], seed=[11], configs=SHIPPED, runs_dir=tmp_path)
    printed = capsys.readouterr()
    assert "clusters raw+umap: better than baseline and placebo in 1 of 1 worlds" in printed.out
    assert "unpaid and null: at most 1 resolved gain: 0 in 1 run: holds" in printed.out
    assert "requirements hold" in printed.err
