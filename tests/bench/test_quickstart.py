"""The quickstart still gives the lines that the README shows: `pytest --override-ini addopts= tests/bench/test_quickstart.py`.

Some minutes. Numbers are those of one machine: on another processor they may differ by some units of the last digit.
"""

import re
from pathlib import Path

from tests.docs.markdown import RESULTS
from tests.forks import nlab

NUMBER = re.compile(r"[-+]?\d*\.\d+")
COST = re.compile(r" +[\d.]+ (s|min)$")
"""The end of a line that says what a variant cost, which depends on the machine."""


def test_the_quickstart_gives_the_table_and_sentences_that_were_recorded(tmp_path: Path) -> None:
    done = nlab("run", "configs/quickstart.yaml", "--runs-dir", tmp_path, COLUMNS="80")
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.iterdir()
    rows = [row.strip("| ").split(" | ") for row in (folder / "scores.md").read_text().splitlines() if row.startswith("| ")]
    both = {row[0]: dict(zip(rows[0], row, strict=False)) for row in rows if row[1] == "val"}
    recorded = RESULTS.read_text(encoding="utf-8")
    table = [row for row in recorded.splitlines() if row.startswith("| ") and row.count(" | ") == 15]
    names = [name.strip(" |") for name in table[0].split(" | ")]
    for line in table[2:]:
        cells = [cell.strip(" |") for cell in line.split(" | ")]
        for name, cell in zip(names, cells, strict=True):
            assert agree(both[cells[0]][name].strip(), cell), (cells[0], name)
    lines = [COST.sub("", line) for line in done.stdout.splitlines()]
    lines = [line for line in lines if line and not line.endswith("_quickstart")]
    assert lines[0].startswith("SYNTHETIC data. None of 6 methods is shown to help")
    known = [COST.sub("", line) for line in recorded.splitlines()]
    for line in lines:
        assert any(agree(line, other) for other in known), line


def agree(text: str, other: str) -> bool:
    """Equal words, and numbers at most five units of the last digit apart."""
    if NUMBER.split(text) != NUMBER.split(other):
        return False
    pairs = zip(NUMBER.findall(text), NUMBER.findall(other), strict=True)
    return all(abs(float(a) - float(b)) <= 5.5 * 10.0 ** -len(b.partition(".")[2]) for a, b in pairs)
