"""Models that may begin with the encoder of a generator: their parameters. No torch at import."""

import json
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, PrivateAttr, model_validator

from numerai_lab.core.arrays import Array
from numerai_lab.core.errors import NlabError
from numerai_lab.models.base import Model
from numerai_lab.neural.starting_encoder import StartingEncoder

LEARNED, RANDOM = "learned", "random"


class StartingModel(Model):
    """Parameters of a network that may begin with an encoder, and the encoder itself."""

    start_from: str | None = Field(
        None,
        description="a generator, by name, whose encoder comes before the hidden layers with the weights that it learned without "
        "labels; hidden is [] then, unless it is given",
    )
    finetune: Literal["all", "head", "gradual"] = Field(
        "all",
        description="with start_from, what learns. all: everything; head: all but the encoder; gradual: of the encoder's layers "
        "none in the first epoch, then from the last one on one more each epoch",
    )
    start_weights: Literal["learned", "random"] = Field(
        "learned",
        description="with start_from: random = the encoder's own initial weights, which makes the network's placebo. Every run "
        "adds it beside a learned start",
    )

    _encoder: StartingEncoder | None = PrivateAttr(None)

    @model_validator(mode="before")
    @classmethod
    def _a_linear_head(cls, values: Any) -> Any:
        return {"hidden": [], **values} if isinstance(values, dict) and values.get("start_from") is not None else values

    @model_validator(mode="after")
    def _start_is_whole(self) -> Self:
        if self.start_from is None and (idle := [key for key in ("finetune", "start_weights") if self._is_set(key)]):
            raise ValueError(f"{' and '.join(idle)} without start_from; name the generator whose encoder the network begins with")
        return self

    @property
    def in_words(self) -> str:
        if self.start_from is None:
            return super().in_words
        untrained = "an untrained encoder like that" if self.start_weights == RANDOM else "the encoder"
        return f"{super().in_words} that begins with {untrained} of {self.start_from}"

    @property
    def encoder_of(self) -> str | None:
        return self.start_from

    @property
    def random_start(self) -> Self | None:
        starts = self.start_from is not None and self.start_weights == LEARNED
        return self.model_copy(update={"start_weights": RANDOM}) if starts else None

    def begun_with(self, encoder: StartingEncoder) -> Self:
        model = self.fresh()
        model._encoder = encoder
        model.encoder_shape_ = np.frombuffer(json.dumps(dict(encoder.shape)).encode(), np.uint8)
        return model

    @property
    def _encoder_shape(self) -> Mapping[str, Any] | None:
        """The shape of the encoder that the network begins with; None where it begins with none.

        Raises NlabError where the model has not been given the encoder.
        """
        if self.start_from is None:
            return None
        state: dict[str, Array] = self.state()
        if "encoder_shape_" not in state:
            raise NlabError(f"start_from: the model begins with the encoder of {self.start_from!r}; give it with `begun_with`")
        shape: Mapping[str, Any] = json.loads(state["encoder_shape_"].tobytes())
        return shape

    def _is_set(self, key: str) -> bool:
        return bool(getattr(self, key) != type(self).model_fields[key].default)
