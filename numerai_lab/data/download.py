"""Downloads a file from an unreliable server: afterwards it is complete and checked, or absent."""

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from numerai_lab.core.errors import NlabError
from numerai_lab.core.formatting import human_bytes
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.data.parquet_pages import decode_all
from numerai_lab.storage.machine import free_disk
from numerai_lab.storage.plain_files import read_plain
from numerai_lab.storage.whole_files import opened, write_whole

if TYPE_CHECKING:
    import requests

log = logging.getLogger("nlab")
ATTEMPTS, SPOILT_RETRIES = 6, 2
TIMEOUT = (10.0, 60.0)  # seconds: to connect, between two reads
CHUNK = 1 << 16
LEAST_RATE, RATE_SECONDS = 1000, 60.0
"""Bytes a second that a server must send over so many seconds; a slower attempt ends and counts as one without progress."""
SLOW_SECONDS = 1200.0
"""Over so many seconds of tries and pauses a server must reach LEAST_RATE too, however often it closes the connection."""
LENGTH = re.compile(r"[0-9]{1,18}")
LONGEST_WAIT = 120.0
RESUME, SLOW, RESTART, SPOILT, REFUSED = "resume", "slow", "afresh", "spoilt", "refused"  # consequences of a failure


@dataclass(frozen=True)
class Remote:
    """A version of a file as its server describes it; size in bytes."""

    etag: str | None
    size: int
    modified: str | None


class _Failure(Exception):
    """A failed attempt; args: the reason, its consequence, and the seconds that the server asks to wait."""


