"""A server on this machine that speaks what Numerai's API speaks, and misbehaves on request.

Calls, fields and habits are those of numerapi 3.1.1 and of the API's public schema: it registers a submission whether or not its
file arrived, and it keeps the stem of a file's name and adds a suffix.
"""

import io
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import polars as pl

PUBLIC, SECRET = "PUBLICIDPUBLICIDPUBLICIDPUBLICID", "SECRETKEYSECRETKEYSECRETKEYSECRETKEYSECRETKEYSECRETKEYSECRETKEYX"
FIELDS: dict[str, set[str]] = {
    "rounds": {"number", "openTime", "closeTime", "closeStakingTime", "id", "target"},
    "account": {"models", "id", "name", "tournament", "username"},
    "submissions": {"id", "status", "errorInfo", "selected", "filename", "insertedAt", "round", "number", "triggerId"},
    "submission_upload_auth": {"filename", "url"},
    "create_submission": {"id"},
    "listDatasets": set(),
    "dataset": set(),
    "computePickleUploadAuth": {"filename", "url"},
    "createComputePickleUpload": {"id"},
    "computePickleDockerImages": {"id", "name", "default", "deprecated", "image", "tag"},
    "computePickleDataVersions": {"id", "name", "default", "deprecated"},
    "computePickles": {
        *("id", "filename", "modelId", "validationStatus", "diagnosticsStatus", "triggerStatus", "assignedModelSlots"),
        *("triggers", "status", "insertedAt"),
    },
    "assignPickleToModel": set(),
    "triggerLogs": {"timestamp", "message"},
}
"""What can be asked of each call, from the API's public schema."""
OPEN_TO_ALL = ("rounds", "listDatasets", "dataset")
Fault = Callable[["Handler", Callable[[], bytes]], None]


