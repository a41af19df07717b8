"""A synthetic tournament with a planted truth, written as files of the real one's names, columns and dtypes."""

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from numerai_lab.basics import Array, Float32, Float64, Tick, rng_for, silent
from numerai_lab.data.files import Files
from numerai_lab.data.source import Outline, Source, Tournament
from numerai_lab.splits import EraTable
from numerai_lab.store import built, cache_dir

VERSION = 1
"""Raised whenever the same seed would give other bytes."""
GROUPS = ("intelligence", "charisma", "strength", "dexterity", "constitution", "wisdom")
N_FACTORS = 8
N_REGIMES = 3
LOOK_AHEAD = 12
"""Weeks a 60-day target looks ahead."""
UNRESOLVED = {"20": 4, "60": 12}
"""Last validation eras whose 20- and 60-day targets are not known yet; without a 20-day target the data_type is `test`."""
TARGET_SHARES = (0.05, 0.25, 0.75, 0.95)
PERSISTENCE = 0.98
SIGNAL = 0.07
TARGETS = ("target", "target_ender_20", "target_ender_60", "target_cyrusd_20", "target_cyrusd_60")


@dataclass(frozen=True)
class Size:
    """How large a synthetic tournament is; a set's features are counted, `small` lies outside `medium`."""

    n_eras: int
    n_rows: int
    n_small: int
    n_medium: int

    @property
    def n_features(self) -> int:
        return self.n_small + self.n_medium

    @property
    def n_train(self) -> int:
        """Eras of train.parquet; the rest is validation.parquet."""
        return self.n_eras * 6 // 10


SIZES = {"tiny": Size(100, 80, 42, 60), "small": Size(200, 800, 42, 120)}


class Synthetic(Source):
    """A synthetic tournament with planted factors, a non-linear manifold, drifting regimes and a known attainable corr.

    tiny: 100 eras × 80 rows × (42 `small` + 60 `medium`) features; small: 200 × 800 × (42 + 120). The first 60 % of the
    eras train. Returns come from latents with weekly coefficients that drift and change regime and fade with time, so
    that val2 is harder than val1; 20- and 60-day targets of neighbouring eras overlap; a tenth of the features is
    missing (all 2) in early eras. `target` equals `target_ender_20`. A meta model covers the last 40 % of validation.

    Source: this project; the layout and dtypes are those of Numerai's v5 files.
    """

    source: Literal["synthetic"] = "synthetic"
    size: Literal["tiny", "small"] = Field("small", description="tiny (8,000 rows) or small (160,000 rows)")
    seed: int = Field(0, ge=0, description="the world that is drawn")

    @property
    def folder(self) -> Path:
        """Where the files are kept once made; truth.parquet lies there too, and no run reads it."""
        return cache_dir() / "synthetic" / f"{self.size}-seed{self.seed}-v{VERSION}"

    def files(self, tick: Tick = silent) -> Tournament:
        if not self.folder.is_dir():
            with built(self.folder) as work:
                write_tournament(work, SIZES[self.size], self.seed, tick)
        return Files(path=str(self.folder)).files()

    def version_label(self) -> str:
        return f"synthetic {self.size}, seed {self.seed}, v{VERSION}"

    def planned(self) -> Outline | None:
        if self.folder.is_dir():
            return None
        size = SIZES[self.size]
        eras = tuple(range(1, size.n_eras + 1))
        sets = feature_sets(size)
        return Outline(
            table=EraTable(
                eras, tuple(_data_type(size, era) for era in eras), tuple(_resolved(size, era, self.target) for era in eras)
            ),
            n_rows=(size.n_rows,) * size.n_eras,
            n_columns=len(sets.get(self.feature_set, sets["all"])),
            target="target_ender_20" if self.target == "target" else self.target,
            horizon_days=60 if self.target.endswith("_60") else 20,
            in_store=False,
        )


