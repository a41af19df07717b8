"""Python environments with the packages of Numerai's containers, made once and kept in the cache."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.storage.folders import built, cache_dir, in_use, key_of

ENVIRONMENTS = "environments"
"""The folder of the cache that they lie in."""
PINS: Mapping[str, Mapping[str, str]] = {
    "3.11": {"numpy": "2.1.3", "pandas": "2.3.1", "scipy": "1.16.0", "pyarrow": "21.0.0", "cloudpickle": "3.1.1"},
    "3.12": {"numpy": "2.1.3", "pandas": "2.3.1", "scipy": "1.16.0", "pyarrow": "18.1.0", "cloudpickle": "3.1.1"},
    "3.13": {"numpy": "2.2.6", "pandas": "2.3.3", "scipy": "1.17.1", "pyarrow": "18.1.0", "cloudpickle": "3.1.2"},
}
"""Versions in Numerai's images by Python version: what a deployed model and the runner read. Read in August 2026."""
NOT_INSTALLED = ("scikit-learn", "xgboost", "lightgbm", "torch")
"""Packages that the images have and that no deployed model reads."""
NEEDED = ("numpy", "pandas", "scipy", "cloudpickle")
"""Packages that a deployed model is loaded with and reads."""
MINUTES = 20


def own_python() -> str:
    """The version of this Python where Numerai has a container of it, else 3.12."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    return own if own in PINS else "3.12"


def environment(python: str) -> Path:
    """The Python of an environment with the packages of a container; made where it is not there yet.

    Raises NlabError for a version that no container has and where the machine lacks it, NlabFailure where packages can't be
    installed.
    """
    if python not in PINS:
        raise NlabError(f"--python: Numerai has no container with Python {python}; take one of {', '.join(PINS)}")
    pins = [f"{name}=={version}" for name, version in PINS[python].items()]
    folder = cache_dir() / ENVIRONMENTS / f"python{python}-{key_of(pins)[:8]}"
    if not folder.exists():
        base = interpreter(python)
        with in_use(folder), built(folder) as work:
            _make(base, work, pins)
    return folder / "bin" / "python"


def interpreter(python: str) -> Path:
    """A Python of a version on this machine. Raises NlabError where there is none."""
    for candidate in _candidates(python):
        if _version_of(candidate) == python:
            return candidate
    raise NlabError(
        f"--python: this machine has no Python {python}, to pack the model with; install it (`uv python install {python}` or "
        f"`pyenv install {python}`), or take another of {', '.join(PINS)}"
    )


def _candidates(python: str) -> Iterator[Path]:
    if sys.version_info[:2] == tuple(map(int, python.split("."))):
        yield Path(sys.executable)
    on_path = shutil.which(f"python{python}")
    if on_path:
        yield Path(on_path)
    versions = Path(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")) / "versions"
    yield from (folder / "bin" / "python" for folder in sorted(versions.glob(f"{python}.*"), reverse=True))
    uv = shutil.which("uv")
    if uv:
        answer = subprocess.run([uv, "python", "find", python], capture_output=True, text=True, check=False)
        yield from map(Path, answer.stdout.split("\n")[:1])


def _version_of(candidate: Path) -> str | None:
    """The version that a Python says; None where it does not run, as a pyenv shim of another version."""
    ask = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    try:
        answer = subprocess.run([candidate, "-I", "-c", ask], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _make(base: Path, work: Path, pins: list[str]) -> None:
    """Installs the packages into a new environment. Raises NlabFailure where that fails.

    They are compiled by all cores and without their own tests, which takes pip, file by file, longer than all the rest.
    """
    own = str(work / "bin" / "python")
    install = [own, "-m", "pip", "install", "--quiet", "--no-compile", *pins]
    for command in ([str(base), "-I", "-m", "venv", str(work)], install):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60 * MINUTES)
        except subprocess.TimeoutExpired:
            raise NlabFailure(f"installing {' '.join(pins)} took more than {MINUTES} minutes; try again") from None
        if done.returncode:
            lines = [line for line in (done.stderr or done.stdout).splitlines() if "ERROR" in line] or done.stderr.splitlines()
            why = lines[-1].removeprefix("ERROR: ") if lines else "no reason given"
            raise NlabFailure(f"the container's packages ({' '.join(pins)}) can't be installed: {why}")
    by_all_cores = [own, "-m", "compileall", "-q", "-j", "0", "-x", "/tests?/", str(work / "lib")]
    subprocess.run(by_all_cores, capture_output=True, check=False)
