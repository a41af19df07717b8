"""Stores a file at Numerai and registers it once: after a doubtful answer it asks what is there before it sends it again."""

import logging
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from numerai_lab.core.errors import NlabFailure
from numerai_lab.tournament.client import ATTEMPTS, LATER, Client, DoubtfulAnswer

log = logging.getLogger("nlab")
LOOKS, LOOK_PAUSE = 4, 4.0
"""How often, and every how many seconds, the API is asked whether it has what it gave a doubtful answer to."""
AGAIN = "run the same command again: it asks what is there before it uploads"


def unique_stem(name: str, content: str) -> str:
    """A file name that nobody else uses; content: a word that tells what the file holds, and is in it."""
    word = re.sub(r"[^A-Za-z0-9]+", "_", name)[:40].strip("_")
    return f"{word or 'file'}-{content}-{secrets.token_hex(4)}"


def store(client: Client, call: str, text: str, variables: Mapping[str, Any], content: bytes) -> str:
    """Asks `call` for an address, stores a file there, and returns the name that Numerai gives it.

    Raises NlabFailure unless it is known to be stored; nothing is registered then.
    """
    place = client.query(call, text, variables)
    if not isinstance(place, Mapping) or not isinstance(place.get("url"), str) or not place.get("filename"):
        raise NlabFailure(f"Numerai's API gave no address to upload to; {LATER}")
    client.upload(place["url"], content)
    return str(place["filename"])


def register(
    client: Client, call: str, text: str, variables: Mapping[str, Any], look: Callable[[], str | None], again: str = AGAIN
) -> str:
    """The id that a mutation gives to a stored file. look: asks the API for the id of what is there, None for nothing.

    again: the advice where it stays unknown. Raises NlabFailure unless it is known to be registered.
    """
    for number in range(1, ATTEMPTS + 1):
        try:
            created = client.mutate(call, text, variables)
            if isinstance(created, Mapping) and created.get("id"):
                return client.keys.clean(created["id"])
            doubt = DoubtfulAnswer(f"Numerai's API ({call}): it answered without an id; {LATER}")
        except DoubtfulAnswer as error:
            doubt = error
        log.info("%s", str(doubt).replace(LATER, "asking what is there"))
        try:
            there = _looked_for(client, look)
        except DoubtfulAnswer as error:
            raise NlabFailure(f"whether the file is registered is not known ({error}); {again}") from None
        if there:
            return there
        if number < ATTEMPTS:
            client.pause(doubt.wait)
    raise NlabFailure(f"{str(doubt).removesuffix(f'; {LATER}')}; the API lists nothing of it; {again}")


def _looked_for(client: Client, look: Callable[[], str | None]) -> str | None:
    """What the API has, asked several times, since it may list late what it has just taken."""
    for number in range(LOOKS):
        client.pause(LOOK_PAUSE if number else 1.0)
        there = look()
        if there:
            return there
    return None