def download(url: str, path: Path, progress: Progress = no_progress, pause: Callable[[float], None] = time.sleep) -> Remote:
    """Downloads a file to `path` unless this version is there; resumes where the server names versions.

    Raises NlabError where the server refuses or keeps failing, and where the file can't be written.
    """
    from filelock import FileLock

    part = Path(f"{path}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            try:
                return _persist(lambda: _attempt(url, path, progress), url, path, pause)
            finally:
                if not _prefix(part)[0]:
                    _discard(part)
    except OSError as error:
        raise NlabError(f"{path}: can't be written ({error.strerror or error}); free space or choose another folder") from error


def remote_state(url: str, pause: Callable[[float], None] = time.sleep) -> Remote:
    """The version on the server. Raises NlabError where the server refuses or keeps failing."""

    return _persist(lambda: _asked(url), url, None, pause)


def glimpse(url: str) -> Remote | None:
    """The version on the server, from a single request; None without an answer."""
    try:
        return _asked(url)
    except _Failure:
        return None


def changed(path: Path, remote: Remote) -> bool:
    """Whether the file at `path` may differ from `remote`; true where nothing tells."""
    recorded = _read(Path(f"{path}.meta.json"))
    if recorded is None or not path.is_file() or not path.stat().st_size == recorded.size == remote.size:
        return True
    same = (remote.etag or "").startswith('"') and remote.etag == recorded.etag
    return not same and (recorded != remote or remote.etag is remote.modified is None)


def _asked(url: str) -> Remote:
    with _answer("HEAD", url) as response:
        if response.status_code not in (403, 405):
            return _described(response)
    with _answer("GET", url) as response:  # URLs signed for GET refuse HEAD; the body is left unread
        return _described(response)


def _persist(attempt: Callable[[], Remote], url: str, path: Path | None, pause: Callable[[float], None]) -> Remote:
    """Repeats an attempt until it succeeds and returns its result.

    Raises NlabError when the server refuses, after ATTEMPTS failures in a row without progress, after SPOILT_RETRIES
    more tries of a file that arrives spoilt, and where SLOW_SECONDS bring less than LEAST_RATE.
    """
    part = Path(f"{path}.part") if path else None
    label = f"{urlsplit(url).hostname}: {urlsplit(url).path.rsplit('/', 1)[-1]}"  # queries and user names may be credentials
    known, done = _prefix(part)
    furthest = {known: done} if known else {}
    n_idle = n_spoilt = received = 0
    began = monotonic()
    while True:
        try:
            return attempt()
        except _Failure as failure:
            reason, then, *waits = failure.args
        n_idle, n_spoilt = n_idle + 1, n_spoilt + (then == SPOILT)
        if part and then in (RESTART, SPOILT):
            _discard(part)
        known, done = _prefix(part)
        if known:
            # A second version is no progress over the first, or a file that keeps changing would never end.
            new = max(0, done - furthest.get(known, done if furthest else 0))
            n_idle, received = 0 if then != SLOW and new else n_idle, received + new
            furthest[known] = max(done, furthest.get(known, 0))
        if (seconds := monotonic() - began) >= SLOW_SECONDS:
            if received < LEAST_RATE * seconds:
                reason, then = f"it sent {received:,} bytes in {seconds / 60:.0f} minutes; {reason}", REFUSED
            began, received = monotonic(), 0
        if then == REFUSED or n_idle >= ATTEMPTS or n_spoilt > SPOILT_RETRIES:
            by_hand = f"put the file at {path} by hand" if path else "try again later"
            raise NlabError(f"{label} can't be fetched ({reason}); {by_hand} or use --set data.source=synthetic")
        log.info("%s: %s; trying again", label, reason)
        pause(max(2.0**n_idle / 2, *waits, 0.0))


def _attempt(url: str, path: Path, progress: Progress) -> Remote:
    part, meta = Path(f"{path}.part"), Path(f"{path}.meta.json")
    known, done = _prefix(part)
    offset = min(done, known.size - 1) if known else 0  # at a complete part, ask for its last byte, to confirm the version
    headers = {"Range": f"bytes={offset}-", "If-Range": known.etag or known.modified or ""} if known else {}
    with _answer("GET", url, headers) as response:
        remote = _described(response, offset)
        if not changed(path, remote):
            _discard(part)
            return remote
        if response.status_code == 200:
            offset = 0
            _refuse_larger_than_disk(path, remote.size)
            _begin(part, remote, response.headers.get("Date", ""))
        elif not known or known.size != remote.size or headers["If-Range"] not in (remote.etag, remote.modified):
            raise _Failure("the file changed meanwhile", RESTART)
        _receive(response, part, offset, remote.size, progress)
    _check(part, path.name)
    meta.unlink(missing_ok=True)  # the new record must never stand beside the old file
    os.replace(part, path)
    write_whole(meta, json.dumps(asdict(remote)).encode())
    _discard(part)
    return remote


@contextmanager
def _answer(method: str, url: str, headers: dict[str, str] | None = None) -> Iterator["requests.Response"]:
    """A response whose body is not read yet. Failures name only the kind of an error, since its text holds the URL."""
    import requests
    import urllib3

    sent = {"Accept-Encoding": "identity", **(headers or {})}
    try:
        with requests.request(method, url, headers=sent, timeout=TIMEOUT, stream=True) as response:
            if url.startswith("https:") and not response.url.startswith("https:"):
                raise _Failure("it leads from https to an address that is not encrypted", REFUSED)
            yield response
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        cause = getattr(error.args[0] if error.args else error, "reason", error)
        raise _Failure(f"connection failed: {type(cause).__name__}", RESUME) from None
    except (requests.RequestException, ValueError) as error:  # a ValueError of hosts that are no names
        raise _Failure(type(error).__name__, REFUSED) from None


def _described(response: "requests.Response", offset: int = 0) -> Remote:
    """The version of the file that a response describes. Raises _Failure for a response without it."""
    status, size = response.status_code, response.headers.get("Content-Length", "")
    if status not in (200, 206):
        then = RESTART if status == 416 else RESUME if status == 429 or status >= 500 else REFUSED
        wait = response.headers.get("Retry-After", "")
        raise _Failure(f"it answered {status}", then, min(float(wait), LONGEST_WAIT) if wait.isdecimal() else 0.0)
    if status == 206:
        content_range = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})", response.headers.get("Content-Range", ""))
        if not content_range or int(content_range[1]) != offset:
            raise _Failure("it sent another part than was asked for", RESTART)
        size = content_range[2]
    if not LENGTH.fullmatch(size):
        raise _Failure("it doesn't say how large the file is", RESUME)
    return Remote(response.headers.get("ETag"), int(size), response.headers.get("Last-Modified"))


