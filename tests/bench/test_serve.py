"""The page of many runs, just after `nlab serve` began. Run with `make bench`. Asked: first paint of 500 in less than 1 s."""

import shutil
import threading
import time
from pathlib import Path

import pytest

from numerai_lab.report.overview import Overview
from numerai_lab.studies.run_server import ADDRESS, RunServer
from tests.many_runs import make_runs
from tests.report.browser import Page

PAINT = "(performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0)"


@pytest.mark.parametrize("n_runs", [500, 5000])
def test_the_page_is_painted_at_once(n_runs: int, tmp_path: Path, browser: Page) -> None:
    (first,) = make_runs(tmp_path, 1)
    for number in range(1, n_runs):
        shutil.copytree(first, tmp_path / f"20260101-{number:06d}_run")
    assert Overview(tmp_path / first.name).refresh()  # imports
    with RunServer(tmp_path, 0) as server:
        threading.Thread(target=server.serve_until_interrupted, daemon=True).start()
        start = time.perf_counter()
        browser.visit(f"http://{ADDRESS}:{server.server_port}/")
        browser.until(f"{PAINT} > 0")
        painted = float(browser.js(PAINT)) / 1000
        n_rows = browser.js("document.querySelectorAll('#runs tbody tr').length")
        browser.until("!document.querySelector('#counts').textContent.includes('being read')", seconds=300)
        whole = time.perf_counter() - start
        looked = time.perf_counter()
        server.pages.look()
        looked = time.perf_counter() - looked
        server.shutdown()
    print(f"\n{n_runs} runs: painted after {painted:.2f} s ({n_rows} rows), all read after {whole:.1f} s")
    print(f"a look at folders that did not change: {looked * 1000:.0f} ms")
    assert painted < 1 or n_runs > 500
