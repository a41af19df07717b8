"""The site builds without a warning, holds every page, and asks no other machine for anything it shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from numerai_lab.docs.pages import FOLDER, ORDER


def test_the_site_builds_strictly_and_holds_every_page(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    config = str(FOLDER / "site" / "mkdocs.yml")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", config, "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in (tmp_path / "site").glob("*.html")}
    assert {*ORDER, "index", "results", "shipped-configs"} <= pages
    page = (tmp_path / "site" / "quickstart.html").read_text()
    assert "no-run" not in page
    assert re.findall(r'(?:src|href)="https?://(?!squidfunk|numer\.ai)[^"]*"', page) == []
