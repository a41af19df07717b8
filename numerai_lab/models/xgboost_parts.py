"""XGBoost in several processes, each with its part of the training rows, that grow the same trees together."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

BEGIN_SECONDS = 600
"""Seconds in which all parts must have begun."""


@contextmanager
def tracker(n_parts: int, host: str) -> Iterator[dict[str, Any]]:
    """The process by which parts find each other, as what `part_of` needs. Its sockets are not encrypted."""
    from xgboost.core import XGBoostError
    from xgboost.tracker import RabitTracker

    tracking = RabitTracker(n_parts, host_ip=host, sortby="task", timeout=BEGIN_SECONDS)
    tracking.start()
    try:
        yield tracking.worker_args()
    finally:
        with suppress(XGBoostError):  # of a tracker that still waits for a part that was lost
            tracking.free()


@contextmanager
def part_of(arguments: Mapping[str, Any], part: int) -> Iterator[None]:
    """What is trained in the block is trained together with the other parts."""
    from xgboost import collective

    with collective.CommunicatorContext(**arguments, dmlc_task_id=f"{part:06d}"):
        yield
