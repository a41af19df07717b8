"""`nlab data …`: synthesizes, downloads, lists and describes data."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from numerai_lab.cli.outcome import OutcomeOption, file_facts, print_outcome
from numerai_lab.cli.terminal import Plugins, expanded, put, put_text

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="a setting of the data, such as data.source=synthetic; repeatable"),
]
ConfigFile = Annotated[Path | None, typer.Argument(callback=expanded, help="take the data of this config", show_default=False)]

data_app = typer.Typer(help="Make, fetch and look at data.", no_args_is_help=True)


@data_app.command()
def synth(
    out: Annotated[Path, typer.Option(callback=expanded, help="folder for the files; it must not exist yet")],
    world: Annotated[str, typer.Option(help="what features show and returns pay for; `nlab docs worlds`")] = "default",
    size: Annotated[str, typer.Option(help="tiny, small, medium, full, wide or control")] = "small",
    layout: Annotated[str, typer.Option(help="v5, or an older release: v4, v3, nomi, kazutsugi or 2018")] = "v5",
    seed: Annotated[int, typer.Option(help="seed of the world", min=0)] = 0,
    oracle: Annotated[bool, typer.Option("--oracle", help="add the feature set `oracle`: the latents themselves")] = False,
    jobs: Annotated[int, typer.Option(help="processes that make features; the bytes do not depend on it", min=1)] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print how large the files would be, and make none")] = False,
    outcome_format: OutcomeOption = "text",
) -> None:
    """Write a synthetic tournament in the files of the real one.

    Called again after an interruption, it goes on where it stopped. Refuses a folder that exists.
    """
    from numerai_lab.core.errors import NlabError, nearest
    from numerai_lab.data.older import LAYOUTS, write_older
    from numerai_lab.data.synthetic_files import write_tournament
    from numerai_lab.data.world import World
    from numerai_lab.data.world_size import SIZES
    from numerai_lab.data.worlds import WORLDS
    from numerai_lab.report.progress import progress_display
    from numerai_lab.storage.folders import build_resumably

    for what, name, known in (("size", size, SIZES), ("world", world, WORLDS), ("layout", layout, ("v5", *LAYOUTS))):
        if name not in known:
            raise NlabError(f"--{what}: no {what} {name!r}; {nearest(name, known)}")
    if out.exists():
        raise NlabError(f"--out: {out} exists already; name a new folder")
    if dry_run:
        facts, line = _size(size, layout)
        print_outcome(outcome_format, lambda: facts, [line])
        return
    if oracle and layout != "v5":
        raise NlabError(f"--oracle: the layout {layout} has no feature sets to put it in; leave out --layout")
    with progress_display().task(f"synthetic {world}, {size}") as progress:
        if layout == "v5":
            drawn = World(SIZES[size], seed, WORLDS[world])
            build_resumably(out, lambda work: write_tournament(work, drawn, progress, jobs, oracle))
        else:
            build_resumably(out, lambda work: write_older(work, layout, size, seed, progress, world))
    print_outcome(outcome_format, lambda: {"files": file_facts(out)}, [out])


def _size(size: str, layout: str) -> tuple[dict[str, int], str]:
    """How large a synthetic tournament will be, as facts and as a line. Raises NlabError for older layouts."""
    from numerai_lab.core.errors import NlabError
    from numerai_lab.core.formatting import human_bytes
    from numerai_lab.data.synthetic_files import files_bytes
    from numerai_lab.data.world_size import SIZES

    if layout != "v5":
        raise NlabError("--dry-run: sizes are known of the layout v5 alone; leave out --dry-run")
    wanted, n_bytes = SIZES[size], files_bytes(SIZES[size])
    facts = {"eras": wanted.n_eras, "rows": sum(wanted.rows), "features": wanted.n_features}
    facts |= {"bytes": n_bytes, "bytes_while_made": 2 * n_bytes, "bytes_of_store": wanted.n_cells}
    return facts, (
        f"{wanted.n_eras} eras, {sum(wanted.rows):,} rows, {wanted.n_features:,} features: files about {human_bytes(n_bytes)}, "
        f"{human_bytes(2 * n_bytes)} while they are made; the store of all features {human_bytes(wanted.n_cells)}"
    )


@data_app.command()
def info(
    config: ConfigFile = None,
    settings: Settings = None,
    plugin: Plugins = None,
    table_format: Annotated[Literal["table", "json"], typer.Option("--format", help="how it is printed")] = "table",
    plot: Annotated[
        Path | None, typer.Option(callback=expanded, help="draw rows and absent features by era into this .png or .svg")
    ] = None,
) -> None:
    """Print eras, rows, features and targets of the data; every era with --format json."""
    from numerai_lab.config.loading import load_data
    from numerai_lab.data.inventory import inventory
    from numerai_lab.data.reader import load
    from numerai_lab.report.plots import draw_inventory
    from numerai_lab.report.progress import progress_display

    with progress_display().task("data") as progress:
        contents = inventory(load(load_data(config, settings or []), progress=progress))
    if plot is not None:
        draw_inventory(contents, plot)
    if table_format == "json":
        put_text(json.dumps(contents.as_dict(), indent=1, ensure_ascii=False))
        return
    width = max(map(len, contents.facts))
    for name, value in contents.facts.items():
        put(f"{name:{width}}  {value}")


@data_app.command("list")
def list_(outcome_format: OutcomeOption = "text") -> None:
    """List the data in the cache, with sizes."""
    from numerai_lab.core.formatting import human_bytes
    from numerai_lab.storage.folders import cache_dir

    sizes = {
        (family, folder.name): sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        for family in ("numerai", "synthetic", "frames", "stores", "labels")
        for folder in sorted((cache_dir() / family).glob("[!.]*"))
    }
    rows = [{"family": family, "name": name, "n_bytes": size} for (family, name), size in sizes.items()]
    lines = [f"{family}/{name}  {human_bytes(size)}" for (family, name), size in sizes.items()]
    print_outcome(outcome_format, lambda: rows, lines)


@data_app.command()
def path(outcome_format: OutcomeOption = "text") -> None:
    """Print the cache folder ($NLAB_CACHE sets it)."""
    from numerai_lab.storage.folders import cache_dir

    print_outcome(outcome_format, lambda: {"path": str(cache_dir())}, [cache_dir()])


@data_app.command()
def download(
    config: ConfigFile = None, settings: Settings = None, plugin: Plugins = None, outcome_format: OutcomeOption = "text"
) -> None:
    """Fetch the files of a tournament version."""
    from numerai_lab.config.loading import load_data
    from numerai_lab.report.progress import progress_display

    source = load_data(config, settings or [], "numerai")
    with progress_display().task("download") as progress:
        files = source.files(progress)
    paths = [*files.tables, *files.extras]
    print_outcome(outcome_format, lambda: {"files": file_facts(*paths)}, paths)


@data_app.command()
def update(config: ConfigFile = None, settings: Settings = None, outcome_format: OutcomeOption = "text") -> None:
    """Download files that have changed, such as validation. Refuses other sources than numerai."""
    from numerai_lab.config.loading import load_data
    from numerai_lab.core.errors import NlabError
    from numerai_lab.data.numerai import Numerai
    from numerai_lab.report.progress import progress_display

    source = load_data(config, settings or [], "numerai")
    if not isinstance(source, Numerai):
        raise NlabError("data update: only data.source=numerai can be updated")
    with progress_display().task("update") as progress:
        renewed = source.update(progress)
    print_outcome(outcome_format, lambda: {"renewed": renewed}, renewed or ["nothing has changed"])
