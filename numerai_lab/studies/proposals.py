"""The trials that a sweep proposes: values of a grid's axes, or proposals of optuna."""

import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from numerai_lab.config.yaml_file import parse_yaml
from numerai_lab.core.errors import NlabError

if TYPE_CHECKING:
    import optuna


def axis(text: str) -> tuple[str, list[Any]]:
    """The key and values of `key=1,2,3` or `key=0:5` (0 to 4).

    Raises NlabError when the text has another form or names no value.
    """
    key, equals, values = text.partition("=")
    if not equals or not key or not values:
        raise NlabError(f"--grid {text!r}: wanted key=1,2,3 or key=0:5")
    span = re.fullmatch(r"(-?\d+):(-?\d+)", values)
    choices = list(range(int(span[1]), int(span[2]))) if span else parse_yaml(f"[{values}]", f"--grid {text!r}")
    if not choices:
        raise NlabError(f"--grid {text!r}: names no value")
    return key, choices


def study_of(ranges: Sequence[str], high: bool) -> tuple["optuna.Study", dict[str, "optuna.distributions.BaseDistribution"]]:
    """A seeded optuna study without storage, and its distributions by key, from `key=low:high[:log]` or `key=a,b,c`.

    Raises NlabError where optuna is missing, there are no ranges, or a range has another form.
    """
    try:
        import optuna
    except ImportError as error:
        raise NlabError("--optuna needs the PyPI package optuna: pip install 'numerai_lab[sweep]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not ranges:
        raise NlabError("--optuna: says nothing to search; add --search model.learning_rate=0.001:0.1:log")
    sampler = optuna.samplers.TPESampler(seed=0)
    return optuna.create_study(direction="maximize" if high else "minimize", sampler=sampler), dict(map(_range, ranges))


def _range(text: str) -> tuple[str, "optuna.distributions.BaseDistribution"]:
    from optuna import distributions

    key, _, values = text.partition("=")
    number = r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
    match = re.fullmatch(rf"({number}):({number})(:log)?", values)
    if not key or not values:
        raise NlabError(f"--search {text!r}: wanted key=low:high, key=low:high:log or key=a,b,c")
    if match is None:
        return key, distributions.CategoricalDistribution(parse_yaml(f"[{values}]", f"--search {text!r}"))
    whole = all(re.fullmatch(r"-?\d+", part) for part in match.groups()[:2])
    distribution: Callable[..., distributions.BaseDistribution] = (
        distributions.IntDistribution if whole else distributions.FloatDistribution
    )
    try:
        return key, distribution(*((int if whole else float)(part) for part in match.groups()[:2]), log=bool(match[3]))
    except ValueError as error:
        raise NlabError(f"--search {text!r}: {error}") from error


def tell(study: "optuna.Study", trial: "optuna.trial.Trial", value: float) -> None:
    """Reports the value of a proposal to optuna; NaN counts as failed."""
    import optuna

    failed = math.isnan(value)
    study.tell(trial, None if failed else value, state=optuna.trial.TrialState.FAIL if failed else None)
