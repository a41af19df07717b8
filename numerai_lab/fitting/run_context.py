"""The context of a run's stages: config, rows, plan, cache, scratch and progress."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from numerai_lab.config.schema import Config
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import Progress
from numerai_lab.core.shared_matrix import SharedMatrix
from numerai_lab.core.splits import Splits
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.storage.era_content import Content, UniqueContent
from numerai_lab.storage.scratch import Scratch
from numerai_lab.storage.stage_cache import STAGES, Cache
from numerai_lab.storage.used_entries import UsedEntries

Save = Callable[[str, bytes], None]
"""Keeps a fitted component: file name in the run folder, content."""
TrainTogether = Callable[[Mapping[str, Any], int], list[str]]
"""Trains one model in so many processes. Returns the files of their models; raises ChildLost where one of them is lost."""


class WholeRun(Protocol):
    """The progress of a whole run, as a display sees it."""

    def line(self) -> str: ...


class ProgressDisplay(Protocol):
    """Shows the progress of tasks, and of a run that they are part of."""

    def task(self, label: str) -> AbstractContextManager[Progress]: ...

    def run(self, whole: WholeRun) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class RunContext:
    """The context that the stages of a run share.

    Attributes
    ----------
    config: the resolved config.
    plan: which eras each fit sees.
    scratch: arrays of this run alone.
    save: keeps a fitted component in the run folder.
    cache: finished stages; None = nothing outlives the run.
    content: hashes of what the panel's eras hold; by default equal to no other's.
    variant: the variant whose model and augmenters are fitted; None where generators are.
    targets: the targets that this model learns, by name; empty where there is no model.
    labels: a hash of what the model learns; empty where that is the run's target as it is.
    together: trains models with `workers` in several processes, which find the data and splits of the config again; None =
        they are trained in this one.
    matrices: the binned rows of the last trained model.
    """

    config: Config
    panel: Panel
    plan: FitPlan
    scratch: Scratch
    display: ProgressDisplay
    save: Save
    cache: Cache | None = None
    content: Content = field(default_factory=UniqueContent)
    variant: str | None = None
    targets: tuple[str, ...] = ()
    labels: str = ""
    together: TrainTogether | None = None
    matrices: SharedMatrix = field(default_factory=SharedMatrix)

    @cached_property
    def stages(self) -> Cache:
        """The cache of stages: the shared one, or one that ends with the run."""
        return self.cache or Cache(self.scratch.folder / STAGES, used=UsedEntries(self.scratch.folder))

    @property
    def splits(self) -> Splits:
        """The splits of the plan."""
        return self.plan.splits

    @property
    def train(self) -> tuple[int, ...]:
        """Training eras: those of the variant, or of the splits."""
        return self.splits.train if self.variant is None else self.plan.models[self.variant]

    @property
    def since(self) -> int | None:
        """The first training era of the variant, where its generators left it fewer than all."""
        return None if self.train == self.splits.train else self.train[0]

    def for_variant(self, name: str) -> "RunContext":
        """The context in which a variant's augmenters and model are fitted."""
        return replace(self, variant=name)
