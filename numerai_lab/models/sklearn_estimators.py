"""Regressors of scikit-learn by the names of their classes. Nothing but scikit-learn is ever imported for a name."""

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from numerai_lab.core.errors import nearest

PACKAGE = "sklearn"
MODULES = (
    "ensemble",
    "linear_model",
    "svm",
    "neighbors",
    "neural_network",
    "tree",
    "kernel_ridge",
    "gaussian_process",
    "cross_decomposition",
    "isotonic",
    "dummy",
    "compose",
    "multioutput",
)
"""The public modules of scikit-learn that have regressors."""
FROM_RUN = {
    "random_state": "it comes from the run's seed",
    "verbose": "models print nothing",
    "warm_start": "every training starts anew",
}
"""Parameters that a config can't give, and why."""


def regressor_class(name: str) -> Any:
    """The class of a regressor: `ExtraTreesRegressor`, or with its module `sklearn.ensemble.ExtraTreesRegressor`.

    Raises ValueError, with the way out, for anything else.
    """
    module, _, short = name.rpartition(".")
    if module and module not in {f"{PACKAGE}.{public}" for public in MODULES}:
        raise ValueError(
            f"got {name!r}, wanted a regressor of scikit-learn, such as ExtraTreesRegressor or sklearn.svm.SVR; a class of "
            "another package needs a plug-in"
        )
    for public in [module.removeprefix(f"{PACKAGE}.")] if module else MODULES:
        cls = getattr(import_module(f"{PACKAGE}.{public}"), short, None)
        if isinstance(cls, type):
            if _is_regressor(cls):
                return cls
            raise ValueError(f"{name!r} is no regressor; {nearest(short, _regressors())}")
    raise ValueError(f"scikit-learn has no regressor {name!r}; {_near(short)}; a class of another package needs a plug-in")


def takes_weights(name: str) -> bool:
    """Whether a regressor can be fitted with a weight for each row."""
    return "sample_weight" in inspect.signature(regressor_class(name).fit).parameters


def untrained(name: str, parameters: Mapping[str, Any], seed: int) -> Any:
    """A regressor with these parameters, and the seed where it draws anything."""
    cls = regressor_class(name)
    drawn = {"random_state": seed} if "random_state" in inspect.signature(cls).parameters else {}
    return cls(**parameters, **drawn)


def parameter(name: str, parameters: Mapping[str, Any], key: str) -> Any:
    """The value of a parameter, given or by default; None where the regressor has no such parameter."""
    known = inspect.signature(regressor_class(name)).parameters
    return parameters.get(key, known[key].default) if key in known else None


def _regressors() -> list[str]:
    """The names of all regressors."""
    modules = [import_module(f"{PACKAGE}.{public}") for public in MODULES]
    return sorted({name for module in modules for name, value in vars(module).items() if _is_regressor(value)})


def _is_regressor(value: Any) -> bool:
    from sklearn.base import BaseEstimator, RegressorMixin

    return isinstance(value, type) and issubclass(value, BaseEstimator) and issubclass(value, RegressorMixin)


def _near(name: str) -> str:
    close = nearest(name, _regressors())
    return close if close.startswith("did") else "`nlab describe sklearn` says where they are listed"