def _refuse_larger_than_disk(path: Path, size: int) -> None:
    """Raises NlabError where a file of this size has no room beside `path`; what an earlier try left will be discarded."""
    part = Path(f"{path}.part")
    free = free_disk(path.parent) + (part.stat().st_size if part.is_file() else 0)
    if size > free:
        raise NlabError(
            f"{path}: its server announces {human_bytes(size)}, and {human_bytes(free)} are free there; "
            "make room (`nlab cache prune`), or name another place (NLAB_CACHE)"
        )


def _begin(part: Path, remote: Remote, date: str) -> None:
    """Begins an empty part, and a record of the strong validator that it can be resumed by, if there is one."""
    _discard(part)  # a validator must never stand beside bytes of another version
    try:  # after a minute a Last-Modified names a single version (RFC 7232, 2.2.2)
        settled = (parsedate_to_datetime(date) - parsedate_to_datetime(remote.modified or "")).total_seconds() >= 60
    except (ValueError, TypeError, OverflowError, IndexError):
        settled = False
    if (remote.etag or "").startswith('"') or (remote.etag is None and settled):
        write_whole(Path(f"{part}.json"), json.dumps(asdict(remote)).encode())


def _receive(response: "requests.Response", part: Path, offset: int, size: int, progress: Progress) -> None:
    done = offset
    with os.fdopen(opened(part, os.O_RDWR | os.O_CREAT | (0 if offset else os.O_TRUNC)), "r+b") as file:
        file.seek(offset)
        # Undecoded reads return the bytes before a broken connection; iter_content drops them. read1 waits for no full chunk.
        began, received = monotonic(), 0
        while done <= size and (chunk := response.raw.read1(CHUNK, decode_content=False)):
            file.write(chunk)
            done, received = done + len(chunk), received + len(chunk)
            progress(min(done, size), size)
            if (seconds := monotonic() - began) >= RATE_SECONDS:
                if received < LEAST_RATE * seconds:
                    raise _Failure(f"it sent {received} bytes in {seconds:.0f} seconds", SLOW)
                began, received = monotonic(), 0
        file.flush()
        os.fsync(file.fileno())
    if done != size:
        raise _Failure(f"the transfer ended at {done} of {size} bytes", RESUME if done < size else RESTART)


def _check(part: Path, name: str) -> None:
    """Refuses a complete file whose content does not fit its name."""
    import pyarrow as pa

    try:
        if name.endswith(".parquet"):
            decode_all(part)
        elif name.endswith(".json"):
            json.loads(part.read_bytes())
    except (pa.ArrowException, OSError, ValueError, RecursionError):
        raise _Failure(f"what it sent is no whole {name.rsplit('.', 1)[-1]} file", SPOILT) from None


def _prefix(part: Path | None) -> tuple[Remote | None, int]:
    """The version and the number of good bytes of a part that can be resumed; None, 0 where there is none."""
    known = _read(Path(f"{part}.json")) if part and part.is_file() else None
    done = part.stat().st_size if part and known else 0
    return (known, done) if known and 0 < done <= known.size else (None, 0)


def _discard(part: Path) -> None:
    Path(f"{part}.json").unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _read(path: Path) -> Remote | None:
    try:
        return Remote(**json.loads(read_plain(path).decode()))
    except (OSError, ValueError, TypeError, RecursionError):  # absent, or torn by a crash
        return None
