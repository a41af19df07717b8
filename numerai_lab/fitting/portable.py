"""models/portable.json: the facts by which a run folder predicts rows of any file, without the data of the run."""

from datetime import date
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.runs.layout import PORTABLE
from numerai_lab.runs.reading import FILES, RunFiles, damaged_run
from numerai_lab.storage.stamped_json import read_stamped, with_stamp

VERSION = 1
"""Version of the facts; rises when a key goes or changes its meaning."""


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Cells(_Facts):
    """The units of features: dtype and largest value; a missing value is the middle, `top / 2`."""

    dtype: str
    top: float


class EraCalendar(_Facts):
    """How dates became era numbers: the first date, business days from one era to the next, and the offset."""

    first: date
    days_per_era: int
    offset: int


class GeneratorFacts(_Facts):
    """A fitted generator.

    files: seed → file of its arrays. columns: names of what it emits. features: names of the raw features that its last fit
    reads. n_fits: number of fits; the last one gives the columns of live rows. ranked: columns are ranks within the era.
    """

    kind: str
    files: dict[int, str]
    columns: tuple[str, ...]
    features: tuple[str, ...]
    n_fits: int
    ranked: bool
    portable: bool


class Neutralisation(_Facts):
    """The feature set that predictions are neutralised against, and the proportion of the fit that is taken out."""

    features: str
    proportion: float


class VariantFacts(_Facts):
    """A variant.

    kind: of its model; None for an ensemble, as are `inputs`, `models` and `targets` empty. inputs: `raw`, generators and
    feature sets, in the order of the model's columns. models: seed → the files of its models, one for each of `targets`
    or one for all, whose ranks are averaged. members: of an ensemble.
    """

    kind: str | None
    inputs: tuple[str, ...]
    models: dict[int, tuple[str, ...]]
    targets: tuple[str, ...]
    members: tuple[str, ...]
    neutralize: Neutralisation | None
    portable: bool


class Portable(_Facts):
    """The facts by which a run folder predicts.

    Attributes
    ----------
    data: `source`, `version` of the tournament's data (None for other sources), `label`, `identity` and `synthetic`.
    features: names of the raw features, in the order in which generators and models read them. further_features: those of
        `sets` beyond them, in order. cells, further_cells: the units of both.
    sets: feature set that variants read, or are neutralised against → its features, in order.
    live_era: the era number that rows without an era get. calendar: how dates became numbers; None where eras are numbers.
    refit: eras of a model that was trained again on all of them and never scored, as text; None for the models of the run.
    """

    version: int = VERSION
    nlab: str
    data: dict[str, Any]
    target: str
    resolved_target: str
    features: tuple[str, ...]
    further_features: tuple[str, ...]
    cells: Cells
    further_cells: Cells | None
    sets: dict[str, tuple[str, ...]]
    live_era: int
    calendar: EraCalendar | None
    seeds: tuple[int, ...]
    generators: dict[str, GeneratorFacts]
    variants: dict[str, VariantFacts]
    refit: str | None = None

    def text(self) -> str:
        """The facts as stamped JSON."""
        return with_stamp(self.model_dump(mode="json"))

    @classmethod
    def read(cls, run: RunFiles) -> Self | None:
        """The facts of a run folder; None where it has none, as older runs. Raises NlabError where they are damaged."""
        if PORTABLE not in run.manifest.get(FILES, {}) and not (run.path / PORTABLE).exists():
            return None
        try:
            run.content(PORTABLE)
            facts = cls.model_validate(read_stamped(run.path / PORTABLE))
        except (ValueError, OSError) as error:
            why = "its keys are not those of this version" if isinstance(error, ValidationError) else error
            raise damaged_run(run.path, f"{PORTABLE}: {why}") from error
        if facts.version != VERSION:
            raise NlabError(f"{run.path}: {PORTABLE} is of version {facts.version}, this nlab reads {VERSION}; update nlab")
        return facts

    def members_of(self, variant: str) -> tuple[str, ...]:
        """The variants with a model that a variant is made of: itself, or the members of the ensemble."""
        return self.variants[variant].members or (variant,)

    def sets_of(self, variant: str) -> tuple[str, ...]:
        """The feature sets that a variant and its members read beside the raw features."""
        parts = [self.variants[name] for name in dict.fromkeys((variant, *self.members_of(variant)))]
        read = [name for part in parts for name in part.inputs if name in self.sets]
        return tuple(dict.fromkeys([*read, *(part.neutralize.features for part in parts if part.neutralize)]))

    def refuse_unportable(self, variant: str) -> None:
        """Raises NlabError for an unknown variant, and for one of a plug-in that does not declare itself portable."""
        if variant not in self.variants:
            raise NlabError(f"--variant: the run has no variant {variant!r}; {nearest(variant, self.variants)}")
        for name in self.members_of(variant):
            part = self.variants[name]
            parts: dict[str, VariantFacts | GeneratorFacts] = {f"variants.{name}.model": part}
            parts |= {f"generators.{i}": self.generators[i] for i in part.inputs if i in self.generators}
            for where, facts in parts.items():
                if not facts.portable:
                    raise NlabError(
                        f"{where}: {facts.kind} does not declare itself portable, so {variant} can predict no other file; "
                        "set `portable = True` in its class, if its saved arrays and the rows of an era are all that it reads, "
                        "and run again"
                    )
