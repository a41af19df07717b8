"""Which files this installation wrote: SHA-256 of each, under an HMAC with a secret that stays in the user's config folder."""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from numerai_lab.storage.folders import user_path
from numerai_lab.storage.plain_files import read_plain
from numerai_lab.storage.whole_files import NEW

SECRET = "secret"
SECRET_BYTES = 32
DIGESTS, MARK = "sha256", "hmac"


def config_dir() -> Path:
    """The config folder: `$NLAB_CONFIG`, else `numerai_lab` in the user's config folder."""
    named = os.environ.get("NLAB_CONFIG")
    return user_path(named) if named else user_path(os.environ.get("XDG_CONFIG_HOME") or "~/.config") / "numerai_lab"


def signature(paths: Iterable[Path], folder: Path) -> dict[str, Any]:
    """What marks files of a folder as written here; empty where no secret can be kept."""
    digests = {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(paths)}
    key = _secret(make=True)
    return {DIGESTS: digests, MARK: _mark(key, digests)} if key else {}


def signed_digests(signed: object) -> dict[str, str]:
    """The SHA-256 of each file that a signature names; empty unless this installation made the signature."""
    if not isinstance(signed, Mapping) or not isinstance(signed.get(DIGESTS), dict) or not isinstance(signed.get(MARK), str):
        return {}
    key = _secret(make=False)
    right = key and hmac.compare_digest(_mark(key, signed[DIGESTS]).encode(), signed[MARK].encode(errors="replace"))
    return dict(signed[DIGESTS]) if right else {}


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mark(key: bytes, digests: Mapping[str, Any]) -> str:
    return hmac.new(key, json.dumps(digests, sort_keys=True).encode(), "sha256").hexdigest()


def _secret(*, make: bool) -> bytes | None:
    """The secret of this installation; None where there is none and none can be made."""
    path = config_dir() / SECRET
    with suppress(OSError, ValueError):
        content = read_plain(path, SECRET_BYTES)
        return content if len(content) == SECRET_BYTES else None
    if not make:
        return None
    part = path.with_name(f".{SECRET}-{secrets.token_hex(8)}")
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(part, NEW, 0o600), "wb") as file:
                file.write(secrets.token_bytes(SECRET_BYTES))
            with suppress(FileExistsError):  # another process was faster: its secret is ours too
                os.link(part, path)
        finally:
            part.unlink(missing_ok=True)
        return read_plain(path, SECRET_BYTES)
    return None
