"""Whether the packages that the methods of a config need are installed."""

from collections.abc import Iterator

from numerai_lab.config.schema import Config
from numerai_lab.core.component import Component
from numerai_lab.core.errors import NlabError
from numerai_lab.core.requirements import absent, how_to_install


def refuse_absent(config: Config) -> None:
    """Raises NlabError, with the command to run, where a method that some variant uses needs a package that is not installed."""
    problems = dict.fromkeys(message for where, method in _used(config) if (message := lacking(where, method)))
    if problems:
        raise NlabError("\n".join(problems))


def packages_of(config: Config) -> list[str]:
    """The packages that the methods of a config need beside the core ones."""
    return list(dict.fromkeys(package for _, method in _used(config) for package in method.requires))


def lacking(where: str, method: Component | type[Component]) -> str:
    """What a method lacks, as a sentence; empty where it has all it needs."""
    packages = absent(method.requires)
    kind = (method if isinstance(method, type) else type(method)).model_fields["kind"].default
    return f"{where}: {kind} needs {how_to_install(packages)}" if packages else ""


def _used(config: Config) -> Iterator[tuple[str, Component]]:
    """The methods that variants use, each with its place in the config."""
    for name in config.trained:
        variant = config.variants[name]
        yield f"variants.{name}.model" if variant.model else "model", config.model_of(name)
        yield from ((f"generators.{used}", config.generators[used]) for used in config.generators_of(name))
        yield from ((f"augmenters.{used}", config.augmenters[used]) for used in variant.augment)
