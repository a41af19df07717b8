"""The verdict on a change, in a few words, by its interval."""

import math
from collections.abc import Mapping

SMALLEST_EFFECT = 0.002
"""The default of the smallest gain of mean corr that anybody would act on."""
NO_GAIN = "no gain above"
NOT_BEATEN = {"placebo": "placebo not beaten", "untrained": "untrained not beaten"}
"""Kind of placebo → the verdict on a method that beats the reference and not that placebo."""


def verdict_of(value: float, low: float, high: float, smallest: float = SMALLEST_EFFECT) -> str:
    """The verdict: `better`, `worse`, `no gain above +.0013`, `undecided`, `same` or `too few eras`.

    It follows from the simultaneous interval alone, so the two never contradict each other. `same`:
    equal scores in every era. No gain: the upper end is below `smallest`.
    """
    if math.isnan(value) or math.isnan(low) or math.isnan(high):
        return "too few eras"
    if value == low == high == 0:
        return "same"
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return no_gain(high) if high < smallest else "undecided"


def no_gain(high: float) -> str:
    """`no gain above +.0013`: the upper end of an interval, as the interval beside it is printed; never +.0000."""
    return f"{NO_GAIN} {signed(max(high, 0.0001))}"


def verdict_beside(verdict: str, changes: Mapping[str, tuple[float, float, float]]) -> str:
    """The verdict on a method that has placebos: better only if it is better than each of them too.

    verdict: against the reference. changes: kind of placebo → change against it and its simultaneous interval.
    """
    if verdict != "better":
        return verdict
    return next((NOT_BEATEN[kind] for kind, ends in changes.items() if verdict_of(*ends) != "better"), verdict)


def signed(value: float) -> str:
    """A change with its sign: `+.0047`."""
    return f"{value:+.4f}".replace("0.", ".", 1)
