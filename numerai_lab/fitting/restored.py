"""Generators and models of a finished run, loaded from its folder; they predict as they did in the run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import Float32
from numerai_lab.core.era_ranges import span_text
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.panel import Panel
from numerai_lab.fitting.fitted import FittedGenerator
from numerai_lab.fitting.restoring import restored_generator
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.fitting.set_columns import unit_columns
from numerai_lab.fitting.variants import predicted
from numerai_lab.metrics.scoring import Predictions
from numerai_lab.models import Model
from numerai_lab.runs.layout import model_name, models_of
from numerai_lab.runs.reading import RunFiles


@dataclass(frozen=True)
class Restored:
    """Variants of a finished run. shared: variant → the variant whose models it shares; names: variants to predict."""

    run: RunFiles
    config: Config
    shared: Mapping[str, str]
    names: tuple[str, ...]

    @cached_property
    def partial_config(self) -> Config:
        """The config with these variants and the members of ensembles among them, without other variants."""
        every = self.config.variants
        members = {member for name in self.names for member in every[name].ensemble or ()}
        chosen = {name: variant for name, variant in every.items() if name in {*self.names, *members}}
        return self.config.model_copy(update={"variants": chosen})

    def predictions(self, panel: Panel, eras: tuple[int, ...], display: ProgressDisplay) -> Predictions:
        """Predictions for some eras by the saved models of the run, one era at a time as in the run.

        Raises NlabFailure where a saved model is missing or can't be loaded.
        """
        future = panel.only(eras).without_target()
        with display.task(f"predict eras {span_text(eras)}"):
            return predicted(self.partial_config, self.shared, future, partial(self._values, future))

    def _values(self, future: Panel, name: str, seed: int, targets: tuple[str, ...]) -> Float32:
        inputs = self.config.variants[name].inputs
        model = self._model(name, seed, self.config.number_of(name, targets))
        fits = {name: self._fits(name, seed) for name in inputs if name in self.config.generators}
        sets = [name for name in inputs if name in self.config.input_sets]
        parts = []
        for block in future.blocks():
            columns = {generator: fit.columns_for(block) for generator, fit in fits.items()}
            columns |= {name: unit_columns(future, name, block.era) for name in sets}
            parts.append(self._predicted(model, replace(block, columns=columns).matrix(inputs), name))
        return np.concatenate(parts)

    def _predicted(self, model: Model, X: Float32, name: str) -> Float32:
        try:
            return model.predict(X)
        except ValueError as error:
            raise NlabFailure(
                f"{self.run.path}: the model of {name} can't predict its features ({_first_line(error)})"
            ) from error

    def _fits(self, name: str, seed: int) -> FittedGenerator:
        stochastic = self.config.generators[name].stochastic
        return restored_generator(self.run, self.config, name, seed if stochastic else self.config.seeds[0])

    def _model(self, name: str, seed: int, number: int | None) -> Model:
        stem = model_name(name, seed, number)
        path = next((path for path in models_of(self.run.path, name, seed) if Path(path).stem == stem), None)
        if path is None:
            raise NlabFailure(f"{self.run.path}: keeps no model of {stem}")
        try:
            return self.config.model_of(name).loaded(self.run.content(path))
        except (ValueError, KeyError) as error:
            raise NlabFailure(f"{self.run.path}: {path} can't be loaded ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [repr(error)])[0]
