"""One HTTP request with an end: a deadline for the whole of it, a bound on its size, and no secret in any log or error."""

import logging
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from numerai_lab.core.errors import NlabFailure
from numerai_lab.tournament.credentials import Credentials

if TYPE_CHECKING:
    import requests

CONNECT = 10.0
"""Seconds to connect."""
LARGEST_ANSWER = 16_000_000
"""Bytes."""
CHUNK = 1 << 16
THREAD = "nlab-http-call"
LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Answer:
    """A server's answer, read whole. date: the server's clock; wait: seconds that it asks to wait."""

    status: int
    content: bytes = field(repr=False)
    date: datetime
    wait: float = 0.0


class NoAnswer(Exception):
    """No whole answer came: nobody knows whether the request had an effect. Its text holds no address."""


def send(method: str, url: str, content: bytes, seconds: float, keys: Credentials | None = None) -> Answer:
    """Sends one request, follows no redirect, and returns the answer within `seconds` in all.

    keys: sign a request of JSON; None for a file.

    Raises NoAnswer where none comes in time, and NlabFailure for an address that is not encrypted.
    """
    address = urlsplit(url)
    if address.scheme != "https" and address.hostname not in LOCAL:
        raise NlabFailure(f"{address.hostname}: not an https address, so nothing was sent there")
    outcome: list[Answer | BaseException] = []

    def attempt() -> None:
        try:
            outcome.append(_sent(method, url, content, seconds, keys))
        except BaseException as error:
            outcome.append(error)

    # A server that drips bytes resets every timeout between two reads; only a thread can be left behind.
    thread = threading.Thread(target=attempt, daemon=True, name=THREAD)
    _silence_urllib3()
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise NoAnswer(f"no whole answer within {seconds:.0f} s")
    if isinstance(outcome[0], BaseException):
        raise outcome[0] from None
    return outcome[0]


def _sent(method: str, url: str, content: bytes, seconds: float, keys: Credentials | None) -> Answer:
    import requests
    import urllib3

    timeout = (min(CONNECT, seconds), seconds)

    def signed(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        """As requests' `auth`, which keeps a login of ~/.netrc out; no variable of ours holds the token."""
        if keys:
            request.headers.update({"Content-Type": "application/json", "Accept": "application/json"}, Authorization=keys.token)
        return request

    options: dict[str, Any] = {"auth": signed, "allow_redirects": False, "stream": True, "timeout": timeout}
    try:
        with requests.request(method, url, data=content, **options) as response:
            return Answer(response.status_code, _read(response), _date(response), _wait(response))
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        cause = getattr(error.args[0] if error.args else error, "reason", error)
        raise NoAnswer(f"no answer: {type(cause).__name__}") from None


def _read(response: "requests.Response") -> bytes:
    parts, size = [], 0
    for chunk in response.iter_content(CHUNK):
        parts.append(chunk)
        size += len(chunk)
        if size > LARGEST_ANSWER:
            raise NoAnswer(f"its answer is larger than {LARGEST_ANSWER / 1e6:.0f} MB")
    return b"".join(parts)


def _date(response: "requests.Response") -> datetime:
    try:
        date = parsedate_to_datetime(response.headers.get("Date", ""))
    except (ValueError, TypeError):
        return datetime.now(UTC)
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _wait(response: "requests.Response") -> float:
    seconds = response.headers.get("Retry-After", "")
    return min(float(seconds), 60.0) if seconds.isdecimal() else 0.0


def _silence_urllib3() -> None:
    """Keeps what these requests do out of urllib3's log: its debug lines hold addresses, whose signature lets anybody upload."""
    for name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_is_of_others)  # a second time changes nothing


def _is_of_others(record: logging.LogRecord) -> bool:
    return record.threadName != THREAD
