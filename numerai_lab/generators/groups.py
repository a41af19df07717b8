"""Statistics of a row over groups of features."""

import re
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.arrays import Array, Float32, Float64
from numerai_lab.core.control import Control
from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.base import Generator

GROUPS = (
    "intelligence",
    "charisma",
    "strength",
    "dexterity",
    "constitution",
    "wisdom",
    "agility",
    "serenity",
    "sunshine",
    "rain",
    "midnight",
    "faith",
)
"""The tournament's groups, as feature sets name them: six in 2019 to 2021, the others since v5."""
STATS = ("mean", "std", "skew")
NO_SPREAD = 1e-12


class GroupStats(Generator):
    """Mean, standard deviation and skewness of a row's features, over each group of features.

    `groups` names the feature sets to use. By default they are those of the tournament's groups
    that the data has, else features that share the word after `feature_`, else all features as one
    group. A group with fewer than two of the features read is left out. Skewness is 0 where a
    group's features are all equal.

    Source: [Numerai forum, notebooks on the data of 2019 to 2021 with its six groups]; this
    project.
    """

    learns: ClassVar[bool] = False
    wide_by_data: ClassVar[bool] = True
    reads_feature_sets: ClassVar[bool] = True

    control: ClassVar[Control] = Control(why="no published theory says where statistics over groups of features add to trees")
    words: ClassVar[str] = "statistics over groups of features"
    kind: Literal["group_stats"] = "group_stats"
    groups: list[str] | None = Field(None, min_length=1, description="feature sets to take as groups; none = found, see above")
    stats: list[Literal["mean", "std", "skew"]] = Field(
        ["mean", "std", "skew"], min_length=1, description="which statistics to emit of each group"
    )

    def refusal(self, panel: Panel) -> str:
        for name in self.groups or ():
            if name not in panel.feature_sets:
                return f"group_stats: the data has no feature set {name!r}; {nearest(name, panel.feature_sets)}"
        if any(len(at) >= 2 for at in self._groups(panel).values()):
            return ""
        return f"group_stats: no group holds two of the {panel.n_raw} features; name other feature sets in `groups`"

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns the members of groups. Raises NlabError for a panel that `refusal` refuses."""
        if message := self.refusal(panel):
            raise NlabError(message)
        groups = {name: at for name, at in self._groups(panel).items() if len(at) >= 2}
        members = np.zeros((panel.n_raw, len(groups)), np.float32)
        for i, at in enumerate(groups.values()):
            members[at, i] = 1
        self.members_ = members
        self.names_ = np.array(list(groups))
        return self

    def transform(self, block: Block) -> Float32:
        return statistics_of_groups(block.features, block.top, self.members_, list(dict.fromkeys(self.stats)))

    def names_out(self) -> list[str]:
        fitted = self.state().get("names_")
        names = fitted.tolist() if fitted is not None else self.groups or GROUPS
        return [f"{name}_{stat}" for name in names for stat in dict.fromkeys(self.stats)]

    def _groups(self, panel: Panel) -> dict[str, list[int]]:
        sets = {name: [i for i in at.tolist() if i < panel.n_raw] for name, at in panel.feature_sets.items()}
        if self.groups:
            return {name: sets[name] for name in self.groups}
        named = {name: sets[name] for name in GROUPS if len(sets.get(name, ())) >= 2}
        return named or _by_word(panel.raw_names) or {"all": list(range(panel.n_raw))}


def _by_word(names: tuple[str, ...]) -> dict[str, list[int]]:
    """Features that share the word after their prefix: `feature_vol_10` and `feature_vol_20` belong to `vol`."""
    words: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        match = re.match(r"feature_?([A-Za-z]+)", name)
        if match:
            words.setdefault(match[1], []).append(i)
    return {word: at for word, at in words.items() if len(at) >= 2}


def statistics_of_groups(features: Array, top: float, members: Float32, names: list[str]) -> Float32:
    """Statistics, by name, of each row over groups of features: float32, rows × (groups · names). members: features × groups."""
    # Sums of centred bins and of their cubes are small integers: float32 is exact, whatever the batching.
    dtype = np.dtype(np.float32 if features.dtype == np.int8 else np.float64)
    x = features.astype(dtype)
    x -= top / 2
    n = members.sum(0, dtype=np.float64)
    first, second, third = ((power @ members.astype(dtype)).astype(np.float64) / n for power in (x, x * x, x * x * x))
    stats = dict(zip(STATS, _moments(first, second, third, top), strict=True))
    return np.stack([stats[name] for name in names], axis=2).reshape(len(features), -1).astype(np.float32)


def _moments(first: Float64, second: Float64, third: Float64, top: float) -> tuple[Float64, Float64, Float64]:
    """Mean and standard deviation on 0..1, and skewness, from the means of x − top/2, its square and its cube."""
    variance = second - first**2
    spread = np.where(variance > NO_SPREAD * top**2, variance, 0)
    central = third - 3 * first * second + 2 * first**3
    skew = np.divide(central, spread**1.5, out=np.zeros_like(central), where=spread > 0)
    return first / top + 0.5, np.sqrt(spread) / top, skew