def feature_sets(size: Size) -> dict[str, list[str]]:
    """`small`, `medium`, `all`, one set a group, and `fncv3_features` (two thirds of medium), as features.json has them."""
    names = [f"feature_{GROUPS[i % len(GROUPS)]}_{i:04d}" for i in range(size.n_features)]
    medium = names[size.n_small :]
    groups = {group: [name for name in names if f"_{group}_" in name] for group in GROUPS}
    return {"small": names[: size.n_small], "medium": medium, "all": names, "fncv3_features": medium[: len(medium) * 2 // 3], **groups}


def write_tournament(folder: Path, size: Size, seed: int, tick: Tick = silent) -> None:
    """Writes every file of a tournament into `folder`, era by era, in constant memory."""
    sets = feature_sets(size)
    (folder / "features.json").write_text(json.dumps({"feature_sets": sets, "targets": list(TARGETS)}, indent=1))
    with _Files(folder) as files:
        for era in World(size, seed).eras():
            tick(era.number, size.n_eras)
            files.add(era, _data_type(size, era.number), size)


def _data_type(size: Size, era: int) -> str:
    if era <= size.n_train:
        return "train"
    if era > size.n_eras:
        return "live"
    return "test" if era > size.n_eras - UNRESOLVED["20"] else "validation"


def _resolved(size: Size, era: int, target: str) -> bool:
    return era <= size.n_eras - UNRESOLVED["60" if target.endswith("_60") else "20"]


@dataclass(frozen=True)
class Era:
    """One drawn cross-section. returns and expected: float64, rows × (20 days, 60 days, the same without factor 1)."""

    number: int
    features: Array
    returns: Float64
    expected: Float64
    latents: Float32
    models: Float64


class World:
    """The planted truth of a seed: loadings, a manifold, regimes; `eras` draws week after week.

    A stock's state is 10 latents, AR(1) in weeks: 8 factors f and 2 manifold coordinates u = Φ(z). Three quarters of the
    features load on f (mostly on two factors of their group), one quarter are cosines of u; each gets noise and is
    ranked into five equal bins per era. A week's expected return is linear in f plus f1·f2, cos 2πu1 and f3·sin 2πu2.
    """

    def __init__(self, size: Size, seed: int) -> None:
        self.size, self.seed = size, seed
        rng = rng_for(seed, "synthetic", "world")
        p = size.n_features
        group = np.arange(p) % len(GROUPS)
        self.loadings = rng.normal(0, 0.15, (p, N_FACTORS))
        for i, own in enumerate(group):
            self.loadings[i, [own, (own + 2) % N_FACTORS]] += rng.normal(0, 0.8, 2)
        self.curved = rng.permutation(p) < p // 4
        self.frequency = rng.integers(1, 3, p)
        self.phase = rng.uniform(0, 1, p)
        self.mixing = rng.permuted(np.tile([1.0, 0.0], (p, 1)), axis=1)
        self.missing = rng.permutation(p) < p // 10
        self.persistent = rng.normal(0, 1, N_FACTORS + 3)
        self.regimes = rng.normal(0, 0.35, (N_REGIMES, N_FACTORS + 3))
        self.regimes[-1] -= 0.7 * self.persistent  # the regime of late eras, in which most of what was learned fades

    def eras(self) -> Iterator[Era]:
        """Era 1 to n_eras, and one more for live."""
        from scipy.special import ndtr

        n_weeks = self.size.n_eras + 1 + LOOK_AHEAD
        coefficients = self._coefficients(n_weeks)
        state = rng_for(self.seed, "synthetic", "start").normal(size=(self.size.n_rows, N_FACTORS + 2))
        window: deque[tuple[Float64, Float64, Float64]] = deque(maxlen=LOOK_AHEAD + 1)
        for week in range(n_weeks):
            rng = rng_for(self.seed, "synthetic", "week", week)
            state = PERSISTENCE * state + np.sqrt(1 - PERSISTENCE**2) * rng.normal(size=state.shape)
            latents = np.hstack([state[:, :N_FACTORS], ndtr(state[:, N_FACTORS:])])
            drivers = _drivers(latents)
            noise = rng.normal(size=len(drivers))
            window.append((latents, drivers, drivers @ coefficients[week] + noise))
            if len(window) > LOOK_AHEAD:
                yield self._era(week - LOOK_AHEAD, window, coefficients)

    def _coefficients(self, n_weeks: int) -> Float64:
        rng = rng_for(self.seed, "synthetic", "coefficients")
        drift = np.zeros(N_FACTORS + 3)
        regime, out = 0, []
        for week in range(n_weeks):
            age = week / n_weeks
            late = max(0.0, age - 0.75)
            if rng.random() < 0.08:
                weights = np.array([1 - age, 0.5, 6 * late])
                regime = int(rng.choice(N_REGIMES, p=weights / weights.sum()))
            drift = 0.97 * drift + np.sqrt(1 - 0.97**2) * rng.normal(0, 0.35, len(drift))
            week_own = self.persistent + self.regimes[regime] + drift
            out.append(SIGNAL * (1 - 0.3 * age) * week_own / np.linalg.norm(self.persistent))
        return np.array(out)

    def _era(self, index: int, window: "deque[tuple[Float64, Float64, Float64]]", coefficients: Float64) -> Era:
        rng = rng_for(self.seed, "synthetic", "era", index)
        latents, drivers, _ = window[0]
        weeks = [week for _, _, week in window][1:]
        decay = PERSISTENCE ** np.arange(1, LOOK_AHEAD + 1)[:, None]
        ahead = decay * coefficients[index + 1 : index + 1 + LOOK_AHEAD]
        expected = np.stack([drivers @ ahead[:4].sum(0), drivers @ ahead.sum(0)], axis=1)
        returns = np.stack([np.sum(weeks[:4], axis=0), np.sum(weeks, axis=0)], axis=1)
        first = latents[:, :1] - latents[:, :1].mean()
        without = returns - first * (first.T @ returns) / (first**2).sum()
        noise = rng.normal(size=(len(latents), 3))
        skilled = expected[:, [0, 0, 1]] / expected[:, [0, 0, 1]].std(0)
        skill = np.array([0.5, 0.6, 0.4])
        return Era(
            number=index + 1,
            features=self._features(index, latents, rng),
            returns=np.hstack([returns, without]),
            expected=expected,
            latents=latents.astype(np.float32),
            models=skill * skilled + np.sqrt(1 - skill**2) * noise,
        )

    def _features(self, index: int, latents: Float64, rng: np.random.Generator) -> Array:
        linear = latents[:, :N_FACTORS] @ self.loadings.T
        angle = self.frequency * (latents[:, N_FACTORS:] @ self.mixing.T) + self.phase
        curved = 1.4 * np.cos(2 * np.pi * angle)
        values = np.where(self.curved, curved, linear) + rng.normal(0, 0.8, linear.shape)
        bins = (5 * _ranks(values) // len(values)).astype(np.int8)
        if index < self.size.n_eras * 15 // 100:
            bins[:, self.missing] = 2
        return bins


def _drivers(latents: Float64) -> Float64:
    f, u = latents[:, :N_FACTORS], latents[:, N_FACTORS:]
    curved = np.sqrt(2) * np.cos(2 * np.pi * u[:, 0])
    mixed = np.sqrt(2) * f[:, 2] * np.sin(2 * np.pi * u[:, 1])
    return np.column_stack([f, f[:, 0] * f[:, 1], curved, mixed])


def _ranks(values: Float64) -> Array:
    """0 … n − 1 in every column."""
    return np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0, kind="stable")


def _target(returns: Float64) -> Float32:
    """Bins of 5, 20, 50, 20 and 5 % at 0, .25, .5, .75 and 1."""
    shares = (_ranks(returns[:, None])[:, 0] + 0.5) / len(returns)
    return (np.searchsorted(TARGET_SHARES, shares) / 4).astype(np.float32)


class _Files:
    """The open parquet files of a tournament under construction."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writers: dict[str, object] = {}

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()  # type: ignore[attr-defined]

    def add(self, era: Era, kind: str, size: Size) -> None:
        """One era into every file that has it."""
        import pandas as pd

        index = pd.Index(_ids(era), name="id")
        label = "X" if kind == "live" else f"{era.number:04d}"
        head = pd.DataFrame({"era": label, "data_type": kind}, index=index)
        features = pd.DataFrame(era.features, index=index, columns=feature_sets(size)["all"])
        part = {"test": "validation"}.get(kind, kind)
        self._write(part, pd.concat([head, features, _targets(era, size, index)], axis=1))
        if era.number > size.n_eras // 4:
            models = pd.DataFrame(_unit_ranks(era.models[:, 1:]), index=index, columns=["lab_lgbm_ender20", "lab_lgbm_ender60"])
            self._write(f"{part}_benchmark_models", pd.concat([head, models], axis=1))
        if kind != "live" and era.number > size.n_eras - (size.n_eras - size.n_train) * 4 // 10:
            meta = pd.DataFrame(_unit_ranks(era.models[:, :1]), index=index, columns=["numerai_meta_model"])
            self._write("meta_model", pd.concat([head, meta], axis=1))
        columns = ["expected_20", "expected_60", *(f"latent_{i}" for i in range(era.latents.shape[1]))]
        truth = pd.DataFrame(np.hstack([era.expected, era.latents]), index=index, columns=columns)
        self._write("truth", pd.concat([head[["era"]], truth.astype(np.float32)], axis=1))

    def _write(self, name: str, frame: object) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(frame)
        if name not in self._writers:
            self._writers[name] = pq.ParquetWriter(self.folder / f"{name}.parquet", table.schema)
        self._writers[name].write_table(table)  # type: ignore[attr-defined]


def _ids(era: Era) -> list[str]:
    numbers = rng_for(era.number, "synthetic", "ids").choice(16**7, size=len(era.features), replace=False)
    return [f"n{era.number:08x}{number:07x}" for number in numbers]


def _targets(era: Era, size: Size, index: object) -> object:
    import pandas as pd

    values = {name: _target(era.returns[:, i]) for i, name in enumerate(TARGETS[1:])}
    values = {"target": values["target_ender_20"], **values}
    known = {
        name: column if _resolved(size, era.number, name) else np.full_like(column, np.nan) for name, column in values.items()
    }
    return pd.DataFrame(known, index=index)  # type: ignore[arg-type]


def _unit_ranks(values: Float64) -> Float32:
    return ((_ranks(values) + 0.5) / len(values)).astype(np.float32)
