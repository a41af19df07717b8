"""The page of all runs as a browser gets it: live, readable, and closed to everybody else."""

import http.client
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import run
from numerai_lab.runs.layout import MANIFEST, REPORT
from numerai_lab.runs.output_files import note_in_manifest
from numerai_lab.runs.reading import SIGNED
from numerai_lab.studies import run_server
from numerai_lab.studies.run_server import ADDRESS, RunServer
from tests.conftest import Quiet, make_config
from tests.forks import start
from tests.many_runs import make_runs, run_in_progress, tell_progress
from tests.report.browser import Page

OWN, STRANGER, DAMAGED = "20250101-000000_own", "20250102-000000_stranger", "20250103-000000_damaged"


@pytest.fixture(autouse=True)
def left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """The browser leaves the page, which would go on asking a server that is no more."""
    yield
    if "browser" in request.fixturenames:
        browser: Page = request.getfixturevalue("browser")
        browser.driver.get("about:blank")
        _ = browser.complaints(), browser.requests()  # forgotten


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Own run, run of a stranger, two made-up ones, one that is damaged, and a link that leads out."""
    folder = tmp_path_factory.mktemp("served") / "runs"
    make_runs(folder, 2)
    run(make_config(splits={"train": "1-60", "val1": "69-71", "val2": "80-82"}), folder, Quiet()).path.rename(folder / OWN)
    shutil.copytree(folder / OWN, folder / STRANGER)
    note_in_manifest(folder / STRANGER, SIGNED, {})
    (folder / STRANGER / REPORT).write_text("<script>location = 'http://example.com'</script>")
    shutil.copytree(folder / OWN, folder / DAMAGED)
    (folder / DAMAGED / "scores.csv").write_text("<b>x</b>")
    shutil.move(shutil.copytree(folder / OWN, folder.parent / "outside"), folder.parent / "elsewhere")
    (folder / "linked").symlink_to(folder.parent / "elsewhere")
    return folder


@pytest.fixture(scope="module")
def server(runs: Path) -> Iterator[RunServer]:
    with RunServer(runs, 0) as serving:
        serve = threading.Thread(target=serving.serve_until_interrupted)
        serve.start()
        yield serving
        serving.shutdown()
        serve.join()


Ask = Callable[..., tuple[int, dict[str, str], str]]


@pytest.fixture
def ask(server: RunServer) -> Ask:
    """Asks the server: method, target and headers in; status, headers and content out."""

    def asked(target: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection(ADDRESS, server.server_port, timeout=20)
        connection.putrequest(method, target, skip_host=True)
        for name, value in {"Host": f"{ADDRESS}:{server.server_port}", **headers}.items():
            if value:
                connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read().decode(errors="replace")

    return asked


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:9000", "[::1]:80"])
def test_this_machine_is_answered(host: str, ask: Ask) -> None:
    assert ask("/", Host=host)[0] == HTTPStatus.OK


@pytest.mark.parametrize(
    "host", ["", "example.com", "127.0.0.1.example.com", "127.0.0.1@example.com", "[::1", "0.0.0.0", "localhost."]
)
def test_other_names_are_refused(host: str, ask: Ask) -> None:
    status, _, text = ask("/runs.json", Host=host)
    assert status in (HTTPStatus.FORBIDDEN, HTTPStatus.BAD_REQUEST)
    assert OWN not in text


def test_pages_of_other_sites_get_nothing_but_may_link_here(ask: Ask) -> None:
    assert ask("/runs.json", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == HTTPStatus.FORBIDDEN
    assert ask("/runs.json", Sec_Fetch_Site="same-site", Sec_Fetch_Mode="cors")[0] == HTTPStatus.FORBIDDEN
    assert ask("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == HTTPStatus.OK
    assert ask("/runs.json", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors")[0] == HTTPStatus.OK


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_only_get_is_answered(method: str, ask: Ask) -> None:
    status, headers, _ = ask("/", method)
    assert (status, headers["Allow"]) == (HTTPStatus.METHOD_NOT_ALLOWED, "GET")
    assert ask("/", "BREW")[0] == HTTPStatus.NOT_IMPLEMENTED


@pytest.mark.parametrize(
    "target",
    [
        *("/runs", "/runs/", f"/runs/{OWN}", f"/runs/{OWN}/", f"/runs/{OWN}/{MANIFEST}", f"/runs/{OWN}/config.yaml"),
        *("/runs/../outside/report.html", "/runs/%2e%2e%2felsewhere/report.html", "/runs/..%2Felsewhere/report.html"),
        *(
            "/runs/%2Fetc/report.html",
            "/runs//report.html",
            "/runs/./report.html",
            "/runs/%2e/report.html",
            "/runs/%00/report.html",
        ),
        *(
            f"/runs/{OWN}/../../elsewhere/report.html",
            "/../../etc/passwd",
            "//etc/passwd",
            "/page.css/..",
            "/%70age.css",
            "/served_pages.py",
        ),
        *("/runs/compare.html?run=../elsewhere", "/runs/compare.html?run=%2e%2e%2felsewhere", "/runs/compare.html?run=/etc"),
    ],
)
def test_nothing_but_reports_of_runs_of_the_folder_has_an_address(target: str, ask: Ask) -> None:
    status, _, text = ask(target)
    assert status == HTTPStatus.NOT_FOUND
    assert "root:" not in text


def test_a_link_that_leads_out_is_not_followed(ask: Ask) -> None:
    for target in ("/runs/linked/report.html", "/runs/compare.html?run=linked"):
        status, _, text = ask(target)
        assert status == HTTPStatus.UNPROCESSABLE_ENTITY
        assert "linked: a link; runs are shown where their folders lie" in text


def test_an_own_report_is_served_as_it_was_written_in_a_sandbox(runs: Path, ask: Ask) -> None:
    status, headers, text = ask(f"/runs/{OWN}/report.html")
    assert (status, text) == (HTTPStatus.OK, (runs / OWN / REPORT).read_text())
    assert headers["Content-Security-Policy"].startswith("sandbox allow-scripts allow-downloads; default-src 'none';")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_report_of_a_stranger_is_drawn_anew(ask: Ask) -> None:
    status, headers, text = ask(f"/runs/{STRANGER}/report.html")
    assert status == HTTPStatus.OK
    assert "example.com" not in text
    assert "from elsewhere: drawn here without what its models hold" in text
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert ask(f"/runs/{STRANGER}/inspection.html")[0] == HTTPStatus.UNPROCESSABLE_ENTITY


def test_a_damaged_run_and_an_edited_report_are_a_sentence(runs: Path, ask: Ask, tmp_path: Path) -> None:
    status, _, text = ask(f"/runs/{DAMAGED}/report.html")
    assert status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "damaged run folder (scores.csv is not what was written)" in text
    report = (runs / OWN / REPORT).read_bytes()
    try:
        (runs / OWN / REPORT).write_text("edited")
        status, _, text = ask(f"/runs/{OWN}/report.html")
    finally:
        (runs / OWN / REPORT).write_bytes(report)
    assert status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "nlab open --redraw" in text
    assert "edited" not in text


def test_runs_are_compared_in_a_sandbox_with_links_to_their_reports(ask: Ask) -> None:
    status, headers, text = ask(f"/runs/compare.html?run={OWN}&run={STRANGER}&run={DAMAGED}")
    assert status == HTTPStatus.OK
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert f'<a href="{OWN}/report.html">' in text
    assert "skipped" in text
    status, _, text = ask("/runs/compare.html")
    assert (status, "no run to compare" in text) == (HTTPStatus.UNPROCESSABLE_ENTITY, True)


def test_only_what_changed_is_told_and_all_of_it_after_a_restart(ask: Ask) -> None:
    until(lambda: all(each["status"] != "unread" for each in json.loads(ask("/runs.json")[2])["runs"]))
    first = json.loads(ask("/runs.json?since=")[2])
    assert [each["status"] for each in first["runs"] if each["folder"] == OWN] == ["finished"]
    again = json.loads(ask(f"/runs.json?since={first['version']}")[2])
    assert (again["runs"], again["folders"], again["version"]) == ([], None, first["version"])
    for stale in ("elsewhere-3", "-1", f"{first['version']}x", "%00"):
        assert len(json.loads(ask(f"/runs.json?since={stale}")[2])["runs"]) == len(first["runs"])


def test_nothing_is_written(runs: Path, ask: Ask) -> None:
    def every() -> dict[str, int]:
        return {str(path): path.lstat().st_mtime_ns for path in runs.rglob("*")}

    before = every()
    for target in ("/", "/runs.json", f"/runs/{STRANGER}/report.html", f"/runs/compare.html?run={OWN}"):
        assert ask(target)[0] == HTTPStatus.OK
    assert every() == before


def test_a_bug_ends_one_answer_and_says_so(server: RunServer, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.pages, "page", lambda address: 1 / 0)
    status, _, text = ask("/")
    assert (status, "the terminal of `nlab serve` says why" in text) == (HTTPStatus.INTERNAL_SERVER_ERROR, True)


def test_a_port_that_is_taken_and_a_missing_folder_are_sentences(server: RunServer, runs: Path, tmp_path: Path) -> None:
    with pytest.raises(NlabError, match=r"--port: \d+ can't be had \(Address already in use\); --port 0 takes any"):
        RunServer(runs, server.server_port)
    with pytest.raises(NlabError, match="nowhere: no folder of runs"):
        RunServer(tmp_path / "nowhere", 0)


def test_a_folder_that_is_gone_is_said_until_it_is_back(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with RunServer(tmp_path / "runs", 0) as server:
        (tmp_path / "runs").rename(tmp_path / "away")
        server.pages.look()
        assert "no folder of runs" in json.loads(server.pages.page("/runs.json").content)["problem"]
        (tmp_path / "away").rename(tmp_path / "runs")
        assert json.loads(server.pages.page("/runs.json").content)["problem"]
        server.pages.page("/")
        assert json.loads(server.pages.page("/runs.json").content)["problem"] == ""


def test_names_that_are_no_text_and_names_of_markup_reach_the_page_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    (made,) = make_runs(folder, 1)
    made.rename(folder / os.fsdecode(b"z\xff&\x1b"))
    shutil.copytree(folder / os.fsdecode(b"z\xff&\x1b"), folder / "a<b>&amp;")
    with RunServer(folder, 0) as server:
        while not server.pages.overview.refresh():
            pass
        page = server.pages.page("/").content.decode()
        assert "a<b>" not in page
        rows = json.loads(server.pages.page("/runs.json").content)["runs"]
        assert [row["run"] for row in rows] == ["a<b>&amp;", "z\\udcff&\\u001b"]
        assert [row["quoted"] for row in rows] == [quote("a<b>&amp;"), "z%FF%26%1B"]
        assert [row["status"] for row in rows] == ["finished", "broken"]
        assert server.pages.page(f"/runs/{rows[1]['quoted']}/report.html").status == HTTPStatus.UNPROCESSABLE_ENTITY
        assert b"predictions.parquet" in server.pages.page(rows[0]["link"]).content  # made up: without predictions


def test_ctrl_c_ends_it_with_exit_code_0(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    process = start("serve", "--runs-dir", tmp_path / "runs", "--port", "0", said=tmp_path)
    until(lambda: (tmp_path / "stderr").exists() and "Ctrl-C ends it" in (tmp_path / "stderr").read_text())
    address = (tmp_path / "stdout").read_text().strip()
    connection = http.client.HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().status == HTTPStatus.OK
    assert process.pid
    os.kill(process.pid, signal.SIGINT)
    process.join(20)
    assert process.exitcode == 0
    assert (tmp_path / "stderr").read_text() == "Ctrl-C ends it\n"


def until(fact: Callable[[], bool], seconds: float = 30) -> None:
    """Waits for a fact."""
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.05)


TEXT = "document.querySelector('{}').textContent"


def test_the_page_follows_a_run_while_it_goes_on(
    server: RunServer, runs: Path, browser: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_server, "EVERY", 0.1)
    address = f"http://{ADDRESS}:{server.server_port}/"
    progress = {"stage": "fit umap@0", "share": 0.5, "done": 3, "stages": 12, "seconds": 60.0}
    with run_in_progress(runs, "20261130-020000_umap", **progress) as folder:
        browser.visit(address)
        browser.until("document.querySelector('#cards progress')")
        assert browser.js("document.querySelector('#cards progress').value") == 0.25
        assert browser.js(TEXT.format("#cards p")) == "25 %, 3 of 12 stages, 60 s so far, time left not known yet"
        assert browser.js(TEXT.format("#cards .faint")) == "now fit umap@0, 50 %"
        tell_progress(folder, stage="train raw+umap@0", done=4, stages=12, seconds=60.0, seconds_left=60.0)
        browser.until(f"{TEXT.format('#cards .faint')} === 'now train raw+umap@0'")
        assert browser.js("document.querySelector('#cards progress').value") == 0.5
        assert "1 running" in browser.js(TEXT.format("#counts"))
    browser.until("document.querySelector('#running').hidden")
    assert "1 interrupted" in browser.js(TEXT.format("#counts"))
    shutil.rmtree(folder)
    browser.until("!document.querySelector('main').textContent.includes('20261130-020000_umap')")
    assert browser.complaints() == []
    assert {request.partition("?")[0] for request in browser.requests()} == {
        address,
        *(f"{address}{name}" for name in ("page.css", "overview.css", "overview.js", "runs.json")),
    }


def shown(browser: Page) -> list[str]:
    """The runs that the table shows, in order."""
    names: list[str] = browser.js(
        "[...document.querySelectorAll('#runs tbody td.run')].map((cell) => cell.firstChild.textContent)"
    )
    return names


def test_runs_are_found_sorted_opened_and_compared(server: RunServer, browser: Page) -> None:
    address = f"http://{ADDRESS}:{server.server_port}/"
    browser.visit(address)
    browser.until("!document.querySelector('#counts').textContent.includes('being read')")
    every = shown(browser)
    assert every == [STRANGER, OWN, "20260101-000001_run", "20260101-000000_run", DAMAGED, "linked"]  # as they began
    assert browser.js(TEXT.format("#shown")) == f"{len(every)} of {len(every)} runs"
    browser.click("th[data-key=started] button")
    assert shown(browser) == every[::-1]
    assert browser.js("document.querySelector('th[data-key=started]').getAttribute('aria-sort')") == "ascending"
    browser.click("th[data-key=delta] button")
    assert shown(browser)[-1] in (OWN, STRANGER, "linked", DAMAGED)  # what has no Δ is last
    browser.type("#find", "elsewhere STRANGER")
    assert shown(browser) == [STRANGER]
    browser.type("#find", "")
    browser.choose("#status", "broken")
    assert sorted(shown(browser)) == [DAMAGED, "linked"]
    browser.choose("#status", "")
    assert browser.js("document.querySelector('#compare').disabled")
    browser.click(f"input[aria-label='compare {OWN}']")
    browser.click(f"input[aria-label='compare {STRANGER}']")
    browser.type("#find", "nothing")
    assert shown(browser) == []
    browser.click("#compare")
    browser.until("document.title.startsWith('2 runs compared') && document.documentElement.dataset.drawn === 'yes'")
    browser.click(f"td a[href='{OWN}/report.html']")
    browser.until(f"location.pathname === '/runs/{OWN}/report.html' && document.documentElement.dataset.drawn === 'yes'")
    assert browser.js("self.origin") == "null"
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [1280, 768, 390])
def test_the_page_fits_its_width_and_everything_has_a_name(width: int, server: RunServer, browser: Page) -> None:
    browser.visit(f"http://{ADDRESS}:{server.server_port}/", width)
    assert browser.js("document.documentElement.scrollWidth") <= width
    nameless = "[...document.querySelectorAll('input, select, progress, table, section')].filter((one) => "
    named = "one.labels?.length || one.getAttribute('aria-label') || one.caption || one.getAttribute('aria-labelledby')"
    assert browser.js(f"{nameless} !({named})).length") == 0
    assert browser.js("[...document.querySelectorAll('main, header, footer, h1')].length") == 4
    assert browser.js("document.querySelector('#counts').getAttribute('aria-live')") == "polite"
    reached = "[...document.querySelectorAll('a, button, input, select')].filter((one) => one.tabIndex < 0).length"
    assert browser.js(reached) == 0
