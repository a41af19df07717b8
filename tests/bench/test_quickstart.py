"""The quickstart still gives the table that the README shows: `pytest --override-ini addopts= tests/bench/test_quickstart.py`.

Some minutes. Numbers are those of one machine: another processor or number of threads may differ in the last digit.
"""

from pathlib import Path

from tests.docs.markdown import RESULTS
from tests.forks import nlab


def test_the_quickstart_gives_the_table_and_sentences_that_were_recorded(tmp_path: Path) -> None:
    done = nlab("run", "configs/quickstart.yaml", "--runs-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.iterdir()
    rows = [row.strip("| ").split(" | ") for row in (folder / "scores.md").read_text().splitlines() if row.startswith("| ")]
    both = {row[0]: dict(zip(rows[0], row, strict=False)) for row in rows if row[1] == "val"}
    recorded = RESULTS.read_text(encoding="utf-8")
    table = [row for row in recorded.splitlines() if row.startswith("| ") and row.count(" | ") == 15]
    names = [name.strip(" |") for name in table[0].split(" | ")]
    for line in table[2:]:
        cells = [cell.strip(" |") for cell in line.split(" | ")]
        found = both[cells[0]]
        assert [found[name].strip() for name in names] == cells
    assert all(line in recorded for line in done.stdout.splitlines() if " against baseline" in line or "tell differences" in line)
