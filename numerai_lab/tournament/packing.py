"""Packs a deployed model, and runs it, in the environment of a container."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64
from numerai_lab.core.errors import NlabFailure
from numerai_lab.tournament.generator_arrays import Plain

LIMIT_SECONDS = 3600
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Set to 1 in a container, which has one CPU."""


@dataclass(frozen=True)
class ContainerRun:
    """A run of a packed model. ranked: its predictions, rows; unranked: those before ranking, rows × seeds; facts: measured."""

    ranked: Float64
    unranked: Float32
    facts: dict[str, Any]


def pack(python: Path, source: str, model: Plain, out: Path) -> None:
    """Writes a pickle of the function `predict` of a source. python: of the environment. Raises NlabFailure where it fails."""
    values, arrays = _split(model)
    paths = [out.with_suffix(suffix) for suffix in (".py", ".json", ".npz")]
    paths[0].write_text(source, encoding="utf-8")
    paths[1].write_text(json.dumps(values), encoding="utf-8")
    np.savez(paths[2], **arrays)  # type: ignore[arg-type]  # no array is named allow_pickle
    in_environment(python, "pack", [*paths, out])
    for path in paths[1:]:
        path.unlink()


def run_packed(python: Path, pickle: Path, rows: Path, work: Path) -> ContainerRun:
    """Runs a pickle on a parquet file of rows as numerai-predict does. Raises NlabFailure where that would refuse it."""
    arrays, facts = work / "predictions.npz", work / "run.json"
    in_environment(python, "run", [pickle, rows, arrays, facts])
    with np.load(arrays, allow_pickle=False) as content:
        return ContainerRun(content["ranked"], content["unranked"], json.loads(facts.read_text(encoding="utf-8")))


def in_environment(python: Path, action: str, paths: Sequence[Path]) -> None:
    """Runs an action of `in_container.py` without the user's own packages and settings. Raises NlabFailure where it fails."""
    settings = dict.fromkeys(THREADS, "1") | {"PATH": os.environ.get("PATH", "")}
    with as_file(files("numerai_lab.tournament") / "in_container.py") as script:
        command = [str(python), "-I", str(script), action, *(str(path.resolve()) for path in paths)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env=settings, timeout=LIMIT_SECONDS, cwd=paths[0].parent
            )
        except subprocess.TimeoutExpired:
            raise NlabFailure(f"the model took more than {LIMIT_SECONDS // 60} minutes in the container's environment") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise NlabFailure(f"the model fails in the container's environment: {lines[-1] if lines else 'it gave no reason'}")


def _split(model: Plain) -> tuple[Any, dict[str, Array]]:
    """Plain values as JSON has them, in which `{"array": name}` stands for an array, and the arrays, each one once."""
    arrays: dict[str, Array] = {}
    names: dict[int, str] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            name = names.setdefault(id(value), f"a{len(names)}")
            arrays[name] = value
            return {"array": name}
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [plain(part) for part in value]
        return value.item() if isinstance(value, np.generic) else value

    return plain(model), arrays
