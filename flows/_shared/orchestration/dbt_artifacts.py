"""dbt's artifacts as JSON in one go, where dbt-core 1.11 has Python encode them piece by piece.

A manifest holds every macro of dbt and its adapters and is written twice by each command that
builds: once parsed, and at the end with what was compiled. Here the end is enough. For two pictures
of its graph that nothing reads it makes a dict of each node three times. This may go once dbt
encodes the manifest otherwise and writes it once, and the pictures when asked.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbt.artifacts.schemas import base
from dbt.compilation import Linker
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


@contextmanager
def graphs_unwritten() -> Iterator[None]:
    """While it lasts, dbt writes no ``graph.gpickle`` and an empty ``graph_summary.json``."""
    summary, write = Linker.get_graph_summary, Linker.write_graph
    Linker.get_graph_summary = _no_summary
    Linker.write_graph = _no_graph
    try:
        yield
    finally:
        Linker.get_graph_summary, Linker.write_graph = summary, write


def _no_summary(self: Linker, manifest: Manifest) -> dict[int, dict[str, Any]]:
    return {}


def _no_graph(self: Linker, outfile: str, manifest: Manifest) -> None:
    pass
