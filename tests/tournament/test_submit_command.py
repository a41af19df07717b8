"""`nlab submit` as a process: exit codes, two at once, and no key or signature in anything that it leaves behind."""

import json
import os
from pathlib import Path

import pytest

from tests.tournament.conftest import write_predictions
from tests.tournament.fake_numerai import PUBLIC, SECRET, FakeNumerai, acts_and_answers, answers, stalls, wait_for
from tests.tournament.processes import run_against, start_against


def test_exit_codes_and_output(server: FakeNumerai, predictions: Path, tmp_path: Path) -> None:
    def code(*arguments: str, folder: str) -> tuple[int, str, str]:
        return run_against(server.address, "submit", predictions, *arguments, folder=tmp_path / folder)

    done, out, err = code("--model", "alpha", "--format", "json", folder="first")
    assert done == 0, err
    (row,) = json.loads(out)
    assert {key: row[key] for key in ("id", "round", "status", "selected")} == {
        **{"id": "sub-1", "round": "1100", "status": "validated", "selected": "True"},
    }
    assert "submitted for alpha" in err
    done, out, err = code("--model", "alpha", folder="again")
    assert (done, "sub-1" in out, "it was there already" in err) == (0, True, True)
    assert code("--model", "alfa", folder="bad")[0] == 2
    assert code("--model", "beta", "--wait", "soon", folder="worse")[0] == 2
    server.faults["PUT"] = [answers(403)]
    done, out, err = code("--model", "beta", folder="refused")
    assert (done, out) == (1, "")
    assert err.startswith("nlab: uploading the file: the storage answered 403")
    server.close_round()
    assert code("--model", "beta", folder="closed")[0] == 3
    server.error_info = "invalid"
    done, out, err = code("--model", "beta", "--late", "queue", folder="invalid")
    assert (done, "invalid" in out) == (1, True)
    assert "did not take submission sub-2" in err
    assert len(server.submissions) == 2


def test_two_processes_at_once_upload_once(server: FakeNumerai, predictions: Path, tmp_path: Path) -> None:
    slow = acts_and_answers(502)
    server.faults["create_submission"] = [slow]
    processes = [
        start_against(server.address, "submit", predictions, "--model", "alpha", folder=tmp_path / f"process{i}")
        for i in range(2)
    ]
    for process in processes:
        process.join()
    said = [(tmp_path / f"process{i}" / "stderr").read_text() for i in range(2)]
    assert [process.exitcode for process in processes] == [0, 0], said
    assert sorted("it was there already" in text for text in said) == [False, True]
    assert server.changes == ["PUT", "create_submission"]
    assert len(server.submissions) == 1


def test_a_killed_process_keeps_nobody_out(server: FakeNumerai, predictions: Path, tmp_path: Path) -> None:
    server.faults["PUT"] = [stalls]
    process = start_against(server.address, "submit", predictions, "--model", "alpha", folder=tmp_path / "killed")
    wait_for(lambda: "PUT" in server.asked)
    process.kill()
    process.join()
    assert run_against(server.address, "submit", predictions, "--model", "alpha", folder=tmp_path / "next")[0] == 0
    assert len(server.submissions) == 1


@pytest.mark.parametrize("how", ["works", "refused", "broken", "wrong keys", "newline in a key"])
def test_no_key_and_no_signed_address_is_left_anywhere(server: FakeNumerai, predictions: Path, tmp_path: Path, how: str) -> None:
    echo = f"<html>Authorization: Token {PUBLIC}${SECRET} SIGNEDUPLOAD</html>".encode()
    environment = {"DEBUG_LOGS": str(tmp_path / "debug.log")}
    if how == "refused":
        server.faults["PUT"] = [answers(403, echo)]
    elif how == "broken":
        server.faults["create_submission"] = [answers(400, echo)]
    elif how == "wrong keys":
        environment |= {"NUMERAI_SECRET_KEY": f"{SECRET}Y"}
    elif how == "newline in a key":
        environment |= {"NUMERAI_SECRET_KEY": f"{SECRET}\n"}
    process = start_against(server.address, "submit", predictions, "--model", "alpha", folder=tmp_path / "run", **environment)
    cmdlines = []
    while process.is_alive():
        cmdlines.append(_command_line(process.pid))
        process.join(0.02)
    assert process.exitcode == {"works": 0, "refused": 1, "broken": 1, "wrong keys": 2, "newline in a key": 2}[how]
    left = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(path.name == "debug.log" for path in left)
    if how == "works":
        assert any(path.suffix == ".jsonl" for path in left), "the ledger is among what is searched"
    for where, content in [*left.items(), ("command lines", b"".join(cmdlines))]:
        for secret in (PUBLIC, SECRET, "SIGNEDUPLOAD"):
            assert secret.encode() not in content, where
    assert "Traceback" not in (tmp_path / "run/stderr").read_text()


def _command_line(pid: int | None) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_stranger_can_not_have_it_print_escapes(server: FakeNumerai, predictions: Path, tmp_path: Path) -> None:
    server.status = "ok\x1b]0;title\x07"
    done, out, err = run_against(server.address, "submit", predictions, "--model", "alpha", folder=tmp_path / "run")
    assert done == 0
    assert "\x1b" not in out + err
    assert "\x07" not in out + err


def test_a_login_of_netrc_takes_no_keys_place(server: FakeNumerai, predictions: Path, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1\nlogin me\npassword mine\n")
    (tmp_path / ".netrc").chmod(0o600)
    home = {"HOME": str(tmp_path), "NETRC": str(tmp_path / ".netrc")}
    assert run_against(server.address, "submit", predictions, "--model", "alpha", folder=tmp_path / "run", **home)[0] == 0


def test_an_unreadable_ledger_line_stops_nobody(server: FakeNumerai, tmp_path: Path) -> None:
    file = write_predictions(tmp_path / "p.csv", server.live["id"].to_list())
    folder = Path(os.environ["NLAB_CACHE"]) / "submissions"
    folder.mkdir(parents=True)
    (folder / "aaaa-1.jsonl").write_bytes(b'{"round": 1100, "sha": "\xff\n[1]\n{"event": "begun"')
    assert run_against(server.address, "submit", file, "--model", "alpha", folder=tmp_path / "run")[0] == 0
    assert run_against(server.address, "submit", file, "--model", "alpha", folder=tmp_path / "run2")[0] == 0
    assert len(server.submissions) == 1
