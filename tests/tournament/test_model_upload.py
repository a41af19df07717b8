"""A model is uploaded once, for a named image, after its owner knows what that means, and assigned when it is validated."""

from pathlib import Path

import pytest

from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.tournament.model_upload import ModelUpload, UploadOptions, upload_model
from tests.tournament.fake_numerai import FakeNumerai, Fault, acts_and_answers, answers, drops


@pytest.fixture
def pickle(tmp_path: Path) -> Path:
    path = tmp_path / "predict.pkl"
    path.write_bytes(b"\x80\x04K\x01.")
    return path


def uploaded(pickle: Path, python: str = "3.12", *, yes: bool = True, **options: object) -> ModelUpload:
    chosen = UploadOptions(python, **options)  # type: ignore[arg-type]
    return upload_model(pickle, "alpha", chosen, lambda text: yes, pause=lambda seconds: None)


def test_it_arrives_is_validated_and_assigned(server: FakeNumerai, pickle: Path) -> None:
    upload = uploaded(pickle, data_version="v5.2")
    row = {"id": "pickle-1", "model": "alpha", "image": "Python 3.12", "status": "validated", "assigned": True}
    assert upload.row() == row
    assert upload.notes == ()
    (entry,) = server.pickles
    assert server.files == {entry["filename"]: pickle.read_bytes()}
    assert entry["filename"].startswith("predict-nlab")
    assert (entry["dockerImageId"], entry["dataVersionId"]) == ("img-312", "data-52")
    assert entry["assignedModelSlots"] == ["aaaa-1"]
    assert server.changes == ["PUT", "createComputePickleUpload", "assignPickleToModel"]


def test_the_owner_is_told_first_and_may_say_no(server: FakeNumerai, pickle: Path) -> None:
    texts: list[str] = []

    def refuse(text: str) -> bool:
        texts.append(text)
        assert server.changes == []
        return False

    with pytest.raises(NlabFailure, match="not confirmed; nothing was uploaded"):
        upload_model(pickle, "alpha", UploadOptions("3.12"), refuse)
    assert "Numerai can read an uploaded model" in texts[0]
    assert "Submissions by API are then off for alpha" in texts[0]
    assert "computePickleUploadAuth" not in server.asked
    assert server.changes == []


def test_a_refused_upload_registers_nothing(server: FakeNumerai, pickle: Path) -> None:
    server.faults["PUT"] = [answers(403)]
    with pytest.raises(NlabFailure, match="answered 403; nothing is registered"):
        uploaded(pickle)
    assert server.pickles == []


@pytest.mark.parametrize("fault", [acts_and_answers(502), drops])
def test_what_was_recorded_in_spite_of_a_doubtful_answer_is_not_sent_again(
    server: FakeNumerai, pickle: Path, fault: Fault
) -> None:
    server.faults["createComputePickleUpload"] = [fault]
    assert uploaded(pickle).id == "pickle-1"
    assert len(server.pickles) == 1


def test_assigning_is_repeated_and_not_done_where_numerai_did_it(server: FakeNumerai, pickle: Path) -> None:
    server.faults["assignPickleToModel"] = [answers(503)]
    uploaded(pickle)
    assert server.pickles[0]["assignedModelSlots"] == ["aaaa-1"]
    server.asked.clear()
    create = server.createComputePickleUpload

    def assigned_at_once(of: dict[str, object]) -> object:
        answer = create(of)
        server.pickles[-1]["assignedModelSlots"] = ["alpha"]
        return answer

    server.createComputePickleUpload = assigned_at_once  # type: ignore[method-assign]
    assert uploaded(pickle).assigned
    assert "assignPickleToModel" not in server.asked


def test_a_model_that_is_not_validated_is_a_failure_with_its_last_words(server: FakeNumerai, pickle: Path) -> None:
    server.pickle_states = ["validating", "invalid"]
    with pytest.raises(NlabFailure, match=r"did not validate upload pickle-1 \(invalid\): ModuleNotFoundError: umap \[2J$"):
        uploaded(pickle)
    server.faults["triggerLogs"] = [answers(500)] * 4
    with pytest.raises(NlabFailure, match=r"did not validate upload pickle-2 \(invalid\)$"):
        uploaded(pickle)
    assert "assignPickleToModel" not in server.asked


def test_waiting_for_validation_ends(server: FakeNumerai, pickle: Path) -> None:
    server.pickle_states = ["validating"]
    upload = uploaded(pickle, wait=0.1)
    assert (upload.status, upload.assigned) == ("validating", False)
    assert "its validation is not done after 0 min" in upload.notes[-1]


def test_the_image_is_that_of_the_python_version(server: FakeNumerai, pickle: Path) -> None:
    assert uploaded(pickle, "3.11").notes == ("Python 3.11 is not Numerai's default image",)
    assert server.pickles[0]["dockerImageId"] == "img-311"
    with pytest.raises(NlabError, match=r"no image with Python 3\.1; known: Python 3\.11, Python 3\.12"):
        uploaded(pickle, "3.1")
    server.images.append({"id": "img-312-old", "name": "Python 3.12 (old)", "default": False, "deprecated": True})
    uploaded(pickle)
    assert server.pickles[-1]["dockerImageId"] == "img-312"
    server.images[1]["deprecated"] = True
    assert "deprecated" in uploaded(pickle).notes[0]


def test_bad_input_is_told_before_anything_is_uploaded(server: FakeNumerai, pickle: Path, tmp_path: Path) -> None:
    with pytest.raises(NlabError, match=r"runs no model on 'v5\.3'; did you mean 'v5\.2'"):
        uploaded(pickle, data_version="v5.3")
    with pytest.raises(NlabError, match=r"no file that ends in \.pkl"):
        uploaded(tmp_path)
    assert server.changes == []
