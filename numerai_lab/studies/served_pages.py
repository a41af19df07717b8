"""What `nlab serve` has at each address: the page of all runs, its data, reports and comparisons. Nothing is written."""

import json
import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

from numerai_lab.core.errors import NlabError
from numerai_lab.report.comparison import compare
from numerai_lab.report.comparison_page import comparison_page
from numerai_lab.report.overview import Overview
from numerai_lab.report.overview_page import ASSETS, asset, overview_data, overview_page, problem_page
from numerai_lab.report.page import INSPECTION, drawn_anew
from numerai_lab.runs.layout import REPORT
from numerai_lab.runs.reading import Run, read_run
from numerai_lab.storage.machine import free_memory
from numerai_lab.storage.plain_files import read_plain

HTML, JSON = "text/html; charset=utf-8", "application/json"
COMPARISON = "compare.html"
OWN_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the page of all runs."""
SANDBOX_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""That of reports and comparisons: an origin of their own, without network, so that a page can read nothing of the server."""


@dataclass(frozen=True)
class ServedPage:
    """A page as it is sent. policy: its Content-Security-Policy."""

    content: bytes
    kind: str = HTML
    status: HTTPStatus = HTTPStatus.OK
    policy: str = OWN_POLICY


@dataclass
class ServedPages:
    """The pages of a folder of runs. Several threads may ask; one at a time draws a report or a comparison."""

    overview: Overview
    problem: str = ""
    _instance: str = field(default_factory=lambda: secrets.token_hex(8))
    _drawing: threading.Lock = field(default_factory=threading.Lock)

    def page(self, address: str) -> ServedPage:
        """The page at the address of a request: a path, and what follows `?`."""
        parts = urlsplit(address)
        name = parts.path.removeprefix("/")
        if not name:
            return self._all_runs()
        if name == "runs.json":
            return self._news(parse_qs(parts.query).get("since", [""])[0])
        if name in ASSETS:
            return ServedPage(asset(name), ASSETS[name])
        if name == f"runs/{COMPARISON}":
            folders = parse_qs(parts.query, errors="surrogateescape", max_num_fields=10_000).get("run", [])
            return self._drawn("Comparison", lambda: self._comparison(folders))
        match name.split("/"):
            case ["runs", quoted, file] if file in (REPORT, INSPECTION):
                folder = os.fsdecode(unquote_to_bytes(quoted))
                return self._drawn("Report", lambda: self._page_of_run(folder, file))
        return problem("Not here", f"{address}: nothing is served there", HTTPStatus.NOT_FOUND)

    def look(self) -> None:
        """Looks which runs are there. Where the folder of runs is gone, the pages say so until it is back."""
        try:
            self.overview.look()
            self.problem = ""
        except NlabError as error:
            self.problem = str(error)

    def _all_runs(self) -> ServedPage:
        self.look()
        return ServedPage(overview_page(self.overview.runs_dir, self._data(-1)).encode())

    def _news(self, since: str) -> ServedPage:
        """What changed since a version that this instance of the server gave out; all where another one did."""
        instance, _, number = since.partition("-")
        known = int(number) if instance == self._instance and number.isdecimal() and number.isascii() else -1
        return ServedPage(json.dumps(self._data(known)).encode(), JSON)

    def _data(self, since: int) -> dict[str, Any]:
        changes = self.overview.changes(since)
        return overview_data(changes, f"{self._instance}-{changes.version}", self.problem)

    def _drawn(self, title: str, draw: Callable[[], bytes]) -> ServedPage:
        try:
            with self._drawing:
                return ServedPage(draw(), policy=SANDBOX_POLICY)
        except NlabError as error:
            status = HTTPStatus.NOT_FOUND if isinstance(error, _NotThere) else HTTPStatus.UNPROCESSABLE_ENTITY
            return problem(title, str(error), status)

    def _comparison(self, folders: list[str]) -> bytes:
        comparison = compare([self._path(folder) for folder in folders])
        return comparison_page(comparison, self.overview.runs_dir / COMPARISON).encode(errors="replace")

    def _page_of_run(self, folder: str, file: str) -> bytes:
        run = read_run(self._path(folder))
        if file == INSPECTION:
            return _inspection(run)
        if run.own and (run.path / REPORT).is_file():
            return run.content(REPORT)
        shown = run if run.own else _marked(run)  # the page of a stranger may hold anything
        return drawn_anew(shown, with_models=run.own).encode(errors="replace")

    def _path(self, folder: str) -> Path:
        """The path of a run folder. Raises NlabError where it is none of the folders of runs, or is a link."""
        path = self.overview.runs_dir / folder
        if not self.overview.has(folder):
            raise _NotThere(f"{folder}: no such run in {self.overview.runs_dir}")
        if path.is_symlink():
            raise NlabError(f"{folder}: a link; runs are shown where their folders lie in the folder of runs")
        return path


class _NotThere(NlabError):
    """No run of this name."""


def problem(title: str, sentence: str, status: HTTPStatus) -> ServedPage:
    """A page that says what is wrong."""
    return ServedPage(problem_page(title, sentence).encode(errors="replace"), status=status)


def _marked(run: Run) -> Run:
    """A run of a stranger whose report says so."""
    remark = f"from elsewhere: drawn here without what its models hold; `nlab open {run.path}` draws all in a process with limits"
    return replace(run, manifest=run.manifest | {"warnings": [remark, *run.manifest["warnings"]]})


def _inspection(run: Run) -> bytes:
    if not run.own:
        raise NlabError(f"{run.path}: from elsewhere; `nlab inspect {run.path}` draws its pictures anew")
    try:
        return read_plain(run.path / INSPECTION, free_memory())
    except (OSError, ValueError) as error:
        raise NlabError(f"{run.path}: no page of its generators ({error}); `nlab inspect {run.path}` draws it") from error
