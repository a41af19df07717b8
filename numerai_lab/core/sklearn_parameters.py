"""Parameters of scikit-learn's estimators, checked against their classes before anything is fitted."""

import inspect
from collections.abc import Mapping
from typing import Any

from numerai_lab.core.errors import nearest


def check_parameters(cls: Any, parameters: Mapping[str, Any], refused: Mapping[str, str]) -> None:
    """Raises ValueError for parameters that an estimator does not have, or whose values it refuses.

    refused: parameters that a config can't give, and why.
    """
    known = inspect.signature(cls).parameters
    for key, value in parameters.items():
        if key in refused:
            raise ValueError(f"parameters.{key}: {refused[key]}; leave it out")
        if key not in known:
            own = [parameter for parameter in known if parameter not in refused]
            raise ValueError(f"parameters.{key}: {cls.__name__} has no such parameter; {nearest(key, own)}")
        if not _is_plain(value):
            raise ValueError(f"parameters.{key}: got {value!r}, wanted numbers, texts, true, false or null")
    lacking = [key for key, value in known.items() if value.default is inspect.Parameter.empty and key not in parameters]
    if lacking:
        raise ValueError(
            f"estimator: {cls.__name__} needs {' and '.join(lacking)}, and other estimators can't be named in a config; take "
            "another one, or write a plug-in"
        )
    cls(**parameters)._validate_params()


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str | int) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
