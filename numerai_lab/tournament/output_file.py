"""The file of predictions that a user asks for: whole or absent, and never in the place of something else."""

from pathlib import Path
from typing import TYPE_CHECKING

from numerai_lab.core.errors import NlabError
from numerai_lab.runs.output_files import check_writable, write_page

if TYPE_CHECKING:
    import polars as pl

HEADERS = ("id,prediction", "id,era,prediction")
"""First lines of the files that are written here."""


def check_out(out: Path, *inputs: Path) -> None:
    """Raises NlabError, before any work, where `out` is no CSV, is an input, or is a file that was not written here."""
    if out.suffix != ".csv":
        raise NlabError(f"--out: {out} is no .csv; Numerai takes a CSV of id,prediction")
    refuse_input(out, *inputs)
    check_writable(out)
    if out.exists() and _first_line(out) not in HEADERS:
        raise NlabError(f"--out: {out} is there already, and is no file of predictions; name another file")


def refuse_input(out: Path, *inputs: Path) -> None:
    """Raises NlabError where `out` is an input, or inside one that is a folder."""
    for path in inputs:
        if out.resolve() == path.resolve() or (path.is_dir() and out.resolve().is_relative_to(path.resolve())):
            raise NlabError(f"--out: {out} is {'inside ' if path.is_dir() else ''}the input {path}; name another place")


def _first_line(path: Path) -> str:
    """The first line of a file; empty for a pipe or a device, which may never give one."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.readline(80).decode("utf-8", "replace").rstrip("\r\n")


def write_predictions(out: Path, table: "pl.DataFrame") -> None:
    """Writes id and prediction as CSV. Raises NlabError where it can't be written."""
    write_page(out, table.write_csv())
