"""Reads YAML without two traps of PyYAML: `1e-3` is a number, and duplicate keys are errors."""

import re
from pathlib import Path
from typing import Any

import yaml

from numerai_lab.core.errors import NlabError


def read_yaml(path: Path) -> Any:
    """The value of a YAML file. Raises NlabError for an unreadable file, invalid YAML and duplicate keys."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise NlabError(f"{path}: can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise NlabError(f"{path}: not a text file in UTF-8") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text; where: its name in errors. Raises NlabError for invalid YAML and duplicate keys."""
    try:
        return yaml.load(text, Loader=_StrictSafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise NlabError(f"{where}: not valid YAML: {' '.join(str(error).split()) or 'nested too deeply'}") from error


MERGE = "tag:yaml.org,2002:merge"


class _StrictSafeLoader(yaml.SafeLoader):
    """PyYAML's safe loader without two traps: `1e-3` read as text, and the last of two equal keys kept silently.

    A key of a merge (`<<: *anchor`) may be given another value: only keys written in one mapping count as duplicates.
    """

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


_StrictSafeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)
