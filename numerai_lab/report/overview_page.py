"""The page of all runs that `nlab serve` shows: its HTML, its rows as data, and the files that it loads."""

import os
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from numerai_lab.core.formatting import human_seconds, printable
from numerai_lab.report.markup import fragment
from numerai_lab.report.overview import STATUSES, Changes, RunState
from numerai_lab.report.overview_text import progress_text
from numerai_lab.runs.layout import REPORT

ASSETS = {
    "page.css": "text/css; charset=utf-8",
    "overview.css": "text/css; charset=utf-8",
    "overview.js": "text/javascript; charset=utf-8",
}
"""Files that the page loads, and their types."""


def overview_page(runs_dir: Path, data: Mapping[str, Any]) -> str:
    """The HTML of the page. data: `overview_data` of all runs."""
    return fragment("overview.html", place=printable(str(runs_dir.resolve())), data=data, statuses=STATUSES)


def problem_page(title: str, problem: str) -> str:
    """The HTML of a page with a sentence in place of what was asked for."""
    return fragment("problem.html", title=title, problem=printable(problem, lines=True))


def overview_data(changes: Changes, version: str, problem: str) -> dict[str, Any]:
    """What the page needs to show changes. version: to ask with for further ones; problem: why folders can't be read now."""
    return {"version": version, "folders": changes.folders, "runs": [_run(state) for state in changes.states], "problem": problem}


def asset(name: str) -> bytes:
    """A file of `ASSETS`."""
    return files("numerai_lab.report").joinpath(name).read_bytes()


def _run(state: RunState) -> dict[str, Any]:
    """A run with the texts that the page shows."""
    live, quoted = state.progress, quote(os.fsencode(state.folder), safe="")
    return {
        "folder": state.folder,
        "run": state.run,
        "status": state.status,
        "sentence": state.sentence,
        "about": _about(state),
        "link": f"/runs/{quoted}/{REPORT}" if state.has_report else "",
        "quoted": quoted,
        "started": state.started,
        "method": state.method,
        "change": state.change,
        "delta": state.delta,
        "verdict": state.verdict,
        "seconds": state.seconds,
        "time": "" if state.seconds is None else human_seconds(state.seconds),
        "stage": live.stage if live else "",
        "share": live.share_of_run if live else None,
        "share_of_stage": live.share if live else None,
        "how_far": progress_text(live) if live else "",
    }


def _about(state: RunState) -> str:
    local = datetime.fromisoformat(state.started).astimezone() if state.started else None
    marks = [f"{local:%Y-%m-%d %H:%M}" if local else "", state.data, "from elsewhere" * state.elsewhere]
    return " · ".join(filter(None, marks))
