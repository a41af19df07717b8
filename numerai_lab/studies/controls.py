"""Runs methods through the synthetic worlds in which they must help, and those in which none may. `nlab controls`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.cluster.connection import ClusterConnection
from numerai_lab.cluster.runs import runs_on
from numerai_lab.config.default_variants import RAW
from numerai_lab.config.loading import load_config, parse_config
from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.data.worlds import WORLDS
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.fitting.run_facts import facts_now
from numerai_lab.generators import GENERATORS
from numerai_lab.runs.reading import read_run, terms
from numerai_lab.studies.control_findings import control_of
from numerai_lab.studies.control_outcomes import ControlRun
from numerai_lab.studies.control_requirements import CONTRASTS, MUSTS, NEGATIVE
from numerai_lab.studies.method_configs import without_methods
from numerai_lab.studies.repeated_runs import reusable_runs, run_folders, run_or_error

FOLDER = "controls"
"""The folder of the run folders, below that of runs."""
SEEDS = (11, 12, 13)
"""World seeds of the shipped table."""
Methods = Mapping[str, dict[str, Any]]
"""Name of a generator or augmenter → its parameters."""


@dataclass(frozen=True)
class ControlSpec:
    """Which worlds are run, with which seeds and methods.

    configs: folder with a config for each world. runs_dir: for run folders. worlds: none = all, with
    `only` those that can tell something of its methods. only: names or kinds of methods; none = those
    of the configs. cluster: the workers that runs are given to; None = this machine.
    """

    configs: Path
    runs_dir: Path
    seeds: tuple[int, ...] = SEEDS
    worlds: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    cluster: ClusterConnection | None = None


def control_configs(spec: ControlSpec) -> dict[str, Config]:
    """The config of each world that is to be run. Raises NlabError for unknown worlds and methods."""
    shipped = shipped_configs(spec.configs)
    for world in spec.worlds:
        if world not in shipped:
            raise NlabError(f"--world: no config of a world {world!r} in {spec.configs}; {nearest(world, shipped)}")
    if not spec.only:
        return {world: config for world, config in shipped.items() if not spec.worlds or world in spec.worlds}
    methods = {world: _methods(shipped, world, spec.only) for world in shipped}
    chosen = spec.worlds or [world for world in shipped if world in _telling(methods)]
    return {world: _reduced(shipped[world], methods[world]) for world in shipped if world in chosen}


def shipped_configs(folder: Path) -> dict[str, Config]:
    """World → its config in a folder, in the order of `WORLDS`. Raises NlabError where one is of no synthetic world.

    A file WORLD_NAME.yaml is a further config of that world, and its own name stands for the world.
    """
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise NlabError(f"{folder}: no configs there; run this in the repository's folder, or name theirs with --configs")
    configs: dict[str, Config] = {}
    of_world: dict[str, list[str]] = {world: [] for world in WORLDS}
    for path in paths:
        config, _ = load_config(path)
        if not isinstance(config.data, Synthetic):
            raise NlabError(f"{path}: a control is a synthetic world; set data.source: synthetic")
        world = config.data.world
        name = path.stem if path.stem.startswith(f"{world}_") else world
        if name in configs:
            raise NlabError(f"{path}: the second config of the world {world!r} in {folder}; call it {world}_NAME.yaml")
        configs[name] = config
        of_world[world].append(name)
    return {name: configs[name] for names in of_world.values() for name in names}


def run_controls(
    spec: ControlSpec, configs: Mapping[str, Config], display: ProgressDisplay, say: Callable[[str], None]
) -> Iterator[ControlRun]:
    """Runs every config with every world seed; a run that is there already is taken.

    A run that fails stops no other.
    """
    seeded = [(world, seed, _with_seed(config, seed)) for world, config in configs.items() for seed in spec.seeds]
    if spec.cluster is not None:
        yield from _on_workers(spec, spec.cluster, [ControlRun(*control, None) for control in seeded], say)
        return
    for number, (world, seed, config) in enumerate(seeded, start=1):
        say(f"{number} of {len(seeded)}: {world}, world seed {seed} …")
        yield _run(spec, ControlRun(world, seed, config, None), display)


def _on_workers(
    spec: ControlSpec, cluster: ClusterConnection, planned: Sequence[ControlRun], say: Callable[[str], None]
) -> Iterator[ControlRun]:
    """Every run, in the order of the plan, once workers are done with all of them."""
    cluster.check_data(planned[0].config)
    done = {place: there for place, control in enumerate(planned) if (there := _there(spec, control))}
    waiting = [place for place in range(len(planned)) if place not in done]
    configs = [planned[place].config for place in waiting]
    for i, path, failure in runs_on(cluster, configs, [spec.runs_dir / FOLDER] * len(configs)):
        control = planned[waiting[i]]
        say(f"{control.world}, world seed {control.seed}: {'done' if path else failure}")
        done[waiting[i]] = replace(control, run=read_run(path) if path else None, failure=failure)
    yield from (done[place] for place in range(len(planned)))


def _run(spec: ControlSpec, planned: ControlRun, display: ProgressDisplay) -> ControlRun:
    """The run that is there, or a new one."""
    if there := _there(spec, planned):
        return there
    path, failure = run_or_error(planned.config, spec.runs_dir / FOLDER, display)
    return replace(planned, run=read_run(path) if path else None, failure=failure)


def _there(spec: ControlSpec, planned: ControlRun) -> ControlRun | None:
    """The run that is there already, made by the same code from the same data."""
    if not run_folders(spec.runs_dir / FOLDER):
        return None
    runs = reusable_runs(spec.runs_dir / FOLDER, [planned.config], terms(facts_now(planned.config)))
    done = runs.get(planned.config.to_yaml())
    return replace(planned, run=done) if done else None


def _with_seed(config: Config, seed: int) -> Config:
    raw = config.resolved()
    return parse_config({**raw, "name": f"{config.name}_{seed}", "data": {**raw["data"], "seed": seed}}, config.name)


def _methods(shipped: Mapping[str, Config], world: str, only: Sequence[str]) -> dict[str, Methods]:
    """Family → the chosen methods: as the world's config has them, else as another's, else with their defaults."""
    chosen: dict[str, Methods] = {"generators": {}, "augmenters": {}}
    for name in only:
        for config in (shipped[world], *shipped.values()):
            if there := _named(config, name):
                break
        else:
            there = _by_default(name, shipped)
        chosen = {family: {**chosen[family], **there.get(family, {})} for family in chosen}
    return chosen


def _named(config: Config, name: str) -> dict[str, Methods]:
    """Family → the methods of a config that have this name or kind; empty where there is none."""
    families: dict[str, Mapping[str, Any]] = {"generators": config.generators, "augmenters": config.augmenters}
    there = {
        family: {own: method.model_dump() for own, method in methods.items() if name in (own, method.kind)}
        for family, methods in families.items()
    }
    return {family: methods for family, methods in there.items() if methods}


def _by_default(name: str, shipped: Mapping[str, Config]) -> dict[str, Methods]:
    family = next((family for family, registry in _REGISTRIES.items() if name in registry), "")
    if not family:
        own = [method for config in shipped.values() for method in (*config.generators, *config.augmenters)]
        raise NlabError(f"--only: no method {name!r}; {nearest(name, dict.fromkeys([*own, *GENERATORS, *AUGMENTERS]))}")
    return {family: {name: {"kind": name}}}


_REGISTRIES: Mapping[str, Mapping[str, Any]] = {"generators": GENERATORS, "augmenters": AUGMENTERS}


def _telling(methods: Mapping[str, Mapping[str, Methods]]) -> set[str]:
    """Worlds in which something is asked of the methods: to help, or not to."""
    chosen = [
        (name, values["kind"])
        for families in methods.values()
        for members in families.values()
        for name, values in members.items()
    ]
    names = {form for name, _ in chosen for form in (name, f"{RAW}+{name}")}
    asked = {must.world for must in MUSTS if must.variant in names} | {control_of(kind).world for _, kind in chosen}
    both = {world for pair in CONTRASTS.values() if pair[0] in asked for world in pair}
    return {*NEGATIVE, *both, *(world for name in asked for world in CONTRASTS.get(name, (name,)))}


def _reduced(config: Config, methods: Mapping[str, Methods]) -> Config:
    """The config with these methods alone, each beside raw features or rows, and their placebos."""
    parsed = parse_config({**without_methods(config), **methods}, config.name)
    beside_raw = {name: variant for name, variant in parsed.variants.items() if RAW in variant.inputs}
    return parsed.model_copy(update={"variants": beside_raw})
