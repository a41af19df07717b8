"""Submits a file of predictions, once: after any doubtful answer it asks what is there before it sends anything again."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.storage.folders import cache_dir
from numerai_lab.tournament.account import Model, Round, Submission, current_round, submissions_of, wanted_model
from numerai_lab.tournament.client import TOURNAMENT, Client, Refused
from numerai_lab.tournament.credentials import TRIGGER_ID, credentials
from numerai_lab.tournament.live_ids import UNKNOWN, live_ids
from numerai_lab.tournament.registration import register, store, unique_stem
from numerai_lab.tournament.submission_file import SubmissionFile, check_submission, read_submission
from numerai_lab.tournament.submission_ledger import BEGUN, FOLDER, SUBMITTED, Attempt, SubmissionLedger

log = logging.getLogger("nlab")
Late = Literal["refuse", "queue"]
UPLOAD_AUTH = """query($filename: String! $tournament: Int! $modelId: String) {
    submission_upload_auth(filename: $filename tournament: $tournament modelId: $modelId) { filename url }
}"""
CREATE = """mutation($filename: String! $tournament: Int! $modelId: String $triggerId: String) {
    create_submission(
        filename: $filename tournament: $tournament modelId: $modelId triggerId: $triggerId source: "numerai_lab"
    ) { id }
}"""
POLL = 20.0
"""Seconds between two questions for the state of a submission."""


class RoundNotOpen(NlabFailure):
    """No round is open for submissions."""

    exit_code = 3


@dataclass(frozen=True)
class SubmitOptions:
    """dry_run: ask and change nothing; late: what to do without an open round; wait: seconds to wait for a final state;
    again: upload what is there already.
    """

    dry_run: bool = False
    late: Late = "refuse"
    wait: float = 0.0
    again: bool = False


@dataclass(frozen=True)
class Outcome:
    """What is at Numerai now. submission: None after a dry run; notes: sentences for the user."""

    model: Model
    round: int | None
    submission: Submission | None
    notes: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """Plain values of the printed table."""
        s = self.submission
        state = {"status": s.status, "selected": s.selected, "errorInfo": s.error_info} if s else {}
        return {"id": s.id if s else "", "model": self.model.name, "round": (s and s.round) or self.round, **state}


def submit(file: Path, model: str | None, options: SubmitOptions, pause: Callable[[float], None] = time.sleep) -> Outcome:
    """Submits a file for a model, by name or id; None takes the environment's MODEL_ID.

    Raises RoundNotOpen, NlabError for bad input or wrong keys, and NlabFailure where it could not be submitted.
    """
    predictions = read_submission(file)
    client = Client(credentials(), pause)
    account_model, of_round = wanted_model(client, model), current_round(client)
    folder = cache_dir() / FOLDER
    submission = _Delivery(client, predictions, account_model, of_round, SubmissionLedger(folder, account_model), options)
    return submission.done(folder)


@dataclass(frozen=True)
class _Delivery:
    """One file on its way to one model in one round."""

    client: Client
    file: SubmissionFile
    model: Model
    round: Round | None
    ledger: SubmissionLedger
    options: SubmitOptions

    @property
    def number(self) -> int | None:
        return self.round.number if self.round else None

    @property
    def content_stem(self) -> str:
        """What every name of this content on the server holds."""
        return f"nlab{self.file.sha[:16]}"

    def done(self, folder: Path) -> Outcome:
        """Submits unless it is there, with every other process of this machine kept out meanwhile."""
        if self.options.dry_run:
            there = self._there()
            return self._ended(there, "it is there already") if there else self._dry_run(folder)
        with self.ledger.log.owned(make_folder=True):
            there = self._there()
            notes = ["it was there already; --again uploads it once more"] if there else [*self._checked(folder)]
            if there is None:
                there = self._upload()
                notes.append(f"submitted for {self.model.name}")
        if self.options.wait:
            there = self._awaited(there)
        return self._ended(there, *notes)

    def _dry_run(self, folder: Path) -> Outcome:
        notes = self._checked(folder)
        text = f"a dry run: {len(self.file.rows):,} rows would be uploaded for {self.model.name}"
        return Outcome(self.model, self.number, None, (*notes, text))

    def _there(self) -> Submission | None:
        """What this content already is at Numerai in this round, if not submitted `again`."""
        if self.options.again:
            return None
        ids = {attempt.id for attempt in self.ledger.attempts(self.number, self.file.sha) if attempt.id}
        there = [
            submission
            for submission in submissions_of(self.client, self.model)
            if submission.id in ids or (self.content_stem in submission.filename and submission.round == self.number)
        ]
        if there:
            return max(there, key=lambda submission: (not submission.failed, submission.inserted_at))
        return Submission(min(ids), "not listed by the API", "", None, "", "", self.number) if ids else None

    def _checked(self, folder: Path) -> tuple[str, ...]:
        """Notes on what will be uploaded. Raises RoundNotOpen, or NlabError for a file that Numerai would refuse."""
        notes = []
        if self.round is None or not self.round.is_open(self.client.server_time):
            closed = f"round {self.number} is not open{_hours(self.round)}" if self.round else "no round is open"
            if self.options.late == "refuse":
                raise RoundNotOpen(f"{closed}; nothing was uploaded (--late queue uploads all the same)")
            notes.append(f"{closed}: Numerai scores a late file without stake, and takes it for the next round")
        ids = live_ids(self.client, self.round, folder) if self.round else None
        notes.append(check_submission(self.file.rows, str(self.file.path), ids) if ids else UNKNOWN)
        return tuple(note for note in notes if note)

    def _upload(self) -> Submission:
        """Uploads the file and registers it. Raises NlabFailure unless it is known to be there."""
        attempt = Attempt(self.number, self.file.sha, unique_stem(self.file.path.stem, self.content_stem))
        self.ledger.record(BEGUN, attempt)
        place = {"tournament": TOURNAMENT, "modelId": self.model.id}
        name = {"filename": f"{attempt.stem}.csv"}
        stored = store(self.client, "submission_upload_auth", UPLOAD_AUTH, {**place, **name}, self.file.content)
        variables = {**place, "filename": stored, "triggerId": os.environ.get(TRIGGER_ID) or None}
        try:
            id = register(self.client, "create_submission", CREATE, variables, lambda: self._listed(attempt.stem))
        except Refused as refused:
            if "not open" in refused.reason.lower():
                raise RoundNotOpen(f"{refused}; nothing is registered") from None
            raise
        self.ledger.record(SUBMITTED, replace(attempt, id=id))
        return self._state(id)

    def _listed(self, stem: str) -> str | None:
        """The id of what the API lists under the name of an attempt."""
        return next((each.id for each in submissions_of(self.client, self.model) if stem in each.filename), None)

    def _state(self, id: str) -> Submission:
        """A submission as the API describes it; with its id alone where the API does not."""
        unknown = Submission(id, "unknown", "", None, "", "", self.number)
        try:
            return next((each for each in submissions_of(self.client, self.model) if each.id == id), unknown)
        except NlabError as error:
            log.info("submitted, but its state can't be had: %s", error)
            return unknown

    def _awaited(self, submission: Submission) -> Submission:
        end = time.monotonic() + self.options.wait
        while not submission.final and time.monotonic() < end:
            self.client.pause(min(POLL, max(end - time.monotonic(), 0.0)))
            submission = self._state(submission.id)
        return submission

    def _ended(self, submission: Submission, *notes: str) -> Outcome:
        """The outcome, with a note where waiting came to no end."""
        waited = self.options.wait and not submission.final
        more = [f"its state is not final after {self.options.wait / 60:.0f} min"] if waited else []
        return Outcome(self.model, self.number, submission, (*notes, *more))


def failure_of(outcome: Outcome) -> NlabFailure | None:
    """What to raise after printing a submission that Numerai did not take."""
    submission = outcome.submission
    if submission is None or not submission.failed:
        return None
    reason = submission.error_info or submission.status
    return NlabFailure(f"Numerai did not take submission {submission.id} ({reason}); mend the file and submit it again")


def _hours(of_round: Round | None) -> str:
    times = [(of_round.opens, "opens"), (of_round.closes, "closed for stake")] if of_round else []
    text = ", ".join(f"{word} {time:%a %Y-%m-%d %H:%M} UTC" for time, word in times if time)
    return f" ({text})" if text else ""
