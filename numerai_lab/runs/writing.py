"""The run folder under construction: written under a temporary name, complete or absent."""

import json
import logging
import os
import platform
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from numerai_lab import __version__
from numerai_lab.config.plugins import plugin_error, plugins_in
from numerai_lab.config.schema import Config
from numerai_lab.config.stand_ins import RECORD, recorded
from numerai_lab.core.errors import NlabError, NlabFailure, as_failure
from numerai_lab.core.formatting import Printable
from numerai_lab.core.processors import threads_now, usable_cores
from numerai_lab.runs.layout import CONFIG, ERROR_TEXT, FAILED, LOG, MANIFEST, MODELS, PROGRESS, SCHEMA, UNFINISHED
from numerai_lab.runs.reading import FILES, SIGNED
from numerai_lab.storage.checksums import checksums
from numerai_lab.storage.code_version import installed_version
from numerai_lab.storage.file_lock import Lock, NoLocks
from numerai_lab.storage.folders import LOCK, new_folder
from numerai_lab.storage.machine import peak_memory, total_memory, used_gpu
from numerai_lab.storage.signing import signature
from numerai_lab.storage.stamped_json import with_stamp
from numerai_lab.storage.whole_files import opened, remove_parts, whole_file, write_whole

if TYPE_CHECKING:
    import polars as pl

log = logging.getLogger("nlab")
PACKAGES = ("numpy", "pandas", "polars", "pydantic", "scikit-learn", "umap-learn", "xgboost", "lightgbm", "scipy")
STAMP = "%Y%m%d-%H%M%S"
"""The time in the name of a run folder, in UTC: the same on machines of all zones, and it never runs back."""
GROWING = (LOG, LOCK, MANIFEST, PROGRESS)
"""Files of a run that change after their checksums would be taken."""


