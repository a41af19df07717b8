"""Stand-ins for methods of plug-ins that a run used and that are not loaded: configs and reports open, nothing computes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
from pydantic import ConfigDict, PrivateAttr

from numerai_lab.augmenters import Augmenter
from numerai_lab.core.arrays import Float32
from numerai_lab.core.component import Component
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext, Progress, no_progress
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.data import Source
from numerai_lab.data.source import Tournament
from numerai_lab.generators import Generator
from numerai_lab.models import Model
from numerai_lab.storage.plain_files import read_plain

RECORD = "plugins.json"
"""The file of a run folder that names the plug-ins of its config."""


OPEN = ConfigDict(extra="allow")


class StandIn(Component):
    """A method of a plug-in that is not loaded, with the parameters that the config gives it."""

    portable: ClassVar[bool | None] = False
    _given: Mapping[str, Any] = PrivateAttr(default_factory=dict)
    _way_out: str = PrivateAttr("")

    @classmethod
    def of(cls, values: Mapping[str, Any], way_out: str) -> Self:
        """The stand-in for a method with these parameters. way_out: the sentence that says what is missing."""
        stand_in = cls(**values)
        stand_in._given, stand_in._way_out = values, way_out
        return stand_in

    def as_given(self) -> dict[str, Any]:
        """The parameters as the config gives them."""
        return {**self._given}

    def fresh(self) -> Self:
        return self.model_copy()

    def refuse(self) -> NoReturn:
        """Raises NlabError that names the plug-in and how to give it."""
        raise NlabError(self._way_out)


class MissingGenerator(StandIn, Generator):
    """A generator of a plug-in that is not loaded."""

    model_config = OPEN
    kind: str = ""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        self.refuse()

    def transform(self, block: Block) -> Float32:
        self.refuse()

    def names_out(self) -> list[str]:
        self.refuse()


class MissingAugmenter(StandIn, Augmenter):
    """An augmenter of a plug-in that is not loaded."""

    model_config = OPEN
    kind: str = ""

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        self.refuse()


class MissingModel(StandIn, Model):
    """A model of a plug-in that is not loaded."""

    model_config = OPEN
    kind: str = ""

    def fit(self, stream: TrainingStream, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        self.refuse()

    def predict(self, X: Float32) -> Float32:
        self.refuse()

    def saved(self) -> tuple[str, bytes]:
        self.refuse()

    def loaded(self, content: bytes) -> Self:
        self.refuse()

    def training_bytes(self, n_rows: int, n_columns: int) -> int:
        self.refuse()


class MissingSource(StandIn, Source):
    """A source of a plug-in that is not loaded."""

    model_config = OPEN
    source: str = ""

    def files(self, progress: Progress = no_progress) -> Tournament:
        self.refuse()

    def version_label(self) -> str:
        self.refuse()


STAND_INS: Mapping[str, type[StandIn]] = {
    "generators": MissingGenerator,
    "augmenters": MissingAugmenter,
    "models": MissingModel,
    "sources": MissingSource,
}


def ways_out(run: Path) -> dict[str, dict[str, str]]:
    """Family → kind → the sentence about its missing plug-in, for every kind that a run folder says came from one."""
    messages: dict[str, dict[str, str]] = {family: {} for family in STAND_INS}
    for plugin in recorded(run):
        for family, kinds in plugin["kinds"].items():
            for kind in kinds:
                messages.get(family, {})[kind] = (
                    f"{kind}: this run has it from the plug-in {plugin['name']}, which is not loaded; give it with "
                    f"`{plugin['give']}`"
                )
    return messages


def _are_names(kinds: Any) -> bool:
    """Whether the kinds of a plug-in are lists of names by family."""
    lists = list(kinds.values()) if isinstance(kinds, dict) else [None]
    return all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists)


def recorded(run: Path) -> list[Any]:
    """What a run folder says of its plug-ins; nothing where it says nothing, or the file is damaged."""
    try:
        record = json.loads(read_plain(run / RECORD).decode())
        texts = ("name", "give", "sha256")
        whole = [plugin for plugin in record if all(isinstance(plugin[key], str) for key in texts)]
        return [plugin for plugin in whole if _are_names(plugin["kinds"])]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
