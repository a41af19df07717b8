"""Run by the Python of a container's environment, which has no nlab: packs a model, and runs one as numerai-predict does.

python in_container.py pack SOURCE MODEL_JSON MODEL_ARRAYS PICKLE
python in_container.py run PICKLE ROWS OUT_ARRAYS OUT_JSON

Source of the contract: github.com/numerai/numerai-predict, predict.py.
"""

import importlib.metadata
import inspect
import json
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Any

BLOCKED = ("numerai_lab", "torch", "umap", "xgboost", "lightgbm", "catboost", "sklearn", "numba")
"""Packages that a deployed model must not import."""
PACKAGES = ("numpy", "pandas", "scipy", "pyarrow", "cloudpickle")
FILE_NAME = "predict.py"
"""The name that a model's code is compiled under: it tells nothing of the machine."""


def pack(source: Path, values: Path, arrays: Path, out: Path) -> None:
    """Writes the function `predict` of a source, with the model, as bytes that depend on nothing else."""
    import cloudpickle
    import numpy as np

    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source.read_text(encoding="utf-8"), FILE_NAME, "exec", dont_inherit=True), namespace)
    with np.load(arrays, allow_pickle=False) as content:
        known = {name: content[name] for name in content.files}
    namespace["MODEL"] = _with_arrays(json.loads(values.read_text(encoding="utf-8")), known)
    # By protocol 5, arrays are byte arrays, which fickling, Numerai's scanner of pickles, fails on.
    out.write_bytes(cloudpickle.dumps(namespace["predict"], protocol=4))


def _with_arrays(value: Any, arrays: dict[str, Any]) -> Any:
    if isinstance(value, dict) and [*value] == ["array"]:
        return arrays[value["array"]]
    if isinstance(value, dict):
        return {key: _with_arrays(part, arrays) for key, part in value.items()}
    return [_with_arrays(part, arrays) for part in value] if isinstance(value, list) else value


def run(pickle: Path, rows: Path, arrays: Path, facts: Path) -> None:
    """Predicts rows era by era, and writes the predictions, those before ranking, and facts of the run."""
    import numpy as np
    import pandas as pd

    _cut_off()
    frame = pd.read_parquet(rows)
    began = time.perf_counter()
    model = pd.read_pickle(pickle)
    loaded = time.perf_counter() - began
    if len(inspect.signature(model).parameters) != 1:
        raise SystemExit("the function has another number of parameters than one")
    eras, inside = frame["era"].to_numpy(), model.__globals__
    ranked, unranked, seconds = np.empty(len(frame)), np.empty((len(frame), len(inside["MODEL"]["seeds"])), np.float32), []
    for era in np.unique(eras):
        places = np.flatnonzero(eras == era)
        part = frame.iloc[places]
        began = time.perf_counter()
        predictions = model(part)
        seconds.append(time.perf_counter() - began)
        _check(predictions, part)
        ranked[places] = predictions["prediction"]
        for own, values in inside["predicted_eras"](inside["by_id"](part)):
            unranked[places[own]] = values
    np.savez(arrays, ranked=ranked, unranked=unranked)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    measured = {"seconds": round(loaded + max(seconds), 2), "peak MB": round(peak / 1e6)}
    facts.write_text(json.dumps({"versions": versions(), **measured}), encoding="utf-8")


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that are installed."""
    named = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": f"{sys.version_info.major}.{sys.version_info.minor}", **named}


def _check(predictions: Any, rows: Any) -> None:
    """numerai-predict's own checks, and Numerai's names of index and column."""
    import pandas as pd

    if type(predictions) is not pd.DataFrame or len(predictions) != len(rows):
        raise SystemExit("the function returned no DataFrame with a prediction for every row")
    if predictions.isna().any().any() or not predictions.iloc[:, 0].between(0, 1).all():
        raise SystemExit("the function returned predictions that are NaN or not within 0 and 1")
    if predictions.index.name != "id" or [*predictions.columns] != ["prediction"] or not predictions.index.equals(rows.index):
        raise SystemExit("the function returned other rows or columns than `id` and `prediction`")


class _Blocker:
    """Refuses imports of blocked packages."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"a deployed model may not import {name}")


def _cut_off() -> None:
    """Takes away the network and the packages that a container may lack."""
    sys.meta_path.insert(0, _Blocker())

    def no_network(*parameters: Any, **further: Any) -> None:
        raise OSError("a deployed model has no network")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        setattr(socket.socket, name, no_network)
    for name in ("create_connection", "getaddrinfo"):
        setattr(socket, name, no_network)


if __name__ == "__main__":
    action, *paths = sys.argv[1:]
    {"pack": pack, "run": run}[action](*map(Path, paths))
