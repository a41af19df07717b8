"""Folders of the cache: where they lie, how they are made, and who uses them."""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.plain_files import odd_entry

LOCK = ".lock"
"""In a temporary folder: held by the process that fills it, so that others can tell whether it lives."""


def cache_dir() -> Path:
    """The cache folder: `$NLAB_CACHE`, else `numerai_lab` in the user's cache folder."""
    named = os.environ.get("NLAB_CACHE")
    return user_path(named) if named else user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "numerai_lab"


def key_of(*facts: object) -> str:
    """A hash of facts (JSON values), 20 hexadecimal digits."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def new_folder(parent: Path, prefix: str) -> Path:
    """A new folder that other members of a group may use as far as the umask lets them; setgid is inherited."""
    while True:
        folder = parent / f"{prefix}{secrets.token_hex(4)}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder


@contextmanager
def built(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its name when the block ends well and vanishes otherwise."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = new_folder(folder.parent, f".{folder.name}-")
    lock = Lock(work / LOCK)
    lock.take(wait=True)  # who looks for what dead processes left may hold it for a moment
    try:
        yield work
        lock.remove()
        if folder.exists():  # another process was faster; its bytes are the same
            shutil.rmtree(work)
        else:
            work.rename(folder)
    except BaseException:
        lock.free()
        shutil.rmtree(work, ignore_errors=True)
        raise


def build_resumably(folder: Path, make: Callable[[Path], None]) -> None:
    """Makes `folder` under a temporary name. What a failed or killed `make` left is handed to the next one.

    Of two processes one makes it and the other waits. Raises NlabFailure where links lie in the place of what was left.
    """
    work = folder.with_name(f".{folder.name}.part")
    if work.is_symlink() or odd_entry(work):
        raise NlabFailure(f"{work}: is or holds a link or a pipe, which nothing here makes; remove it")
    with Lock(work / LOCK) as lock:
        lock.take(wait=True)
        if folder.exists():  # the other process was done first; all that waited for it clear up, in each other's way
            shutil.rmtree(work, ignore_errors=True)
            return
        make(work)
        work.rename(folder)
        (folder / LOCK).unlink()


def lock_of(folder: Path) -> Path:
    """The lock file, beside a folder of the cache, that its users hold."""
    return folder.with_name(f".{folder.name.removeprefix('.')}.lock")


@contextmanager
def in_use(*folders: Path) -> Iterator[None]:
    """Keeps folders of the cache from being pruned meanwhile, whether they are there yet or not."""
    with contextlib.ExitStack() as held:
        locks = [(folder, held.enter_context(Lock(lock_of(folder)))) for folder in folders]
        for _, lock in locks:
            lock.take("read", wait=True)
        try:
            yield
        finally:
            for folder, lock in locks:
                if not folder.exists() and lock.take():
                    lock.remove()


def user_path(path: str | Path) -> Path:
    """A path as a user writes it: `~` and `~name` are home folders. Raises NlabError where there is no such user."""
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise NlabError(f"{path}: this machine knows no home folder {Path(expanded).parts[0]!r}; write the whole path, from / on")
    return Path(expanded)
