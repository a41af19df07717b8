"""The long tests go on where they stopped, and come back first to what failed."""

from pathlib import Path

import pytest

from tests import soak


def test_a_long_test_goes_on_where_it_stopped_and_begins_with_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "FOLDER", tmp_path / "state")
    monkeypatch.setattr(soak, "SECONDS", 1e9)  # of a process that may have run other tests for long

    def fails_at_three() -> None:
        for number in soak.rest("part", 10):
            assert number < 3

    with pytest.raises(AssertionError):
        fails_at_three()
    numbers = soak.rest("part", 10)
    assert next(numbers) == 3
    assert next(numbers) == 4
    monkeypatch.setattr(soak, "SECONDS", 0)
    assert list(numbers) == []
    assert list(soak.rest("part", 10)) == []
    monkeypatch.setattr(soak, "SECONDS", 1e9)
    assert list(soak.rest("part", 10)) == [5, 6, 7, 8, 9]
    assert list(soak.rest("part", 10)) == []
    assert [line.split()[:4] for line in soak.report()] == [["part", "10", "of", "10"]]


def test_every_part_names_tests_that_are_there() -> None:
    for tests in soak.PARTS.values():
        for test in tests:
            path, _, name = test.partition("::")
            assert f"def {name}" in Path(path).read_text()


def test_an_unknown_part_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["nonsense"]) == 2
    assert "no part is called nonsense; parts: configs, run-folders" in capsys.readouterr().err
