"""Which lines of a run are rows, and which are not and why."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import Any
from zoneinfo import ZoneInfo

from flows.quality_compass.records import (
    BadLine,
    Json,
    Kind,
    Observation,
    RawLine,
    RawTable,
    RunStart,
)
from flows.quality_compass.rules import figures, values
from flows.quality_compass.rules.json_lines import LARGEST_NUMBER, UnusableLineError, parse
from flows.quality_compass.rules.names import (
    checked_name,
    name_of,
    refuse_invisible,
    refuse_other_run,
    text_of,
    visible_text_of,
)

RUN_ID = re.compile(r"[0-9]{14}")
# Others are slips of a clock or of a hand, and would be first or newest of all runs for good.
YEARS_OF_RUNS = range(1970, 2200)
TIME_OF_DAY = re.compile(r".+[T ][0-9]{2}:?[0-9]{2}.*")
PERIOD = re.compile(r"([0-9]{4})-?(0[1-9]|1[0-2])")
FACILITY_KEY = "medicareId"
SYSTEM_KEY = "systemName"
FACILITY_ID_LENGTH = 6
FACILITY_ID = re.compile(r"[0-9A-Za-z]{6}")
# The zones of the world lie 26 hours apart; a run may be named some minutes before it starts.
LONGEST_WAY_ROUND = timedelta(hours=15)
FURTHEST_AHEAD = timedelta(days=2)
# In bytes: so long are names of objects at most; of files they may be longer, and no text.
LONGEST_PATH = 1024
TEXT_KEPT = 2000
# It quotes what it refuses.
REASON_KEPT = 500
KIND_TABLES = {
    Kind.CONTRIBUTION: RawTable.CONTRIBUTIONS,
    Kind.CLASSIFICATION: RawTable.CLASSIFICATIONS,
    Kind.MODELING_RUN: RawTable.MODELING_RUNS,
    Kind.MODELING_EXPERIMENT: RawTable.MODELING_EXPERIMENTS,
}
# The id that models have beside them may be one of their own.
KINDS_OF_THE_RUN = (Kind.NODE, Kind.CONTRIBUTION, Kind.CLASSIFICATION)
# One JSON array each, of what stands on the lines of the other files.
WHOLE_FILES = {
    "modeling/run_summary.json": Kind.MODELING_RUN,
    "modeling/experiments.json": Kind.MODELING_EXPERIMENT,
}
# What an older insight graph wrote for a node: one document, with its entities as an array in it.
NODE_DOCUMENT = re.compile(rf"{Kind.NODE.value}/.+\.json")
ENTITIES_OF_DOCUMENT = "entity_results"
NODE_METADATA = {"type": "node_metadata"}


def run_time(run_id: str) -> datetime:
    """A run's id, ``YYYYMMDDHHMMSS``, read as UTC. Raises ValueError."""
    return datetime.strptime(run_id, "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def run_start(run_id: str, manifest: bytes | None, zone: ZoneInfo) -> RunStart:
    """When a run was started: the instant of its manifest, otherwise its id in the zone of ids.

    A manifest's time without an offset is local time like the id.
    """
    local = run_time(run_id).replace(tzinfo=zone)
    assumed = local.astimezone(UTC)
    if manifest is None:
        return RunStart(assumed, is_stated=False, zone=zone.key)
    try:
        content = parse(manifest)
        refuse_other_run(content, run_id)
        written = text_of(content, "started_at")
        if not TIME_OF_DAY.fullmatch(written):
            raise UnusableLineError(f"{written[:30]!a} is no day with its time")
        stated = datetime.fromisoformat(written)
        at = (stated if stated.tzinfo else stated.replace(tzinfo=zone)).astimezone(UTC)
        if abs(at - run_time(run_id)) > LONGEST_WAY_ROUND:
            raise UnusableLineError(f"{stated.isoformat()} is no local time of this id anywhere")
    except (ValueError, OverflowError) as error:
        note = f"its manifest does not say when it was started: {error}"
        return RunStart(assumed, False, note, zone.key)
    return RunStart(at, is_stated=True, zone=zone.key)


def is_run_id(name: str) -> bool:
    if not RUN_ID.fullmatch(name):
        return False
    try:
        return run_time(name).year in YEARS_OF_RUNS
    except ValueError:
        return False


def is_ahead(run_id: str, now: datetime) -> bool:
    """Whether a run of this id was not begun yet, in whatever zone; it would stay the newest."""
    return run_time(run_id) > now + FURTHEST_AHEAD


def _is_storable(path: str) -> bool:
    try:
        return len(path.encode()) <= LONGEST_PATH
    except UnicodeEncodeError:
        return False


def is_hidden(name: str) -> bool:
    """What tools and people put aside: a trash, a checkpoint, a file that is being written."""
    return name.startswith(".")


def file_kind(path: str) -> Kind | None:
    """The kind of a file by its path in the run's folder; None for what is no part of a run."""
    if not _is_storable(path) or any(map(is_hidden, path.split("/"))):
        return None
    path = path.removesuffix(".gz")
    if path in WHOLE_FILES:
        return WHOLE_FILES[path]
    if NODE_DOCUMENT.fullmatch(path):
        return Kind.NODE
    if not path.endswith(".jsonl"):
        return None
    return next(
        (kind for kind in Kind if path == kind.value or path.startswith(f"{kind.value}/")), None
    )


def is_one_document(path: str) -> bool:
    """The file is to be read whole: what stands on the lines of others are its elements."""
    return path.removesuffix(".gz").endswith(".json")


def stem(path: str) -> str:
    """What a file is called whichever of the ways of writing it was chosen."""
    return path.removesuffix(".gz").removesuffix(".json").removesuffix(".jsonl")


def elements(path: str, document: object) -> Iterator[object]:
    """What would stand on the lines of a file that is one JSON document."""
    if isinstance(document, Mapping) and NODE_DOCUMENT.fullmatch(path.removesuffix(".gz")):
        entities = document.get(ENTITIES_OF_DOCUMENT)
        metadata = {key: each for key, each in document.items() if key != ENTITIES_OF_DOCUMENT}
        yield {"canonical_node_id": stem(path).rsplit("/", 1)[-1], **metadata, **NODE_METADATA}
        if entities is not None:
            yield from entities if isinstance(entities, list) else [entities]
    elif isinstance(document, list):
        yield from document
    else:
        yield document


def normal_period(period: object) -> str:
    """``YYYYMM`` for both spellings, ``202407`` and ``2024-07``. Raises UnusableLineError."""
    match = PERIOD.fullmatch(period) if isinstance(period, str) else None
    if match is None:
        raise UnusableLineError(f"{period!r} is not a month such as 202407 or 2024-07")
    return match[1] + match[2]


def sort_line(
    kind: Kind,
    path: str,
    line_number: int,
    line: bytes,
    *,
    run_id: str,
    node_id: str | None = None,
) -> RawLine | BadLine:
    """The row a line is, or why it is none.

    Args:
        run_id: the run of the file; a line that says it is of another is none of its rows.
        node_id: for a node file, the id its first line gave; without one the file's name stands in.
    """
    try:
        parsed = parse(line)
        if kind in KINDS_OF_THE_RUN:
            refuse_other_run(parsed, run_id)
        if kind is Kind.NODE:
            return _node_line(path, line_number, line, parsed, node_id)
        key = ROW_KEYS[kind](parsed)
        return RawLine(KIND_TABLES[kind], line_number, digest(key), _kept(line), None)
    except UnusableLineError as error:
        reason = str(error)[:REASON_KEPT]
        if not line.endswith(b"\n") and reason.startswith("not JSON"):
            reason = f"truncated: the file ends within the line ({reason})"
        return BadLine(line_number, reason, line[:TEXT_KEPT].decode(errors="replace"))


def digest(identity: object) -> str:
    return md5(json.dumps(identity, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def observe(entity: Json) -> Observation:
    """An entity line, read strictly. Raises UnusableLineError."""
    keys = _entity_keys(entity)
    metric = values.first(entity, "metric")
    metric_id = name_of(values.mapping(metric, "metadata"), "metric_id")
    measured = metric.get("values")
    points = measured.get("timeline") if isinstance(measured, Mapping) else None
    timeline = _timeline(points) if isinstance(points, list) else None
    value = None if timeline is not None else values.number("metric value", measured)
    metadata = values.object_in(entity, "metadata")
    values.count("encounters", metadata.get("encounters"), LARGEST_NUMBER)
    system = metadata.get(SYSTEM_KEY)
    values.text(SYSTEM_KEY, system)
    refuse_invisible(SYSTEM_KEY, system or "")
    return Observation(keys, metric_id, value, timeline, figures.methods_of(entity))


def entity_key_of(keys: Mapping[str, object]) -> dict[str, str]:
    """Entity keys as texts. Raises UnusableLineError: a number has lost its leading zeros."""
    for key, value in keys.items():
        if value is None or not isinstance(value, str) or not value:
            raise UnusableLineError(f"entity key {key!a} is {value!a}, not a text")
        refuse_invisible(f"entity key {key!a}", key)
        refuse_invisible(f"entity key {key!a}", value)
    facility = keys.get(FACILITY_KEY)
    if isinstance(facility, str) and facility != "".join(facility.split()):
        raise UnusableLineError(f"{FACILITY_KEY} {facility!a} holds a space")
    if isinstance(facility, str) and len(facility) != FACILITY_ID_LENGTH:
        raise UnusableLineError(
            f"{FACILITY_KEY} {facility!a} has {len(facility)} characters, not {FACILITY_ID_LENGTH}"
        )
    if isinstance(facility, str) and not FACILITY_ID.fullmatch(facility):
        raise UnusableLineError(
            f"{FACILITY_KEY} {facility!a} holds other characters than 0 to 9 and A to Z"
        )
    return {key: str(value) for key, value in keys.items()}


def identity_of(keys: Mapping[str, str]) -> dict[str, str]:
    """What tells an entity from others: a facility is the same whatever system it belongs to."""
    return {
        key: value for key, value in keys.items() if key != SYSTEM_KEY or FACILITY_KEY not in keys
    }


def _kept(line: bytes) -> str:
    return line.decode().strip()


def _node_line(
    path: str, line_number: int, line: bytes, parsed: Json, node_id: str | None
) -> RawLine:
    if parsed.get("type") == "node_metadata":
        if line_number != 1:
            raise UnusableLineError("node metadata after the first line")
        own_id = name_of(parsed, "canonical_node_id")
        told = figures.told_of_node(parsed)
        return RawLine(RawTable.NODE_RESULTS, 1, digest(own_id), _kept(line), own_id, told)
    node_id = node_id or checked_name("the file's name", stem(path).rsplit("/", 1)[-1])
    observation = observe(parsed)
    key = digest([node_id, observation.metric_id, identity_of(observation.keys)])
    told = "has several metrics, of which the first is read" if parsed["metric"][1:] else ""
    return RawLine(RawTable.ENTITY_RESULTS, line_number, key, _kept(line), node_id, told)


def _contribution_key(parsed: Json) -> object:
    figures.refuse_contribution(parsed)
    return [
        name_of(parsed, "parent_node_id"),
        name_of(parsed, "child_node_id"),
        name_of(parsed, "metric_id"),
        identity_of(entity_key_of(values.mapping(parsed, "parent_entity"))),
        identity_of(entity_key_of(values.mapping(parsed, "child_entity"))),
    ]


def _classification_key(parsed: Json) -> object:
    visible_text_of(parsed, "signal_type")
    figures.refuse_classification(parsed)
    return [
        name_of(parsed, "node_id"),
        name_of(parsed, "metric_id"),
        identity_of(entity_key_of(values.mapping(parsed, "entity_key"))),
    ]


def _modeling_run_key(parsed: Json) -> object:
    for field in ("status", "run_dir"):
        values.text(field, parsed.get(field))
    values.number("duration_seconds", parsed.get("duration_seconds"))
    return [visible_text_of(parsed, "config_path"), parsed.get("run_dir")]


def _modeling_experiment_key(parsed: Json) -> object:
    figures.refuse_experiment(parsed)
    return parsed


ROW_KEYS: Mapping[Kind, Callable[[Json], object]] = {
    Kind.CONTRIBUTION: _contribution_key,
    Kind.CLASSIFICATION: _classification_key,
    Kind.MODELING_RUN: _modeling_run_key,
    Kind.MODELING_EXPERIMENT: _modeling_experiment_key,
}


def _entity_keys(entity: Json) -> dict[str, str]:
    parts = entity.get("entity")
    if not isinstance(parts, list) or not parts:
        raise UnusableLineError("no entity")
    keys: dict[str, object] = {}
    for part in parts:
        if not isinstance(part, Mapping):
            raise UnusableLineError("an entity key is not an object")
        key = text_of(part, "id")
        if key in keys:
            raise UnusableLineError(f"the entity names {key[:60]!a} twice")
        keys[key] = part.get("value")
    return entity_key_of(keys)


def _timeline(points: list[Any]) -> tuple[tuple[str, float | None], ...]:
    read: dict[str, float | None] = {}
    for point in points:
        if not isinstance(point, Mapping):
            raise UnusableLineError("a point of the timeline is not an object")
        period = normal_period(point.get("period"))
        if period in read:
            raise UnusableLineError(f"the timeline has {period} twice")
        read[period] = values.number(f"value of {period}", point.get("value"))
    return tuple(sorted(read.items()))
