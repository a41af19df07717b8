"""Compares the predictions and scores of every shipped config between a commit and the working tree, byte by byte.

    python tests/bench/same_predictions.py BASE [--keep FOLDER] [--only CONFIG ...]

Both sides run on tiny synthetic data that they make themselves, with one seed, one thread, few trees and few training steps.
Exit code 0: all the same; 1: something differs or failed; 2: the comparison itself is set up wrongly.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import yaml

ROOT = Path(__file__).resolve().parents[2]
EXTRA = "tests/bench/every_kind.yaml"
"""Shows the kinds and options that no config under configs/ does. A commit without it runs the working tree's."""

MODEL = {"n_estimators": 40, "learning_rate": 0.1}
"""Parameters of boosted trees."""
NETWORK = {"epochs": 1}
"""Parameters of networks that are models."""
STEPS = {"max_steps": 20, "evaluate_every": 10, "steps": 20, "n_steps": 4, "era_steps": 3, "n_epochs": 20}
AT_MOST = {**STEPS, "landmarks": 400, "pool": 200, "n_estimators": 40}
"""Parameters of generators and augmenters that are lowered to these values where their kind has them."""
ENCODER = ("steps", "era_steps")
"""Those that only umap's `mode: parametric` reads. Set in another mode they do nothing but change its random numbers."""

