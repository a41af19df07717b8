"""What the variants of a run share: config, rows, splits, and where stages, arrays, components and progress go."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from numerai_lab.config.schema import Config
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import Progress
from numerai_lab.core.splits import Splits
from numerai_lab.storage.era_content import Content, UniqueContent
from numerai_lab.storage.scratch import Scratch
from numerai_lab.storage.stage_cache import STAGES, Cache

Save = Callable[[str, bytes], None]
"""Keeps a fitted component: file name in the run folder, content."""


class ProgressDisplay(Protocol):
    """Where progress goes."""

    def task(self, label: str) -> AbstractContextManager[Progress]: ...


@dataclass(frozen=True)
class RunContext:
    """What variants are made from, and where things go: arrays of this run alone, progress, fitted components, finished stages.

    cache: None = nothing outlives the run. content: names for what the panel's eras hold; by default like no other.
    since: where a variant's training eras begin, if its generators left it fewer than all.
    """

    config: Config
    panel: Panel
    splits: Splits
    scratch: Scratch
    display: ProgressDisplay
    save: Save
    cache: Cache | None = None
    content: Content = field(default_factory=UniqueContent)
    since: int | None = None

    @cached_property
    def stages(self) -> Cache:
        """Where finished stages are taken from and put."""
        return self.cache or Cache(self.scratch.folder / STAGES)
