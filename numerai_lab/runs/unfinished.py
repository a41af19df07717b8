"""Runs that were killed: their folders, and the configs that they were asked for."""

from contextlib import suppress
from pathlib import Path

from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.runs.layout import CONFIG, MANIFEST, UNFINISHED
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.folders import LOCK
from numerai_lab.storage.plain_files import odd_entry, read_plain
from numerai_lab.storage.stamped_json import read_stamped


def unfinished_runs(runs_dir: Path, config: Config | None = None) -> list[Path]:
    """Folders of killed runs that no process works on, the newest first; only those of `config`, if it is given."""
    folders = []
    for path in sorted(runs_dir.glob(f"{UNFINISHED}*"), reverse=True):
        text = asked_config_of(path)
        # of a folder with a link for a lock, or on a file system that may only be read
        with Lock(path / LOCK, make_folder=False) as lock, suppress(NlabFailure, OSError):
            if text and (config is None or text == config.to_yaml()) and lock.take():
                folders.append(path)
    return folders


def unfinished_run(path: Path) -> Path:
    """The folder of a killed run; `path` may also be the name that the finished run would have had.

    Raises NlabError when there is no such folder, or several.
    """
    named = path.with_name(f"{UNFINISHED}{path.name.removeprefix(UNFINISHED)}")
    matches = [folder for folder in sorted(path.parent.glob(f"{UNFINISHED}*")) if folder.name.startswith(named.name)]
    if len(matches) == 1 and (matches[0] / CONFIG).is_file():
        if odd := odd_entry(matches[0]):
            raise NlabError(f"{matches[0]}: {odd}, which no run writes; a run goes on where all its files lie in its folder")
        return matches[0]
    names = [folder.name for folder in unfinished_runs(path.parent)]
    raise NlabError(
        f"{path}: not the folder of one unfinished run; "
        + (f"unfinished there: {', '.join(names)}" if names else f"no run in {path.parent} is unfinished")
    )


def asked_config_of(unfinished: Path) -> str:
    """The config that an unfinished run was asked for; empty where there is none, or the folder holds what no run writes."""
    with suppress(OSError, ValueError):
        if odd_entry(unfinished):
            return ""
        with suppress(OSError, ValueError, KeyError):  # of a run that was killed when only its name was not yet final
            return str(read_stamped(unfinished / MANIFEST)["asked_config"])
        return read_plain(unfinished / CONFIG).decode()
    return ""
