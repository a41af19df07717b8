"""What Numerai's API knows: the round, the models of an account, and their submissions."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.tournament.client import TOURNAMENT, Client, Refused, wrong_keys
from numerai_lab.tournament.credentials import MODEL_ID

ROUNDS = """query($tournament: Int!) {
    rounds(tournament: $tournament number: 0) { number openTime closeTime closeStakingTime }
}"""
MODELS = "query { account { models { id name tournament } } }"
SUBMISSIONS = """query($modelId: String) {
    submissions(modelId: $modelId) { id status errorInfo selected filename insertedAt round { number } }
}"""
FAILED = ("invalid", "failed", "error", "model_failed", "rejected")
DONE = ("validated", "valid", "submitted", "success", "succeeded", "submission_succeeded", "complete", "completed", "done")
"""Words for a state that is final. What Numerai says beside these is taken as not final."""


@dataclass(frozen=True)
class Round:
    """A round of the tournament. opens, closes: None where the API does not say."""

    number: int
    opens: datetime | None
    closes: datetime | None

    def is_open(self, now: datetime) -> bool:
        """Whether submissions count, with stake, at a time."""
        return (self.opens is None or self.opens <= now) and (self.closes is None or now < self.closes)


@dataclass(frozen=True)
class Model:
    """A model of the account."""

    id: str
    name: str


@dataclass(frozen=True)
class Submission:
    """A submission as the API describes it; texts are cleaned."""

    id: str
    status: str
    error_info: str
    selected: bool | None
    filename: str
    inserted_at: str
    round: int | None

    @property
    def failed(self) -> bool:
        return bool(self.error_info) or self.status.lower() in FAILED

    @property
    def final(self) -> bool:
        return self.failed or self.selected is True or self.status.lower() in DONE


def current_round(client: Client) -> Round | None:
    """The round that is open or was last; None where the API says that there is none. Raises as `Client.query`."""
    try:
        rounds = client.query("rounds", ROUNDS, {"tournament": TOURNAMENT})
    except Refused as refused:
        if "not open" in refused.reason.lower():
            return None
        raise
    facts = rounds[0] if isinstance(rounds, list) and rounds else rounds
    if not isinstance(facts, Mapping) or not isinstance(facts.get("number"), int):
        return None
    closes = _time(facts.get("closeStakingTime")) or _time(facts.get("closeTime"))
    return Round(facts["number"], _time(facts.get("openTime")), closes)


def wanted_model(client: Client, name: str | None) -> Model:
    """The model of this name or id, or of the environment's MODEL_ID. Raises NlabError without one; else as `model_named`."""
    wanted = name or os.environ.get(MODEL_ID, "")
    if not wanted:
        raise NlabError(f"--model: name a model of your account, or set {MODEL_ID}")
    client.keys.refuse_as("--model", wanted)
    return model_named(client, wanted)


def model_named(client: Client, wanted: str) -> Model:
    """The account's model of this name or id. Raises NlabError where there is none; otherwise as `Client.query`."""
    account = client.query("account", MODELS)
    if not isinstance(account, Mapping):
        raise wrong_keys("account", "it knows no account of them")
    listed = account.get("models")
    models = [
        Model(str(facts.get("id")), client.keys.clean(facts.get("name")))
        for facts in listed or []
        if isinstance(facts, Mapping) and facts.get("tournament") in (TOURNAMENT, None)
    ]
    for model in models:
        if wanted in (model.name, model.id):
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", model.id):
                raise NlabError(f"--model: the API gives {model.name!r} an id that is none; try again later")
            return model
    raise NlabError(f"--model: the account has no model {wanted!r}; {nearest(wanted, [model.name for model in models])}")


def submissions_of(client: Client, model: Model) -> list[Submission]:
    """All submissions of a model that the API lists. Raises as `Client.query`."""
    listed = client.query("submissions", SUBMISSIONS, {"modelId": model.id})
    return [_submission(client, facts) for facts in listed or [] if isinstance(facts, Mapping)]


def _submission(client: Client, facts: Mapping[str, Any]) -> Submission:
    def text(key: str) -> str:
        return client.keys.clean(facts[key]) if facts.get(key) is not None else ""

    of_round, selected = facts.get("round"), facts.get("selected")
    number = of_round.get("number") if isinstance(of_round, Mapping) else None
    return Submission(
        text("id"),
        text("status"),
        text("errorInfo"),
        selected if isinstance(selected, bool) else None,
        text("filename"),
        text("insertedAt"),
        number if isinstance(number, int) else None,
    )


def _time(text: object) -> datetime | None:
    """A time of the API, which is UTC where it does not say."""
    try:
        time = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
