"""Installs the package under other versions of Python, and tries it there: a tiny run, a DataFrame, a part of the tests.

python tests/versions.py [3.12 3.13]    # those found on PATH or among pyenv's; a line a version, exit code 1 if one fails
python tests/versions.py --sources      # these versions merely compile the sources, warnings as errors: a second each
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.12", "3.13")
CPU_TORCH = "https://download.pytorch.org/whl/cpu"
NEEDED = ("pytest>=8.3", "hypothesis>=6.100", "types-pyyaml")
"""Packages of the development extra that these tests import."""
TESTS = ("tests/core/test_splits.py", "tests/core/test_eras.py", "tests/data/test_ugly_files.py", "tests/test_frames.py")
TESTS_OF_TORCH = ("tests/core/test_integer_products.py", "tests/models/test_every_model.py")
COMPILE = "import pathlib; [compile(path.read_bytes(), path, 'exec') for path in pathlib.Path('numerai_lab').rglob('*.py')]"
RUN = ("configs/quickstart.yaml", "--set", "data.size=tiny", "--set", "model.n_estimators=20")


def main() -> int:
    failed, sources = 0, sys.argv[1:] == ["--sources"]
    for version in VERSIONS if sources else sys.argv[1:] or VERSIONS:
        python = interpreter(version)
        if python is None:
            print(f"Python {version}: not here")
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="nlab-versions-") as folder:
            broken = compiled(python) if sources else tried(python, Path(folder))
        print(f"Python {version}: {broken or 'works'} ({time.monotonic() - start:.0f} s)", flush=True)
        failed += bool(broken)
    return 1 if failed else 0


def interpreter(version: str) -> str | None:
    """The path of an interpreter, from PATH or pyenv; None where there is none that runs."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *sorted(map(str, home.glob(f"{version}.*/bin/python")))]
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    for path in filter(None, candidates):
        asked = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
        if asked.returncode == 0 and asked.stdout.strip() == version:
            return path
    return None


def compiled(python: str) -> str:
    """What keeps the sources from being compiled; empty where nothing does."""
    done = subprocess.run([python, "-W", "error", "-c", COMPILE], cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def transcript() -> str:
    """The Python of the manual from a DataFrame to a verdict."""
    page = (ROOT / "numerai_lab" / "docs" / "quickstart.md").read_text(encoding="utf-8")
    return "".join(re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE))


def tried(python: str, folder: Path) -> str:
    """What fails first; empty where nothing does. The tests are copied, so that they import what pip installed.

    Where the CPU build of torch can't be had, the package is tried without torch, as it may be installed.
    """
    for name in ("tests", "configs", "source/configs", "source/numerai_lab"):
        shutil.copytree(ROOT / Path(name).name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "source/pyproject.toml", "source/README.md", "source/LICENSE"):
        shutil.copy(ROOT / Path(name).name, folder / name)
    binaries = folder / "venv" / "bin"
    pip = (str(binaries / "pip"), "install", "--quiet", "--disable-pip-version-check")
    done(folder, "venv", python, "-m", "venv", str(folder / "venv"))
    has_torch = done(folder, "pip install torch", *pip, "torch>=2.6,<2.14", "--index-url", CPU_TORCH, "--retries", "0")
    print("" if has_torch else "  no CPU build of torch can be had here: the package is tried without torch", flush=True)
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    steps = {
        "pip install what it needs": (*pip, *(name for name in needed if has_torch or not name.startswith("torch>")), *NEEDED),
        "pip install": (*pip, "--no-deps", str(folder / "source")),
        "nlab --version": (str(binaries / "nlab"), "--version"),
        "nlab run": (str(binaries / "nlab"), "run", *RUN),
        "a DataFrame, as the manual says": (str(binaries / "python"), "-c", transcript()),
        "pytest": (str(binaries / "python"), "-m", "pytest", "-q", *TESTS, *(TESTS_OF_TORCH if has_torch else ())),
    }
    return next((f"{what} failed" for what, command in steps.items() if not done(folder, what, *command)), "")


def done(folder: Path, what: str, *command: str) -> bool:
    """Whether a command ends well in a folder, which holds the cache; prints its seconds."""
    start = time.monotonic()
    ended = subprocess.run(command, cwd=folder, env={**os.environ, "NLAB_CACHE": str(folder / "cache")}, check=False)
    print(f"  {what}: {time.monotonic() - start:.0f} s", flush=True)
    return ended.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
