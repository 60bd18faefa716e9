"""YAML as it is, but for a key that a mapping has twice: that is an error with its line."""

from pathlib import Path
from typing import Any

import yaml

from flows._shared.errors import PermanentError

# How a mapping takes in another, and a name for its value: no keys of their own.
_NO_SCALAR = frozenset({"tag:yaml.org,2002:merge", "tag:yaml.org,2002:value"})


class _Loader(yaml.SafeLoader):
    """Looks at a mapping as it is written, before it takes in another one."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        mapping = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in mapping.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name = key.value if key.tag in _NO_SCALAR else self.construct_object(key)
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    "in a mapping",
                    mapping.start_mark,
                    f"the key {key.value!a} stands there twice",
                    key.start_mark,
                )
            seen.add(name)
        return mapping


def parse_yaml(text: str) -> Any:
    """The value of a text; None if it is empty.

    Raises:
        yaml.YAMLError: it is no YAML, or has a key twice.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506  a SafeLoader


def read_yaml(path: Path) -> Any:
    """The content of a file. Raises PermanentError, with the line, if it is not YAML."""
    try:
        return parse_yaml(path.read_text())
    except yaml.YAMLError as error:
        raise PermanentError(f"reading {path}", str(error), "Correct the line it names") from error
