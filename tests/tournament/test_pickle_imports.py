"""A pickle's imports are read without loading it, however they are hidden."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.tournament.pickle_imports import UNREADABLE, imports_of


class Planted:
    """Runs a command when it is loaded."""

    def __reduce__(self) -> Any:
        return os.system, ("touch planted",)


def saved(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_command_in_a_pickle_is_named_and_not_run(protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = imports_of(saved(tmp_path, pickle.dumps([1, Planted()], protocol=protocol)))
    assert found.beyond == (f"{os.name}.system",)
    assert not (tmp_path / "planted").exists()


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


@pytest.mark.parametrize(
    ("content", "beyond"),
    [
        (text("os") + text("system") + text("numpy") + text("dtype") + b"00\x93.", (UNREADABLE,)),  # pushed, then popped
        (text("os") + b"\x940" + text("system") + b"h\x00" + text("system") + b"\x93.", ("os.system",)),  # recalled
        (
            text("numpy") + b"q\x05" + text("os") + b"q\x05" + b"00h\x05" + text("system") + b"\x93.",
            ("os.system",),
        ),
        (b"cos\nsystem\n.", ("os.system",)),
        (b"(ios\nsystem\n.", ("os.system",)),
        (b"\x82\x01.", (UNREADABLE,)),  # an extension's number
        (b"Pkey\n.", (UNREADABLE,)),  # an id that the loader resolves
    ],
)
def test_a_hidden_import_is_named_or_called_unreadable(content: bytes, beyond: tuple[str, ...], tmp_path: Path) -> None:
    assert imports_of(saved(tmp_path, b"\x80\x04" + content)).beyond == beyond


def test_a_module_that_cloudpickle_gives_a_function_is_named(tmp_path: Path) -> None:
    given = text("cloudpickle.cloudpickle") + text("subimport") + b"\x93"
    assert imports_of(saved(tmp_path, b"\x80\x04" + given + text("socket") + b"\x85R.")).beyond == ("socket",)
    assert imports_of(saved(tmp_path, b"\x80\x04" + given + text("numpy") + b"\x85R.")).beyond == ()
    late = text("os") + b"\x85\x940" + given + text("numpy") + b"0h\x00R."
    assert imports_of(saved(tmp_path, b"\x80\x04" + late)).beyond == (UNREADABLE,)


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x04h\x07."])
def test_a_file_that_is_no_pickle_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(NlabError, match="no whole pickle"):
        imports_of(saved(tmp_path, content))
    with pytest.raises(NlabError, match="no whole pickle"):
        imports_of(tmp_path / "absent.pkl")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: None], ids=["pipe", "folder", "nothing"])
def test_what_is_no_file_is_not_waited_for(make: Any, tmp_path: Path) -> None:
    make(tmp_path / "model.pkl")
    with pytest.raises(NlabError, match="there is no such file"):
        imports_of(tmp_path / "model.pkl")
