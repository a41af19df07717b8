"""What somebody types first: the version, a folder to begin in, a starter config, and a look at the machine."""

import json
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from numerai_lab.config.loading import load_config
from numerai_lab.config.shipped import shipped_configs
from numerai_lab.config.starter import SCHEMA_LINE
from numerai_lab.core.errors import NlabError
from numerai_lab.runs.new_workspace import write_starter, write_workspace
from numerai_lab.studies.doctor import cache_checks, checks, unfit


def test_a_new_folder_holds_every_shipped_config_valid_and_the_schema_they_name(tmp_path: Path) -> None:
    n_configs = write_workspace(tmp_path / "lab")
    configs = sorted((tmp_path / "lab" / "configs").rglob("*.yaml"))
    assert n_configs == len(configs) == len([*Path("configs").rglob("*.yaml")])
    for path in configs:
        load_config(path)
        schema = path.parent / path.read_text().splitlines()[0].partition("$schema=")[2]
        assert json.loads(schema.read_text())["$schema"].startswith("https://json-schema.org")
    assert (tmp_path / "lab" / "runs").is_dir()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(NlabError, match="is there and not empty"):
        write_workspace(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_configs_come_from_pips_record_where_there_is_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(NlabError, match="no shipped configs"):  # an editable installation records none
        shipped_configs(tmp_path)


def test_a_starter_config_lies_beside_its_schema_and_replaces_nothing(tmp_path: Path) -> None:
    write_starter(tmp_path / "my.yaml", "name: my\n")
    assert (tmp_path / "my.yaml").read_text() == f"{SCHEMA_LINE}\nname: my\n"
    assert "properties" in json.loads((tmp_path / "schema.json").read_text())
    with pytest.raises(NlabError, match="exists already"):
        write_starter(tmp_path / "my.yaml", "name: other\n")
    assert yaml.safe_load((tmp_path / "my.yaml").read_text()) == {"name": "my"}


def test_the_machine_is_described_and_nothing_is_broken_here() -> None:
    found = {check.name: check for check in checks()}
    assert {"nlab", "dependencies", "extras", "threads", "integer products", "memory", "gpu", "cache", "disk", "clock"} == {
        *found
    }
    assert "broken" not in {check.state for check in found.values()}


def test_a_dependency_that_does_not_fit_is_named_with_the_command_that_mends_it() -> None:
    assert unfit(Requirement("numpy>=1")) == ""
    assert unfit(Requirement("numpy>=99")).endswith("pip install 'numpy>=99'")
    assert unfit(Requirement("no_such_package>=1")) == "no_such_package is absent: pip install 'no_such_package>=1'"


def test_a_cache_that_cannot_be_written_is_broken(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (check,) = cache_checks(tmp_path / "file" / "cache")
    assert check.state == "broken"
    assert "NLAB_CACHE" in check.says
    assert next(iter(cache_checks(tmp_path / "cache"))).state == "ok"
