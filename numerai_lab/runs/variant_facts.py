"""What a run folder says of each variant beside its scores: words, role, seconds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from numerai_lab.core.placebo_pairs import Placebos

Role = Literal["reference", "method", "placebo"]


@dataclass(frozen=True)
class VariantFacts:
    """words: what the variant is. seconds: of its fits, rows, columns, models and predictions, all seeds; None: not known.

    What several variants share counts for each of them.
    """

    words: str = ""
    role: Role = "method"
    seconds: float | None = None

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> dict[str, Self]:
        """Variant → its facts. Of older runs without this record, roles alone."""
        scoring = manifest.get("scoring")
        reference = scoring.get("reference") if isinstance(scoring, Mapping) else None
        placebos = {name for pairs in Placebos.of_manifest(manifest).as_dict().values() for name in pairs.values()}
        older: dict[Any, Any] = {name: {"role": "placebo"} for name in placebos} | {reference: {"role": "reference"}}
        recorded = manifest.get("variants")
        recorded = older if not isinstance(recorded, Mapping) else recorded
        return {name: cls.of(facts) for name, facts in recorded.items() if isinstance(name, str) and isinstance(facts, Mapping)}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """From plain values; those of a wrong type are left out."""
        words, role, seconds = (facts.get(name) for name in ("words", "role", "seconds"))
        known = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        return cls(
            words if isinstance(words, str) else "",
            next((value for value in get_args(Role) if value == role), "method"),
            seconds if known else None,
        )
