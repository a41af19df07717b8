"""Downloads as processes: killed, in each other's way, on a full disk, and over TLS."""

import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from numerai_lab.core.errors import NlabError
from tests.data.test_download import OLD, Handler, Site, Target, site, target

__all__ = ["site", "target"]  # fixtures
SCRIPT = """
import resource, sys
from pathlib import Path
from numerai_lab.core.errors import NlabError
from numerai_lab.data.download import download
limit = int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    download(sys.argv[1], Path(sys.argv[2]), pause=lambda seconds: None)
except NlabError as error:
    print(error)
    sys.exit(2)
"""


def child(site: Site, path: Path, limit: int = 0) -> "subprocess.Popen[str]":
    """Another process that downloads the site's file; no file of it may grow beyond `limit` bytes."""
    command = [sys.executable, "-c", SCRIPT, site.url, str(path), str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def slowly(handler: Handler, number: int) -> None:
    """The file with a pause in its middle."""
    handler.send_response_only(200)
    for name, value in {"Content-Length": str(len(OLD)), "ETag": '"one"'}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(OLD[:120_000])
    time.sleep(0.5)
    handler.wfile.write(OLD[120_000:])


def test_a_process_killed_in_the_middle_leaves_a_part_that_the_next_one_ends(site: Site, target: Target) -> None:
    site.script = slowly
    deadline = time.monotonic() + 30
    with child(site, target.path) as process:
        while not (target.part.is_file() and target.part.stat().st_size > 0):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not target.path.exists()
    site.script = lambda handler, number: handler.well()
    target.fetch(site.url)
    assert target.holds(OLD)
    assert site.ranges()[-1][1] == '"one"'


def test_of_two_processes_that_want_a_file_one_waits_for_the_other(site: Site, target: Target) -> None:
    at_once, most = [0], [0]

    def script(handler: Handler, number: int) -> None:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        slowly(handler, number)
        at_once[0] -= 1

    site.script = script
    with child(site, target.path) as one, child(site, target.path) as other:
        assert [one.wait(60), other.wait(60)] == [0, 0]
    assert most == [1]
    assert target.holds(OLD)


def test_a_full_disk_is_one_sentence_and_leaves_no_file_under_its_name(site: Site, target: Target) -> None:
    with child(site, target.path, limit=100_000) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "train.parquet: can't be written" in said
    assert "free space or choose another folder" in said
    assert not target.path.exists()
    target.fetch(site.url)
    assert target.holds(OLD)


def test_what_a_server_asks_to_wait_is_waited(site: Site, target: Target) -> None:
    site.script = lambda handler, number: handler.send(503, Retry_After="17") if number == 1 else handler.well()
    target.fetch(site.url)
    assert target.pauses == [17]


@pytest.fixture
def secure(site: Site, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The site behind TLS with a certificate that nobody has signed; its address and the certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", certificate]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*make, *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def pass_on(handler: Handler, number: int) -> None:
        site.script(handler, number)

    with Site() as server:
        server.script = pass_on
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.url.replace("http://127.0.0.1", "https://localhost"), certificate
        server.shutdown()
        thread.join()


def test_a_certificate_that_nobody_signed_is_refused(secure: tuple[str, Path], target: Target) -> None:
    assert "connection failed: SSLError" in target.refusal(secure[0])
    assert not target.path.exists()


def test_over_tls_a_file_arrives_as_without(secure: tuple[str, Path], target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secure[1]))
    target.fetch(secure[0])
    assert target.holds(OLD)


def test_a_redirect_out_of_tls_is_refused(
    secure: tuple[str, Path], site: Site, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secure[1]))

    def script(handler: Handler, number: int) -> None:
        if handler.server is site:
            handler.well()
        else:
            handler.send(302, Location=site.url)

    site.script = script
    with pytest.raises(NlabError, match="it leads from https to an address that is not encrypted"):
        target.fetch(secure[0])
    assert not target.path.exists()
