"""Folders of the cache: where they lie, how they are made, and who uses them."""

import os
from pathlib import Path

from numerai_lab.core.errors import NlabError


def user_path(path: str | Path) -> Path:
    """A path as a user writes it: `~` and `~name` are home folders. Raises NlabError where there is no such user."""
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise NlabError(f"{path}: this machine knows no home folder {Path(expanded).parts[0]!r}; write the whole path, from / on")
    return Path(expanded)
