"""A process in which some packages seem to be absent: what a slim environment would give.

python -m tests.slim torch,umap run CONFIG   # the command `nlab run CONFIG` without these packages
python -m tests.slim torch,umap show RUN ';' describe mlp   # several, in one process
python -m tests.slim torch,umap fits         # what each method wants of them when it is fitted and used, as JSON
"""

import importlib.metadata
import json
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError
from types import ModuleType
from typing import Any

WAYS: dict[str, dict[str, Any]] = {"umap exact": {"mode": "exact"}, "umap placed": {"mode": "placed"}}
"""Algorithms beside the quick one of their kind."""


DISTRIBUTIONS = {"umap": "umap-learn"}
"""Names under which packages are installed, where others than those they are imported under."""


class Absent(MetaPathFinder):
    """Stops the search for some packages, and for what is known of them, before any other finder is asked."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = packages

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.split(".")[0] in self.packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

    def find_distributions(self, context: Any = None) -> Iterator[Any]:
        """Ends the search for the distribution of an absent package; knows of no other."""
        if context is not None and context.name in [DISTRIBUTIONS.get(name, name) for name in self.packages]:
            raise PackageNotFoundError(context.name)
        return iter(())


def main(packages: str, *arguments: str) -> None:
    there = importlib.metadata.packages_distributions()
    left = {package: names for package, names in there.items() if package not in packages.split(",")}
    importlib.metadata.packages_distributions = lambda: left
    sys.meta_path.insert(0, Absent(packages.split(",")))
    if arguments == ("fits",):
        print(json.dumps(dict(_fits())))
        return
    from numerai_lab.cli.app import main as nlab

    for command in "\n".join(arguments).split("\n;\n"):
        sys.argv = ["nlab", *command.split("\n")]
        try:
            nlab()
        except SystemExit as end:
            if end.code:
                raise


def _fits() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each method with the packages that it declares, and the one that it missed; "" where it missed none."""
    from numerai_lab.augmenters import AUGMENTERS
    from numerai_lab.generators import GENERATORS
    from numerai_lab.models import MODELS
    from tests.conftest import component

    for way in (*GENERATORS, *WAYS, *AUGMENTERS, *MODELS):
        method = component(way.split()[0], **WAYS.get(way, {}))
        try:
            _use(method)
            missed = ""
        except ModuleNotFoundError as error:
            missed = str(error.name).split(".")[0]
        yield way, {"requires": method.requires, "missed": missed}


def _use(method: Any) -> None:
    import numpy as np

    from numerai_lab.core.training_stream import TrainingStream
    from numerai_lab.generators import Generator
    from numerai_lab.models import Model
    from tests.conftest import make_panel

    panel, rng = make_panel(n_eras=60), np.random.default_rng(0)
    train = panel.only(range(1, 41))
    if isinstance(method, Generator):
        method.fit(train if method.uses_labels else train.without_target(), rng).transform(panel.block(50))
    elif isinstance(method, Model):
        stream = TrainingStream(train, ("raw",), panel.raw_names, 0)
        method.loaded(method.fit(stream, rng).saved()[1]).predict(panel.block(50).matrix(["raw"]))
    else:
        fitted = method.fit(train, rng) if method.learns else method
        list(TrainingStream(train, ("raw",), panel.raw_names, 0, {"rows": fitted}))


if __name__ == "__main__":
    main(*sys.argv[1:])
