"""Which variant of a run is the placebo of which."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True)
class Placebos:
    """Variant → its placebo, a variant of the same run that it is compared with beside the reference.

    placebo: has noise columns in place of learned ones, repeated rows in place of new ones, or the same weights over shuffled
    eras. untrained: has an untrained network in place of a trained one, or begins at random instead of with a trained encoder.
    """

    placebo: Mapping[str, str] = field(default_factory=dict)
    untrained: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> Self:
        """The placebos that a run's manifest records; none for older runs without this record."""
        recorded = manifest.get("placebos")
        recorded = recorded if isinstance(recorded, Mapping) else {}
        names = {kind.name: recorded.get(kind.name) for kind in fields(cls)}
        return cls(
            **{
                kind: {key: value for key, value in pairs.items() if isinstance(key, str) and isinstance(value, str)}
                for kind, pairs in names.items()
                if isinstance(pairs, Mapping)
            }
        )

    def as_dict(self) -> dict[str, dict[str, str]]:
        """Plain values for the manifest."""
        return {kind: dict(pairs) for kind, pairs in asdict(self).items()}
