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

ERAS, FIT_OF_ERA = "eras", "speakers"
"""In the state of several fits: the eras, and the fit of each."""


@dataclass(frozen=True)
class FittedGenerator:
    """A generator with one fit or several.

    Attributes
    ----------
    template: its parameters.
    states: the learned arrays of each fit, as `Generator.state` returns them.
    of_era: era → the fit that gives its columns; other eras get theirs from the last fit.
    """

    template: Generator
    states: tuple[Mapping[str, Array], ...]
    of_era: Mapping[int, int]

    @classmethod
    def restored(cls, template: Generator, arrays: Mapping[str, Array]) -> "FittedGenerator":
        """The inverse of `state`."""
        if ERAS not in arrays:
            return cls(template, (arrays,), {})
        states: list[dict[str, Array]] = []
        parts = [(*name.partition("/")[::2], value) for name, value in arrays.items() if name not in (ERAS, FIT_OF_ERA)]
        for i, own, value in sorted(parts, key=lambda part: int(part[0])):
            states += [{}] * (int(i) == len(states))
            states[int(i)] = {**states[int(i)], own: value}
        return cls(template, tuple(states), dict(zip(arrays[ERAS].tolist(), arrays[FIT_OF_ERA].tolist(), strict=True)))

    def state(self) -> dict[str, Array]:
        """The arrays of all fits. A single fit without labels keeps its names, others are `<fit>/<name>`."""
        if not self.template.uses_labels:
            return dict(self.states[0])
        fit_of_era = sorted(self.of_era.items())
        named = {f"{i}/{name}": value for i, state in enumerate(self.states) for name, value in state.items()}
        return {**named, ERAS: np.array([era for era, _ in fit_of_era]), FIT_OF_ERA: np.array([i for _, i in fit_of_era])}

    @cached_property
    def generators(self) -> tuple[Generator, ...]:
        """The fitted generators, restored when they are first asked for."""
        return tuple(self.template.restored(dict(state)) for state in self.states)

    @cached_property
    def names(self) -> list[str]:
        """Names of the emitted columns; found without rebuilding what a generator derives from its arrays."""
        return Component.restored(self.template, dict(self.states[-1])).names_out()

    @property
    def selected(self) -> Array | None:
        """Positions of the raw features that the last fit reads, if not all."""
        return self.states[-1].get("selected_")

    def has_fit_for(self, era: int) -> bool:
        """Whether a fit gives this era columns without having seen its targets.

        True where no labels were used, a fit serves the era, or the era is later than all eras of the fits.
        """
        return not self.template.uses_labels or era in self.of_era or era > max(self.of_era)

    def columns_for(self, block: Block) -> Float32:
        """Columns of a block of all raw features, by the fit of its era.

        Columns of a cross-fit are ranks within the block, 0 to 1: fits on more or fewer eras differ in how far their columns
        spread, and a model must find the same distribution in training and afterwards. (On planted data predictions of a
        network fitted on all training eras stood .14 from those of its folds by Kolmogorov and Smirnov's measure, the mean of
        the folds' .06.)
        """
        values = self.generators[self.of_era.get(block.era, -1)].columns_for(block)
        ranked = self.template.fit_scope.kind == "cross_fit"
        return rank(values.astype(np.float64)).astype(np.float32) if ranked else values
