"""Fitted attributes as named arrays, and back. Reading them runs no code but scikit-learn's own.

Kept are numbers, texts, None, NumPy arrays, fitted scikit-learn estimators, and lists, tuples and dicts of these.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from numerai_lab.core.arrays import Array
from numerai_lab.core.sklearn_files import from_bytes, to_bytes

STRUCTURE = "structure_"
"""The name of the array that says, as JSON, how the attributes are made up of the other arrays."""
DTYPES = "?bhilqBHILQfdU"
"""Characters of the NumPy types that are kept."""


def to_arrays(attributes: Mapping[str, Any]) -> dict[str, Array]:
    """Attributes as arrays whose names end in `_`. Raises ValueError that names an attribute that can't be kept."""
    arrays: dict[str, Array] = {}
    structure = {name: _node(value, name, arrays) for name, value in attributes.items()}
    return {**arrays, STRUCTURE: np.array(json.dumps(structure))}


def from_arrays(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """The inverse of `to_arrays`. Raises ValueError for arrays that it did not make."""
    try:
        structure = json.loads(str(arrays[STRUCTURE]))
        return {name: _value(node, arrays) for name, node in structure.items()}
    except (KeyError, TypeError, AttributeError, ImportError) as error:
        raise ValueError(f"no fitted attributes ({error!r})") from error


def _node(value: Any, path: str, arrays: dict[str, Array]) -> dict[str, Any]:
    """JSON that says what a value is; its arrays are added to `arrays`."""
    if isinstance(value, np.generic | np.ndarray):
        return _array_node(value, path, arrays)
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    if isinstance(value, list | tuple):
        items = [_node(item, f"{path}.{i}", arrays) for i, item in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _node(item, f"{path}.{key}", arrays) for key, item in value.items()}}
    if is_estimator(type(value)):
        return {"estimator": _array_node(np.frombuffer(to_bytes(value), np.uint8), path, arrays)}
    raise ValueError(
        f"{path} is a {type(value).__name__}, and what is saved are numbers, texts, NumPy arrays, scikit-learn estimators, and "
        "lists and dicts (whose keys are texts) of these"
    )


def _array_node(value: Any, path: str, arrays: dict[str, Array]) -> dict[str, Any]:
    array = np.asarray(value)
    if isinstance(value, np.ma.MaskedArray) or array.dtype.char not in DTYPES:
        raise ValueError(f"{path} is an array of {array.dtype}, and what is saved are arrays of numbers and texts")
    key = path if path.endswith("_") else f"{path}_"
    while key in arrays or key == STRUCTURE:
        key += "_"
    arrays[key] = np.array(array, order="C")
    return {"scalar" if isinstance(value, np.generic) else "array": key}


def _value(node: Mapping[str, Any], arrays: Mapping[str, Array]) -> Any:
    """The value of a node."""
    kind, content = next(iter(node.items()))
    if kind == "value":
        return content
    if kind in ("array", "scalar"):
        return arrays[content].copy() if kind == "array" else arrays[content][()]
    if kind in ("list", "tuple"):
        items = [_value(item, arrays) for item in content]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        return {key: _value(item, arrays) for key, item in content.items()}
    return from_bytes(arrays[content["array"]].tobytes())


def is_estimator(kind: type) -> bool:
    """Whether a class is an estimator of scikit-learn itself."""
    if kind.__module__.split(".")[0] != "sklearn":
        return False
    from sklearn.base import BaseEstimator

    return issubclass(kind, BaseEstimator)
