"""Exports synthetic eras to a parquet file in the tournament's layout with a data card."""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.augmenters import Augmenter
from numerai_lab.augmenters.bins import rebinned
from numerai_lab.config.default_variants import RAW
from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import arrays_from_bytes
from numerai_lab.core.era_ranges import span_text
from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.core.panel import Block
from numerai_lab.core.seeding import rng_for
from numerai_lab.core.stream_parts import Origin
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.data.reader import Loaded
from numerai_lab.fitting.holdout import load_sealed_for
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.report.realism import realism_lines
from numerai_lab.runs.layout import augmenter_file
from numerai_lab.runs.output_files import growing_table, write_page
from numerai_lab.runs.reading import Run, damaged_run, read_run
from numerai_lab.studies.export import Exported, config_hash, of_method, refuse_existing

if TYPE_CHECKING:
    import pyarrow as pa

SYNTHETIC = "synthetic"


def export_eras(run: Path, name: str, n_eras: int, out: Path, display: ProgressDisplay, seed: int | None = None) -> Exported:
    """Writes the rows that an augmenter of a finished run makes, as new eras numbered beyond all real ones.

    Eras that the run itself made are the rows that its variants with all training eras learned from. Raises NlabError for an
    unknown augmenter or seed, an augmenter that only learned from fewer eras, `n_eras` below 1, and where `out` exists.
    """
    refuse_existing(out)
    if n_eras < 1:
        raise NlabError(f"--eras: at least 1 is needed, got {n_eras}")
    done = read_run(run)
    manifest = done.manifest
    config = done.config
    used_seed = config.seeds[0] if seed is None else seed
    augmenter = _fitted(done, config, name, used_seed)
    with display.task("data") as progress:
        loaded = load_sealed_for(done, config, progress)
    stream = _stream(augmenter, name, loaded, tuple(manifest["splits"]["train"]), used_seed, n_eras)
    origins = stream.origins_of(name)[:n_eras]
    n_rows, first = 0, 10 ** len(str(stream.last_era))
    with growing_table(out, _schema(loaded)) as add:  # which takes its name after its card is there
        with display.task(f"export {name}") as progress:
            for i, block in enumerate(_blocks(stream, origins)):
                add(_table(block, first + i, loaded, used_seed))
                n_rows += len(block)
                progress(i + 1, len(origins))
        card = out.with_name(f"{out.name}.md")
        facts = {
            "method": augmenter.kind,
            "rows": f"{n_rows:,} in {len(origins)} eras, {first} to {first + len(origins) - 1}",
            "made": _invented(augmenter, origins),
            "learned from": _learned_from(done, config, name, used_seed, loaded.panel.dates) if augmenter.learns else "nothing",
            "target": f"{loaded.target}, as `target`",
            "seed": used_seed,
            "data": f"{'SYNTHETIC, ' if loaded.synthetic else ''}{config.data.version_label()}",
            "run": run.name,
            "config hash": config_hash(config),
        }
        write_page(card, "\n".join([*_card(name, augmenter, facts), *realism_lines(done, name)]) + "\n")
    return Exported(out, card, {SYNTHETIC: n_rows}, ())


def _fitted(run: Run, config: Config, name: str, seed: int) -> Augmenter:
    if name not in config.augmenters:
        raise NlabError(f"--augmenter: the run has no augmenter {name!r}; {nearest(name, config.augmenters)}")
    template = config.augmenters[name]
    if template.weighs:
        raise NlabError(f"--augmenter: {name!r} weighs rows and makes none to export; name one that makes rows")
    if seed not in config.seeds:
        raise NlabError(f"--seed: the run has no seed {seed}; it has {', '.join(map(str, config.seeds))}")
    if not template.learns:
        return template
    path = augmenter_file(name, seed, None)
    if not (run.path / path).is_file():
        raise NlabError(f"{run.path}: keeps no {name}@{seed} fitted on all training eras; {_fits(run, config, name, seed)}")
    try:
        return template.restored(arrays_from_bytes(run.content(path)))
    except ValueError as error:
        raise damaged_run(run.path, f"{path}: {error}") from error


