"""A variant of a finished run as plain values and arrays: all that a deployed model knows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError
from numerai_lab.fitting.portable import Cells, Portable
from numerai_lab.fitting.restoring import restored_generator
from numerai_lab.runs.reading import RunFiles
from numerai_lab.tournament.generator_arrays import Plain, generator_arrays, undeployable
from numerai_lab.tournament.model_arrays import model_arrays, undeployable_model

NETWORKS = ("network", "latents of era")
"""Functions of models and generators that torch computed in the run."""


@dataclass(frozen=True)
class Artefact:
    """A variant to deploy. folder: its fitted models; facts: those of the folder."""

    folder: RunFiles
    config: Config
    facts: Portable
    variant: str

    def refuse(self) -> None:
        """Raises NlabError where the variant, or a part of it, can't be deployed."""
        self.facts.refuse_unportable(self.variant)
        for name in self.facts.members_of(self.variant):
            outputs = max(map(len, self.config.targets_by_model(name)))
            problems = {f"variants.{name}": undeployable_model(self.config.model_of(name), outputs)}
            problems |= {f"generators.{part}": undeployable(self.config.generators[part]) for part in self._generators_of(name)}
            for where, message in problems.items():
                if message:
                    raise NlabError(f"{where}: {message}")

    def model(self) -> Plain:
        """What `container.frame.MODEL` holds. Raises NlabError for what can't be deployed, and for damaged files of the run."""
        self.refuse()
        generators, models, facts = _Numbered(), _Numbered(), self.facts
        for seed in facts.seeds:
            for name in facts.members_of(self.variant):
                for part in self._generators_of(name):
                    generators.add(facts.generators[part].files[seed], lambda part=part, seed=seed: self._generator(part, seed))
                for path in facts.variants[name].models[seed]:
                    inputs = self._inputs(name, seed, generators)
                    models.add(path, lambda name=name, path=path, inputs=inputs: {**self._model(name, path), "inputs": inputs})
        stores = {facts.features: facts.cells, facts.further_features: facts.further_cells or facts.cells}
        return {
            "stores": [_store(names, cells) for names, cells in stores.items() if names],
            "sets": {name: self._places(facts.sets[name]) for name in sorted(facts.sets_of(self.variant))},
            "n_raw": len(facts.features),
            "top": facts.cells.top,
            "live_era": facts.live_era,
            "generators": generators.values,
            "models": models.values,
            "seeds": [self._node(self.variant, seed, models) for seed in facts.seeds],
        }

    def _generators_of(self, name: str) -> list[str]:
        return [part for part in self.facts.variants[name].inputs if part in self.facts.generators]

    def _generator(self, name: str, seed: int) -> Plain:
        of_seed = seed if self.config.generators[name].stochastic else self.facts.seeds[0]
        return generator_arrays(restored_generator(self.folder, self.config, name, of_seed))

    def _model(self, name: str, path: str) -> Plain:
        return model_arrays(self.config.model_of(name), self.folder.content(path))

    def _inputs(self, name: str, seed: int, generators: "_Numbered") -> list[str | int]:
        """`raw` and feature sets by name, generators by their place."""
        known = self.facts.generators
        return [
            generators.places[known[part].files[seed]] if part in known else part for part in self.facts.variants[name].inputs
        ]

    def _node(self, name: str, seed: int, models: "_Numbered") -> Plain:
        part = self.facts.variants[name]
        how = part.neutralize
        return {
            "models": [] if part.members else [models.places[path] for path in part.models[seed]],
            "members": [self._node(member, seed, models) for member in part.members],
            "neutralize": None if how is None else {"set": how.features, "proportion": how.proportion},
        }

    def _places(self, names: Iterable[str]) -> list[Any]:
        """Features of a set as stores with positions in them."""
        stores = [
            dict(zip(names, range(len(names)), strict=True)) for names in (self.facts.features, self.facts.further_features)
        ]
        names = [*names]
        parts = [(i, [store[name] for name in names if name in store]) for i, store in enumerate(stores)]
        return [[i, places] for i, places in parts if places]


class _Numbered:
    """Values in the order in which their keys are first added."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.values: list[Plain] = []

    def add(self, key: str, make: Any) -> None:
        if key not in self.places:
            self.places[key] = len(self.values)
            self.values.append(make())


def has_networks(model: Mapping[str, Any]) -> bool:
    """Whether torch computed a part of the run's predictions: it adds in another order than numpy."""
    return any(part["function"] in NETWORKS for part in (*model["generators"], *model["models"]))


def _store(names: tuple[str, ...], cells: Cells) -> Plain:
    return {"names": list(names), "top": cells.top, "bins": cells.dtype == "int8"}
