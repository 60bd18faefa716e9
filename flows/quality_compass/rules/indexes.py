"""What a run's own indexes say of its files, against what was read."""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from flows._shared.counted import counted
from flows.quality_compass.records import Json
from flows.quality_compass.rules.json_lines import UnusableLineError, parse
from flows.quality_compass.rules.names import count_of, refuse_other_run
from flows.quality_compass.rules.reading import file_kind, stem

NODES = "results/index.json"
CONTRIBUTIONS = "analysis/contribution/index.json"
CLASSIFICATIONS = "analysis/classification/index.json"
INDEXES = (NODES, CONTRIBUTIONS, CLASSIFICATIONS)
ARTIFACTS = "metric_artifacts"
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
            listed = list(_listed(run_id, index, parse(content), lines))
        except UnusableLineError as error:
            yield f"{index} cannot be read: {error}"
            continue
        yield from _told_once(index, [each for each in listed if isinstance(each, str)])
        for each in listed:
            if isinstance(each, str):
                continue
            path = each.path[:TEXT_KEPT]
            if index == CLASSIFICATIONS:
                found = [count for name, count in lines.items() if name.startswith(each.path)]
            else:
                found = [lines[stem(each.path)]] if stem(each.path) in lines else []
            if not found and each.lines != 0:
                yield f"{path} was not read: there is none, and {index} lists it"
            elif each.lines is not None and sum(found) != each.lines:
                seen = counted(sum(found), "line")
                yield f"{path} has {seen}, {index} says {str(each.lines)[:TEXT_KEPT]}"


def _told_once(index: str, unusable: list[str]) -> Iterator[str]:
    """One line of what in an index cannot be held against what was read."""
    if unusable:
        more = f", and so are {len(unusable) - 1} more of its entries" if unusable[1:] else ""
        yield f"{index} cannot be held against what was read: {unusable[0]}{more}"


def _listed(
    run_id: str, index: str, content: Json, read: Collection[str]
) -> Iterator[Listed | str]:
    """What it lists, and each part that lists nothing though it should, in words."""
    refuse_other_run(content, run_id)
    if index == CLASSIFICATIONS:
        count = count_of(content, "total_entities")
        yield (
            "it has no total_entities"
            if count is None
            else Listed("analysis/classification/", count)
        )
    elif index == NODES:
        for node in _objects(content, "nodes"):
            yield _file(node, "result_path", "entity_results_count", "results/", read)
    else:
        for parent in _objects(content, "parents"):
            for each in [parent] if isinstance(parent, str) else _objects(parent, ARTIFACTS):
                yield _file(each, "artifact_path", "row_count", "analysis/contribution/", read)


def _file(
    entry: Json | str, path_field: str, count_field: str, folder: str, read: Collection[str]
) -> Listed | str:
    if isinstance(entry, str):
        return entry
    path = entry.get(path_field)
    if not isinstance(path, str) or not path.strip():
        return f"the {path_field} of an entry is {_kind(path)}"
    return Listed(_as_read(path, folder, read), count_of(entry, count_field))


def _objects(content: Json, field: str) -> Iterator[Json | str]:
    """The objects of a list, and in words what is none."""
    found = content.get(field)
    if not isinstance(found, list):
        yield f"its {field} are {_kind(found)}, no list"
        return
    for each in found:
        yield each if isinstance(each, Mapping) else f"an entry of its {field} is {_kind(each)}"


def _kind(value: object) -> str:
    if value is None:
        return "missing"
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list"}
    return kinds.get(type(value), "an object") if value != "" else "empty"


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
