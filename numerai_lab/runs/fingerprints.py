"""What differs between the code and libraries of two runs, by their recorded fingerprints."""

from collections.abc import Mapping
from typing import Any

FINGERPRINT = "fingerprint"
"""The key in the manifest."""
UNKNOWN = "older: it does not record the code and libraries that computed it"


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, str]:
    """By kind (code, libraries), what differs between two fingerprints, of components that both have."""
    reasons = {}
    for kind in ("code", "libraries"):
        own, other = mine.get(kind, {}), theirs.get(kind, {})
        names = [name for name in own if name in other and own[name] != other[name]]
        changed = [f"{name} {own[name]} against {other[name]}" if kind == "libraries" else name for name in names]
        if changed:
            reasons[kind] = ", ".join(changed)
    return reasons


def mismatch(manifest: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Why a finished run is not what a run with the fingerprint `now` would give; empty where it is."""
    recorded = manifest.get(FINGERPRINT)
    if not isinstance(recorded, Mapping):
        return UNKNOWN
    return "; ".join(f"other {kind}: {names}" for kind, names in differences(recorded, now).items())
