"""The ledger of looks: what overlaps counts, and what a killed writer left breaks nothing."""

import json
from pathlib import Path

import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.report.looks import look_row
from numerai_lab.runs.layout import LEDGER
from numerai_lab.runs.ledger import Holdout, Ledger, Look


def look(
    variant: str = "v", *, eras: range = range(81, 97), target: str = "target", data: str = "d1", source: str = "s1"
) -> Look:
    return Look(Holdout(data, source, target, tuple(eras)), "run", variant, "baseline", (0,))


def test_looks_come_back_as_they_were_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    opened = ledger.open(look(), again=False)
    assert ledger.looks() == ([opened], [])
    scored = ledger.close(opened, {"delta_holdout": 0.01, "gain_retained": None})
    assert ledger.looks() == ([scored], [])
    lines = [json.loads(line) for line in (tmp_path / LEDGER).read_text().splitlines()]
    assert [(line["event"], line["id"]) for line in lines] == [("opened", opened.id), ("scored", opened.id)]
    assert lines[0]["eras"] == [[81, 96]]


@pytest.mark.parametrize(
    ("other", "number"),
    [
        (look(), 2),
        (look(eras=range(96, 120)), 2),
        (look(eras=range(97, 120)), 1),
        (look(target="target_60"), 1),
        (look(data="d2"), 2),
        (look(source="s2"), 2),
        (look(data="d2", source="s2"), 1),
    ],
    ids=["same", "one era", "later eras", "other target", "files have grown", "files were moved", "other data"],
)
def test_a_look_is_the_second_where_an_era_of_the_same_data_and_target_was_seen(tmp_path: Path, other: Look, number: int) -> None:
    ledger = Ledger(tmp_path)
    ledger.open(look(), again=False)
    if number == 2:
        with pytest.raises(NlabError, match="--again"):
            ledger.open(other, again=False)
    assert ledger.open(other, again=True).number == number


@pytest.mark.parametrize(
    "torn", [b'{"event": "opened", "id": "ab', b"\xff\x00", b"[1]\n", b'{"event": "opened"}\n', b"[" * 100_000]
)
def test_a_torn_line_is_passed_over_and_breaks_no_later_one(tmp_path: Path, torn: bytes) -> None:
    ledger = Ledger(tmp_path)
    first = ledger.open(look(), again=False)
    with (tmp_path / LEDGER).open("ab") as file:
        file.write(torn)
    second = ledger.open(look("w"), again=True)
    looks, remarks = ledger.looks()
    assert looks == [first, second]
    assert second.number == 2
    assert remarks == [f"{tmp_path / LEDGER}: line 2 can't be read and is passed over (a killed writer leaves such lines)"]


def test_a_whole_last_line_without_its_end_is_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first = ledger.open(look(), again=False)
    (tmp_path / LEDGER).write_bytes((tmp_path / LEDGER).read_bytes().rstrip(b"\n"))
    second = ledger.open(look("w"), again=True)
    assert ledger.looks() == ([first, second], [])


def test_an_empty_folder_has_no_looks(tmp_path: Path) -> None:
    assert Ledger(tmp_path).looks() == ([], [])


@pytest.mark.parametrize(
    ("eras", "said"),
    [(range(81, 97), "81-96 (16 eras)"), (range(81, 82), "81 (1 era)"), (range(231, 260, 4), "231-259 (8 eras)")],
)
def test_a_list_of_looks_names_few_spans_of_eras_and_of_many_the_ends(eras: range, said: str) -> None:
    assert look_row(look(eras=eras))["eras"] == said
