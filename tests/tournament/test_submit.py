"""A file is submitted once, whatever the server does; a doubtful answer is asked about before anything is sent again."""

import logging
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.tournament import client
from numerai_lab.tournament.submit import Outcome, RoundNotOpen, SubmitOptions, failure_of, submit
from tests.tournament.conftest import write_predictions
from tests.tournament.fake_numerai import (
    PUBLIC,
    SECRET,
    FakeNumerai,
    Fault,
    acts_and_answers,
    answers,
    drips,
    drops,
    stalls,
)

HTML = b"<html><title>502</title></html>"


def submitted(file: Path, model: str | None = "alpha", **options: object) -> Outcome:
    return submit(file, model, SubmitOptions(**options), pause=lambda seconds: None)  # type: ignore[arg-type]


def test_a_file_arrives_byte_for_byte_and_its_state_is_told(server: FakeNumerai, predictions: Path) -> None:
    outcome = submitted(predictions)
    row = {"id": "sub-1", "model": "alpha", "round": 1100, "status": "validated", "selected": True, "errorInfo": ""}
    assert outcome.row() == row
    assert failure_of(outcome) is None
    (name,) = server.files
    assert name.startswith("my_predictions-nlab")
    assert server.files[name] == predictions.read_bytes()
    assert server.submissions[0]["filename"] == name
    assert server.submissions[0]["modelId"] == "aaaa-1"
    assert server.changes == ["PUT", "create_submission"]


def test_the_second_time_it_is_there_already(server: FakeNumerai, predictions: Path) -> None:
    submitted(predictions)
    again = submitted(predictions)
    assert again.row()["id"] == "sub-1"
    assert "it was there already" in again.notes[0]
    assert server.changes == ["PUT", "create_submission"]
    server.close_round()
    assert submitted(predictions).row()["id"] == "sub-1"
    assert submitted(predictions, dry_run=True).notes == ("it is there already",)


def test_another_machine_finds_it_by_its_name(
    server: FakeNumerai, predictions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(predictions)
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "elsewhere"))
    assert submitted(predictions).row()["id"] == "sub-1"
    assert len(server.submissions) == 1


def test_what_the_ledger_knows_counts_where_the_api_does_not_list_it(server: FakeNumerai, predictions: Path) -> None:
    submitted(predictions)
    server.submissions.clear()
    assert submitted(predictions).row()["status"] == "not listed by the API"
    assert server.changes == ["PUT", "create_submission"]


def test_again_another_file_another_model_and_another_round_are_uploads(
    server: FakeNumerai, predictions: Path, tmp_path: Path
) -> None:
    submitted(predictions)
    submitted(predictions, again=True)
    submitted(write_predictions(tmp_path / "other.csv", server.live["id"].to_list(), seed=1))
    submitted(predictions, "beta")
    assert server.round
    server.round["number"] += 1
    submitted(predictions)
    assert len({entry["filename"] for entry in server.submissions}) == len(server.files) == 5


@pytest.mark.parametrize("status", [403, 400, 307])
def test_a_refused_upload_registers_nothing(server: FakeNumerai, predictions: Path, status: int) -> None:
    server.faults["PUT"] = [answers(status, b"<Error>AccessDenied</Error>", Location="http://127.0.0.1:1/x")]
    with pytest.raises(NlabFailure, match=f"the storage answered {status}; nothing is registered") as caught:
        submitted(predictions)
    assert caught.value.exit_code == 1
    assert server.submissions == []
    assert server.changes == ["PUT"]


def test_an_upload_that_fails_for_a_moment_is_tried_again(server: FakeNumerai, predictions: Path) -> None:
    server.faults["PUT"] = [answers(503), drops]
    submitted(predictions)
    assert server.changes == ["PUT", "PUT", "PUT", "create_submission"]


@pytest.mark.parametrize(
    "fault",
    [acts_and_answers(502, HTML), acts_and_answers(200, HTML), acts_and_answers(200, b'{"data": {}}'), drops],
    ids=["502", "HTML", "no id", "hung up"],
)
def test_what_was_recorded_in_spite_of_a_doubtful_answer_is_found_and_not_sent_again(
    server: FakeNumerai, predictions: Path, fault: Fault
) -> None:
    server.faults["create_submission"] = [fault]
    assert submitted(predictions).row()["id"] == "sub-1"
    assert len(server.submissions) == 1
    assert server.changes == ["PUT", "create_submission"]


def test_what_was_not_recorded_is_asked_about_and_then_sent_again(server: FakeNumerai, predictions: Path) -> None:
    server.faults["create_submission"] = [answers(502, HTML)]
    submitted(predictions)
    assert len(server.submissions) == 1
    first, second = (i for i, call in enumerate(server.asked) if call == "create_submission")
    assert "submissions" in server.asked[first:second]


