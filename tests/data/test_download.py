"""Files fetched from a server on this machine that misbehaves in every way met so far."""

import json
import logging
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.data import download as downloading
from numerai_lab.data.download import Remote, changed, download, remote_state

MOST_REQUESTS = 60
SECRET = "c0ffee-signature"
NOON, LATER = "Mon, 01 Jan 2024 12:00:00 GMT", "Mon, 01 Jan 2024 13:00:00 GMT"
Script = Callable[["Handler", int], None]


def table(seed: int, n_rows: int = 26_000) -> bytes:
    """A parquet file of about 200 kB."""
    buffer = BytesIO()
    pl.DataFrame({"x": np.random.default_rng(seed).normal(size=n_rows)}).write_parquet(buffer)
    return buffer.getvalue()


OLD, NEW, LONGER = table(1), table(2), table(2, 60_000)


class Handler(BaseHTTPRequestHandler):
    """Answers well, unless the site's script says otherwise; scripts get the request's number, from 1."""

    server: "Site"

    def do_GET(self) -> None:
        self.server.asked.append(self.headers)
        self.server.methods.append(self.command)
        if len(self.server.asked) > MOST_REQUESTS:
            self.send(410)
        else:
            self.server.script(self, len(self.server.asked))

    do_HEAD = do_GET

    def send(self, status: int, body: bytes = b"", length: int | None = None, **headers: str | None) -> None:
        self.send_response_only(status)
        for name, value in {"Content_Length": str(len(body) if length is None else length), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def well(self, most: int | None = None, **changes: str | None) -> None:
        """The file or the range asked for, cut off after `most` bytes; `changes` replace headers, None removes one."""
        content, etag = self.server.content, changes.get("ETag", self.server.etag)
        headers = {"ETag": self.server.etag, "Content_Range": None, **changes}
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not match or self.headers.get("If-Range") not in (etag, headers.get("Last_Modified")):
            self.send(200, content[:most], len(content), **(headers | {"Content_Range": None}))
            return
        start = int(match[1])
        if start >= len(content):
            self.send(416, Content_Range=f"bytes */{len(content)}")
            return
        given = headers.pop("Content_Range") or f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send(206, content[start:][:most], len(content) - start, Content_Range=given, **headers)

    def log_message(self, *words: object) -> None:
        pass


class Site(ThreadingHTTPServer):
    """A server of one file, and what it was asked."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag = OLD, '"one"'
        self.asked: list[Message] = []
        self.methods: list[str] = []
        self.script: Script = lambda handler, number: handler.well()

    def handle_error(self, *about: object) -> None:
        """Clients that leave early are no news."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v5/train.parquet?X-Signature={SECRET}"

    def ranges(self) -> list[tuple[str | None, str | None]]:
        return [(headers.get("Range"), headers.get("If-Range")) for headers in self.asked]


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@dataclass
class Target:
    """A place for the file, and the pauses that fetching it there asked for."""

    path: Path
    pauses: list[float]

    def fetch(self, url: str, progress: Progress = no_progress) -> Remote:
        return download(url, self.path, progress, pause=self.pauses.append)

    def refusal(self, url: str) -> str:
        with pytest.raises(NlabError) as caught:
            self.fetch(url)
        return str(caught.value)

    def holds(self, content: bytes) -> bool:
        """Whether the file is this, recorded, and nothing lies around it."""
        return self.names() == ["", ".lock", ".meta.json"] and self.path.read_bytes() == content

    def names(self) -> list[str]:
        return sorted(path.name.removeprefix("train.parquet") for path in self.path.parent.iterdir())

    @property
    def part(self) -> Path:
        return Path(f"{self.path}.part")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path / "v5" / "train.parquet", [])


def break_off(target: Target, site: Site, least: int = 100_000) -> int:
    """A download interrupted by the user; returns the bytes it left."""

    def progress(done: int, total: int) -> None:
        if done >= least:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        target.fetch(site.url, progress)
    site.asked.clear()
    return target.part.stat().st_size


def test_a_file_arrives_whole_and_its_version_is_recorded(site: Site, target: Target) -> None:
    ticks: list[tuple[int, int]] = []
    result = target.fetch(site.url, lambda done, total: ticks.append((done, total)))
    assert result == Remote('"one"', len(OLD), None)
    assert target.holds(OLD)
    assert site.asked[0]["Accept-Encoding"] == "identity"
    assert ticks == sorted(set(ticks))
    assert ticks[-1] == (len(OLD), len(OLD))


