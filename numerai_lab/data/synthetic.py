"""A synthetic tournament with a known truth, as a source of data."""

import logging
import shutil
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.core.processors import usable_cores
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.core.splits import EraTable
from numerai_lab.data.files import Files
from numerai_lab.data.source import Outline, Source, Tournament
from numerai_lab.data.synthetic_files import (
    ORACLE,
    TARGETS,
    VERSION,
    data_type,
    files_bytes,
    resolved,
    sets_of,
    write_tournament,
)
from numerai_lab.data.world import World
from numerai_lab.data.world_size import SIZES
from numerai_lab.data.worlds import WORLDS
from numerai_lab.storage.checksums import KnownChecksums, checksums
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.folders import build_resumably, cache_dir, lock_of
from numerai_lab.storage.stamped_json import read_stamped, with_stamp

log = logging.getLogger("nlab")
CHECKSUMS = "checksums.json"
"""Beside the files: their checksums."""


class Synthetic(Source):
    """A synthetic tournament whose truth is known: worlds in which a method must help, or in which none may.

    tiny: 100 eras × 80 rows × (42 `small` + 60 `medium`) features; small: 200 × 800 × (42 + 120); medium: 300 × 2,000 × 780;
    full: 1,234 eras and 6.9 million rows × 780, as many rows as v5.3; wide: 300 × 5,000 × 3,555, as many features as v5.3 (42
    `small`, 780 `medium` and 2,733 further ones in `all`); control: 144 × 1,600 × 160, of which 32 eras train. The first 60 %
    of the eras train elsewhere (full: 574).
    default: as hard as the real tournament, with premia that drift and fade. clusters: hidden clusters earn a premium.
    unpaid, null: the same features, of which linear signals or none earn one. steady: many noisy features show two paid
    factors. missing: the same, and the two best features vanish after training. flip: linear premia change their sign after
    training, convex ones stay. unflip: neither changes. torus: a wave over two coordinates is paid.
    20- and 60-day targets of neighbouring eras overlap. `target` equals `target_ender_20`. A meta model covers the last 40 %
    of validation.

    Source: this project; the layout and dtypes are those of Numerai's v5 files.
    """

    source: Literal["synthetic"] = "synthetic"
    world: str = Field(
        "default",
        description="what features show and returns pay for: default, clusters, unpaid, null, steady, missing, flip, unflip or "
        "torus",
        json_schema_extra={"enum": list(WORLDS)},
    )
    size: Literal["tiny", "small", "medium", "full", "wide", "control"] = Field(
        "small",
        description="tiny (8,000 rows), small (160,000), medium (600,000), full (6.9 million), wide (1.5 million, of all 3,555 "
        "features of v5.3) or control (230,400)",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the world")
    oracle: bool = Field(
        False,
        description="add the feature set `oracle`: the latents of the world, read by variants with `features: [raw, oracle]`",
    )

    @field_validator("world", mode="before")
    @classmethod
    def _null_is_a_name(cls, world: object) -> object:
        """YAML reads `null` without quotes as nothing."""
        return "null" if world is None else world

    @field_validator("world")
    @classmethod
    def _known(cls, world: str) -> str:
        if world not in WORLDS:
            raise ValueError(f"no world {world!r}; {nearest(world, WORLDS)}")
        return world

    @property
    def input_sets(self) -> tuple[str, ...]:
        return (ORACLE,) if self.oracle else ()

    @property
    def drawn(self) -> World:
        """The world, ready to draw."""
        return World(SIZES[self.size], self.seed, WORLDS[self.world])

    @property
    def folder(self) -> Path:
        """The folder of the cache for the files; no run reads the truth.parquet in it before its predictions are scored."""
        oracle = "-oracle" if self.oracle else ""
        return cache_dir() / "synthetic" / f"{self.world}-{self.size}-seed{self.seed}-v{VERSION}{oracle}"

    @property
    def truth(self) -> Path | None:
        return Files(path=str(self.folder)).truth

    @property
    def cache_folders(self) -> tuple[Path, ...]:
        return (self.folder,)

    def files(self, progress: Progress = no_progress) -> Tournament:
        _remove_damaged(self.folder)
        if not self.folder.is_dir():
            world, processes = self.drawn, usable_cores()

            def make(work: Path) -> None:
                write_tournament(work, world, progress, processes, self.oracle)
                sums = checksums((path for path in work.iterdir() if path.suffix in (".parquet", ".json")), work)
                (work / CHECKSUMS).write_text(with_stamp({"files": sums}), encoding="utf-8")

            build_resumably(self.folder, make)
        return Files(path=str(self.folder)).files()

    def version_label(self) -> str:
        oracle = " with oracle" if self.oracle else ""
        return f"synthetic {self.size}, world {self.world}{oracle}, seed {self.seed}, v{VERSION}"

    def planned(self) -> Outline | None:
        """What the files will hold; None where they are there. Raises NlabError for an unknown target, and for no oracle."""
        if self.folder.is_dir():
            return None
        size = SIZES[self.size]
        eras = tuple(range(1, size.n_eras + 1))
        sets = sets_of(self.drawn, self.oracle)
        raw = sets.get(self.feature_set, sets["all"])
        position = {column: i for i, column in enumerate(dict.fromkeys([*raw, *sets.get(ORACLE, ()), *sets["all"]]))}
        targets = [self.target, *self.auxiliary_targets]
        for key, name in zip(("data.target", *["data.auxiliary_targets"] * len(targets)), targets, strict=False):
            if name not in TARGETS:
                raise NlabError(f"{key}: a synthetic tournament has no target {name!r}; {nearest(name, TARGETS)}")
        horizons = [60 if name.endswith("_60") else 20 for name in targets]
        horizons[0] = self.horizon_days or horizons[0]
        return Outline(
            table=EraTable(
                eras,
                tuple(data_type(size, era) for era in eras),
                tuple(resolved(size, era, self.target) for era in eras),
                days_per_era=self.days_per_era,
            ),
            n_rows=size.rows,
            n_columns=len(raw),
            target="target_ender_20" if self.target == "target" else self.target,
            horizon_days=horizons[0],
            reach_days=max(horizons),
            in_store=False,
            files_bytes=files_bytes(size),
            sets={name: [position[column] for column in members] for name, members in sets.items()},
        )


def _remove_damaged(folder: Path) -> None:
    """Removes files that are not as they were written, so that they are made anew; older ones have no checksums."""
    if not (folder / CHECKSUMS).exists():
        return
    with Lock(lock_of(folder.with_name(f"{folder.name}.check"))) as lock:
        lock.take(wait=True)
        if damage := _damage(folder):
            log.warning("%s is damaged (%s) and is made anew", folder, damage)
            shutil.rmtree(folder)
        lock.remove()


def _damage(folder: Path) -> str:
    """A sentence about what is damaged in a folder of files; empty when it is whole, or gone."""
    if not folder.is_dir():
        return ""
    try:
        return KnownChecksums(cache_dir()).changed(folder, read_stamped(folder / CHECKSUMS)["files"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{CHECKSUMS} can't be read ({error!r})"
