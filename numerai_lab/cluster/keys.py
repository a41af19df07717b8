"""Keys of a cluster: who holds them may connect, and runs code on every machine of it."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.storage.folders import user_path

if TYPE_CHECKING:
    from distributed import Security

VARIABLE = "NLAB_CLUSTER_KEYS"
"""The environment variable that names the folder of keys."""
CA, CERTIFICATE, KEY = "ca.pem", "cert.pem", "key.pem"
DAYS = "3650"


def make_keys(folder: Path) -> None:
    """Writes a certificate authority, and the one certificate and key (mode 0600) that it signed.

    The authority's own key is thrown away: nobody can sign another certificate. Raises NlabError where keys are there
    already, and NlabFailure where openssl is missing or fails.
    """
    if there := [name for name in (CA, CERTIFICATE, KEY) if (folder / name).exists()]:
        raise NlabError(f"{folder}: {', '.join(there)} there already; name another folder, or remove the old keys")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".keys-") as name:  # only this user may look into it
        work = Path(name)
        new_key = ("-newkey", "rsa:3072", "-nodes", "-sha256")
        _openssl(work, "req", "-x509", *new_key, "-days", DAYS, "-subj", "/CN=nlab cluster CA", "-keyout", "ca-key", "-out", CA)
        _openssl(work, "req", *new_key, "-subj", "/CN=nlab cluster", "-keyout", KEY, "-out", "request")
        signing = ("-CA", CA, "-CAkey", "ca-key", "-CAcreateserial", "-days", DAYS, "-sha256")
        _openssl(work, "x509", "-req", "-in", "request", *signing, "-out", CERTIFICATE)
        for file in (CA, CERTIFICATE, KEY):
            (work / file).chmod(0o600)
            (work / file).rename(folder / file)


def keys_folder(given: Path | None = None) -> Path:
    """The folder of keys: as given, else `$NLAB_CLUSTER_KEYS`.

    Raises NlabError where none is named, a file is missing, or others may read the key.
    """
    named = os.environ.get(VARIABLE)
    folder = given or (user_path(named) if named else None)
    if folder is None:
        raise NlabError(f"tls needs the folder of keys that `nlab cluster keys DIR` wrote: name it in {VARIABLE}")
    if missing := [name for name in (CA, CERTIFICATE, KEY) if not (folder / name).is_file()]:
        raise NlabError(f"{folder}: no {' and '.join(missing)}; copy there what `nlab cluster keys DIR` wrote")
    if (folder / KEY).stat().st_mode & 0o077:
        raise NlabError(f"{folder / KEY}: others may read it; chmod 600 it")
    return folder


def security_of(folder: Path) -> "Security":
    """Dask's settings of mutual TLS with these keys."""
    from distributed import Security

    pairs = {f"tls_{role}_{part}": str(folder / name) for role in ROLES for part, name in (("cert", CERTIFICATE), ("key", KEY))}
    return Security(require_encryption=True, tls_ca_file=str(folder / CA), **pairs)


ROLES = ("client", "scheduler", "worker")


def tls_options(folder: Path) -> list[str]:
    """Options of Dask's own commands for mutual TLS with these keys."""
    pairs = {"--tls-ca-file": CA, "--tls-cert": CERTIFICATE, "--tls-key": KEY}
    return [word for option, name in pairs.items() for word in (option, str(folder / name))]


def _openssl(work: Path, *words: str) -> None:
    try:
        done = subprocess.run(["openssl", *words], cwd=work, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NlabFailure("keys are made by the program openssl, which is not installed here") from error
    if done.returncode:
        raise NlabFailure(f"openssl {words[0]} failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