def answers(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Answers so, and does nothing else."""
    return lambda handler, act: handler.answer(status, body, headers)


def acts_and_answers(status: int, body: bytes = b"") -> Fault:
    """Does what was asked, and answers so."""

    def fault(handler: "Handler", act: Callable[[], bytes]) -> None:
        act()
        handler.answer(status, body)

    return fault


def stalls(handler: "Handler", act: Callable[[], bytes]) -> None:
    """Never answers."""
    handler.server.closing.wait(30)


def drips(handler: "Handler", act: Callable[[], bytes]) -> None:
    """A byte now and then: every timeout between two reads starts anew."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
    while not handler.server.closing.wait(0.05):
        handler.wfile.write(b".")
        handler.wfile.flush()


def drops(handler: "Handler", act: Callable[[], bytes]) -> None:
    """Does what was asked, and hangs up."""
    act()
    handler.close_connection = True


class FakeNumerai(ThreadingHTTPServer):
    """One account with its models, a round, and what was submitted."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        now = datetime.now(UTC)
        self.round: dict[str, Any] | None = {
            "number": 1100,
            "openTime": (now - timedelta(minutes=10)).isoformat(),
            "closeTime": (now + timedelta(hours=1)).isoformat(),
            "closeStakingTime": (now + timedelta(minutes=50)).isoformat(),
        }
        self.models = [{"id": "aaaa-1", "name": "alpha", "tournament": 8}, {"id": "bbbb-2", "name": "beta", "tournament": 8}]
        self.models.append({"id": "cccc-3", "name": "signal", "tournament": 11})
        self.live = pl.DataFrame({"id": [f"n{i:04d}" for i in range(50)]})
        self.datasets = ["v5.0/live_example_preds.parquet", "v5.2/live.parquet", "v5.2/live_example_preds.parquet", "v9/x.csv"]
        self.submissions: list[dict[str, Any]] = []
        self.pickles: list[dict[str, Any]] = []
        self.images = [
            {"id": "img-311", "name": "Python 3.11", "default": False, "deprecated": False},
            {"id": "img-312", "name": "Python 3.12", "default": True, "deprecated": False},
        ]
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.variables: list[dict[str, Any]] = []
        self.faults: dict[str, list[Fault]] = {}
        self.status, self.error_info, self.selected = "validated", None, True
        self.pickle_states = ["validating", "validated"]
        self.closing, self.guard = threading.Event(), threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def close_round(self) -> None:
        assert self.round
        self.round["closeTime"] = self.round["closeStakingTime"] = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()

    @property
    def changes(self) -> list[str]:
        """Calls that change something: uploads and mutations."""
        return [call for call in self.asked if call == "PUT" or call.startswith(("create", "assign"))]

    def handle_error(self, request: Any, client_address: Any) -> None: ...

    # Calls, by name.

    def rounds(self, of: dict[str, Any]) -> Any:
        return [self.round] if self.round else [None]

    def account(self, of: dict[str, Any]) -> Any:
        return {"models": self.models}

    def submission_upload_auth(self, of: dict[str, Any]) -> Any:
        stem, _, suffix = of["filename"].rpartition(".")
        name = f"{stem}-{secrets.token_hex(6)}.{suffix}"
        return {"filename": name, "url": f"{self.address}/store/{name}?X-Amz-Signature=SIGNEDUPLOAD"}

    def create_submission(self, of: dict[str, Any]) -> Any:
        entry = {
            "id": f"sub-{len(self.submissions) + 1}",
            **{"status": self.status, "errorInfo": self.error_info, "selected": self.selected},
            **{"filename": of["filename"], "insertedAt": datetime.now(UTC).isoformat(), "modelId": of["modelId"]},
            **{"round": {"number": self.round["number"] if self.round else 1101}, "triggerId": of.get("triggerId")},
        }
        self.submissions.append(entry)
        return {"id": entry["id"]}

    def submissions_(self, of: dict[str, Any]) -> Any:
        return [entry for entry in self.submissions if entry["modelId"] == of["modelId"]]

    def listDatasets(self, of: dict[str, Any]) -> Any:
        return self.datasets

    def dataset(self, of: dict[str, Any]) -> Any:
        return f"{self.address}/data/{of['filename']}"

    def computePickleDockerImages(self, of: dict[str, Any]) -> Any:
        return self.images

    def computePickleDataVersions(self, of: dict[str, Any]) -> Any:
        return [{"id": "data-52", "name": "v5.2"}]

    computePickleUploadAuth = submission_upload_auth

    def createComputePickleUpload(self, of: dict[str, Any]) -> Any:
        entry = {"id": f"pickle-{len(self.pickles) + 1}", "asked": 0, "assignedModelSlots": [], "triggers": [{"id": "t-1"}], **of}
        self.pickles.append(entry)
        return {"id": entry["id"]}

    def computePickles(self, of: dict[str, Any]) -> Any:
        for entry in self.pickles:
            state = self.pickle_states[min(entry["asked"], len(self.pickle_states) - 1)]
            entry |= {"validationStatus": state, "triggerStatus": "", "asked": entry["asked"] + 1}
        return [entry for entry in self.pickles if of.get("modelId") in (None, entry["modelId"])]

    def assignPickleToModel(self, of: dict[str, Any]) -> Any:
        next(entry for entry in self.pickles if entry["id"] == of["pickleId"])["assignedModelSlots"].append(of["modelId"])
        return "true"

    def triggerLogs(self, of: dict[str, Any]) -> Any:
        return [{"timestamp": 1, "message": "ModuleNotFoundError: umap\x1b[2J"}]


class Handler(BaseHTTPRequestHandler):
    server: FakeNumerai

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        call = re.findall(r"\{\s*(\w+)", body["query"])[0]
        self._serve(call, lambda: self._called(call, body))

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self._serve("PUT", lambda: self._stored(content))

    def do_GET(self) -> None:
        self._serve("GET", self._live_file)

    def _serve(self, call: str, act: Callable[[], bytes]) -> None:
        with self.server.guard:
            self.server.asked.append(call)
            faults = self.server.faults.get(call, [])
            fault = faults.pop(0) if faults else None
        if fault:
            fault(self, act)
        else:
            self.answer(200, act())

    def _called(self, call: str, body: dict[str, Any]) -> bytes:
        selection = body["query"].split("{", 2)[2] if body["query"].count("{") > 1 else ""
        unknown = set(re.findall(r"\w+", re.sub(r"[(].*?[)]", "", selection, flags=re.DOTALL))) - FIELDS[call]
        if unknown:
            return _errors(f'Cannot query field "{min(unknown)}" on type "{call}".')
        if call not in OPEN_TO_ALL and self.headers["Authorization"] != f"Token {PUBLIC}${SECRET}":
            return _errors(f"You must be authenticated to perform this action, {self.headers['Authorization']}.")
        if call == "rounds" and self.server.round is None:
            return _errors("Current round not open for submissions")
        with self.server.guard:
            self.server.variables.append(body["variables"] or {})
            method = getattr(self.server, "submissions_" if call == "submissions" else call)
            return json.dumps({"data": {call: method(body["variables"] or {})}}).encode()

    def _stored(self, content: bytes) -> bytes:
        self.server.files[unquote(self.path.split("?")[0].rsplit("/", 1)[1])] = content
        return b""

    def _live_file(self) -> bytes:
        out = io.BytesIO()
        self.server.live.write_parquet(out)
        return out.getvalue()

    def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def fake_numerai() -> Iterator[FakeNumerai]:
    """The server, answering until the block ends."""
    with FakeNumerai() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits for what another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _errors(message: str) -> bytes:
    return json.dumps({"errors": [{"message": message, "path": ["x"], "locations": []}], "data": None}).encode()
