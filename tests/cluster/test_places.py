"""Where a cluster is: every form of `--cluster`, and what is refused before anything starts."""

import json
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from numerai_lab.cluster.opening import opened
from numerai_lab.cluster.places import place_of
from numerai_lab.cluster.start import SchedulerOptions, scheduler_command
from numerai_lab.core.errors import NlabError


def test_local_workers_addresses_and_slurm_settings_are_read(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": "tls://10.0.0.1:8786", "id": "Scheduler-1"}))
    slurm = tmp_path / "slurm.yaml"
    slurm.write_text("jobs: 3\ncores: 8\nmemory: 32GB\nqueue: short\n")
    assert place_of("local:4").n_workers == 4
    assert (place_of("tls://[::1]:1", 2).address, place_of("tls://lab:8786", 2).n_workers) == ("tls://[::1]:1", 2)
    assert place_of(str(file)).address == "tls://10.0.0.1:8786"
    assert place_of("tcp://127.0.0.1:8786").address == "tcp://127.0.0.1:8786"
    place = place_of(str(slurm))
    assert (place.kind, place.n_workers, place.settings) == ("slurm", 3, {"cores": 8, "memory": "32GB", "queue": "short"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("local:0", "local:N with N workers"),
        ("local:two", "local:N with N workers"),
        ("tcp://10.0.0.1:8786", "not encrypted, and not on this machine"),
        ("tcp://127.0.0.1.example.org:8786", "not encrypted"),
        ("tcp://0.0.0.0:8786", "not encrypted"),
        ("tls://lab", "no address of a scheduler"),
        ("ucx://lab:1", "no address of a scheduler"),
        ("nowhere.json", "no such file"),
    ],
)
def test_what_is_no_place_is_refused(text: str, message: str) -> None:
    with pytest.raises(NlabError, match=message):
        place_of(text)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "[]", "no scheduler file"),
        ("a.json", '{"address": "tcp://10.0.0.1:1"}', "not encrypted"),
        ("a.yaml", "cores: 1\nmemory: 1GB\n", "jobs: None is no number"),
        ("a.yaml", "jobs: 2\nmemory: 1GB\n", "cores of a job missing"),
        ("a.yaml", "- jobs\n", "wanted `jobs: N`"),
    ],
)
def test_files_that_name_no_place_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(NlabError, match=message):
        place_of(str(tmp_path / name))


def test_without_the_extra_the_command_that_brings_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(NlabError, match=r"pip install 'numerai_lab\[cluster\]'"), ExitStack() as stack:
        opened(place_of("local:1"), stack)
    with pytest.raises(NlabError, match=r"pip install 'numerai_lab\[cluster\]'"):
        scheduler_command(SchedulerOptions("127.0.0.1", 0))
