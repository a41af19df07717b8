"""The saboteur: ten minutes of it in `make soak`, and that it finds what it looks for here."""

import shutil
from pathlib import Path

import pytest

from numerai_lab.experiment import run
from numerai_lab.runs.layout import PREDICTIONS
from tests.conftest import Quiet, make_config
from tests.faults.saboteur import Touch, World, sabotage
from tests.soak import rest

MINUTES = 10


@pytest.mark.soak
def test_ten_minutes_of_sabotage_lose_break_hold_and_execute_nothing(tmp_path: Path) -> None:
    for seed in rest("saboteur", 1):
        world = World(tmp_path)
        counts = sabotage(world, seed, 60 * MINUTES)
        print(f"{counts.total()} actions: {counts}; {world.n_said} commands, {len(world.finished)} finished runs")
        assert world.faults == []


def test_the_saboteur_finds_what_was_lost_changed_touched_and_executed(tmp_path: Path) -> None:
    world = World(tmp_path)
    first = run(make_config(splits={"train": "1-60", "val1": "69-71", "val2": "80-82"}), world.runs, Quiet()).path
    world.look()
    assert world.faults == []
    other = Path(shutil.copytree(first, world.runs / "other"))
    (other / PREDICTIONS).write_bytes(b"other")
    world.look()
    (first / PREDICTIONS).write_bytes(b"changed")
    world.canary.write_text("changed")
    Touch(world.executed).__reduce__()[0](str(world.executed))
    world.look()
    shutil.rmtree(first)
    shutil.rmtree(other)
    failed = world.runs / "20260101-000000_run-failed"
    failed.mkdir()
    (failed / "failed.txt").write_text("Traceback")
    world.look()
    expected = (
        "predictions.parquet is not what its manifest says",
        "other predictions than those of an undisturbed run",
        "its predictions have changed",
        "files outside were touched",
        "something was executed",
        "run-failed: Traceback",
        f"{first.name} is gone",
        "other is gone",
    )
    for text in expected:
        assert sum(text in fault for fault in world.faults) == 1, text
    assert len(world.faults) == len(expected)
