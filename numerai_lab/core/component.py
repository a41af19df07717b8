"""The base of generators, augmenters, models and sources: typed, documented, checked parameters and learned state."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from numerai_lab.core.arrays import Array
from numerai_lab.core.control import Control


class Component(BaseModel):
    """A typed bag of parameters; `fit` adds what was learned under names that end with `_`.

    Every field carries a description: it is what `nlab describe` prints. Every subclass declares
    `kind: Literal["its name"]` and a docstring whose first line says what it gives.
    """

    library_bytes: ClassVar[int] = 0
    """Bytes of memory of the libraries that only this class loads."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Packages that it can't do without, by the names that Python imports them under; see `core.requirements`."""
    reads: ClassVar[tuple[str, ...]] = ()
    """Data files that its code reads, relative to its own: they count as code. What is read undeclared is not noticed."""
    unseeded: ClassVar[tuple[str, ...]] = ("device",)
    """Parameters that do not count for `seed_key`: amounts, devices, names of other components."""

    tried_first: ClassVar[bool] = False
    """Whether a run tries it on a few rows before any training, as it does with plug-ins."""

    control: ClassVar[Control] = Control()
    """The synthetic world in which a generator or augmenter must help, for `nlab controls`."""

    chosen_by: ClassVar[str] = ""
    """The parameter that tells the classes of one kind apart, such as `mode` of umap; "" where a
    kind is one class."""
    removed: ClassVar[Mapping[str, Any]] = {}
    """Parameters of earlier versions, with the only value that a config may still give them."""

    words: ClassVar[str] = ""
    """What it gives, in words with parameters in braces: `{n_components} principal components`. Reports name variants by it."""

    portable: ClassVar[bool | None] = None
    """Whether columns or predictions of rows follow from the saved state and the rows of one era alone.

    None: True for the classes of this package, False for plug-ins, which declare themselves."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_default=True, allow_inf_nan=False)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.endswith("_"):
            self.__dict__[name] = value  # learned, not a parameter: never validated, dumped or compared
        else:
            super().__setattr__(name, value)

    @property
    def checkpoints(self) -> float:
        """How many times what is saved lies on disk as checkpoints while it trains: weights and moments, twice."""
        return 0.0

    @property
    def uses_gpu(self) -> bool:
        """Whether it computes on a GPU of this machine."""
        return False

    @property
    def seed_key(self) -> str:
        """Kind and parameters as JSON. Random streams are derived from it and the seed, never from a component's name.

        Parameters at their defaults are left out, so that a new parameter gives no other random numbers.
        """
        dumped = self.model_dump(mode="json", exclude=set(self.unseeded), exclude_defaults=True)
        chosen = "" if self.algorithms() else self.chosen_by  # the default algorithm is not named
        named = self.model_dump(include={chosen})
        return json.dumps({**dumped, **named, "kind": getattr(self, "kind", None)}, sort_keys=True)

    @property
    def in_words(self) -> str:
        """What it gives with these parameters, as part of a sentence; its kind where the class has no `words`."""
        filled = self.words.format(**{**dict(self), **self._word_values()}).replace("%", " %")
        return filled or str(getattr(self, "kind", "")).replace("_", " ")

    def _word_values(self) -> Mapping[str, Any]:
        """What `words` may name in braces beside the parameters."""
        return {}

    @classmethod
    def algorithms(cls) -> "Mapping[str, type[Component]]":
        """The classes of this kind by the value of `chosen_by`, the default first.

        The class that a registry names declares them, and is the default. Empty for other classes,
        and where a kind is one class.
        """
        return {}

    def fresh(self) -> Self:
        """The same parameters with nothing learned."""
        return type(self).model_validate(self.model_dump())

    def state(self) -> dict[str, Array]:
        """The learned arrays by name, all names ending in `_`. Reading them back executes nothing."""
        return {name: value for name, value in self.__dict__.items() if name.endswith("_")}

    def restored(self, state: dict[str, Array]) -> Self:
        """A fitted component with these parameters and this state; its inverse is `state`. Raises ValueError for other names."""
        fitted = self.fresh()
        for name, value in state.items():
            if not name.endswith("_"):
                raise ValueError(f"{name!r} is no name of something learned")
            setattr(fitted, name, value)
        return fitted


def is_portable(component: Component) -> bool:
    """Whether a run folder may predict rows of other files with the component; see `Component.portable`."""
    own = type(component).__module__.split(".")[0] == __name__.split(".")[0]
    return own if component.portable is None else component.portable
