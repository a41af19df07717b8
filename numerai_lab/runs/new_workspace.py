"""A folder to begin in: configs, their schema for editors, and a place for runs."""

import json
from pathlib import Path

from numerai_lab.config.shipped import shipped_configs
from numerai_lab.config.starter import SCHEMA_LINE, schema
from numerai_lab.core.errors import NlabError
from numerai_lab.runs.output_files import write_page
from numerai_lab.storage.folders import built

SCHEMA = "schema.json"


def write_workspace(folder: Path) -> int:
    """Writes the folder, complete or not at all; returns the number of configs.

    Raises NlabError where something is in the folder or it can't be made.
    """
    configs = shipped_configs()
    try:
        if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
            raise NlabError(f"init: {folder} is there and not empty; name a new folder")
        if folder.is_dir():
            folder.rmdir()
        with built(folder) as work:
            (work / "runs").mkdir()
            for name, text in configs.items():
                path = work / "configs" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            (work / "configs" / SCHEMA).write_text(schema_text(), encoding="utf-8")
    except OSError as error:
        raise NlabError(f"init: {folder} can't be made ({error.strerror or error})") from error
    return len(configs)


def write_starter(path: Path, text: str) -> None:
    """Writes a starter config, and the schema beside it where there is none.

    Raises NlabError where the file exists or can't be written.
    """
    if path.exists() or path.is_symlink():
        raise NlabError(f"new: {path} exists already; name a new file")
    write_page(path, f"{SCHEMA_LINE}\n{text}")
    if not (path.parent / SCHEMA).exists():
        write_page(path.parent / SCHEMA, schema_text())


def schema_text() -> str:
    """The JSON schema of configs as `nlab schema` prints it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
