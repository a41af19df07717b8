"""Reads YAML without two traps of PyYAML: `1e-3` is a number, and duplicate keys are errors."""

import os
import re
import stat
from pathlib import Path
from typing import Any

import yaml

from numerai_lab.core.errors import NlabError
from numerai_lab.core.formatting import brief, human_bytes
from numerai_lab.storage.plain_files import read_plain

MOST_BYTES = 10**7
"""Bytes of the largest config: one of 1,000 variants has some 100,000."""


OWN_DESCRIPTOR = re.compile(r"/dev/fd/(\d+)|/proc/self/fd/(\d+)|/dev/stdin")
"""Names of what a shell opened for this very command, as in `nlab validate <(...)`."""


def read_yaml(path: Path) -> Any:
    """The value of a YAML file, or of a pipe that was opened for this command.

    Raises NlabError for an unreadable file, invalid YAML and duplicate keys.
    """
    try:
        text = _content(path).decode()
    except OSError as error:
        raise NlabError(f"{path}: can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise NlabError(f"{path}: not a text file in UTF-8") from error
    except ValueError as error:
        raise NlabError(f"{path.parent}: {error}; a config is a text file") from error
    return parse_yaml(text, str(path))


def _content(path: Path) -> bytes:
    """Raises ValueError and OSError as `read_plain` does, and ValueError for a pipe with more than a config may have."""
    own = OWN_DESCRIPTOR.fullmatch(str(path))
    if not own or not stat.S_ISFIFO(os.stat(path).st_mode):
        return read_plain(path, MOST_BYTES, links=True)
    with os.fdopen(os.dup(int(own[1] or own[2] or 0)), "rb") as pipe:
        content = pipe.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"{path.name} has more than {human_bytes(MOST_BYTES)}")
    return content


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text; where: its name in errors. Raises NlabError for invalid YAML and duplicate keys."""
    try:
        return yaml.load(text, Loader=_StrictSafeLoader)
    except RecursionError as error:
        raise NlabError(f"{where}: not valid YAML: nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:  # a ValueError of characters that no text may have
        raise NlabError(f"{where}: not valid YAML: {' '.join(str(error).split())[:LONGEST_ERROR]}") from error


MOST_NODES = 100_000
"""Values of a config, those of an alias counted wherever it stands."""
LARGEST = 2**63
LONGEST_ERROR = 500
"""Characters."""
MERGE = "tag:yaml.org,2002:merge"


class _StrictSafeLoader(yaml.SafeLoader):
    """PyYAML's safe loader without two traps: `1e-3` read as text, and the last of two equal keys kept silently.

    A key of a merge (`<<: *anchor`) may be given another value: only keys written in one mapping count as duplicates.
    """

    def get_single_node(self) -> Any:
        """The whole document. Aliases may not make it endless, or larger than any config."""
        node = super().get_single_node()
        _count(node, {})
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (ValueError, AttributeError, KeyError, TypeError, OverflowError) as error:  # 2026-13-45, !!int x, !!timestamp x
            raise _odd(node, f"{brief(node.value)} is no {_type_of(node)}") from error
        if isinstance(value, int) and not -LARGEST < value < LARGEST:
            raise _odd(node, "a whole number has at most 18 digits")
        if isinstance(value, bytes | set):
            raise _odd(node, f"a {_type_of(node)} is no part of a config")
        return value

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a list or mapping is not a name", key_node.start_mark)
            key = MERGE if key_node.tag == MERGE else self.construct_object(key_node, deep=True)
            if key in seen:
                way_out = "; merge a list, <<: [*one, *two]" if key == MERGE else ""
                key_text = key_node.value if key == MERGE else key
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key_text!r} stands twice{way_out}", key_node.start_mark
                )
            seen.add(key)
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merges as YAML defines it: a mapping's own keys come first, then those of the first of several merged mappings.

        PyYAML's own version lets another of several merged mappings win, and lets merges of merges grow without end.
        """
        own = [(key, value) for key, value in node.value if key.tag != MERGE]
        merges = [(key, value) for key, value in node.value if key.tag == MERGE]
        node.value = own
        pairs = {(key.tag, key.value): (key, value) for key, value in own}
        for key, value in merges:
            for mapping in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(mapping, yaml.MappingNode):
                    message = "<< merges a mapping, or a list of them"
                    raise yaml.constructor.ConstructorError(None, None, message, key.start_mark)
                self.flatten_mapping(mapping)
                for merged in mapping.value:
                    pairs.setdefault((merged[0].tag, merged[0].value), merged)
        node.value = list(pairs.values())


def _count(node: yaml.Node | None, known: dict[int, int]) -> int:
    """The values of a node, with aliases written out; known: those of nodes, 0 while they are counted."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in known:
        if not known[id(node)]:
            raise _odd(node, "it holds itself")
        return known[id(node)]
    known[id(node)] = 0
    parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in _merged(*pair)]
    n_values = 1 + sum(_count(part, known) for part in parts)
    if n_values > MOST_NODES:
        raise _odd(node, f"with aliases written out it has more than {MOST_NODES:,} values")
    known[id(node)] = n_values
    return n_values


def _merged(key: yaml.Node, value: yaml.Node) -> list[yaml.Node]:
    """The nodes of a pair of a mapping; of a merge, each merged mapping once, however often it is listed."""
    if key.tag != MERGE or not isinstance(value, yaml.SequenceNode):
        return [key, value]
    return [key, *{id(part): part for part in value.value}.values()]


def _odd(node: yaml.Node, message: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, message, node.start_mark)


def _type_of(node: yaml.Node) -> str:
    return str(node.tag).rpartition(":")[2]


_StrictSafeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)
