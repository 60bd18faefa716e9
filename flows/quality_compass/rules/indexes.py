"""What a run's own indexes say of its files, against what was read."""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from flows.quality_compass.records import Json
from flows.quality_compass.rules.json_lines import UnusableLineError, parse
from flows.quality_compass.rules.names import count_of, refuse_other_run
from flows.quality_compass.rules.reading import file_kind, stem

NODES = "results/index.json"
CONTRIBUTIONS = "analysis/contribution/index.json"
CLASSIFICATIONS = "analysis/classification/index.json"
INDEXES = (NODES, CONTRIBUTIONS, CLASSIFICATIONS)
TEXT_KEPT = 300
# Deeper paths are none of a run: looking at each of their ends would take for ever.
MOST_FOLDERS = 100


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
            listed = _listed(run_id, index, parse(content), lines)
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


def _listed(run_id: str, index: str, content: Json, read: Collection[str]) -> list[Listed]:
    refuse_other_run(content, run_id)
    if index == CLASSIFICATIONS:
        return [Listed("analysis/classification/", count_of(content, "total_entities"))]
    if index == NODES:
        return [
            Listed(_as_read(path, "results/", read), count_of(node, "entity_results_count"))
            for node in _objects(content, "nodes")
            if isinstance(path := node.get("result_path"), str)
        ]
    return [
        Listed(_as_read(path, "analysis/contribution/", read), count_of(artifact, "row_count"))
        for parent in _objects(content, "parents")
        for artifact in _objects(parent, "metric_artifacts")
        if isinstance(path := artifact.get("artifact_path"), str)
    ]


def _objects(content: Json, field: str) -> list[Json]:
    found = content.get(field)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _as_read(path: str, folder: str, read: Collection[str]) -> str:
    """The path as the run sees it: indexes may write it as their own machine does.

    Its end that begins with the folder, wherever that is, or all of it below the folder; of several
    the one that was read, else one that could be.
    """
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    names = folder.rstrip("/").split("/")
    ends = [
        "/".join(parts[depth:])
        for depth in range(min(len(parts), MOST_FOLDERS))
        if parts[depth : depth + len(names)] == names
    ]
    ends.append(folder + "/".join(parts))
    was_read = (end for end in ends if stem(end) in read)
    could_be = (end for end in ends if file_kind(end) is not None)
    return next(was_read, None) or next(could_be, ends[0])
