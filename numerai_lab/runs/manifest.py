"""The schema of manifest.json: types and sizes of what is read from it, whoever wrote it."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from numerai_lab.runs.layout import MANIFEST
from numerai_lab.storage.foreign_json import STRICT, Count, Number, Seconds, Sums, Text, Whole
from numerai_lab.storage.foreign_json import checked as checked_by

Eras = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(max_length=100_000)]
Named = Annotated[dict[Text, Text], Field(max_length=100_000)]


class _Part(BaseModel):
    """A mapping in manifest.json."""

    model_config = STRICT


class Cost(_Part):
    """What a phase or a stage took. Keys may be absent, as in older runs."""

    seconds: Seconds = 0.0
    peak_bytes: Count = 0


class Hit(_Part):
    """A stage from the cache."""

    stage: Text
    seconds_saved: Seconds


class Machine(_Part):
    """What a run ran on."""

    platform: Text = ""
    cores: Count = 0
    memory_bytes: Count = 0
    gpu: Text | None = None


class Data(_Part):
    """What a run learned from."""

    synthetic: bool | Annotated[int, Field(ge=0, le=1)]
    identity: Text
    features: Count
    train_rows: Count
    resolved_target: Text
    horizon_days: Annotated[int, Field(gt=0, le=10_000)] | None
    days_per_era: Annotated[int | float, Field(gt=0, le=10_000)] = 5
    rows: Count = 0
    store: Text = ""
    labels: Text = ""
    target: Text = ""
    input_sets: dict[Text, Count] = {}


class Comparable(_Part):
    """What runs share that are ranked together; digests and counts beside these are compared and not read."""

    model_config = ConfigDict(strict=True, extra="allow")
    __pydantic_extra__: dict[str, Text | Whole | Number | None]

    data_version: Text = Field(alias="data version")
    val1: Text
    val2: Text


class SplitEras(_Part):
    """Eras of the parts of the data."""

    train: Eras
    embargo: Eras
    val1: Eras
    val2: Eras
    holdout: Eras = []


class ScoringTerms(_Part):
    """What scores are computed against."""

    reference: Text
    fnc: Text
    meta_model: Text | None = None
    benchmark: Text | None = None
    least_rows: Count | None = None
    payout: dict[Text, Number] | None = None


class Folds(_Part):
    """Cross-validation."""

    folds: Count
    scheme: Text


class Steps(_Part):
    """Walk-forward validation."""

    every: Count
    window: Text | Count


class Choice(_Part):
    """Why a sweep chose the run."""

    split: Text
    trials: Count
    by: Text


class Manifest(_Part):
    """What is read from manifest.json. Keys with a default may be absent, as in older runs."""

    started: Text
    command: Annotated[list[Text], Field(max_length=10_000)]
    seeds: Annotated[list[Whole], Field(max_length=100_000)]
    warnings: Annotated[list[Text], Field(max_length=10_000)]
    cache_hits: Annotated[list[Hit], Field(max_length=1_000_000)]
    packages: dict[Text, Text]
    machine: Machine
    stages: Annotated[dict[Text, Cost], Field(max_length=1_000_000)]
    data: Data
    comparable: Comparable
    splits: SplitEras
    scoring: ScoringTerms
    leak: Text
    name: Text = ""
    asked_config: Annotated[str, Field(max_length=10_000_000)] | None = None
    costs: Annotated[dict[Text, Cost], Field(max_length=1_000_000)] = {}
    files: Sums = {}
    cv: Folds | None = None
    retrain: Steps | None = None
    holdout: Text | None = None
    looks: Count = 0
    chosen: Choice | None = None
    smallest_effect: Annotated[Number, Field(ge=0)] = 0.0
    placebos: dict[Text, Named] = {}
    fingerprint: dict[Text, Named] = {}
    signed: dict[Text, Any] = {}
    refits: dict[Text, dict[str, Any]] = {}


def checked(facts: dict[str, Any]) -> dict[str, Any]:
    """The same facts. Raises ValueError, with the path of keys, where they are not those of a manifest."""
    return checked_by(facts, Manifest, MANIFEST)
