"""Calls of Numerai's GraphQL API that end, are retried where that is safe, and fail in sentences without secrets."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.tournament.credentials import PUBLIC_ID, SECRET_KEY, Credentials
from numerai_lab.tournament.http_calls import Answer, NoAnswer, send

log = logging.getLogger("nlab")
TOURNAMENT = 8
ATTEMPTS = 4
"""How often a query, or the upload of a file, is tried."""
SECONDS, UPLOAD_SECONDS = 45.0, 300.0
"""The longest that a call to the API, and an upload, may take."""
LATER = "try again later"


class DoubtfulAnswer(NlabFailure):
    """The server may or may not have done what was asked. wait: seconds that it asks to wait."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class Refused(NlabFailure):
    """The API understood and refused. reason: in its own words, cleaned."""

    def __init__(self, call: str, reason: str) -> None:
        super().__init__(f"Numerai refused {call}: {reason}")
        self.reason = reason


@dataclass
class Client:
    """Numerai's API for one account.

    pause: waits a number of seconds; server_time: the clock of the API's last answer.
    """

    keys: Credentials
    pause: Callable[[float], None] = time.sleep
    server_time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def query(self, call: str, text: str, variables: Mapping[str, Any] | None = None) -> Any:
        """The result of a query, tried several times. Raises Refused, DoubtfulAnswer, and NlabError where keys are wrong."""
        return self._persist(lambda: self._ask(call, text, variables or {}))

    def mutate(self, call: str, text: str, variables: Mapping[str, Any]) -> Any:
        """The result of a mutation, sent once: after DoubtfulAnswer, ask what is there before sending it again.

        Raises Refused, DoubtfulAnswer, and NlabError where keys are wrong.
        """
        return self._ask(call, text, variables)

    def upload(self, url: str, content: bytes) -> None:
        """Stores a file under an address that the API gave. Raises NlabFailure unless the server says that it has it."""
        self._persist(lambda: self._put(url, content))

    def _ask(self, call: str, text: str, variables: Mapping[str, Any]) -> Any:
        import numerapi.base_api

        body = json.dumps({"query": text, "variables": dict(variables)}).encode()
        try:
            answer = send("POST", numerapi.base_api.API_TOURNAMENT_URL, body, SECONDS, self.keys)
        except NoAnswer as error:
            raise DoubtfulAnswer(f"Numerai's API ({call}): {error}; {LATER}") from None
        self.server_time = answer.date
        return self._result(call, answer)

    def _result(self, call: str, answer: Answer) -> Any:
        """The data of an answer."""
        status = answer.status
        if status == 429 or status >= 500:
            raise DoubtfulAnswer(f"Numerai's API ({call}): it answered {status}; {LATER}", answer.wait)
        if status in (401, 403):
            raise wrong_keys(call, f"it answered {status}")
        try:
            body = json.loads(answer.content)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            what = "HTML" if answer.content.lstrip()[:1] == b"<" else "text"
            message = f"Numerai's API ({call}): it answered {status} with {what} in the place of JSON; {LATER}"
            raise DoubtfulAnswer(message) if status < 300 else NlabFailure(message)
        if body.get("errors"):
            self._refuse(call, body["errors"])
        data = body.get("data")
        if status >= 300 or not isinstance(data, dict):
            raise DoubtfulAnswer(f"Numerai's API ({call}): it answered {status} without data; {LATER}")
        return data.get(call)

    def _refuse(self, call: str, errors: Any) -> None:
        """Raises what the errors of an answer say."""
        reason = self.keys.clean("; ".join(map(_message, errors if isinstance(errors, list) else [errors])))
        if any(word in f"{reason} {errors}".lower() for word in ("authenticat", "session is invalid", "not authorized")):
            raise wrong_keys(call, reason)
        if "internal server error" in reason.lower():
            raise DoubtfulAnswer(f"Numerai's API ({call}): {reason}; {LATER}")
        if "cannot query field" in reason.lower() or "unknown argument" in reason.lower():
            raise NlabFailure(f"Numerai's API has changed ({call}: {reason}); update numerai_lab, or upload the file by hand")
        raise Refused(call, reason)

    def _put(self, url: str, content: bytes) -> None:
        try:
            answer = send("PUT", url, content, UPLOAD_SECONDS)
        except NoAnswer as error:
            raise DoubtfulAnswer(f"uploading the file: {error}; {LATER}") from None
        if answer.status == 429 or answer.status >= 500:
            raise DoubtfulAnswer(f"uploading the file: the storage answered {answer.status}; {LATER}", answer.wait)
        if not 200 <= answer.status < 300:
            raise NlabFailure(f"uploading the file: the storage answered {answer.status}; nothing is registered; {LATER}")

    def _persist(self, attempt: Callable[[], Any]) -> Any:
        for number in range(1, ATTEMPTS + 1):
            try:
                return attempt()
            except DoubtfulAnswer as error:
                if number == ATTEMPTS:
                    raise
                log.info("%s", str(error).replace(LATER, "trying again"))
                self.pause(max(2.0 ** (number - 1), error.wait))
        raise AssertionError("unreachable")


def _message(error: object) -> str:
    return str(error.get("message") or error.get("detail") or error) if isinstance(error, dict) else str(error)


def wrong_keys(call: str, reason: str) -> NlabError:
    """The error for keys that the API does not accept."""
    return NlabError(
        f"Numerai's API does not accept the keys for {call} ({reason}); check that {PUBLIC_ID} and {SECRET_KEY} "
        "hold the two halves of one API key, and that the key has the scopes for it"
    )
