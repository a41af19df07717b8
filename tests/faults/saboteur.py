"""Sabotages the command for some minutes, then looks for what was lost, wrong, hanging or executed.

python -m tests.faults.saboteur --minutes 10 --seed 0

Runs, sweeps, readers and pruning are killed, stopped, interrupted, given too little disk, and set upon each other; caches and
copies of run folders are damaged, and filled with links, pipes and pickles. What is done follows from the seed and the number of
the action; where in a process a kill falls is the machine's. Prints a line for each action, and each fault; exit code 1 with one.
"""

import argparse
import hashlib
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import psutil
import yaml

from numerai_lab.runs.layout import CONFIG, FAILED, MANIFEST, PREDICTIONS, UNFINISHED
from numerai_lab.runs.reading import FILES
from numerai_lab.storage.checksums import checksum
from numerai_lab.storage.stamped_json import read_stamped
from tests import forks
from tests.faults.strangers import ATTACKS, COMMANDS

BOUND = 240.0
"""Seconds that a command may take on a machine that others keep busy."""
MOMENT = 4.0
"""Seconds within which a kill falls; a run takes about as long."""
CONFIGS = {
    "plain": {"variants": {"baseline": {}}},
    "pca": {
        "generators": {"p": {"kind": "pca", "n_components": 3}},
        "variants": {"baseline": {}, "p": {"features": ["raw", "p"]}},
    },
    "cut": {"augmenters": {"cut": {"kind": "cutout"}}, "variants": {"baseline": {}, "cut": {"augment": ["cut"]}}},
    "all": {
        "generators": {"p": {"kind": "factor_analysis", "n_components": 3}},
        "augmenters": {"cut": {"kind": "gaussian_noise"}},
        "variants": {"baseline": {}, "raw+p": {"features": ["raw", "p"]}, "cut": {"augment": ["cut"]}},
        "seeds": [0, 1],
    },
}
SHARED = {
    "data": {"source": "synthetic", "size": "tiny"},
    "splits": {"train": "1-60", "val1": "69-71", "val2": "80-82"},
    "model": {"kind": "ridge"},
}
GRID = ["--grid", "model.alpha=1,10,100"]