LAYOUTS = {"legacy": "kazutsugi", "numerai_2018.csv.gz": "2018"}
"""What a config's `data.path` needs: the layout of `nlab data synth` that writes it."""
FILES = ("predictions.parquet", "scores.csv")
THREADS = {"POLARS_MAX_THREADS": "1"} | {f"{each}_NUM_THREADS": "1" for each in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


class BadSetup(Exception):
    """The comparison can't be made as it is set up."""


class RunFailed(Exception):
    """A run of one side failed."""


@dataclass(frozen=True)
class Side:
    """One of the two trees that are compared, with a cache and scratch space of its own.

    commit: its id, under which results are kept; None for a working tree with changes. keep: where results are kept.
    """

    label: str
    commit: str | None
    tree: Path
    space: Path
    keep: Path | None
    data: dict[str, Path] = field(default_factory=dict)

    def result(self, config: str, text: str) -> Path:
        """The folder with the files of this side's run of a config; kept ones are not made again. Raises RunFailed."""
        kept = self._kept(config, text)
        if kept and kept.is_dir():
            return kept
        folder = self._run(config, text)
        if not kept:
            return folder
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=kept.parent, prefix=".part-"))
        for name in FILES:
            shutil.copy(folder / name, part / name)
        return part.rename(kept)

    def _kept(self, config: str, text: str) -> Path | None:
        """Where results of a config are kept, under a hash of all that decides them beside the commit."""
        if not self.keep or not self.commit:
            return None
        digest = hashlib.sha256(json.dumps([text, MODEL, NETWORK, AT_MOST, LAYOUTS, sys.version]).encode()).hexdigest()[:12]
        return self.keep / self.commit / f"{Path(config).stem}-{digest}"

    def _run(self, config: str, text: str) -> Path:
        path = self.space / Path(config).name
        path.write_text(text, encoding="utf-8")
        runs = Path(tempfile.mkdtemp(dir=self.space, prefix="runs-"))
        settings = [word for context in self.settings(yaml.safe_load(text)) for word in ("--set", context)]
        self.nlab("run", str(path), *settings, "--runs-dir", str(runs))
        (folder,) = runs.iterdir()
        return folder

    def settings(self, config: dict[str, Any]) -> Iterator[str]:
        """What is set to make a run small."""
        yield f"seeds=[{config.get('seeds', [0])[0]}]"
        if config["data"]["source"] == "synthetic":
            yield "data.size=tiny"
        else:
            yield f"data.path={self._data(config['data']['path'])}"
        own = {f"variants.{name}.model": variant.get("model") for name, variant in config.get("variants", {}).items()}
        for where, model in {"model": config["model"], **own}.items():
            few = (few for few in (MODEL, NETWORK) if model and few.keys() <= self._parameters(model))
            yield from (f"{where}.{key}={value}" for key, value in next(few, {}).items())
        for family in ("generators", "augmenters"):
            for name, component in config.get(family, {}).items():
                idle = () if component.get("mode") == "parametric" else ENCODER
                for key in sorted((AT_MOST.keys() & self._parameters(component)).difference(idle)):
                    yield f"{family}.{name}.{key}={min(AT_MOST[key], component.get(key) or AT_MOST[key])}"

    def _parameters(self, component: dict[str, Any]) -> set[str]:
        """The parameters of a component's class: that of its kind, or of its kind and what else its classes differ in."""
        found: set[str] = set()
        for cls in self.classes:
            fixed = {key: each["const"] for key, each in cls["properties"].items() if "const" in each}
            defaults = {key: value for key, value in fixed.items() if key not in cls["required"]}
            if fixed.items() <= {**defaults, **{key: component[key] for key in fixed.keys() & component}}.items():
                found |= set(cls["properties"])
        if not found:
            raise RunFailed(f"{self.label}: no kind {component['kind']!r}")
        return found

    @cached_property
    def classes(self) -> list[dict[str, Any]]:
        """The schemas of all components. Raises BadSetup where none has a parameter that is to be set."""
        schema = json.loads(self.nlab("schema"))
        classes = [each for each in schema["$defs"].values() if "kind" in each.get("properties", {})]
        if unknown := {*MODEL, *NETWORK, *AT_MOST}.difference(*(model["properties"] for model in classes)):
            raise BadSetup(
                f"{self.label}: no component has a parameter {', '.join(sorted(unknown))}; mend MODEL, NETWORK, AT_MOST"
            )
        return classes

    def _data(self, path: str) -> Path:
        """A file or folder that a config reads, in the layout that its name asks for."""
        if path not in self.data:
            folder = self.space / f"data-{path}"
            self.nlab("data", "synth", "--layout", LAYOUTS[path], "--size", "tiny", "--jobs", "1", "--out", str(folder))
            self.data[path] = folder / path if (folder / path).exists() else folder
        return self.data[path]

    def nlab(self, *words: str) -> str:
        """What a command of this side's tree prints. Raises RunFailed."""
        place = {"PYTHONPATH": str(self.tree), "NLAB_CACHE": str(self.space / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
        command, env = [sys.executable, "-m", "numerai_lab", *words], {**os.environ, **THREADS, **place}
        done = subprocess.run(command, cwd=self.tree, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise RunFailed(f"{self.label}: " + " / ".join(line.strip() for line in lines[-3:]))
        return done.stdout


def main() -> int:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the checkout is removed
    try:
        with sides(options := parsed()) as (base, now):
            return compare(base, now, options.only)
    except BadSetup as error:
        print(error, file=sys.stderr)
        return 2


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("base", help="the commit to compare with, such as HEAD~1")
    parser.add_argument("--keep", type=Path, help="folder where results of commits are kept, and taken from")
    parser.add_argument("--only", nargs="+", default=[], metavar="CONFIG", help="names of configs, such as quickstart")
    return parser.parse_args()


@contextmanager
def sides(options: argparse.Namespace) -> Iterator[tuple[Side, Side]]:
    """The commit to compare with, and what is here: HEAD, or a copy of the working tree where it has changes.

    Both lie in temporary folders, so that edits meanwhile don't count.
    """
    keep = options.keep.resolve() if options.keep else None
    changed = git("status", "--porcelain", "--", "numerai_lab", "configs", EXTRA)
    with ExitStack() as stack:

        def side(label: str, revision: str) -> Side:
            space = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="same-")))
            commit = git("rev-parse", "--verify", f"{revision}^{{commit}}").strip()
            git("worktree", "add", "--quiet", "--detach", str(space / "tree"), commit)
            stack.callback(git, "worktree", "remove", "--force", str(space / "tree"))
            return Side(label, commit, space / "tree", space, keep)

        now = side("now", "HEAD")
        if changed:
            print("now: the working tree, with changes that are not committed", flush=True)
            copy_over(now.tree)
            now = replace(now, commit=None)
        yield side("before", options.base), now


def copy_over(tree: Path) -> None:
    """Puts what decides predictions in the working tree over that of a checkout."""
    for folder in ("numerai_lab", "configs"):
        shutil.rmtree(tree / folder, ignore_errors=True)
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / EXTRA, tree / EXTRA)


