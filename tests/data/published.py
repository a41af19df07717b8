"""A server on this machine that speaks the GraphQL calls of numerapi by which files are found, and serves them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numerapi.base_api
import pytest

from numerai_lab.data.synthetic_files import write_tournament
from numerai_lab.data.world import World
from numerai_lab.data.world_size import Size


class Server(ThreadingHTTPServer):
    """Publishes a folder as version v5.3 and remembers what it was asked."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.asked, self.refusing, self.round = folder, list[str](), False, 1000

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(" ".join(body["query"].split())[:60])
        if self.server.refusing:
            self._answer(503, b"")
        elif "rounds(" in body["query"]:
            self._answer(200, json.dumps({"data": {"rounds": [{"number": self.server.round}]}}).encode())
        elif "listDatasets" in body["query"]:
            names = [f"v5.3/{path.name}" for path in self.server.folder.iterdir()] + ["v5.2/train.parquet", "signals.csv"]
            self._answer(200, json.dumps({"data": {"listDatasets": names}}).encode())
        else:
            of_round = body["variables"]["round"]
            address = f"{self.server.address}/{body['variables']['filename']}?round={of_round}&signature=secret"
            self._answer(200, json.dumps({"data": {"dataset": address}}).encode())

    def do_GET(self) -> None:
        name = self.path.split("?")[0].split("/")[-1]
        self.server.asked.append(f"{self.command} {name}")
        content = (self.server.folder / name).read_bytes()
        self._answer(200, content, {"ETag": f'"{hash(content)}"'})

    do_HEAD = do_GET

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of a small tournament that numerapi talks to, and a cache of its own."""
    folder = tmp_path / "published"
    folder.mkdir()
    write_tournament(folder, World(Size.even(40, 30, 6, 12), 0))
    (folder / "truth.parquet").unlink()
    with Server(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(numerapi.base_api, "API_TOURNAMENT_URL", server.address)
        monkeypatch.setattr("numerapi.utils.time.sleep", lambda seconds: None)
        monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "cache"))
        yield server
        server.shutdown()
