"""models/portable.json says what a run folder needs to predict, of every variant, and damage of it is seen."""

import json
from typing import Any

import numpy as np
import pytest

from numerai_lab.config.loading import load_recorded
from numerai_lab.core.component import is_portable
from numerai_lab.core.eras import calendar_of, number_eras
from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import run
from numerai_lab.fitting.portable import Portable
from numerai_lab.fitting.portable_checks import refuse_contradiction
from numerai_lab.fitting.portable_facts import portable_of
from numerai_lab.generators import GENERATORS
from numerai_lab.generators.linear import PCA
from numerai_lab.models import MODELS
from numerai_lab.runs.layout import CONFIG, MANIFEST, PORTABLE
from numerai_lab.runs.reading import FILES, Run, read_run
from numerai_lab.storage.stamped_json import read_stamped, with_stamp
from numerai_lab.tournament.prediction import predictor_of
from tests.conftest import Quiet, component, make_config, quick, reseal

VARIANTS: dict[str, Any] = {
    "baseline": {},
    "learned": {"features": ["raw", "pca", "auto"]},
    "flat": {"features": ["raw", "pca", "auto"], "neutralize": {"features": "all", "proportion": 0.5}},
    "both": {"ensemble": ["baseline", "flat"]},
    "two": {"targets": ["target", "target_cyrusd_20"]},
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = make_config(
        seeds=[3, 1],
        data={"source": "synthetic", "size": "tiny", "feature_set": "small", "auxiliary_targets": ["target_cyrusd_20"]},
        generators={"pca": {**quick("pca"), "select": {"by": "variance", "top_k": 7}}, "auto": quick("autoencoder")},
        variants=VARIANTS,
    )
    return run(config, tmp_path_factory.mktemp("runs"), Quiet())


def test_every_variant_names_files_that_are_there(done: Run) -> None:
    facts = Portable.read(done)
    assert facts is not None
    assert facts.seeds == (3, 1)
    files = [file for part in facts.variants.values() for names in part.models.values() for file in names]
    files += [file for generator in facts.generators.values() for file in generator.files.values()]
    assert {*files} == {f for f in done.manifest[FILES] if f.startswith("models/")} - {PORTABLE}
    models = {seed: (f"models/learned@{seed}.safetensors",) for seed in (3, 1)}
    assert facts.variants["flat"].models == facts.variants["learned"].models == models
    assert [len(files) for files in facts.variants["two"].models.values()] == [2, 2]
    assert facts.variants["both"].members == ("baseline", "flat")
    assert facts.generators["pca"].files == dict.fromkeys((3, 1), "models/generator-pca@3.safetensors")


def test_features_stand_in_the_order_in_which_they_are_read(done: Run) -> None:
    facts = Portable.read(done)
    assert facts is not None
    assert len(facts.features) == done.manifest["data"]["features"]
    assert [*facts.sets] == ["all"]
    assert {*facts.sets["all"]} == {*facts.features, *facts.further_features}
    assert set(facts.features).isdisjoint(facts.further_features)
    assert (facts.cells.dtype, facts.cells.top) == ("int8", 4.0)
    read = facts.generators["pca"].features
    assert len(read) == 7
    assert [*read] == [name for name in facts.features if name in read]
    assert facts.generators["auto"].features == facts.features
    assert facts.sets_of("baseline") == ()
    assert facts.sets_of("both") == ("all",)
    assert facts.live_era == 101


def test_a_run_from_before_gets_the_same_facts_from_its_data(done: Run) -> None:
    known = Portable.read(done)
    text = (done.path / PORTABLE).read_bytes()
    manifest = (done.path / MANIFEST).read_text()
    try:
        (done.path / PORTABLE).unlink()
        facts = read_stamped(done.path / MANIFEST)
        del facts[FILES][PORTABLE]
        (done.path / MANIFEST).write_text(with_stamp(facts))
        old = read_run(done.path)
        assert Portable.read(old) is None
        assert portable_of(old) == known
        (done.path / MANIFEST).write_text(with_stamp({**facts, "data": {**facts["data"], "identity": "other"}}))
        with pytest.raises(NlabError, match="its data is no longer that of the run; run its config again"):
            portable_of(read_run(done.path))
    finally:
        (done.path / PORTABLE).write_bytes(text)
        (done.path / MANIFEST).write_text(manifest)


def test_a_changed_file_is_seen(done: Run) -> None:
    text = (done.path / PORTABLE).read_text()
    features = json.loads(text)["features"]
    try:
        (done.path / PORTABLE).write_text(text.replace(features[0], features[1], 1))
        with pytest.raises(NlabError, match=r"damaged run folder \(models/portable.json"):
            Portable.read(done)
        (done.path / PORTABLE).unlink()
        with pytest.raises(NlabError, match="damaged run folder"):
            Portable.read(done)
    finally:
        (done.path / PORTABLE).write_text(text)


def put(facts: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The facts with another value at a path of keys."""
    changed = json.loads(json.dumps(facts))
    *parents, last = path.split("/")
    part = changed
    for key in parents:
        part = part[key]
    part[last] = value
    return dict(changed)


def test_what_an_honest_run_says_contradicts_nothing(done: Run) -> None:
    facts = Portable.read(done)
    assert facts is not None
    refuse_contradiction(done, facts, load_recorded(done.path / CONFIG))


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("features", [], "features are absent"),
        ("features", ["a", "a"], "stand twice"),
        ("further_features", [], "feature set all holds other features"),
        ("sets", {}, "variant flat"),
        ("sets/all", ["target"], "feature set all"),
        ("data", {}, "data lacks a key"),
        ("cells/dtype", "object", "units"),
        ("further_cells", None, "units"),
        ("seeds", [3], "seeds are not those"),
        ("live_era", 10**18, "eras are counted"),
        ("live_era", 10**30, "a number that is too large"),
        ("calendar", {"first": "2020-01-03", "days_per_era": 0, "offset": 0}, "eras are counted"),
        ("generators/pca/files", {"3": "../../other", "1": "/etc/passwd"}, "generator pca"),
        ("generators/other", None, "keys are not those"),
        ("variants/learned/inputs", ["raw", "auto"], "variant learned"),
        ("variants/learned/models", {"3": ["models/../../other"], "1": ["models/learned@1.safetensors"]}, "variant learned"),
        ("variants/two/targets", ["target"], "variant two"),
        ("variants/both/members", ["baseline", "nobody"], "variant both"),
        ("variants/flat/members", ["baseline"], "variant flat"),
        ("variants/flat/neutralize/proportion", 0.4, "variant flat"),
        ("variants/flat/neutralize", None, "variant flat"),
    ],
)
def test_a_folder_whose_facts_contradict_one_another_is_refused(done: Run, path: str, value: Any, says: str) -> None:
    text, manifest = (done.path / PORTABLE).read_text(), (done.path / MANIFEST).read_text()
    try:
        (done.path / PORTABLE).write_text(with_stamp(put(read_stamped(done.path / PORTABLE), path, value)))
        reseal(done.path)
        with pytest.raises(NlabError, match=rf"damaged run folder \(models/portable.json: .*{says}"):
            predictor_of(read_run(done.path), "baseline")
    finally:
        (done.path / PORTABLE).write_text(text)
        (done.path / MANIFEST).write_text(manifest)


def test_an_edited_config_is_seen_before_it_predicts(done: Run) -> None:
    text = (done.path / CONFIG).read_text()
    try:
        (done.path / CONFIG).write_text(text.replace("proportion: 0.5", "proportion: 0.4"))
        with pytest.raises(NlabError, match=r"damaged run folder \(config.yaml is not what was written"):
            predictor_of(done, "flat")
    finally:
        (done.path / CONFIG).write_text(text)


@pytest.mark.parametrize("sums", [3, None, [], "x"])
def test_a_manifest_without_a_mapping_of_checksums_is_damaged(done: Run, sums: Any) -> None:
    manifest = (done.path / MANIFEST).read_text()
    try:
        (done.path / MANIFEST).write_text(with_stamp({**read_stamped(done.path / MANIFEST), FILES: sums}))
        with pytest.raises(NlabError, match="damaged run folder"):
            read_run(done.path)
    finally:
        (done.path / MANIFEST).write_text(manifest)


def test_an_unknown_variant_is_named(done: Run) -> None:
    with pytest.raises(NlabError, match=r"no variant 'flatt'; did you mean 'flat'\?"):
        portable_of(done).refuse_unportable("flatt")


@pytest.mark.parametrize("kind", [*GENERATORS, *MODELS])
def test_every_kind_of_the_package_is_portable_or_says_that_it_is_not(kind: str) -> None:
    part = component(kind)
    assert is_portable(part) is (part.portable is not False)


def test_a_plug_in_is_portable_only_if_it_says_so(done: Run) -> None:
    class Mine(PCA):
        pass

    class Declared(PCA):
        portable = True

    assert (is_portable(Mine()), is_portable(Declared())) == (False, True)
    facts = portable_of(done)
    strange = facts.generators["pca"].model_copy(update={"portable": False, "kind": "mine"})
    changed = facts.model_copy(update={"generators": {**facts.generators, "pca": strange}})
    with pytest.raises(NlabError, match=r"generators\.pca: mine does not declare itself portable"):
        changed.refuse_unportable("both")
    changed.refuse_unportable("baseline")


@pytest.mark.parametrize(
    ("first", "step", "days_per_era"), [("2020-01-03", 7, 5), ("2021-06-09", 7, 5), ("2020-01-06", 1, 1), ("2020-01-31", 30, 20)]
)
def test_a_calendar_numbers_dates_as_the_data_did(first: str, step: int, days_per_era: int) -> None:
    days = [str(np.datetime64(first) + step * i) for i in range(4)]
    numbered = number_eras(days, days_per_era)
    calendar = calendar_of(numbered.dates, days_per_era)
    assert calendar == numbered.calendar
    later = str(np.datetime64(first) + step * 6) if step > 1 else "2020-01-14"
    assert number_eras([*days, later], days_per_era, calendar).numbers == number_eras([*days, later], days_per_era).numbers
