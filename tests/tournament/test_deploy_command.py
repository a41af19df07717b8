"""`nlab deploy`: its messages, and the upload that follows."""

from pathlib import Path

import pytest

from numerai_lab.cli.deploy import _upload
from numerai_lab.core.errors import NlabError
from numerai_lab.tournament.deploy import Deployed
from tests.forks import nlab
from tests.tournament.fake_numerai import FakeNumerai


def deployed(tmp_path: Path, *, synthetic: bool) -> Deployed:
    (tmp_path / "predict.pkl").write_bytes(b"\x80\x04K\x01.")
    facts = {"run": "my_run", "synthetic": synthetic, "versions": {"python": "3.12"}, "data version": "v5.2"}
    return Deployed(tmp_path, facts, ())


def test_an_upload_names_the_image_of_the_python_that_packed_the_model(
    server: FakeNumerai, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uploaded = _upload(deployed(tmp_path, synthetic=False), "alpha", yes=True)
    (entry,) = server.pickles
    assert (entry["dockerImageId"], entry["dataVersionId"], entry["assignedModelSlots"]) == ("img-312", "data-52", ["aaaa-1"])
    assert "Numerai can read an uploaded model" in capsys.readouterr().err
    assert (uploaded["model"], uploaded["status"]) == ("alpha", "validated")


def test_a_model_of_synthetic_data_is_not_uploaded(server: FakeNumerai, tmp_path: Path) -> None:
    with pytest.raises(NlabError, match="SYNTHETIC"):
        _upload(deployed(tmp_path, synthetic=True), "alpha", yes=True)
    assert server.pickles == []


def test_a_pickle_that_imports_more_than_a_model_needs_is_told(tmp_path: Path) -> None:
    (tmp_path / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch planted'\ntR.")
    done = nlab("deploy", "--check", "evil.pkl", cwd=tmp_path)
    assert done.returncode == 1
    assert "! os.system" in done.stdout
    assert "imports os.system, which no model of nlab needs" in done.stderr
    assert not (tmp_path / "planted").exists()
    done = nlab("deploy", "--out", "model", cwd=tmp_path)
    assert done.returncode == 2
    assert "name a run folder and --out" in done.stderr
