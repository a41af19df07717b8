"""The note on a run that a sweep chose."""

from collections.abc import Mapping
from typing import Any


def chosen(manifest: Mapping[str, Any]) -> str:
    """A note for scores of a run that a sweep chose; empty for other runs."""
    choice = manifest.get("chosen")
    if not isinstance(choice, Mapping):
        return ""
    split = choice.get("split")
    flattered = f"{split}, and both halves together, flatter" if split == "val1" else f"{split} flatters"
    return (
        f"chosen on {split} of {choice.get('trials')} trials ({choice.get('by')}): {flattered} it; val2 had no part in the choice"
    )
