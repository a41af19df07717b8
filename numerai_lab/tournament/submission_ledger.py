"""What was submitted from here: a file a model, by round and content, so that nothing is submitted twice by mistake."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from numerai_lab.storage.event_log import EventLog
from numerai_lab.tournament.account import Model

FOLDER = "submissions"
"""In the cache folder. `nlab cache prune` leaves it alone."""
BEGUN, SUBMITTED = "begun", "submitted"


@dataclass(frozen=True)
class Attempt:
    """One upload. stem: begins the file's name on the server; id: "" until it is known; round: None between rounds."""

    round: int | None
    sha: str
    stem: str
    id: str = ""


class SubmissionLedger:
    """Attempts to submit for a model."""

    def __init__(self, folder: Path, model: Model) -> None:
        self.log = EventLog(folder / f"{model.id}.jsonl")

    def attempts(self, of_round: int | None, sha: str) -> list[Attempt]:
        """Attempts with this content in a round, oldest first; lines that can't be read are passed over."""
        attempts: dict[str, Attempt] = {}
        for _, line in self.log.lines():
            try:
                facts = json.loads(line)
                if (facts["round"], facts["sha"]) == (of_round, sha):
                    attempts[facts["stem"]] = Attempt(of_round, sha, str(facts["stem"]), str(facts.get("id", "")))
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
        return list(attempts.values())

    def record(self, event: str, attempt: Attempt) -> None:
        """Writes down that an attempt begins, or that it is submitted under its id."""
        facts: dict[str, Any] = {"event": event, "time": datetime.now(UTC).isoformat(timespec="seconds"), **vars(attempt)}
        self.log.append(facts)
