"""Schemas of meta.json of cache entries and of stores: types and sizes of what is read from it, whoever wrote it."""

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from numerai_lab.storage.foreign_json import STRICT, Count, Number, Seconds, Sums, Text

N_COLUMNS, N_ERAS = 1_000_000, 100_000
Names = Annotated[list[Text], Field(max_length=N_COLUMNS)]
Top = Annotated[Number, Field(gt=0)]


def _iso(text: str) -> str:
    date.fromisoformat(text)
    return text


class _Part(BaseModel):
    """A mapping in meta.json."""

    model_config = STRICT


class ListedStage(_Part):
    """What a list of the cache shows of a finished stage."""

    label: Text
    seconds: Seconds
    bytes: Count


class StageMeta(ListedStage):
    """A finished stage. Keys with a default may be absent, as in older entries."""

    family: Text
    facts: dict[str, Any]
    files: Sums
    peak_bytes: Count = 0


class StoreMeta(_Part):
    """A store of any kind and version."""

    version: Count
    checksums: Sums


class LabelsMeta(StoreMeta):
    """A store of a target."""

    target: Text
    horizon_days: Annotated[int, Field(gt=0, le=10_000)] | None
    alias: Text


class ExtrasMeta(StoreMeta):
    """A store of predictions by other models."""

    extras: Names
    synthetic: bool


class FileRowsMeta(_Part):
    """Rows of a file in a store of rows."""

    content: Text
    in_bins: bool | None
    eras: Annotated[list[Count], Field(max_length=N_ERAS)]
    n_missing: Count


class FeaturesMeta(StoreMeta):
    """A store of scoring features, and what a store of rows has in common with it."""

    feature_names: Names
    top: Top
    floats_in_bins: Annotated[list[bool | None], Field(max_length=N_COLUMNS)]
    notes: Annotated[list[Text], Field(max_length=10_000)]
    files: Annotated[list[FileRowsMeta], Field(max_length=N_COLUMNS)]


class RowsMeta(FeaturesMeta):
    """A store of rows. era_dates: absent where eras are plain numbers."""

    reading: Text
    data_types: Annotated[list[Text], Field(max_length=N_ERAS)]
    absent_features: Annotated[list[Count], Field(max_length=N_ERAS)]
    synthetic: bool
    era_dates: Annotated[list[Annotated[str, AfterValidator(_iso)]], Field(max_length=N_ERAS)] = []
