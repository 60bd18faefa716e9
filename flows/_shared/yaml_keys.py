"""YAML as it is, but for two errors with their line: a key that a mapping has twice, and a value
that holds itself."""

from pathlib import Path
from typing import Any

import yaml

from flows._shared.errors import PermanentError
from flows._shared.input_files import open_input

# How a mapping takes in another, and a name for its value: no keys of their own.
_NO_SCALAR = frozenset({"tag:yaml.org,2002:merge", "tag:yaml.org,2002:value"})


class _Loader(yaml.SafeLoader):
    """Looks at a mapping as it is written, before it takes in another one."""

    def __init__(self, text: str, name: str) -> None:
        try:
            super().__init__(text)
        except yaml.reader.ReaderError as error:
            error.name = name
            raise
        self.name = name
        self._begun: list[str | None] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) and event.anchor in self._begun:
            raise yaml.composer.ComposerError(
                None,
                None,
                f"*{event.anchor} stands within what it names",
                event.start_mark,  # type: ignore[arg-type]
            )
        self._begun.append(getattr(event, "anchor", None))
        try:
            return super().compose_node(parent, index)
        finally:
            self._begun.pop()

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


def parse_yaml(text: str, name: str) -> Any:
    """The value of a text; None if it is empty.

    Args:
        name: of the text, in what is said of it.

    Raises:
        yaml.YAMLError: it is no YAML, or has a key twice.
    """
    try:
        return _Loader(text, name).get_single_data()
    except ValueError as error:
        # Of a value that is said to be a number, or looks like a day.
        raise yaml.YAMLError(str(error)) from error
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error


def read_yaml(path: Path) -> Any:
    """The content of a file. Raises PermanentError, with the line, if it is not YAML."""
    try:
        with open_input(path) as file:
            text = file.read().decode()
        return parse_yaml(text, path.name)
    except OSError as error:
        raise PermanentError(
            f"reading {path}", str(error.strerror), "Correct its name, or who may read it"
        ) from error
    except UnicodeDecodeError as error:
        raise PermanentError(f"reading {path}", str(error), "Write it in UTF-8") from error
    except yaml.YAMLError as error:
        raise PermanentError(f"reading {path}", str(error), "Correct the line it names") from error
