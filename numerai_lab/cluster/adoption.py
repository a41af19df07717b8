"""Takes run folders that workers sent, once they are what was asked for."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numerai_lab.cluster.packing import unpack
from numerai_lab.config.schema import Config
from numerai_lab.config.yaml_file import parse_yaml
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.fitting.fingerprint import fingerprint
from numerai_lab.runs.fingerprints import mismatch
from numerai_lab.runs.layout import CONFIG, LOG, MANIFEST
from numerai_lab.runs.output_files import trusted
from numerai_lab.runs.reading import FILES, Run, asked_config, damaged_run, read_run
from numerai_lab.runs.writing import renamed
from numerai_lab.storage.checksums import changed
from numerai_lab.storage.folders import new_folder

AUTO = "auto"


def adopted_run(content: bytes, name: str, config: Config, folder: Path) -> Path:
    """Writes a run folder that came as a tar into `folder`, under its name, or the next free one, as one of this installation.

    Raises NlabFailure, and leaves nothing, for a tar of anything but plain files, files that are not those of its manifest,
    and a run of another config or by other code.
    """
    if not name or Path(name).name != name or name.startswith("."):
        raise NlabFailure(f"what came back has no name of a run folder ({name!r})")
    folder.mkdir(parents=True, exist_ok=True)
    work = new_folder(folder, ".incoming-")
    try:
        unpack(content, work)
        trusted(_checked(work, config))
        return renamed(work, folder / name)
    except NlabError as error:
        raise NlabFailure(str(error).replace(str(work), name)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _checked(work: Path, config: Config) -> Run:
    done = read_run(work)
    sums = done.manifest.get(FILES)
    if not isinstance(sums, Mapping):
        raise damaged_run(work, "its manifest has no checksums")
    there = {path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file()} - {LOG, MANIFEST}
    if there != set(sums):
        raise damaged_run(work, f"{min(there ^ set(sums))} is {'too much' if there - set(sums) else 'missing'}")
    if damage := changed(work, sums):
        raise damaged_run(work, damage)
    _check_config(done, config)
    return done


def _check_config(done: Run, config: Config) -> None:
    resolved = parse_yaml((done.path / CONFIG).read_text(encoding="utf-8"), CONFIG)
    if asked_config(done) != config.to_yaml() or not _settles(config.resolved(), resolved):
        raise NlabFailure("what came back is the run of another config")
    if why := mismatch(done.manifest, fingerprint(config)):
        raise NlabFailure(f"what came back was made by {why}")


def _settles(asked: Any, resolved: Any) -> bool:
    """Whether values differ only where `auto` was asked for."""
    if asked in (AUTO, resolved):
        return True
    if not isinstance(asked, Mapping) or not isinstance(resolved, Mapping):
        return False
    left_out = asked.keys() - resolved.keys()  # parameters of the modes that were not chosen
    return (
        resolved.keys() <= asked.keys()
        and (not left_out or AUTO in asked.values())
        and all(_settles(asked[key], value) for key, value in resolved.items())
    )
