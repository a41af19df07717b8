"""Fitted estimators of scikit-learn as bytes of the skops format, whose loading runs no code of the file."""

import io
import json
import zipfile
from importlib import import_module
from typing import Any

SCHEMA = "schema.json"
WRITTEN = (1980, 1, 1, 0, 0, 0)
"""The date of all parts of a file, so that equal models have equal bytes."""
PARTS = {
    "sklearn._loss.link",
    "sklearn._loss.loss",
    "sklearn.cluster._bisect_k_means",
    "sklearn.ensemble._hist_gradient_boosting.binning",
    "sklearn.ensemble._hist_gradient_boosting.predictor",
    "sklearn.gaussian_process.kernels",
    "sklearn.metrics._dist_metrics",
    "sklearn.neighbors._ball_tree",
    "sklearn.neighbors._kd_tree",
    "sklearn.neural_network._stochastic_optimizers",
    "sklearn.tree._tree",
}
"""Modules whose classes a fitted estimator may hold, beside what skops trusts: estimators, arrays and plain values."""

OTHERS = {
    "numpy.dtype",
    "numpy.mean",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "scipy.interpolate._bsplines.BSpline",
    "scipy.sparse._csr.csr_array",
    "scipy.sparse._csr.csr_matrix",
    "sklearn.cluster._kmeans._kmeans_single_elkan",
    "sklearn.cluster._kmeans._kmeans_single_lloyd",
}
"""Further classes and functions that it may hold: those of splines, of bisecting k-means, and means of merged features."""


def to_bytes(estimator: Any) -> bytes:
    """The estimator as a skops file. Equal estimators give equal bytes: names and numbers in it are counted, not addresses."""
    import skops.io

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as parts, zipfile.ZipFile(out, "w") as file:
        numbers: dict[int, int] = {}
        names: dict[str, str] = dict.fromkeys(parts.namelist(), "")
        schema = _counted(json.loads(parts.read(SCHEMA)), numbers, names)
        for name, new in sorted(names.items(), key=lambda pair: pair[1]):
            if new:
                _add(file, new, parts.read(name))
        _add(file, SCHEMA, json.dumps(schema).encode())
    return out.getvalue()


def from_bytes(content: bytes) -> Any:
    """The inverse of `to_bytes`. Raises ValueError for anything but a whole estimator of scikit-learn."""
    import skops.io

    try:
        held = skops.io.get_untrusted_types(data=content)
        foreign = [name for name in held if not _is_part(name)]
        if foreign:
            raise ValueError(f"it holds {', '.join(foreign)}, which belongs to no estimator of scikit-learn")
        return skops.io.loads(content, trusted=held)
    except Exception as error:  # whatever a foreign file makes the library raise
        raise ValueError(f"no whole model of scikit-learn: {error}") from error


def _is_part(name: str) -> bool:
    """Whether a name is one of `OTHERS`, or that of a class which one of the modules in `PARTS` defines."""
    if name in OTHERS:
        return True
    module, _, short = name.rpartition(".")
    cls = getattr(import_module(module), short, None) if module in PARTS else None
    return isinstance(cls, type) and cls.__module__ == module


def _counted(node: Any, numbers: dict[int, int], names: dict[str, str]) -> Any:
    """A part of the schema with identities and names of files counted from 0 in the order in which they come."""
    if isinstance(node, list):
        return [_counted(item, numbers, names) for item in node]
    if not isinstance(node, dict):
        return node
    counted = {}
    for key, value in node.items():
        if key == "__id__":
            value = numbers.setdefault(value, len(numbers))
        elif key == "file" and isinstance(value, str) and value in names:
            names[value] = names[value] or f"{sum(map(bool, names.values())):08}{value[value.rfind('.') :]}"
            value = names[value]
        else:
            value = _counted(value, numbers, names)
        counted[key] = value
    return counted


def _add(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    file.writestr(zipfile.ZipInfo(name, WRITTEN), content, zipfile.ZIP_DEFLATED)