def test_a_server_that_stays_broken_is_a_failure_and_the_next_call_finds_what_it_has(
    server: FakeNumerai, predictions: Path
) -> None:
    server.faults["create_submission"] = [acts_and_answers(502)]
    server.faults["submissions"] = [lambda handler, act: handler.answer(200, act()), *[answers(503)] * 4]
    with pytest.raises(NlabFailure, match="whether the file is registered is not known .*run the same command again"):
        submitted(predictions)
    assert submitted(predictions).row()["id"] == "sub-1"
    assert len(server.submissions) == 1


def test_a_create_that_never_works_ends(server: FakeNumerai, predictions: Path) -> None:
    server.faults["create_submission"] = [answers(502)] * 9
    with pytest.raises(NlabFailure, match="it answered 502; the API lists nothing of it; run the same command again"):
        submitted(predictions)
    assert server.asked.count("create_submission") == 4


@pytest.mark.parametrize("call", ["account", "PUT", "create_submission"])
@pytest.mark.parametrize("fault", [stalls, drips])
def test_a_stall_ends_within_its_timeout(
    server: FakeNumerai, predictions: Path, monkeypatch: pytest.MonkeyPatch, call: str, fault: Fault
) -> None:
    monkeypatch.setattr(client, "SECONDS", 0.3)
    monkeypatch.setattr(client, "UPLOAD_SECONDS", 0.3)
    server.faults[call] = [fault] * 9
    start = time.monotonic()
    with pytest.raises(NlabFailure, match="no whole answer within 0 s|no answer: ReadTimeout"):
        submitted(predictions)
    assert time.monotonic() - start < 4  # four tries of 0.3 s, and what is asked between them
    assert server.submissions == []


def test_a_closed_round_is_refused_before_anything_is_uploaded(server: FakeNumerai, predictions: Path) -> None:
    server.close_round()
    with pytest.raises(
        RoundNotOpen, match=r"round 1100 is not open \(opens .*UTC, closed for stake .*nothing was uploaded"
    ) as caught:
        submitted(predictions)
    assert caught.value.exit_code == 3
    assert server.changes == []


def test_no_round_at_all_is_refused_too(server: FakeNumerai, predictions: Path) -> None:
    server.round = None
    with pytest.raises(RoundNotOpen, match="no round is open; nothing was uploaded"):
        submitted(predictions)
    with pytest.raises(RoundNotOpen):
        submitted(predictions, dry_run=True)


def test_a_round_that_closes_meanwhile_is_told_as_closed(server: FakeNumerai, predictions: Path) -> None:
    refusal = b'{"errors": [{"message": "Current round not open for submissions"}]}'
    server.faults["create_submission"] = [answers(200, refusal)]
    with pytest.raises(RoundNotOpen, match="nothing is registered"):
        submitted(predictions)


@pytest.mark.parametrize("close", [FakeNumerai.close_round, lambda server: setattr(server, "round", None)])
def test_a_late_file_is_queued_once_where_the_user_wants_it(
    server: FakeNumerai, predictions: Path, close: Callable[[FakeNumerai], None]
) -> None:
    close(server)
    outcome = submitted(predictions, late="queue")
    assert "scores a late file without stake" in outcome.notes[0]
    submitted(predictions, late="queue")
    assert server.changes == ["PUT", "create_submission"]


def test_a_dry_run_sends_queries_only(server: FakeNumerai, predictions: Path) -> None:
    outcome = submitted(predictions, dry_run=True)
    assert outcome.notes == ("a dry run: 50 rows would be uploaded for alpha",)
    assert outcome.row()["id"] == ""
    assert set(server.asked) == {"account", "rounds", "submissions", "listDatasets", "dataset", "GET"}
    assert server.files == {}


def test_ids_are_checked_against_the_round(server: FakeNumerai, tmp_path: Path) -> None:
    ids = server.live["id"].to_list()
    with pytest.raises(NlabError, match="lacks 1 of 50 live ids; a file of an earlier round looks so"):
        submitted(write_predictions(tmp_path / "few.csv", ids[1:]))
    assert server.changes == []
    more = submitted(write_predictions(tmp_path / "more.csv", [*ids, "x1", "x2"]))
    assert "2 rows are not live and will be dropped" in more.notes


def test_live_ids_of_another_round_are_fetched_anew(server: FakeNumerai, predictions: Path, tmp_path: Path) -> None:
    submitted(predictions)
    server.live = server.live.with_columns(id="m" + server.live["id"])
    assert server.round
    server.round["number"] += 1
    with pytest.raises(NlabError, match="lacks 50 of 50 live ids"):
        submitted(predictions)
    assert [path.name for path in (tmp_path / "cache/submissions").glob("*.parquet")] == ["1101_live_ids.parquet"]


def test_a_file_is_submitted_unchecked_where_live_ids_can_not_be_had(server: FakeNumerai, predictions: Path) -> None:
    server.datasets = ["v5.2/train.parquet"]
    outcome = submitted(predictions)
    assert "the live ids of this round can't be had, so the file was not checked against them" in outcome.notes
    assert len(server.submissions) == 1


