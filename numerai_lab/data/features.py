"""Tells feature columns from columns that are never features."""

import re
from collections.abc import Mapping, Sequence

from numerai_lab.core.errors import NlabError

NEVER = {
    "id": "the id",
    "era": "the era",
    "data_type": "the data_type",
    "numerai_meta_model": "the meta model",
}
BENCHMARK = re.compile(r"v\d+_lgbm")
"""The beginning of names of the tournament's benchmark models."""


def groups_of(features: Sequence[str]) -> dict[str, list[str]]:
    """Feature sets of files that list none: `feature_charisma7` belongs to `charisma`, as in 2019 to 2021."""
    groups: dict[str, list[str]] = {}
    for name in features:
        match = re.fullmatch(r"feature_([a-z]+)\d+", name)
        if match:
            groups.setdefault(match[1], []).append(name)
    return groups


def refuse_other_columns(names: Sequence[str], other_columns: Mapping[str, str]) -> None:
    """Raises NlabError when a name is no feature; other_columns: description of each other column, by name."""
    for name in names:
        what = other_columns.get(name) or NEVER.get(name)
        if what is None and name.startswith("target"):
            what = "a target"
        elif what is None and BENCHMARK.match(name):
            what = "a benchmark model"
        if what:
            raise NlabError(f"{name!r}, which is {what} and no feature")
