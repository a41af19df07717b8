"""The keys of a Numerai account: from the environment alone, and in no text that leaves the program."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from numerai_lab.core.errors import NlabError

PUBLIC_ID, SECRET_KEY = "NUMERAI_PUBLIC_ID", "NUMERAI_SECRET_KEY"
MODEL_ID, TRIGGER_ID = "MODEL_ID", "TRIGGER_ID"
WHERE = "make them under Numerai's account settings, API keys"
HIDDEN = "***"
MAX_TEXT = 300
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


@dataclass(frozen=True)
class Credentials:
    """The two keys. Their values are in no repr."""

    public_id: str = field(repr=False)
    secret_key: str = field(repr=False)

    @property
    def token(self) -> str:
        """The value of the header that proves who asks."""
        return f"Token {self.public_id}${self.secret_key}"

    def clean(self, text: object, limit: int = MAX_TEXT) -> str:
        """A text of a server as one printable line, without the keys, of at most `limit` characters."""
        line = str(text)
        for key in (self.secret_key, self.public_id):
            line = line.replace(key, HIDDEN)
        line = _CONTROLS.sub(" ", line).encode("utf-8", "replace").decode().strip()
        return line if len(line) <= limit else f"{line[:limit]} …"

    def refuse_as(self, what: str, value: str) -> None:
        """Raises NlabError where a value that is printed or sent elsewhere is one of the keys."""
        if value in (self.public_id, self.secret_key):
            key = PUBLIC_ID if value == self.public_id else SECRET_KEY
            raise NlabError(f"{what} holds the key that belongs into {key}; make a new key if it was seen by others")


def credentials(environment: Mapping[str, str] | None = None) -> Credentials:
    """The keys of the environment. Raises NlabError where one is absent, malformed, or in the other's place."""
    values = os.environ if environment is None else environment
    missing = [name for name in (PUBLIC_ID, SECRET_KEY) if not values.get(name)]
    if missing:
        raise NlabError(f"{' and '.join(missing)} {_are(missing)} not set in the environment{_like(values)}; {WHERE}")
    for name in (PUBLIC_ID, SECRET_KEY):
        if not re.fullmatch(r"[A-Za-z0-9_\-+/=.]+", values[name]):
            raise NlabError(f"{name} holds blanks, quotes or other characters that no key has; set it to the key alone")
    public_id, secret_key = values[PUBLIC_ID], values[SECRET_KEY]
    if public_id == secret_key:
        raise NlabError(f"{PUBLIC_ID} and {SECRET_KEY} hold the same key; they are the two halves of one API key")
    if len(public_id) > len(secret_key):
        raise NlabError(
            f"{PUBLIC_ID} holds a longer key than {SECRET_KEY}: they seem to be exchanged; the secret key is the longer one"
        )
    keys = Credentials(public_id, secret_key)
    for name in (MODEL_ID, TRIGGER_ID):
        keys.refuse_as(name, values.get(name, ""))
    return keys


def _are(names: list[str]) -> str:
    return "are" if len(names) > 1 else "is"


def _like(values: Mapping[str, str]) -> str:
    """Variables that are set and look as if they were meant, by name."""
    near = sorted(
        name
        for name in values
        if name.upper().startswith("NUMERAI") and re.search("ID|KEY|SECRET|PUBLIC|TOKEN", name.upper()) and values[name]
    )
    near = [name for name in near if name not in (PUBLIC_ID, SECRET_KEY, "NUMERAI_COMPUTE_ID")]
    return f" ({', '.join(near)} {_are(near)} set, which nlab does not read)" if near else ""