def test_the_same_version_is_not_fetched_again(site: Site, target: Target) -> None:
    target.fetch(site.url)
    ticks: list[int] = []
    assert target.fetch(site.url, lambda done, total: ticks.append(done)) == Remote('"one"', len(OLD), None)
    assert ticks == []
    assert target.holds(OLD)


def test_a_new_version_replaces_the_old_one(site: Site, target: Target) -> None:
    target.fetch(site.url)
    assert not changed(target.path, remote_state(site.url))
    site.content, site.etag = NEW, '"two"'
    assert changed(target.path, remote_state(site.url))
    target.fetch(site.url)
    assert target.holds(NEW)


def test_a_file_edited_by_hand_or_never_recorded_counts_as_changed(site: Site, target: Target) -> None:
    remote = target.fetch(site.url)
    target.path.write_bytes(OLD[:-1])
    assert changed(target.path, remote)
    target.fetch(site.url)
    assert target.holds(OLD)
    assert changed(target.path.with_name("other.parquet"), remote)
    assert changed(target.path, Remote(None, len(OLD), None))


def reset(handler: Handler) -> None:
    """Ends the connection with RST instead of FIN."""
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


@pytest.mark.parametrize("step", [9_000, 70_000])
def test_a_connection_that_closes_every_some_bytes_is_resumed_where_it_ended(site: Site, target: Target, step: int) -> None:
    site.script = lambda handler, number: handler.well(step)
    target.fetch(site.url)
    assert target.holds(OLD)
    starts = range(step, len(OLD), step)
    assert site.ranges() == [(None, None), *((f"bytes={start}-", '"one"') for start in starts)]


def test_a_connection_that_is_reset_is_resumed(site: Site, target: Target) -> None:
    def script(handler: Handler, number: int) -> None:
        handler.well(100_000)
        if number == 1:
            reset(handler)

    site.script = script
    target.fetch(site.url)
    assert target.holds(OLD)


def test_a_server_that_falls_silent_is_left_and_resumed(site: Site, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "TIMEOUT", (1.0, 0.1))
    done = threading.Event()

    def script(handler: Handler, number: int) -> None:
        handler.well(70_000 if number == 1 else None)
        if number == 1:
            done.wait(5)

    site.script = script
    try:
        target.fetch(site.url)
    finally:
        done.set()
    assert target.holds(OLD)
    assert len(site.asked) == 2


def test_an_interrupted_download_goes_on_in_the_next_call(site: Site, target: Target) -> None:
    start = break_off(target, site)
    assert target.names() == [".lock", ".part", ".part.json"]
    target.fetch(site.url)
    assert target.holds(OLD)
    assert site.ranges() == [(f"bytes={start}-", '"one"')]


def test_a_part_that_was_whole_already_costs_one_byte(site: Site, target: Target) -> None:
    assert break_off(target, site, len(OLD)) == len(OLD)
    target.fetch(site.url)
    assert target.holds(OLD)
    assert site.ranges() == [(f"bytes={len(OLD) - 1}-", '"one"')]


@pytest.mark.parametrize("spoil", ["absent", "torn", "too short"])
def test_a_part_without_a_trustworthy_side_file_is_not_resumed(site: Site, target: Target, spoil: str) -> None:
    break_off(target, site)
    side = Path(f"{target.part}.json")
    if spoil == "absent":
        side.unlink()
    else:
        side.write_text('{"etag": ' if spoil == "torn" else json.dumps({"etag": '"one"', "size": 9, "modified": None}))
    target.fetch(site.url)
    assert target.holds(OLD)
    assert site.ranges() == [(None, None)]


def test_a_server_that_ignores_ranges_is_read_from_the_start(site: Site, target: Target) -> None:
    def script(handler: Handler, number: int) -> None:
        handler.send(200, OLD[: 50_000 * number], len(OLD), ETag='"one"')

    site.script = script
    target.fetch(site.url)
    assert target.holds(OLD)


def test_a_server_that_ignores_ranges_and_never_gets_further_is_given_up(site: Site, target: Target) -> None:
    site.script = lambda handler, number: handler.send(200, OLD[:50_000], len(OLD), ETag='"one"')
    assert "connection failed: ProtocolError" in target.refusal(site.url)
    assert len(site.asked) == 7  # the first brought something new
    assert target.names() == [".lock", ".part", ".part.json"]
    assert OLD.startswith(target.part.read_bytes())


