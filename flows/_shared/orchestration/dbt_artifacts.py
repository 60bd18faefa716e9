"""dbt's artifacts as JSON in one go, where dbt-core 1.11 has Python encode them piece by piece.

A manifest holds every macro of dbt and its adapters and is written twice by each command that
builds: once parsed, and at the end with what was compiled. Here the end is enough. This may go once
dbt encodes it otherwise and writes it once.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbt.artifacts.schemas import base
from dbt.contracts.graph.manifest import Manifest
from dbt.parser import manifest as parser
from dbt_common.utils.encoding import JSONEncoder

WRITE_AT_THEIR_END = frozenset({"build", "run", "seed", "snapshot", "test"})


def write_json(path: str, data: dict[str, Any]) -> bool:
    """In place of the function of dbt: the same bytes."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data, cls=JSONEncoder), encoding="utf-8")
    return True


@contextmanager
def artifacts_in_one_go() -> Iterator[None]:
    """While it lasts, dbt encodes each artifact at once."""
    before = base.write_json
    base.write_json = write_json
    try:
        yield
    finally:
        base.write_json = before


@contextmanager
def manifest_written_once(
    command: str, parsed: Callable[[Mapping[str, list[str]]], None]
) -> Iterator[None]:
    """While it lasts, dbt tells what it parsed, and writes it where the command would not later.

    Args:
        command: of dbt, such as ``build``.
        parsed: is told of the parents of each node, by unique ids, before the first node begins.
    """
    write = parser.write_manifest

    def told(manifest: Manifest, *where: Any) -> None:
        manifest.build_parent_and_child_maps()
        parsed(manifest.parent_map)
        if command not in WRITE_AT_THEIR_END:
            write(manifest, *where)

    parser.write_manifest = told
    try:
        yield
    finally:
        parser.write_manifest = write