class RunFolder:
    """A run folder under construction. resolved: the config that stands in it when it is finished; until then the asked one."""

    def __init__(self, work: Path, config: Config) -> None:
        self.work = work
        self.phases: dict[str, dict[str, float]] = {}
        self.manifest: dict[str, Any] = {
            "schema": SCHEMA,
            "name": config.name,
            "nlab": __version__,
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": _command(),
            "asked_config": config.to_yaml(),
            "seeds": config.seeds,
            "python": platform.python_version(),
            "packages": {name: installed_version(name) for name in PACKAGES},
            "machine": {
                "platform": platform.platform(),
                "processor": platform.machine(),
                "cores": usable_cores(),
                "threads": threads_now(),
                "memory_bytes": total_memory(),
            },
            "warnings": [],
            "cache_hits": [],
        }
        if plugins := plugins_in(config):
            self._record(plugins)
        self.reached_data = False
        self.cached_bytes = 0
        self.resolved = config
        write_whole(work / CONFIG, config.to_yaml().encode())

    def _record(self, plugins: list[dict[str, Any]]) -> None:
        """Writes which plug-ins the run uses, and warns where a killed run began with another source of one."""
        path = self.work / RECORD
        before = {(plugin["name"], str(plugin["kinds"])): plugin["sha256"] for plugin in recorded(self.work)}
        for plugin in plugins:
            if before.get((plugin["name"], str(plugin["kinds"])), plugin["sha256"]) != plugin["sha256"]:
                self.warn(f"the plug-in {plugin['name']} has changed since this run began; its stages are made anew")
        self.manifest["plugins"] = plugins
        write_whole(path, json.dumps(plugins, indent=1).encode())

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times a phase and notes the largest resident memory the process has had by its end."""
        log.info("%s …", name)
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        peak = peak_memory()
        self.manifest["machine"]["gpu"] = used_gpu()
        self.phases[name] = {"seconds": round(seconds, 3), "peak_bytes": peak}
        log.info("%s: %.1f s, peak memory %.2f GB", name, seconds, peak / 1e9)

    def warn(self, message: str) -> None:
        """Puts a remark that belongs beside the numbers into the log, the manifest and the report."""
        log.warning("%s", message)
        self.manifest["warnings"].append(message)

    def note_stages(self, costs: dict[str, dict[str, float]], hits: list[dict[str, Any]]) -> None:
        """Writes into the manifest what stages cost and which came from the cache, and into the log what that saved."""
        self.manifest |= {"costs": costs, "cache_hits": hits}
        if hits:
            log.info("%d stages from the cache, %.1f s saved", len(hits), sum(hit["seconds_saved"] for hit in hits))

    def write_text(self, name: str, text: str) -> None:
        write_whole(self._path(name), text.encode())

    def write_bytes(self, name: str, content: bytes) -> None:
        write_whole(self._path(name), content)

    def write_table(self, name: str, table: "pl.DataFrame") -> None:
        """A table as .parquet or .csv, by its name."""
        with whole_file(self._path(name)) as file:
            table.write_parquet(file) if name.endswith(".parquet") else table.write_csv(file)

    def finish(self) -> None:
        """Writes manifest.json, with measured memory and disk and the checksums of all files, and then the resolved config."""
        peak = max((stage["peak_bytes"] for stage in self.phases.values()), default=0)
        written = [path for path in self.work.rglob("*") if path.is_file() and path.name not in GROWING]
        on_disk = self.cached_bytes + sum(path.stat().st_size for path in written)
        signed = signature([path for path in written if path.parent.name == MODELS], self.work)
        self.manifest["measured"] = {"memory_bytes": peak, "disk_bytes": on_disk}
        config = self.resolved.to_yaml()
        marks = {FILES: checksums(written, self.work) | {CONFIG: crc32(config.encode())}, SIGNED: signed}
        self.write_text(MANIFEST, with_stamp({**self.manifest, "stages": self.phases, **marks}))
        self.write_text(CONFIG, config)  # the last step: a killed run is known by the config that was asked for

    def _path(self, name: str) -> Path:
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@contextmanager
def new_run(runs_dir: Path, config: Config, unfinished: Path | None = None) -> Iterator[RunFolder]:
    """A run folder that takes its final name when the block ends without an error.

    unfinished: the folder of a killed run to go on in. It is never removed. After an error the folder is kept as `…-failed`
    with its log and failed.txt; a new one is removed where the input was bad and no data had been read yet. An interrupted
    run stays unfinished, as does one that was to be gone on with and came to no data. Raises NlabError where no folder can
    be made, and where another process works on `unfinished`.
    """
    lock = Lock(unfinished / LOCK) if unfinished else _begun(runs_dir, config.name)
    work = lock.path.parent
    if unfinished:
        if not lock.take():
            raise NlabError(f"{work}: this run is not dead, another process works on it")
        remove_parts(work)
        (work / ERROR_TEXT).unlink(missing_ok=True)  # of a failure whose folder could not be renamed
    final = work.with_name(work.name.removeprefix(UNFINISHED).rpartition("-")[0])
    handler = _LogFile(work / LOG, encoding="utf-8")
    handler.setFormatter(Printable("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    folder = None
    try:
        folder = RunFolder(work, config)
        log.info("threads: %d, of %d cores", threads_now(), usable_cores())
        if unfinished:
            log.info("going on with %s", work.name)
            folder.manifest["resumed"] = True
        yield folder
        folder.finish()
        handler.close()
        lock.remove()
        folder.work = renamed(work, final)
    except BaseException as error:
        failure, reached = as_failure(error), folder is not None and folder.reached_data
        if _stays_unfinished(failure, begun=folder is not None, resumed=unfinished is not None, reached=reached):
            lock.free()
            interrupted = "interrupted: " * isinstance(failure, KeyboardInterrupt)
            log.error("%s`nlab resume %s` goes on with this run", interrupted, work)
        else:
            lock.remove()
            _fail(work, final.with_name(f"{final.name}-{FAILED}"), failure, keep=reached)
        if failure is error:
            raise
        raise failure from error
    finally:
        handler.close()
        log.removeHandler(handler)


class _LogFile(logging.FileHandler):
    """The log of a run, which is not written through a link."""

    def _open(self) -> TextIOWrapper:
        file = opened(Path(self.baseFilename), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        return TextIOWrapper(os.fdopen(file, "ab"), encoding=self.encoding)


def _command() -> list[str]:
    """The words after `nlab`; nothing where another program runs, whose words may be passwords."""
    program = Path(sys.argv[0])
    return sys.argv[1:] if program.stem == "nlab" or program.parent == Path(__file__).parents[1] else []


def _begun(runs_dir: Path, name: str) -> Lock:
    """The lock of a new folder, taken. Folders of runs that were killed before they wrote anything go."""
    stamp = datetime.now(UTC).strftime(STAMP)
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        _remove_empty(runs_dir)
        while True:
            lock = Lock(new_folder(runs_dir, f"{UNFINISHED}{stamp}_{name}-") / LOCK)
            try:
                if lock.take():  # else another process, beginning too, took our empty folder for a dead run's
                    break
            except NoLocks:
                shutil.rmtree(lock.path.parent, ignore_errors=True)
                raise
    except OSError as error:
        raise NlabError(f"{runs_dir}: can't hold run folders ({error.strerror}); choose another with --runs-dir") from error
    return lock


def _remove_empty(runs_dir: Path) -> None:
    for path in runs_dir.glob(f"{UNFINISHED}*"):
        with Lock(path / LOCK, make_folder=False) as lock, suppress(NlabFailure, OSError):  # of others, perhaps
            if not path.is_symlink() and not (path / CONFIG).is_file() and lock.take():
                shutil.rmtree(path, ignore_errors=True)


def _stays_unfinished(error: BaseException, *, begun: bool, resumed: bool, reached: bool) -> bool:
    """Whether the folder of a run that ended with this error can be gone on with. begun: it has its config; reached: data."""
    if isinstance(error, KeyboardInterrupt):
        return begun or resumed
    return resumed and not reached and isinstance(error, NlabError)


def _fail(work: Path, final: Path, error: BaseException, keep: bool) -> None:
    if not keep and isinstance(error, NlabError | KeyboardInterrupt):
        shutil.rmtree(work, ignore_errors=True)
        return
    message = str(error) if isinstance(error, NlabError) else "".join(traceback.format_exception(error))
    log.error("failed: %s", plugin_error(error) or message)
    try:
        write_whole(work / ERROR_TEXT, f"{message}\n".encode())
        log.error("log and error are kept in %s", renamed(work, final))
    except OSError:  # the disk may be what failed; the first error is the one to show
        log.error("what was written is left in %s", work)


def renamed(work: Path, final: Path) -> Path:
    """Gives the folder its final name, with -2, -3 … where another run of the same second has it. Raises NlabError after 999."""
    for number in range(1, 1000):
        path = final if number == 1 else final.with_name(f"{final.name}-{number}")
        if not path.exists():
            try:
                return work.rename(path)
            except OSError:
                if not path.exists():
                    raise
    raise NlabError(f"{final}: a thousand runs already have this name")
