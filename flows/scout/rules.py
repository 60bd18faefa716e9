"""Decisions about files and payloads. Nothing is touched here; time comes in as an argument."""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import PurePath

import orjson

from flows.scout.records import Entity, QualityMeasures
from flows.scout.settings import QualitySettings

DELIMITERS = ",;\t|"
LAYERS = ("bronze", "silver", "gold", "platinum")
ALL_LAYERS = "all"
READABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson"})
JSON_SUFFIXES = frozenset({".json", ".jsonl", ".ndjson"})

# What Python's JSON reader takes and PostgreSQL's jsonb does not: an escaped NUL, half a surrogate
# pair, a number past numeric's range, nesting past the stack.
_SUSPICIOUS_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_SUSPICIOUS_NUMBER = re.compile(r"\d[eE][+-]?\d{4}|\d{1000}|\.\d{1000}")
_SURROGATE = re.compile("[\ud800-\udfff]")
MAX_DEPTH = 500
# Too short for deep nesting or a long number. orjson itself refuses half a surrogate pair and what
# is past the range of a double, and takes what is next to 0.
PLAIN_CHARACTERS = 1000
_SMALL_EXPONENT = re.compile(r"[eE]-\d{4}")


def entity_of(filename: str) -> Entity:
    return Entity.PRODUCT if "product" in PurePath(filename).name.lower() else Entity.TRANSACTION


def entity_of_kind(kind: str) -> Entity:
    """What a delivery of this kind to Scout holds."""
    return Entity(kind.removesuffix("s"))


def is_readable(filename: str) -> bool:
    path = PurePath(filename)
    return path.suffix.lower() in READABLE_SUFFIXES and not path.name.startswith((".", "~"))


def is_json(filename: str) -> bool:
    return PurePath(filename).suffix.lower() in JSON_SUFFIXES


def batch_id(prefix: str, moment: datetime) -> str:
    """``csv_20260102_030405``."""
    return f"{prefix}_{moment:%Y%m%d_%H%M%S}"


def decide_encoding(start: bytes, valid: int, invalid: int, fallback: str) -> str:
    """The encoding of a file.

    Args:
        start: its first bytes, which may hold a byte order mark.
        valid: non-ASCII characters found when reading it as UTF-8.
        invalid: bytes found on the way that are no UTF-8.
        fallback: what a file is that is not mostly UTF-8.
    """
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return fallback if invalid > valid else "utf-8-sig"


def choose_delimiter(header: str) -> str:
    """The delimiter that occurs most often outside quotes; a comma when none does."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(DELIMITERS, key=bare.count)


def name_columns(header: Sequence[str]) -> tuple[str, ...]:
    """Keys of the payloads: ``Transaction ID`` becomes ``transaction_id``, doubles get a number."""
    names: list[str] = []
    for position, title in enumerate(header, start=1):
        plain = re.sub(r"[\s\-]+", "_", title.strip()).lower() or f"column_{position}"
        name, copy = plain, 2
        while name in names:
            name, copy = f"{plain}_{copy}", copy + 1
        names.append(name)
    return tuple(names)


def why_unstorable(text: str) -> tuple[str, str] | None:
    """Why a JSON text cannot be stored as jsonb, as (reason, detail); None when it can."""
    return None if _is_plainly_storable(text) else _why_unstorable(text)


def _is_plainly_storable(text: str) -> bool:
    """True of nearly every text, and found out in a fifth of the time."""
    if len(text) > PLAIN_CHARACTERS or "\\u0000" in text or _SMALL_EXPONENT.search(text):
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _why_unstorable(text: str) -> tuple[str, str] | None:
    try:
        value = _decode(text)
    except RecursionError:
        return "too_deep", f"nested more than {MAX_DEPTH} levels"
    except ValueError as error:
        return "invalid_json", str(error)
    if not text.isascii() and _SURROGATE.search(text):
        return "undecodable_bytes", "some bytes are no text in the encoding of the file"
    if "\\u" in text and _SUSPICIOUS_ESCAPE.search(text):
        dumped = json.dumps(value, ensure_ascii=False)
        if "\\u0000" in dumped or _SURROGATE.search(dumped):
            return "unstorable_character", "a NUL or half a surrogate pair"
    if _SUSPICIOUS_NUMBER.search(text):
        return "unstorable_number", "a number of a thousand digits or a four-digit exponent"
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        return "too_deep", f"nested more than {MAX_DEPTH} levels"
    return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _depth(value: object) -> int:
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        current, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(current, dict):
            waiting.extend((child, depth + 1) for child in current.values())
        elif isinstance(current, list):
            waiting.extend((child, depth + 1) for child in current)
    return deepest


def why_unstorable_text(fields: str) -> tuple[str, str] | None:
    """The same for the fields of a CSV row, joined."""
    if "\0" in fields:
        return "unstorable_character", "a NUL"
    if _SURROGATE.search(fields):
        return "undecodable_bytes", "some bytes are no text in the encoding of the file"
    return None


def takes_in(layer: str) -> bool:
    """Whether a run of that layer reads the source first."""
    return layer == ALL_LAYERS or "bronze" in layer


def selectors(layer: str) -> tuple[str, ...]:
    """dbt selectors for a layer; empty for everything. A dbt selector is given on as it is."""
    return () if layer == ALL_LAYERS else tuple(layer.split()) or (layer,)


def end_of_last_month(today: date) -> date:
    return today.replace(day=1) - timedelta(days=1)


def quality_score(measures: QualityMeasures, settings: QualitySettings) -> tuple[float, float]:
    """(timeliness, score), both 0 to 100. An empty table has nothing to be late: 100."""
    lost = settings.points_lost_per_hour * max(0.0, measures.age_hours or 0.0)
    timeliness = max(0.0, 100.0 - lost)
    weighted = (
        settings.completeness_weight * measures.completeness
        + settings.uniqueness_weight * measures.uniqueness
        + settings.timeliness_weight * timeliness
    )
    weights = settings.completeness_weight + settings.uniqueness_weight + settings.timeliness_weight
    return timeliness, weighted / weights


def hash_text(text: str) -> str:
    """What PostgreSQL's md5 gives for the same text."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def embed_by_hashing(text: str, dimension: int) -> list[float]:
    """A unit vector of the words and word parts of a text; equal for equal texts, everywhere.

    Each feature adds or takes 1 at a place its hash gives: texts that share words lie closer.
    """
    words = re.findall(r"\w+", text.lower())
    parts = [word[at : at + 4] for word in words for at in range(len(word) - 4)]
    vector = [0.0] * dimension
    for feature, weight in [*((word, 1.0) for word in words), *((part, 0.3) for part in parts)]:
        digest = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "big")
        vector[digest % dimension] += weight if digest >> 63 else -weight
    length = math.hypot(*vector)
    # A text without words still needs a direction.
    return [value / length for value in vector] if length else [1.0] + [0.0] * (dimension - 1)
