"""Fitted generators: one fit or several, and the columns that they give."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.component import Component
from numerai_lab.core.panel import Block
from numerai_lab.generators import Generator
from numerai_lab.metrics.era import rank

ERAS, SPEAKERS = "eras", "speakers"
"""In the state of several fits: eras, and which fit speaks for each."""


@dataclass(frozen=True)
class FittedGenerator:
    """A fitted generator: one fit or several, and which of them speaks for an era (the last one, where nothing is said).

    states: of each fit, as `Generator.state` gave it.
    """

    template: Generator
    states: tuple[Mapping[str, Array], ...]
    of_era: Mapping[int, int]

    @classmethod
    def restored(cls, template: Generator, arrays: Mapping[str, Array]) -> "FittedGenerator":
        """The inverse of `state`."""
        if ERAS not in arrays:
            return cls(template, (arrays,), {})
        states: list[dict[str, Array]] = [{} for _ in range(int(arrays[SPEAKERS].max()) + 1)]
        for name, value in arrays.items():
            if name not in (ERAS, SPEAKERS):
                i, _, own = name.partition("/")
                states[int(i)][own] = value
        return cls(template, tuple(states), dict(zip(arrays[ERAS].tolist(), arrays[SPEAKERS].tolist(), strict=True)))

    def state(self) -> dict[str, Array]:
        """Plain arrays: those of a single fit without labels as they are, others under `<fit>/<name>` beside the eras."""
        if not self.template.uses_labels:
            return dict(self.states[0])
        spoken = sorted(self.of_era.items())
        named = {f"{i}/{name}": value for i, state in enumerate(self.states) for name, value in state.items()}
        return {**named, ERAS: np.array([e for e, _ in spoken]), SPEAKERS: np.array([i for _, i in spoken])}

    @cached_property
    def generators(self) -> tuple[Generator, ...]:
        """The fitted generators, restored when they are first asked for."""
        return tuple(self.template.restored(dict(state)) for state in self.states)

    @cached_property
    def names(self) -> list[str]:
        """Names of the emitted columns; what a class rebuilds from its arrays when it is restored is not needed for them."""
        return Component.restored(self.template, dict(self.states[-1])).names_out()

    @property
    def selected(self) -> Array | None:
        """Positions of the raw features that the last fit reads, if not all."""
        return self.states[-1].get("selected_")

    def speaks_for(self, era: int) -> bool:
        """An honest fit is there: the era is served by one, or no labels were used, or it is later than all that were seen."""
        return not self.template.uses_labels or era in self.of_era or era > max(self.of_era)

    def columns_for(self, block: Block) -> Float32:
        """Columns of a block of all raw features, by the fit that speaks for its era.

        Columns of a cross-fit are ranks within the block, 0 to 1: fits on more or fewer eras differ in how far their columns
        spread, and a model must find the same distribution in training and afterwards. (On planted data predictions of a
        network fitted on all training eras stood .14 from those of its folds by Kolmogorov and Smirnov's measure, the mean of
        the folds' .06.)
        """
        values = self.generators[self.of_era.get(block.era, -1)].columns_for(block)
        ranked = self.template.fit_scope.kind == "cross_fit"
        return rank(values.astype(np.float64)).astype(np.float32) if ranked else values
