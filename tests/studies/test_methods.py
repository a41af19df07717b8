"""`nlab methods`: every method of the registries under one config, one table, and failures that stop nothing else."""

import json
from pathlib import Path

import pytest

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.config.loading import load_config
from numerai_lab.core.errors import NlabError
from numerai_lab.generators import GENERATORS
from numerai_lab.studies.method_configs import method_configs, weighers_left_out
from numerai_lab.studies.method_worlds import method_rows, page_over_worlds, results_text
from numerai_lab.studies.methods import MethodPlan, page, run_each, run_over_worlds
from tests.conftest import make_config


@pytest.mark.parametrize("name", ["methods", "methods_csi500"])
def test_every_registered_method_has_a_config_that_judges_it_against_baseline_and_placebo(name: str) -> None:
    config, _ = load_config(Path(f"configs/{name}.yaml"))
    found = {(family, method): each for family, method, each in method_configs(config)}
    kinds = {each.kind for (family, _), one in found.items() for each in getattr(one, family).values()}
    assert {*GENERATORS, *AUGMENTERS} <= kinds
    assert {"vime", "masked", "pca"} <= {method for _, method in found}
    assert not [method for _, method in found if method.startswith(("placebo", "untrained"))]
    assert "raw+untrained" in found["generators", "vime"].variants
    pca = found["generators", "pca"]
    assert list(pca.variants) == ["baseline", "pca_only", "raw+pca", "raw+placebo"]
    assert list(found["augmenters", "cutout"].variants) == ["baseline", "cutout", "duplicate"]
    assert pca.model_dump()["model"] == config.model_dump()["model"]
    assert pca.seeds == config.seeds


def test_methods_run_one_by_one_into_one_table_and_a_failure_stops_no_other(tmp_path: Path) -> None:
    config = make_config(
        name="each",
        generators={
            "few": {"kind": "group_stats"},
            "many": {"kind": "pca", "select": {"by": "variance", "top_k": 999}},
        },
    )
    messages: list[str] = []
    trials = list(run_each(config, MethodPlan(tmp_path, only=("few", "many", "cutout")), messages.append))
    assert [(trial.name, trial.run is None) for trial in trials] == [("few", False), ("many", True), ("cutout", False)]
    assert "select.top_k: 999 of only" in trials[1].failure
    text = page(config, trials)
    assert "SYNTHETIC data" in text
    (few,) = (line.split(" | ") for line in text.splitlines() if line.startswith("| few "))
    scores = trials[0].run.scores.filter(variant="raw+few", split="val").row(0, named=True) if trials[0].run else {}
    assert few[1].startswith(f"{scores['delta_corr_mean']:+.4f} (")
    assert float(few[6]) == pytest.approx(scores["mmc_mean"], abs=1e-4)
    assert float(few[8]) >= 0 < float(few[9].rstrip(" |"))
    assert "Failed: many: generators.many: select.top_k: 999 of only" in text.splitlines()[-1]
    assert sum("Not told from doing nothing" in line for line in text.splitlines()) == 1


def test_a_name_that_is_no_method_is_one_sentence(tmp_path: Path) -> None:
    for wrong, meant in (("cutuot", "cutout"), ("augmeters", "augmenters")):
        with pytest.raises(NlabError, match=f"no method '{wrong}'; did you mean '{meant}'"):
            list(run_each(make_config(), MethodPlan(tmp_path, only=(wrong,)), print))


def test_what_weighs_rows_is_left_out_by_name_where_the_model_takes_no_weights(tmp_path: Path) -> None:
    model = {"kind": "sklearn", "estimator": "KNeighborsRegressor"}
    augmenters = {"late": {"kind": "recency"}, "light": {"kind": "cutout", "weight": 0.5}}
    config = make_config(model=model, augmenters=augmenters, variants={"baseline": {}})
    left_out = ["late", "light", "block_dro", "double_ensemble", "ddg_da"]
    assert {*left_out}.isdisjoint({name for _, name, _ in method_configs(config)})
    assert "duplicate" not in left_out
    line = f"Left out: {', '.join(left_out)}: they give rows weights, and the model sklearn takes none."
    messages: list[str] = []
    with pytest.raises(NlabError, match="--only: 'block_dro' gives rows weights, and the model sklearn takes none; take another"):
        list(run_each(config, MethodPlan(tmp_path, only=("block_dro",)), messages.append))
    assert messages == [line]
    assert f"- {line}" in page(config, []).splitlines()
    assert not weighers_left_out(make_config(augmenters={"late": {"kind": "recency"}}))


@pytest.mark.slow
def test_methods_in_several_worlds_have_the_mean_of_their_changes_and_an_interval_for_worlds_like_these(tmp_path: Path) -> None:
    config = make_config(name="each", generators={"few": {"kind": "group_stats"}})
    trials = list(run_over_worlds(config, MethodPlan(tmp_path, only=("few", "cutout")), print, 2))
    assert [(trial.name, trial.world) for trial in trials] == [("few", 0), ("cutout", 0), ("few", 1), ("cutout", 1)]
    rows = {row["method"]: row for row in method_rows(trials)}
    changes = {
        trial.world: trial.run.scores.filter(variant="raw+few", split="val")["delta_corr_mean"].item()
        for trial in trials
        if trial.name == "few" and trial.run
    }
    few = rows["few"]
    assert changes[0] != changes[1]
    assert few["value"] == pytest.approx(sum(changes.values()) / 2)
    assert few["low"] < few["value"] < few["high"]
    assert few["by_world"] == " ".join(f"{change:+.4f}".replace("0.", ".", 1) for change in changes.values())
    assert few["placebo"]
    assert few["excluded"] == f"above {few['high']:+.4f}".replace("0.", ".", 1)
    results = json.loads(results_text(config, trials))
    assert results["worlds"] == [0, 1]
    assert [(row["method"], row["kind"]) for row in results["methods"]] == [("few", "group_stats"), ("cutout", "cutout")]
    assert results["methods"][0]["high"] == few["high"]
    text = page_over_worlds(config, trials)
    assert "world seeds 0, 1;" in text
    assert "Gains above" in text
    assert "Not in every world yet: cutout." in page_over_worlds(config, trials[:3])


def test_several_worlds_need_synthetic_data(tmp_path: Path) -> None:
    config = make_config(data={"source": "files", "path": str(tmp_path), "target": "target"})
    with pytest.raises(NlabError, match="--worlds: only synthetic data"):
        list(run_over_worlds(config, MethodPlan(tmp_path), print, 3))
