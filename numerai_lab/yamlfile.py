"""YAML without PyYAML's two traps: `1e-3` is a number, and a key that stands twice is refused."""

import re
from pathlib import Path
from typing import Any

import yaml

from numerai_lab.basics import NlabError


def read_yaml(path: Path) -> Any:
    """A YAML file's value; duplicate keys are refused and `1e-3` is a number."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise NlabError(f"{path}: can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise NlabError(f"{path}: not a text file in UTF-8") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text; `where` stands before the message when it has none."""
    try:
        return yaml.load(text, Loader=_StrictSafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise NlabError(f"{where}: not valid YAML: {' '.join(str(error).split()) or 'nested too deeply'}") from error


class _StrictSafeLoader(yaml.SafeLoader):
    """PyYAML's safe loader without its two traps: `1e-3` read as text, and the last of two equal keys kept silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, list | dict):
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is not a name", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_StrictSafeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)
