"""JSON files with a checksum inside: damage is noticed when they are read."""

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numerai_lab.storage.plain_files import read_plain

STAMP = "stamp"
MANY_DIGITS = re.compile(r"\d{19}")
"""Of whole numbers that may be too large, and of some checksums as text."""


def with_stamp(facts: Mapping[str, Any]) -> str:
    """Facts as JSON with a stamp on them; what JSON doesn't know becomes text."""
    plain = json.loads(json.dumps(facts, default=str))
    return json.dumps({**plain, STAMP: _stamp(plain)}, indent=1)


def read_stamped(path: Path) -> dict[str, Any]:
    """The facts of a file that holds a text of `with_stamp`.

    Raises ValueError when they are not what was written, OSError when the file can't be read.
    """
    facts = read_mapping(path)
    try:
        whole = facts.pop(STAMP, None) == _stamp(facts)
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deep") from error
    if not whole:
        raise ValueError(f"{path.name} is not what was written")
    return facts


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file, with or without a stamp. Raises ValueError or OSError."""
    text = read_plain(path).decode()
    try:
        content = json.loads(text)
        too_large = MANY_DIGITS.search(text) and _holds_too_large(content)
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deep") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is no mapping")
    if too_large:
        raise ValueError(f"{path.name} holds a number that is too large")
    return content


def _holds_too_large(value: Any) -> bool:
    """Whether there is a whole number in it that no 64 bits hold: dividing it may be an error."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (isinstance(value, int) and abs(value) >= 2**63) or any(map(_holds_too_large, inner))


def top_values(path: Path, keys: Sequence[str]) -> list[Any]:
    """Some values of a mapping that `with_stamp` wrote, unchecked, without reading the others; the file may be a large one.

    Raises KeyError for a key that is not there, ValueError or OSError for a file that can't be read.
    """
    content = read_plain(path)
    values = []
    for key in keys:
        _, separator, after = content.partition(f'\n "{key}": '.encode())  # a line of its own, and less indented than inner ones
        if not separator:
            raise KeyError(key)
        try:
            values.append(json.loads(after.partition(b"\n")[0].rstrip(b",")))
        except RecursionError as error:
            raise ValueError(f"{path.name} is nested too deep") from error
    return values


def _stamp(facts: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(facts, sort_keys=True).encode())