class Touch:
    """An object whose pickle makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.folder,)


@dataclass
class World:
    """A cache, run folders and a sweep to sabotage, and files outside that nobody may touch."""

    folder: Path
    wanted: dict[str, str] = field(default_factory=dict)
    finished: dict[Path, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    doing: str = "the beginning"
    n_said: int = 0

    def __post_init__(self) -> None:
        for name in ("runs", "sweep", "canary", "strangers"):
            (self.folder / name).mkdir()
        self.canary.write_text("precious")
        self.outside = listed(self.canary.parent)
        for name, parts in CONFIGS.items():
            (self.folder / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, **SHARED, **parts}))

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def canary(self) -> Path:
        return self.folder / "canary" / "file"

    @property
    def executed(self) -> Path:
        return self.folder / "executed"

    def fault(self, what: str) -> None:
        self.faults.append(f"{self.doing}: {what}")
        print(f"FAULT: {self.faults[-1]}", flush=True)

    def start(self, *words: str | Path, cache: Path | None = None, before: Callable[[], None] | None = None) -> "Command":
        """A command of this world, running."""
        self.n_said += 1
        said = self.folder / "said" / f"{self.n_said}"
        said.mkdir(parents=True)
        places = {"NLAB_CACHE": str(cache or self.folder / "cache"), "NLAB_CONFIG": str(self.folder / "config")}
        odd = {"BROWSER": "true", "COLUMNS": "200"}
        return Command(self, words, said, forks.start(*words, said=said, cwd=self.folder, before=before, **places, **odd))

    def run(self, *words: str | Path, codes: tuple[int, ...] = (0,), cache: Path | None = None) -> str:
        """A command, run to its end, which must come with one of these exit codes; gives what it printed."""
        return self.start(*words, cache=cache).end(codes)

    def config(self, rng: np.random.Generator) -> Path:
        return self.folder / f"{rng.choice([*CONFIGS])}.yaml"

    def unfinished(self) -> list[Path]:
        return [path for path in sorted(self.runs.glob(f"{UNFINISHED}*")) if (path / CONFIG).is_file()]

    def look(self, *, may_fail: bool = False) -> None:
        """Looks for finished runs that are new, gone or changed, for failed ones, and at what nobody may touch."""
        for path in sorted([*self.runs.iterdir(), *(self.folder / "sweep").glob("[!.]*")]):
            if path.name.endswith(FAILED) or FAILED in path.name.rpartition("-")[0][-6:]:
                if not may_fail:
                    self.fault(f"{path.name}: {(path / 'failed.txt').read_text()[-300:]}")
                shutil.rmtree(path)
            elif (path / MANIFEST).is_file() and not path.name.startswith(UNFINISHED) and path not in self.finished:
                self.finished[path] = self.of_run(path)
        for path, content in self.finished.items():
            if not path.is_dir():
                self.fault(f"{path.name} is gone")
            elif digest(path / PREDICTIONS) != content:
                self.fault(f"{path.name}: its predictions have changed")
        self.finished = {path: content for path, content in self.finished.items() if path.is_dir()}
        if listed(self.canary.parent) != self.outside:
            self.fault(f"files outside were touched: {listed(self.canary.parent)}")
            self.outside = listed(self.canary.parent)
        if self.executed.exists():
            self.fault("something was executed")
            self.executed.rmdir()

    def of_run(self, path: Path) -> str:
        """The digest of the predictions of a finished run, which must be those of an undisturbed one of its config."""
        facts = read_stamped(path / MANIFEST)
        for name, expected in facts[FILES].items():
            if checksum(path / name) != expected:
                self.fault(f"{path.name}: {name} is not what its manifest says")
        found = digest(path / PREDICTIONS)
        wanted = self.wanted.setdefault((path / CONFIG).read_text(), found)
        if found != wanted:
            self.fault(f"{path.name}: other predictions than those of an undisturbed run")
        return found


@dataclass
class Command:
    """A running command."""

    world: World
    words: tuple[str | Path, ...]
    said: Path
    process: BaseProcess

    def end(self, codes: tuple[int, ...] = (0,)) -> str:
        """Waits for the end; a fault where it hangs, ends with another code, or prints a traceback or control characters."""
        self.process.join(BOUND)
        if self.process.exitcode is None:
            self.world.fault(f"{self}: hangs")
            self.kill(signal.SIGKILL)
        text = self.text()
        if self.process.exitcode not in codes:
            self.world.fault(f"{self}: exit code {self.process.exitcode}: {text[-600:]}")
        return text

    def kill(self, number: int, after: float = 0.0) -> None:
        """Sends a signal and waits for the end; a fault where children stay behind."""
        self.process.join(after)
        children = []
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children(recursive=True)
        with suppress(ProcessLookupError, TypeError):
            os.kill(self.process.pid or 0, number) if self.process.is_alive() else None
        self.process.join(BOUND)
        if self.process.exitcode is None:
            self.world.fault(f"{self}: signal {number} does not end it")
            self.process.kill()
            self.process.join()
        _, alive = psutil.wait_procs(children, timeout=30)
        for child in alive:
            self.world.fault(f"{self}: its child stays behind: {' '.join(child.cmdline())[:200]}")
            child.kill()
        self.text()

    def text(self) -> str:
        """What was printed so far; nothing where the process was killed before it began."""
        texts = [path.read_text(errors="replace") for path in (self.said / "stdout", self.said / "stderr") if path.exists()]
        text = "".join(texts)
        if "Traceback" in text or "\x1b" in text or "\x07" in text:
            self.world.fault(f"{self}: prints a traceback or control characters: {text[-1500:]}")
        return text

    def __str__(self) -> str:
        return f"nlab {' '.join(Path(word).name if isinstance(word, Path) else word for word in self.words)}"


def listed(folder: Path) -> dict[str, tuple[int, str]]:
    """Name → time of change and content of the files of a folder."""
    return {path.name: (path.lstat().st_mtime_ns, path.read_text()) for path in sorted(folder.iterdir())}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def begin(world: World) -> None:
    """Runs everything once undisturbed, in a cache and folders of its own."""
    world.doing = "undisturbed"
    whole = world.folder / "whole"
    for name in CONFIGS:
        world.run("run", world.folder / f"{name}.yaml", "--runs-dir", whole / "runs", cache=whole / "cache")
    world.run("sweep", world.folder / "pca.yaml", *GRID, "--folder", whole / "sweep", cache=whole / "cache")
    for path in [*(whole / "runs").iterdir(), *(path.parent for path in (whole / "sweep").glob("*/manifest.json"))]:
        world.of_run(path)


def sweep_words(world: World, rng: np.random.Generator) -> list[str | Path]:
    return ["sweep", world.folder / "pca.yaml", *GRID, "--folder", world.folder / "sweep", "--jobs", str(rng.integers(1, 3))]


def run_words(world: World, rng: np.random.Generator) -> list[str | Path]:
    return ["run", world.config(rng), "--runs-dir", world.runs, *(["--resume"] if rng.random() < 0.5 else [])]


def reader_words(world: World, rng: np.random.Generator) -> list[str | Path]:
    """A command that reads, or removes what nobody uses."""
    some = [*world.finished] or [world.runs]
    path = some[int(rng.integers(len(some)))]
    return [
        ["list", "runs", "--runs-dir", world.runs],
        ["show", "--runs-dir", world.runs],
        ["compare", *some[-4:]],
        ["open", path, "--redraw"],
        ["inspect", path],
        ["cache", "list"],
        ["cache", "verify"],
        ["cache", "info"],
        ["cache", "prune", "--keep", str(rng.choice(["0", "200kB", "1GB"]))],
        ["data", "info", world.folder / "plain.yaml"],
    ][int(rng.integers(10))]


def killed(world: World, rng: np.random.Generator) -> str:
    """A run or sweep that a signal ends."""
    words = sweep_words(world, rng) if rng.random() < 0.25 else run_words(world, rng)
    number = int(rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
    after = float(rng.uniform(0, MOMENT))
    command = world.start(*words)
    command.kill(number, after)
    return f"{command}: signal {number} after {after:.1f} s: {command.process.exitcode}"


def stopped(world: World, rng: np.random.Generator) -> str:
    """A run that stands still while others work, and then goes on."""
    command = world.start(*run_words(world, rng))
    command.process.join(float(rng.uniform(0, MOMENT)))
    alive = command.process.is_alive() and command.process.pid is not None
    if alive and command.process.pid:
        os.kill(command.process.pid, signal.SIGSTOP)
    other = world.start(*reader_words(world, rng))
    other.end((0, 1, 2))
    if alive and command.process.pid:
        os.kill(command.process.pid, signal.SIGCONT)
    command.end()
    return f"{command} stood still beside {other}"


def resumed(world: World, rng: np.random.Generator) -> str:
    """An unfinished run is gone on with."""
    left = world.unfinished()
    if not left:
        return "nothing to resume"
    path = left[int(rng.integers(len(left)))]
    world.run("resume", path)
    if path.exists():
        world.fault(f"{path.name} is still unfinished")
    return f"resumed {path.name}"


def neighbours(world: World, rng: np.random.Generator) -> str:
    """Several commands at once, runs of one config and a sweep in one folder among them."""
    same = run_words(world, rng)
    several = [same, same, reader_words(world, rng)]
    if rng.random() < 0.4:
        several = [sweep_words(world, rng), sweep_words(world, rng), reader_words(world, rng)]
    commands = [world.start(*words) for words in several]
    for command in commands[:2]:
        command.end()
    commands[2].end((0, 1, 2))
    return " | ".join(map(str, commands))


def small_files(world: World, rng: np.random.Generator) -> str:
    """A run whose files may not grow beyond a limit, then one without."""
    n_bytes = int(10 ** rng.uniform(3.5, 6))
    config, cache = world.config(rng), world.folder / "small"
    command = world.start("run", config, "--runs-dir", world.runs, cache=cache, before=partial(limit_files, n_bytes))
    command.end((0, 1))
    world.look(may_fail=True)
    world.run("run", config, "--runs-dir", world.runs, "--resume", cache=cache)
    shutil.rmtree(cache)
    return f"{command} with files of at most {n_bytes:,} bytes: {command.process.exitcode}"


def limit_files(n_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


def full_disk(world: World, rng: np.random.Generator) -> str:
    """A run on a disk without room, gone on with once there is some."""
    n_bytes, disk = int(10 ** rng.uniform(4.8, 7.2)), world.folder / "disk"
    disk.mkdir(exist_ok=True)
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", disk], capture_output=True, check=False
    ).returncode:
        return "no disk of a size can be mounted here"
    try:
        config = world.config(rng)
        words = ("run", config, "--runs-dir", disk / "runs", "--force")
        command = world.start(*words, cache=disk / "cache")
        text = command.end((0, 1, 2))
        if command.process.exitcode and "make room" not in text:
            world.fault(f"{command}: does not say to make room: {text[-600:]}")
        subprocess.run(["mount", "-o", "remount,size=1g", disk], check=True)
        left = [path for path in (disk / "runs").glob(f"{UNFINISHED}*") if (path / CONFIG).is_file()]
        world.run(*(("resume", left[0]) if left else words), cache=disk / "cache")
        for path in (disk / "runs").glob("*/manifest.json"):
            if FAILED not in path.parent.name:
                world.of_run(path.parent)
        return f"{command} on a disk of {n_bytes:,} bytes: {command.process.exitcode}"
    finally:
        subprocess.run(["umount", disk], check=True)


def mounted(*words: str | Path) -> bool:
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


def read_only(world: World, rng: np.random.Generator) -> str:
    """A reader of run folders on a file system that may only be read."""
    disk = world.folder / "disk"
    disk.mkdir(exist_ok=True)
    if not mounted("--bind", world.runs, disk):
        return "nothing can be mounted here"
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True)
        folders = [disk / path.name for path in world.finished if path.parent == world.runs]
        words = [["list", "runs", "--runs-dir", disk], ["show", "--runs-dir", disk], ["compare", *folders[-3:]]][rng.integers(3)]
        command = world.start(*words)
        command.end((0,) if folders else (0, 2))
        world.run("run", world.config(rng), "--runs-dir", disk, codes=(2,))
        return f"{command} where nothing can be written"
    finally:
        subprocess.run(["umount", disk], check=True)


def damaged_cache(world: World, rng: np.random.Generator) -> str:
    """A file of the cache is changed, cut, removed, or made a pickle or a link; then a run."""
    files = [path for path in sorted((world.folder / "cache").rglob("*")) if path.is_file() and "scratch" not in path.parts]
    if not files:
        return "the cache is empty"
    path = files[int(rng.integers(len(files)))]
    how = str(rng.choice(["changed", "cut", "gone", "pickle", "link"]))
    damage(path, how, world, rng)
    linked_lock = how == "link" and path.suffix == ".lock"
    text = world.run(*run_words(world, rng), codes=(0, 1) if linked_lock else (0,))
    if linked_lock and path.is_symlink():
        path.unlink()
        world.look(may_fail="it is a link, which nothing here makes; remove it" in text)
    return f"{path.relative_to(world.folder)} {how}"


def damage(path: Path, how: str, world: World, rng: np.random.Generator) -> None:
    content = path.read_bytes()
    at = int(rng.integers(len(content) + 1))
    path.unlink()
    if how == "link":
        path.symlink_to(world.canary)
    elif how == "pickle":
        path.write_bytes(pickle.dumps(Touch(world.executed)))
    elif how == "changed":
        path.write_bytes(content[:at] + bytes([byte ^ 1 for byte in content[at : at + 1]]) + content[at + 1 :])
    elif how == "cut":
        path.write_bytes(content[:at])


def stranger(world: World, rng: np.random.Generator) -> str:
    """Commands that read a copy of a run folder in which somebody planted something."""
    some = [path for path in world.finished if path.parent == world.runs and path.name.endswith(("cut", "all"))]
    if not some:
        return "no run to copy"
    place = world.folder / "strangers"
    shutil.rmtree(place)
    run, good = place / "run", place / "good"
    for copy in (run, good):
        shutil.copytree(some[int(rng.integers(len(some)))], copy)
    names = [name for name in ATTACKS if not name.startswith("bomb")]
    attack = str(rng.choice(names))
    ATTACKS[attack](run, world.canary)
    if rng.random() < 0.3:
        files = [path for path in sorted(run.rglob("*")) if path.is_file() and not path.is_symlink()]
        victim = files[int(rng.integers(len(files)))]
        damage(victim, "pickle", world, rng)
        attack += f", {victim.name} pickled"
    data = next((world.folder / "whole" / "cache").glob("synthetic/*/live.parquet"))
    places = {"RUN": run, "GOOD": good, "RUNS": place, "DATA": data, "CONFIG": world.folder / "cut.yaml"}
    done = []
    for name in rng.choice([*COMMANDS], 3, replace=False):
        words = [places.get(word) or word.replace("OUT/", f"{world.folder}/out-") for word in COMMANDS[str(name)]]
        command = world.start(*words)
        command.end((0, 1, 2))
        done.append(f"{name} {command.process.exitcode}")
    return f"{attack}: {', '.join(done)}"


def planted_unfinished(world: World, rng: np.random.Generator) -> str:
    """An unfinished run in which somebody planted links is resumed, or refused."""
    left = world.unfinished()
    if not left:
        return "nothing to plant in"
    copy = world.folder / "strangers" / left[int(rng.integers(len(left)))].name
    shutil.copytree(world.runs / copy.name, copy, dirs_exist_ok=True)
    name = str(rng.choice(["log.txt", CONFIG, MANIFEST, PREDICTIONS, "scores.csv", "report.html", ".lock", "models", "plots"]))
    shutil.rmtree(copy / name, ignore_errors=True)
    (copy / name).unlink(missing_ok=True)
    (copy / name).symlink_to(world.canary.parent if name in ("models", "plots") else world.canary)
    command = world.start("resume", copy)
    command.end((0, 1, 2))
    shutil.rmtree(copy.parent)
    copy.parent.mkdir()
    return f"{command} with a link {name}: {command.process.exitcode}"


ACTIONS: dict[Callable[[World, np.random.Generator], str], int] = {
    killed: 8,
    resumed: 4,
    neighbours: 4,
    stopped: 2,
    small_files: 2,
    full_disk: 3,
    read_only: 1,
    damaged_cache: 4,
    stranger: 4,
    planted_unfinished: 2,
}
"""What may be done, and how often beside the others."""


def sabotage(world: World, seed: int, seconds: float) -> Counter[str]:
    """Does something after the other for so many seconds, and looks for faults after each; counts of what was done."""
    begin(world)
    start, counts = time.monotonic(), Counter[str]()
    weights = np.array([*ACTIONS.values()], float)
    while time.monotonic() - start < seconds:
        rng = np.random.default_rng([seed, counts.total()])
        action = [*ACTIONS][int(rng.choice(len(weights), p=weights / weights.sum()))]
        world.doing = f"#{counts.total()} {action.__name__}"
        what = action(world, rng)
        world.look()
        counts[action.__name__] += 1
        print(f"{time.monotonic() - start:6.0f} s  {world.doing}: {what}", flush=True)
    world.doing = "the end"
    ended(world)
    return counts


def ended(world: World) -> None:
    """Goes on with all that is unfinished, checks the cache, and runs everything once more."""
    for path in world.unfinished():
        world.run("resume", path)
    world.look()
    for path in world.finished:
        world.of_run(path)
    if left := [path.name for path in world.runs.iterdir() if path.name.startswith(".")]:
        world.fault(f"left behind: {left}")
    world.run("cache", "verify", codes=(0, 1))
    world.run("cache", "prune", "--keep", "0")
    for name in CONFIGS:
        world.run("run", world.folder / f"{name}.yaml", "--runs-dir", world.runs)
    world.run("sweep", world.folder / "pca.yaml", *GRID, "--folder", world.folder / "sweep")
    world.run("cache", "verify")
    world.look()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="saboteur-") as folder:
        world = World(Path(folder))
        counts = sabotage(world, asked.seed, 60 * asked.minutes)
        print(f"{counts.total()} actions ({', '.join(f'{name} {n}' for name, n in counts.items())})")
        print(f"{world.n_said} commands, {len(world.finished)} finished runs, {len(world.faults)} faults")
        print("\n".join(world.faults))
    return 1 if world.faults else 0


if __name__ == "__main__":
    sys.exit(main())
