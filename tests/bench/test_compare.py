"""200 runs on one page."""

import time
from pathlib import Path

from numerai_lab.report.comparison import compare
from numerai_lab.report.comparison_page import comparison_page
from tests.many_runs import make_runs


def test_two_hundred_runs_are_compared_in_three_seconds(tmp_path: Path) -> None:
    runs = make_runs(tmp_path / "runs", 200)
    comparison_page(compare(runs[:2]), tmp_path / "page.html")  # imports
    start = time.perf_counter()
    compare(runs, every_split=False)
    print(f"\nas `nlab compare` prints them, one split: {time.perf_counter() - start:.1f} s")
    start = time.perf_counter()
    comparison = compare(runs)
    compared = time.perf_counter()
    page = comparison_page(comparison, tmp_path / "page.html")
    end = time.perf_counter()
    print(f"\n200 runs × 3 variants × 100 eras: compared in {compared - start:.1f} s, page in {end - compared:.1f} s")
    print(f"{len(page) / 1e6:.1f} MB; {end - start:.1f} s of 3 s")
    assert end - start < 3
    assert len(page.encode()) < 6_000_000
