"""The quickstart on a busy machine: by default, and with one thread. Run with `make bench-busy`.

Asked beside eight busy processes: at most 1.5 × the seconds of one thread under the same load.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from numerai_lab.core.processors import PASSIVE, THREADS, usable_cores

BUSY = 8
ASKED = 1.5
SPINNING = "while True: pass"


@contextmanager
def busy_processes() -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", SPINNING]) for _ in range(BUSY)]
    try:
        time.sleep(1)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def seconds_of_quickstart(folder: Path, **environ: str) -> float:
    """Seconds of the tiny quickstart in an empty cache, where the synthetic data are there."""
    command = [sys.executable, "-m", "numerai_lab", "run", "configs/quickstart.yaml", "--set", "data.size=tiny", "--no-cache"]
    plain = {name: value for name, value in os.environ.items() if name not in {*THREADS, *PASSIVE}}
    start = time.perf_counter()
    subprocess.run([*command, "--runs-dir", str(folder)], env=plain | environ, check=True, capture_output=True)
    return time.perf_counter() - start


def test_beside_busy_processes_the_quickstart_is_hardly_slower_than_with_one_thread(tmp_path: Path) -> None:
    seconds_of_quickstart(tmp_path)  # makes the data
    quiet = seconds_of_quickstart(tmp_path)
    with busy_processes():
        seconds: dict[str, list[float]] = {"default": [], "one thread": [], "spinning": []}
        for _ in range(2):
            for name, environ in (("default", {}), ("one thread", {"OMP_NUM_THREADS": "1"})):
                seconds[name].append(seconds_of_quickstart(tmp_path, **environ))
                print(f"{name}: {seconds[name][-1]:.1f} s", flush=True)
        seconds["spinning"].append(seconds_of_quickstart(tmp_path, OMP_NUM_THREADS=str(usable_cores()), OMP_WAIT_POLICY="ACTIVE"))
    print(f"\n{usable_cores()} cores, nothing beside it: {quiet:.1f} s; beside {BUSY} busy processes:")
    for name, values in seconds.items():
        print(f"  {name}: {', '.join(f'{value:.1f}' for value in values)} s")
    assert min(seconds["default"]) <= ASKED * min(seconds["one thread"])
