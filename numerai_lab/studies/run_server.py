"""A local, read-only web server of a folder of runs."""

import logging
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import urlsplit

from numerai_lab.core.errors import NlabError
from numerai_lab.core.formatting import printable
from numerai_lab.report.overview import Overview
from numerai_lab.studies.served_pages import ServedPage, ServedPages, problem

log = logging.getLogger("nlab")
ADDRESS = "127.0.0.1"
HOSTS = (ADDRESS, "localhost", "::1")
"""What a browser on this machine may call the server; another name that leads here is a trick of another site."""
EVERY = 1.0
"""Seconds between two looks at the folder of runs while a page asks; a look that takes long is followed by a longer rest."""
REST = 10
"""Times that a rest is longer than the look before it, at least."""
PATIENCE = 10.0
"""Seconds that a browser may take to put its question."""
HEADERS = {
    "Cache-Control": "no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class RunServer(ThreadingHTTPServer):
    """Serves the pages of a folder of runs on 127.0.0.1. Raises NlabError where there is no such folder, or the port is taken."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, runs_dir: Path, port: int) -> None:
        """port: 0 for any that is free; `server_port` is the one that was taken."""
        overview = Overview(runs_dir)
        overview.look()
        self.pages = ServedPages(overview)
        self.asked = threading.Event()
        self._over = threading.Event()
        try:
            super().__init__((ADDRESS, port), _Questions)
        except OSError as error:
            raise NlabError(f"--port: {port} can't be had ({error.strerror}); --port 0 takes any that is free") from error

    def serve_until_interrupted(self) -> None:
        """Answers until the process is interrupted."""
        reader = threading.Thread(target=self._keep_reading, daemon=True)
        reader.start()
        try:
            self.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            pass
        finally:
            self._over.set()
            self.asked.set()
            reader.join(timeout=2.0)

    def server_bind(self) -> None:
        """Binds without a look-up of the address's name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of browsers that hung up."""

    def _keep_reading(self) -> None:
        """Looks at the folder after each question, and reads what changed; at the start without one."""
        self.asked.set()
        while True:
            self.asked.wait()
            self.asked.clear()
            start = time.monotonic()
            self.pages.look()
            rest = max(EVERY, REST * (time.monotonic() - start))
            while not self._over.is_set() and not self.pages.overview.read():
                self.pages.look()
            if self._over.wait(rest):
                return


class _Questions(BaseHTTPRequestHandler):
    """Answers one question of a browser."""

    server: RunServer
    server_version, sys_version = "nlab", ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        """Sends the page that was asked for."""
        self.server.asked.set()
        self._send(self._refusal() or self._page())

    def do_POST(self) -> None:
        """Refuses: nothing can be changed here."""
        self._send(problem("Not possible", "only GET is answered here", HTTPStatus.METHOD_NOT_ALLOWED), Allow="GET")

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_POST

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers a question that is none of HTTP."""
        self._send(problem("Not understood", message or explain or "", HTTPStatus(code)))

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps no log of questions."""

    def _refusal(self) -> ServedPage | None:
        """Why a question is not answered: it came by a name that is not this machine's, or from the page of another site."""
        names = self.headers.get_all("Host") or []
        if len(names) != 1 or _host(names[0]) not in HOSTS:
            return problem("Refused", f"only http://{ADDRESS}:{self.server.server_port}/ is answered", HTTPStatus.FORBIDDEN)
        foreign = self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        if foreign and self.headers.get("Sec-Fetch-Mode") != "navigate":
            return problem("Refused", "pages of other sites are not answered", HTTPStatus.FORBIDDEN)
        return None

    def _page(self) -> ServedPage:
        try:
            return self.server.pages.page(self.path)
        except Exception:  # a bug ends one answer, not the server
            log.exception("%s could not be answered", printable(self.path))
            sentence = "this page could not be made; the terminal of `nlab serve` says why"
            return problem("Failed", sentence, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _send(self, page: ServedPage, **headers: str) -> None:
        own = {"Content-Type": page.kind, "Content-Length": str(len(page.content)), "Content-Security-Policy": page.policy}
        self.send_response(page.status)
        for name, value in {**HEADERS, **own, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.content)


def _host(name: str) -> str:
    """The name of a Host header without its port; empty where it is none."""
    try:
        return urlsplit(f"//{name}").hostname or ""
    except ValueError:
        return ""