@pytest.mark.parametrize("honest", [True, False])
@pytest.mark.parametrize("content", [NEW, LONGER])
def test_a_file_that_changes_between_requests_arrives_as_the_new_one(
    site: Site, target: Target, honest: bool, content: bytes
) -> None:
    def script(handler: Handler, number: int) -> None:
        if number == 1:
            handler.well(120_000)
        site.content, site.etag = content, '"two"'
        if number == 2 and not honest:  # it overlooks If-Range
            handler.headers.replace_header("If-Range", '"two"')
        if number > 1:
            handler.well()

    site.script = script
    target.fetch(site.url)
    assert target.holds(content)


def test_a_file_that_changed_its_size_only_is_fetched_anew(site: Site, target: Target) -> None:
    def script(handler: Handler, number: int) -> None:
        handler.well(120_000 if number == 1 else None)
        site.content = LONGER

    site.script = script
    target.fetch(site.url)
    assert target.holds(LONGER)


def test_a_file_that_never_stops_changing_is_given_up(site: Site, target: Target) -> None:
    site.script = lambda handler, number: handler.well(10_000 * number, ETag=f'"{number}"')
    assert "connection failed: ProtocolError" in target.refusal(site.url)
    assert len(site.asked) <= 8
    assert not target.path.exists()


def test_server_errors_are_waited_out(site: Site, target: Target) -> None:
    site.script = lambda handler, number: handler.send(500 if number < 3 else 429) if number <= 3 else handler.well()
    target.fetch(site.url)
    assert target.holds(OLD)
    assert target.pauses == [1, 2, 4]


def test_server_errors_without_end_are_one_sentence(site: Site, target: Target) -> None:
    site.script = lambda handler, number: handler.send(500)
    message = target.refusal(site.url)
    assert message == (
        f"127.0.0.1: train.parquet can't be fetched (it answered 500); put the file at {target.path} by hand "
        "or use --set data.source=synthetic"
    )
    assert len(site.asked) == 6
    assert target.pauses == [1, 2, 4, 8, 16]
    assert target.names() == [".lock"]


def test_progress_resets_the_count_of_attempts(site: Site, target: Target) -> None:
    site.script = lambda handler, number: handler.well(60_000) if number % 5 == 0 else handler.send(503)
    target.fetch(site.url)
    assert target.holds(OLD)


@pytest.mark.parametrize("content", [OLD[:100_000], b"<html>Access denied</html>", b""])
def test_a_whole_transfer_of_no_parquet_file_is_given_up_after_three(site: Site, target: Target, content: bytes) -> None:
    site.content = content
    assert "is no whole parquet file" in target.refusal(site.url)
    assert site.ranges() == [(None, None)] * 3
    assert target.names() == [".lock"]


def test_a_page_sent_once_in_place_of_the_file_does_no_harm(site: Site, target: Target) -> None:
    site.script = lambda handler, number: handler.send(200, b"<html></html>") if number == 1 else handler.well()
    target.fetch(site.url)
    assert target.holds(OLD)


def test_json_must_parse(site: Site, target: Target) -> None:
    target.path = target.path.with_name("features.json")
    site.content = b'{"feature_sets": {"small": ["fea'
    assert "is no whole json file" in target.refusal(site.url)
    assert target.names() == ["features.json.lock"]
    site.content = b'{"feature_sets": {}}'
    target.fetch(site.url)
    assert target.path.read_bytes() == site.content


@pytest.mark.parametrize("given", ["bytes 0-9/{size}", "bytes 120001-{last}/{size}", "bytes 120000-{last}/*", "nonsense"])
def test_another_range_than_asked_for_is_not_appended(site: Site, target: Target, given: str) -> None:
    wrong = given.format(size=len(OLD), last=len(OLD) - 1)
    site.script = lambda handler, number: handler.well(120_000 if number == 1 else None, Content_Range=wrong)
    target.fetch(site.url)
    assert target.holds(OLD)
    assert [asked for asked, _ in site.ranges()] == [None, "bytes=120000-", None]


def test_a_range_nobody_asked_for_is_refused(site: Site, target: Target) -> None:
    site.script = lambda handler, number: handler.send(206, OLD, ETag='"one"', Content_Range=f"bytes 0-9/{len(OLD)}")
    target.refusal(site.url)
    assert target.names() == [".lock"]


def test_an_unsatisfiable_range_starts_over(site: Site, target: Target) -> None:
    break_off(target, site)
    site.script = lambda handler, number: handler.send(416) if "Range" in handler.headers else handler.well()
    target.fetch(site.url)
    assert target.holds(OLD)


@pytest.mark.parametrize("etag", ['W/"one"', None])
def test_without_a_strong_validator_every_attempt_starts_over(site: Site, target: Target, etag: str | None) -> None:
    site.script = lambda handler, number: handler.well(150_000 if number == 1 else None, ETag=etag)
    target.fetch(site.url)
    assert target.holds(OLD)
    assert site.ranges() == [(None, None)] * 2


