"""What a run's own indexes say of its files, against what was read."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from flows.quality_compass.records import Json
from flows.quality_compass.rules.json_lines import UnusableLineError, parse
from flows.quality_compass.rules.reading import stem

NODES = "results/index.json"
CONTRIBUTIONS = "analysis/contribution/index.json"
CLASSIFICATIONS = "analysis/classification/index.json"
INDEXES = (NODES, CONTRIBUTIONS, CLASSIFICATIONS)
TEXT_KEPT = 300


class Listed(NamedTuple):
    """A file, or of classifications their folder. ``lines`` is how many it should have, in
    whatever the index says it; None where it does not count them."""

    path: str
    lines: object


def differences(
    run_id: str, indexes: Mapping[str, bytes], held: Mapping[str, int]
) -> Iterator[str]:
    """What an index lists and was not read, or not with as many lines.

    Args:
        indexes: the content of each index by its path.
        held: lines of each file that was read, those put aside included, by its path.
    """
    lines = {stem(path): count for path, count in held.items()}
    for index, content in sorted(indexes.items()):
        try:
            listed = _listed(run_id, index, parse(content))
        except UnusableLineError as error:
            yield f"{index} cannot be read: {error}"
            continue
        for each in listed:
            path = each.path[:TEXT_KEPT]
            if index == CLASSIFICATIONS:
                found = [count for name, count in lines.items() if name.startswith(each.path)]
            else:
                found = [lines[stem(each.path)]] if stem(each.path) in lines else []
            if not found and each.lines != 0:
                yield f"{path} was not read: there is none, and {index} lists it"
            elif each.lines is not None and sum(found) != each.lines:
                yield f"{path} has {sum(found)} lines, {index} says {str(each.lines)[:TEXT_KEPT]}"


def _listed(run_id: str, index: str, content: Json) -> list[Listed]:
    if content.get("run_id", run_id) != run_id:
        raise UnusableLineError(f"it is of the run {str(content['run_id'])[:30]!r}")
    if index == CLASSIFICATIONS:
        return [Listed("analysis/classification/", _count(content, "total_entities"))]
    if index == NODES:
        return [
            Listed(_below(path, "results/"), _count(node, "entity_results_count"))
            for node in _objects(content, "nodes")
            if isinstance(path := node.get("result_path"), str)
        ]
    return [
        Listed(
            "analysis/contribution/" + _below(path, "analysis/contribution/", is_kept=False),
            _count(artifact, "row_count"),
        )
        for parent in _objects(content, "parents")
        for artifact in _objects(parent, "metric_artifacts")
        if isinstance(path := artifact.get("artifact_path"), str)
    ]


def _objects(content: Json, field: str) -> list[Json]:
    found = content.get(field)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _count(content: Json, field: str) -> object:
    """As it stands, so that what is no count differs from every count and is told."""
    count = content.get(field)
    return str(count) if isinstance(count, bool) else count


def _below(path: str, folder: str, *, is_kept: bool = True) -> str:
    """The path as the run sees it: indexes may write it as their own machine does."""
    before, found, rest = path.rpartition(folder)
    return (folder if is_kept else "") + rest if found else before + rest