def _fits(run: Run, config: Config, name: str, seed: int) -> str:
    """The end of an error message: the fits that the run keeps where none is on all training eras."""
    firsts = _firsts(run, name, seed)
    if not firsts and (users := [variant for variant, values in config.variants.items() if name in values.augment]):
        return f"it learned other targets than the run's, for {', '.join(users)}; a variant of the run's own target is needed"
    if not firsts:
        return "no variant of the run uses it"
    starts = " and ".join(f"from era {first} on" for first in firsts)
    return f"it learned {starts}, for variants that leave out the eras before; a variant of all training eras is needed"


def _firsts(run: Run, name: str, seed: int) -> list[int]:
    """First training eras of the fits on fewer than all training eras, rising."""
    start, end = augmenter_file(name, seed, "*").split("*")
    first_eras = [
        str(path.relative_to(run.path)).removeprefix(start).removesuffix(end) for path in run.path.glob(f"{start}*{end}")
    ]
    return sorted(int(first) for first in first_eras if first.isdecimal())


def _learned_from(run: Run, config: Config, name: str, seed: int, dates: Mapping[int, str]) -> str:
    training_text = f"{span_text(tuple(run.manifest['splits']['train']), dates)}, features and target"
    readers = {g for v in config.variants.values() if name in v.augment for g in v.reads if g in config.generators}
    fewer = any(config.generators[g].fit_scope.kind == "early" for g in readers)
    if not fewer or _firsts(run, name, seed):
        return training_text
    return f"{training_text}; or of these eras those alone that a generator left, since so old a run keeps one fit of several"


def _stream(augmenter: Augmenter, name: str, loaded: Loaded, train: tuple[int, ...], seed: int, n_eras: int) -> TrainingStream:
    """A training stream with enough copies of the augmenter to give `n_eras` synthetic eras."""
    panel = loaded.panel.only(train)
    last_era = int(loaded.panel.eras[-1])
    known = sum(n > 0 for n in TrainingStream(panel, (RAW,), panel.raw_names, seed).n_known.values())
    a_copy = augmenter.n_of(known) if augmenter.invents_eras else known
    enough = type(augmenter).model_validate({**augmenter.model_dump(), "copies": max(augmenter.copies, -(-n_eras // a_copy))})
    return TrainingStream(panel, (RAW,), panel.raw_names, seed, {name: enough.restored(augmenter.state())}, last_era=last_era)


def _blocks(stream: TrainingStream, origins: list[Origin]) -> Iterator[Block]:
    for origin in origins:
        yield stream.rows_of(origin)
        stream.panel.release()


def _invented(augmenter: Augmenter, origins: list[Origin]) -> str:
    if augmenter.invents_eras:
        return "eras that never were, one after the other"
    return f"out of training eras {origins[0].era} to {max(origin.era for origin in origins)}, in order"


def _schema(loaded: Loaded) -> "pa.Schema":
    import pyarrow as pa

    cell = pa.int8() if loaded.panel.features.dtype == np.int8 else pa.float32()
    features = [(name, cell) for name in loaded.panel.raw_names]
    head = [("id", pa.string()), ("era", pa.string()), ("data_type", pa.string())]
    return pa.schema([*head, *features, ("target", pa.float32())])


def _table(block: Block, era: int, loaded: Loaded, seed: int) -> "pa.Table":
    import pyarrow as pa

    schema, n = _schema(loaded), len(block)
    features = block.features
    if loaded.panel.features.dtype == np.int8 and features.dtype != np.int8:
        like = loaded.panel.block(int(loaded.panel.eras[0]))
        features = rebinned(features, like, rng_for(seed, "export", era))  # interpolated rows lie between bins
    cells = [pa.array(column, schema.field(3).type) for column in features.T.astype(loaded.panel.features.dtype)]
    head = [pa.array([f"s{era:07x}{row:08x}" for row in range(n)]), pa.array([f"{era:04d}"] * n), pa.array([SYNTHETIC] * n)]
    return pa.table([*head, *cells, pa.array(block.target, pa.float32())], schema=schema)


def _card(name: str, augmenter: Augmenter, facts: dict[str, object]) -> list[str]:
    says = (inspect.getdoc(type(augmenter)) or "").partition("\n")[0]
    return [
        f"# {name}: {says}",
        "",
        "**Synthetic rows**: no stock, no date, no market. They are for training; a score on them says nothing, and a model that",
        "saw them has seen the training eras that they were learned from.",
        "Columns as in the tournament's files: id, era, data_type `synthetic`, features, target.",
        *of_method(augmenter, facts),
    ]
