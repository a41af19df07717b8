"""Warnings of libraries, as lines of the log."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("nlab")


@contextmanager
def warnings_logged(subject: str) -> Iterator[None]:
    """Logs the warnings of a block, each once, as one line that begins with the subject."""
    with warnings.catch_warnings(record=True, action="always") as caught:
        yield
    for message in dict.fromkeys((str(warning.message).strip().splitlines() or [""])[0] for warning in caught):
        log.warning("%s: %s", subject, message)
