"""Tries a component on a few rows, by the checks of its family."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from numerai_lab.augmenters import Augmenter
from numerai_lab.contracts import augmenters, generators, models
from numerai_lab.core.component import Component
from numerai_lab.core.panel import Panel
from numerai_lab.generators import Generator
from numerai_lab.models import Model

ROUNDING = 1e-4
"""The largest difference between chunks of rows that float32 arithmetic explains, as a share of a column's spread."""
CHECKS: Mapping[type[Component], Mapping[str, Callable[[Any, Panel, float], str]]] = {
    Generator: generators.CHECKS,
    Augmenter: augmenters.CHECKS,
    Model: models.CHECKS,
}


def checks_of(template: Component) -> Mapping[str, Callable[[Any, Panel, float], str]]:
    """Name → check, for a component of any family; empty for sources and for augmenters that weigh."""
    if isinstance(template, Augmenter) and template.weighs:
        return {}
    return next((checks for base, checks in CHECKS.items() if isinstance(template, base)), {})


def tried(
    template: Component, panel: Panel, explain: Callable[[type, object], str] = lambda kind, what: str(what)
) -> Iterator[tuple[str, str]]:
    """Name and outcome of every check: a sentence that says what is broken, empty where nothing is.

    explain: a sentence from the class of the component and the exception that a check raised, or the sentence of a check.
    """
    for name, check in checks_of(template).items():
        broken: object
        try:
            broken = check(template, panel, ROUNDING)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever the code of others raises; panics of Rust are no Exception
            broken = error
        yield name, explain(type(template), broken) if broken else ""
