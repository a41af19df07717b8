"""The environment of a container: which versions there are, and what is said where the machine lacks one."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.storage.folders import cache_dir
from numerai_lab.tournament import environments
from numerai_lab.tournament.environments import ENVIRONMENTS, environment, interpreter, own_python


def test_a_version_that_no_container_has_is_refused() -> None:
    with pytest.raises(NlabError, match=r"no container with Python 3\.9; take one of 3\.11, 3\.12, 3\.13"):
        environment("3.9")


def test_a_python_that_is_not_there_or_does_not_run_is_told_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\necho 'no such version' >&2; exit 127\n")
    shim.chmod(0o755)
    monkeypatch.setattr(environments, "_candidates", lambda python: iter([shim, tmp_path / "absent", Path(sys.executable)]))
    other = "3.13" if sys.version_info[:2] != (3, 13) else "3.12"
    with pytest.raises(NlabError, match=r"`uv python install 3\.1.`"):
        interpreter(other)
    assert interpreter(own_python()) == Path(sys.executable)


def test_packages_that_cannot_be_installed_are_told_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(command: list[str], **settings: Any) -> subprocess.CompletedProcess[str]:
        lines = "ERROR: Could not find a version\nERROR: No matching distribution found for numpy==2.1.3\n"
        return subprocess.CompletedProcess(command, 1 if "pip" in command else 0, "", lines)

    monkeypatch.setattr(environments, "interpreter", lambda python: Path(sys.executable))
    monkeypatch.setattr(environments.subprocess, "run", failing)
    with pytest.raises(NlabFailure, match=r"can't be installed: No matching distribution found for numpy==2\.1\.3"):
        environment("3.12")
    assert [path for path in (cache_dir() / ENVIRONMENTS).glob("*python3.12*") if path.is_dir()] == []