def test_without_a_strong_validator_nothing_stays_after_an_error(site: Site, target: Target) -> None:
    site.script = lambda handler, number: handler.well(150_000, ETag='W/"one"')
    target.refusal(site.url)
    assert target.names() == [".lock"]
    assert len(site.asked) == 6


@pytest.mark.parametrize(("date", "validator"), [(LATER, NOON), (NOON, None)])
def test_a_date_stands_in_for_the_etag_once_it_is_old_enough(
    site: Site, target: Target, date: str, validator: str | None
) -> None:
    def script(handler: Handler, number: int) -> None:
        handler.well(150_000 if number == 1 else None, ETag=None, Last_Modified=NOON, Date=date)

    site.script = script
    target.fetch(site.url)
    assert target.holds(OLD)
    assert site.ranges()[1] == ("bytes=150000-" if validator else None, validator)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_refusal_is_final_at_once(site: Site, target: Target, status: int) -> None:
    site.script = lambda handler, number: handler.send(status)
    assert f"it answered {status}" in target.refusal(site.url)
    assert (len(site.asked), target.pauses) == (1, [])
    assert target.names() == [".lock"]


def test_a_refusal_keeps_what_can_be_resumed(site: Site, target: Target) -> None:
    start = break_off(target, site)
    site.script = lambda handler, number: handler.send(403)
    target.refusal(site.url)
    assert target.names() == [".lock", ".part", ".part.json"]
    assert target.part.read_bytes() == OLD[:start]


def test_a_server_that_is_not_there_is_one_sentence_with_the_way_out(site: Site, target: Target) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    message = target.refusal(f"http://127.0.0.1:{port}/train.parquet")
    assert "127.0.0.1: train.parquet can't be fetched (connection failed: NewConnectionError)" in message
    assert f"put the file at {target.path} by hand or use --set data.source=synthetic" in message
    assert (len(target.pauses), target.names()) == (5, [".lock"])


@pytest.mark.parametrize("failure", ["status", "page", "cut"])
def test_a_good_older_file_survives_a_failed_refresh(site: Site, target: Target, failure: str) -> None:
    target.fetch(site.url)
    site.etag = '"two"'
    site.content = NEW if failure == "cut" else b"<html></html>"
    site.script = {
        "status": lambda handler, number: handler.send(500),
        "page": lambda handler, number: handler.well(),
        "cut": lambda handler, number: handler.send(200, NEW[:9000], len(NEW), ETag='W/"two"'),
    }[failure]
    target.refusal(site.url)
    assert target.holds(OLD)


def test_a_size_that_is_not_announced_is_not_trusted(site: Site, target: Target) -> None:
    site.script = lambda handler, number: handler.send(200, OLD, ETag='"one"', Content_Length=None)
    assert "doesn't say how large" in target.refusal(site.url)
    assert target.names() == [".lock"]


