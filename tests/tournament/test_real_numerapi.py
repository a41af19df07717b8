"""The real numerapi client talks to the server that our tests talk to: it is faithful, in numerapi's known defects too."""

from pathlib import Path

import pytest
from numerapi import NumerAPI

from tests.tournament.fake_numerai import PUBLIC, SECRET, FakeNumerai, acts_and_answers, answers


@pytest.fixture
def api(server: FakeNumerai) -> NumerAPI:
    return NumerAPI(PUBLIC, SECRET, verbosity="critical", show_progress_bars=False)


def test_numerapi_reads_models_rounds_and_files(server: FakeNumerai, api: NumerAPI, tmp_path: Path) -> None:
    assert api.get_models() == {"alpha": "aaaa-1", "beta": "bbbb-2"}
    assert api.get_current_round() == 1100
    assert "v5.2/live.parquet" in api.list_datasets()
    path = api.download_dataset("v5.2/live_example_preds.parquet", str(tmp_path / "live.parquet"))
    assert Path(path).stat().st_size > 0


def test_numerapi_submits_and_lists(server: FakeNumerai, api: NumerAPI, predictions: Path) -> None:
    id = api.upload_predictions(str(predictions), model_id="aaaa-1")
    (listed,) = api.submission_ids("aaaa-1")
    assert listed["id"] == id
    assert listed["filename"].startswith("my predictions-")
    assert server.files[listed["filename"]] == predictions.read_bytes()


def test_numerapi_uploads_models(server: FakeNumerai, api: NumerAPI, tmp_path: Path) -> None:
    (tmp_path / "predict.pkl").write_bytes(b"pickle")
    assert api.model_upload_docker_images() == {"Python 3.11": "img-311", "Python 3.12": "img-312"}
    id = api.model_upload(str(tmp_path / "predict.pkl"), model_id="aaaa-1", docker_image="Python 3.12", data_version="v5.2")
    assert id == server.pickles[0]["id"]
    assert (server.pickles[0]["dockerImageId"], server.pickles[0]["dataVersionId"]) == ("img-312", "data-52")


def test_numerapi_registers_what_was_refused_and_thrice_what_answered_502(
    server: FakeNumerai, api: NumerAPI, predictions: Path
) -> None:
    server.faults["PUT"] = [answers(403)]
    assert api.upload_predictions(str(predictions), model_id="aaaa-1") == "sub-1"
    assert server.files == {}
    server.faults["create_submission"] = [acts_and_answers(502)] * 3
    with pytest.raises(KeyError, match="data"):
        api.upload_predictions(str(predictions), model_id="aaaa-1")
    assert len(server.submissions) == 4


def test_numerapi_is_refused_with_wrong_keys(server: FakeNumerai) -> None:
    with pytest.raises(ValueError, match="authenticated"):
        NumerAPI("A" * 32, "B" * 64, verbosity="critical").get_models()