def test_waiting_polls_to_the_final_state(server: FakeNumerai, predictions: Path) -> None:
    server.status, server.selected = "processing", None
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            server.submissions[0] |= {"status": "validated", "selected": True}

    outcome = submit(predictions, "alpha", SubmitOptions(wait=2700), pause)
    assert outcome.row()["status"] == "validated"
    assert waits == [20.0, 20.0, 20.0]


def test_waiting_ends(server: FakeNumerai, predictions: Path) -> None:
    server.status, server.selected = "processing", None
    outcome = submitted(predictions, wait=0.2)
    assert outcome.row()["status"] == "processing"
    assert outcome.notes[-1] == "its state is not final after 0 min"
    assert failure_of(outcome) is None


def test_a_file_that_numerai_does_not_take_is_a_failure_with_its_reason(server: FakeNumerai, predictions: Path) -> None:
    server.status, server.error_info, server.selected = "invalid", "invalid_submission_ids: \x1b[2Jnot enough", False
    failure = failure_of(submitted(predictions))
    assert "did not take submission sub-1 (invalid_submission_ids:  [2Jnot enough)" in str(failure)
    assert failure_of(submitted(predictions)), "it is there already, and still failed"
    assert len(server.submissions) == 1


def test_answers_may_hold_more_than_was_asked_for(server: FakeNumerai, predictions: Path) -> None:
    server.models.insert(0, {"id": None, "name": None, "tournament": 8, "novelty": [1]})  # type: ignore[dict-item]
    server.models.insert(0, None)  # type: ignore[arg-type]
    assert server.round
    server.round |= {"novelty": {"a": 1}, "openTime": "soon"}
    assert submitted(predictions).row()["id"] == "sub-1"


def test_an_api_that_no_longer_knows_a_field_is_a_sentence(
    server: FakeNumerai, predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.tournament.fake_numerai.FIELDS", {**_fields(), "submissions": {"id"}})
    with pytest.raises(NlabFailure, match=r"API has changed \(submissions: Cannot query field \"errorInfo\".*update numerai_lab"):
        submitted(predictions)


def _fields() -> dict[str, set[str]]:
    from tests.tournament.fake_numerai import FIELDS

    return FIELDS


def test_the_model_is_found_by_name_id_or_environment(
    server: FakeNumerai, predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert submitted(predictions, "bbbb-2").row()["model"] == "beta"
    monkeypatch.setenv("MODEL_ID", "aaaa-1")
    monkeypatch.setenv("TRIGGER_ID", "trigger-7")
    assert submitted(predictions, None).row()["model"] == "alpha"
    assert server.submissions[1]["triggerId"] == "trigger-7"
    monkeypatch.delenv("MODEL_ID")
    with pytest.raises(NlabError, match="name a model of your account, or set MODEL_ID"):
        submitted(predictions, None)
    with pytest.raises(NlabError, match="no model 'alfa'; did you mean 'alpha'"):
        submitted(predictions, "alfa")
    with pytest.raises(NlabError, match="no model 'signal'"):
        submitted(predictions, "signal")


@pytest.mark.parametrize("call", ["account", "create_submission"])
@pytest.mark.parametrize("status", [401, 403])
def test_keys_that_are_not_accepted_name_the_variables(server: FakeNumerai, predictions: Path, call: str, status: int) -> None:
    server.faults[call] = [answers(status)]
    with pytest.raises(NlabError, match="does not accept the keys.*NUMERAI_PUBLIC_ID and NUMERAI_SECRET_KEY") as caught:
        submitted(predictions)
    assert caught.value.exit_code == 2
    assert server.asked.count(call) == 1


def test_wrong_keys_are_told_without_what_the_server_echoes(
    server: FakeNumerai, predictions: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "WRONGKEY" * 8
    monkeypatch.setenv("NUMERAI_SECRET_KEY", wrong)
    with caplog.at_level(logging.DEBUG), pytest.raises(NlabError, match="You must be authenticated") as caught:
        submitted(predictions)
    assert wrong not in str(caught.value) + caplog.text
    assert PUBLIC not in str(caught.value)
    assert "Token ***$***" in str(caught.value)
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize("call", ["account", "PUT", "create_submission", "submissions"])
def test_no_traceback_holds_a_key_even_with_the_variables_of_every_frame(
    server: FakeNumerai, predictions: Path, call: str
) -> None:
    for fault in (answers(503, HTML), answers(400, HTML), drops, answers(200, HTML)):
        server.faults = {call: [fault] * 99}
        try:
            submitted(predictions, again=call == "PUT")
        except NlabError as error:
            for shown in (error, error.__cause__, error.__context__):
                lines = traceback.TracebackException.from_exception(shown, capture_locals=True).format() if shown else []
                frames = "".join(line for line in lines if "numerai_lab/tournament" in line)
                assert SECRET not in frames
                assert PUBLIC not in frames
                assert SECRET not in repr(shown)