def git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BadSetup(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def compare(before: Side, now: Side, only: list[str]) -> int:
    """Prints a line a config; 1 if anything differs or failed, else 0. Raises BadSetup for an unknown name in `only`."""
    earlier, later = configs(before.tree), configs(now.tree)
    names = sorted({*earlier, *later})
    if unknown := set(only) - {Path(name).stem for name in names}:
        raise BadSetup(f"--only: no config {', '.join(sorted(unknown))}")
    bad, start = 0, os.times().elapsed
    for name in names:
        if only and Path(name).stem not in only:
            continue
        began = cpu_seconds()
        verdict, differs = verdict_of(name, [(before, earlier.get(name)), (now, later.get(name))])
        bad += differs
        print(f"{Path(name).stem:24} {cpu_seconds() - began:5.0f} s  {verdict}", flush=True)
    print(f"{bad or 'nothing'} differs; {os.times().elapsed - start:.0f} s, {cpu_seconds():.0f} s of CPU")
    return 1 if bad else 0


def cpu_seconds() -> float:
    """CPU time of all commands so far: what a run costs, however busy the machine is."""
    return sum(os.times()[2:4])


def configs(tree: Path) -> dict[str, str]:
    """The text of every config of a tree, by path."""
    extra = tree / EXTRA if (tree / EXTRA).is_file() else ROOT / EXTRA
    paths = [*sorted((tree / "configs").glob("*.yaml")), extra]
    return {f"configs/{path.name}": path.read_text(encoding="utf-8") for path in paths}


def verdict_of(name: str, runs: list[tuple[Side, str | None]]) -> tuple[str, bool]:
    """What there is to say about a config, and whether it counts as a difference."""
    texts, folders = [text for _, text in runs], []
    if None in texts:
        return ("new", False) if texts[0] is None else ("not there any more", True)
    for side, text in runs:
        data = yaml.safe_load(text)["data"]
        if data["source"] != "synthetic" and data["path"] not in LAYOUTS:
            return f"skipped: needs {data['path']}", False
        try:
            folders.append(side.result(name, text))
        except RunFailed as error:
            return f"could not run: {error}", True
    found = [f"{file}: {line}" for file in FILES for line in differences(*(read(folder / file) for folder in folders))]
    more = f"; and {len(found) - 4} more" if len(found) > 4 else ""
    return ("differs: " + "; ".join(found[:4]) + more, True) if found else ("same", False)


def read(path: Path) -> pl.DataFrame:
    """A table; numbers in a CSV stay the text that they are."""
    return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)


def differences(before: pl.DataFrame, now: pl.DataFrame) -> Iterator[str]:
    """A line for all that is not the same to the byte: rows, columns, their order, types, and by how much values differ."""
    if before.height != now.height:
        yield f"{now.height} rows, were {before.height}"
        return
    for name in before.columns:
        if name not in now.columns:
            yield f"no column {name} any more"
        elif gap := difference(before[name], now[name]):
            yield f"{name} {gap}"
    yield from (f"new column {name}" for name in now.columns if name not in before.columns)
    if before.columns != now.columns and sorted(before.columns) == sorted(now.columns):
        yield "columns in another order"


def difference(before: pl.Series, now: pl.Series) -> str:
    """How two columns of one length differ, in words; empty where every byte is the same."""
    if before.dtype != now.dtype:
        return f"is {now.dtype}, was {before.dtype}"
    if content(before) == content(now):
        return ""
    changed = [i for i in range(len(before)) if content(before[i : i + 1]) != content(now[i : i + 1])]
    numbers = [series.cast(pl.Float64, strict=False)[changed] for series in (before, now)]
    gap = (numbers[1] - numbers[0]).abs().drop_nulls().drop_nans().max()
    first = f"{before[changed[0]]} → {now[changed[0]]}" if gap is None else f"by up to {gap:.3g}"
    return f"in {len(changed)} of {len(before)} rows, {first}"


def content(series: pl.Series) -> bytes:
    """The bytes of a column's values."""
    if series.dtype.is_numeric() and not series.null_count():
        return series.to_numpy().tobytes()
    return repr(series.to_list()).encode()


if __name__ == "__main__":
    sys.exit(main())