def test_two_at_once_fetch_the_file_once(site: Site, target: Target) -> None:
    started = threading.Event()
    ticks: list[int] = []

    def progress(done: int, total: int) -> None:
        ticks.append(done)
        started.set()
        time.sleep(0.1)

    threads = [threading.Thread(target=target.fetch, args=(site.url, progress)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert started.wait(5)
    assert target.names() == [".lock", ".part", ".part.json"]
    for thread in threads:
        thread.join()
    assert target.holds(OLD)
    assert ticks == sorted(set(ticks))


@pytest.mark.parametrize("failure", ["status", "cut", "connection", "redirects", "scheme"])
def test_a_signature_is_told_to_nobody(site: Site, target: Target, failure: str, caplog: pytest.LogCaptureFixture) -> None:
    site.script = {
        "status": lambda handler, number: handler.send(500),
        "cut": lambda handler, number: handler.well(9000, ETag=None),
        "redirects": lambda handler, number: handler.send(302, Location=site.url),
    }.get(failure, site.script)
    url = {"connection": f"http://user:{SECRET}@127.0.0.1:1/train.parquet?{SECRET}", "scheme": f"none://host/x?{SECRET}"}
    with caplog.at_level(logging.DEBUG, logger="nlab"), pytest.raises(NlabError) as caught:
        target.fetch(url.get(failure, site.url))
    messages = [str(caught.value), *(record.getMessage() for record in caplog.records if record.name == "nlab")]
    assert SECRET not in "\n".join(messages)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert target.names() == [".lock"]


def test_the_remote_state_is_asked_for_with_the_same_patience(site: Site) -> None:
    site.script = lambda handler, number: handler.send(503) if number < 4 else handler.well()
    assert remote_state(site.url, pause=lambda seconds: None) == Remote('"one"', len(OLD), None)
    assert site.methods == ["HEAD"] * 4
    site.script = lambda handler, number: handler.send(404)
    with pytest.raises(NlabError, match=r"train.parquet can't be fetched \(it answered 404\); try again later or use"):
        remote_state(site.url)


def test_where_head_is_refused_get_tells_the_remote_state(site: Site) -> None:
    site.script = lambda handler, number: handler.send(403) if handler.command == "HEAD" else handler.well()
    assert remote_state(site.url) == Remote('"one"', len(OLD), None)


def test_a_folder_that_cannot_be_written_is_one_sentence(site: Site, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(NlabError, match="can't be written .*choose another folder"):
        download(site.url, tmp_path / "taken" / "train.parquet")
    assert site.asked == []


def test_a_server_that_sends_a_byte_now_and_then_is_given_up(site: Site, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "RATE_SECONDS", 0.1)

    def dribble(handler: Handler, number: int) -> None:
        handler.send_response_only(200)
        handler.send_header("Content-Length", str(len(OLD)))
        handler.send_header("ETag", site.etag)
        handler.end_headers()
        for i in range(20):
            handler.wfile.write(OLD[i : i + 1])
            handler.wfile.flush()
            time.sleep(0.02)

    site.script = dribble
    assert re.search(r"it sent [0-9]+ bytes in [0-9]+ seconds", target.refusal(site.url))
    assert len(site.asked) <= 2 * downloading.ATTEMPTS
    assert not target.path.exists()


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "3\u00b2", "1e3", ""])
def test_a_length_that_is_no_number_of_bytes_is_one_sentence(length: str, site: Site, target: Target) -> None:
    site.script = lambda handler, number: handler.send(200, OLD, Content_Length=length)
    assert "can't be fetched" in target.refusal(site.url)
    assert not target.path.exists()


ADDRESSES = ("http://[::1/x", "http://a..b/x", f"http://{'a' * 300}.de/x", "gopher://x/y", "http://:80:90/")


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_redirect_to_what_is_no_address_is_one_sentence(address: str, site: Site, target: Target) -> None:
    site.script = lambda handler, number: handler.send(302, Location=address)
    assert "can't be fetched" in target.refusal(site.url)


def test_pages_of_another_version_under_a_fitting_end_are_no_parquet_file(site: Site, target: Target) -> None:
    buffer = BytesIO()
    pl.DataFrame({"x": np.random.default_rng(0).integers(0, 5, 400_000)}).write_parquet(buffer)
    whole = buffer.getvalue()
    site.content = whole[:20_000] + OLD[20_000:60_000] + whole[60_000:]
    assert len(site.content) == len(whole)
    assert "is no whole parquet file" in target.refusal(site.url)
    assert not target.path.exists()


@pytest.mark.parametrize(("step", "patient"), [(1, False), (30_000, True)])
def test_the_rate_counts_over_connections_and_pauses(
    step: int, patient: bool, site: Site, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def pause(seconds: float) -> None:
        clock[0] += max(seconds, 25.0)  # a connection itself takes no time here

    monkeypatch.setattr(downloading, "monotonic", lambda: clock[0])
    monkeypatch.setattr(downloading, "SLOW_SECONDS", 100.0)
    site.script = lambda handler, number: handler.well(step)
    if patient:
        download(site.url, target.path, pause=pause)
        assert target.holds(OLD)
        assert clock[0] > 100
    else:
        with pytest.raises(NlabError, match=r"can't be fetched \(it sent [0-9]+ bytes in 2 minutes; .*by hand or use"):
            download(site.url, target.path, pause=pause)
        assert len(site.asked) < 10


def test_a_file_larger_than_the_disk_is_refused_before_it_begins(site: Site, target: Target) -> None:
    site.script = lambda handler, number: handler.send(200, OLD, 9 * 10**17, ETag='"one"')
    message = target.refusal(site.url)
    assert "its server announces 900000.0 TB, and " in message
    assert "are free there; make room" in message
    assert (len(site.asked), target.names()) == (1, [".lock"])


def test_json_that_is_nested_deep_is_no_whole_json_file(site: Site, target: Target) -> None:
    site.content = b"[" * 100_000 + b"]" * 100_000
    target.path = target.path.with_name("features.json")
    assert "is no whole json file" in target.refusal(site.url)
    assert not target.path.exists()
