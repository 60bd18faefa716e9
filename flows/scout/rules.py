"""Decisions about files and payloads. Nothing is touched here; time comes in as an argument."""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import PurePath

import orjson

from flows._shared.json_keys import DoubledKeyError, each_once
from flows.scout.records import Entity, QualityMeasures, Rejections
from flows.scout.settings import QualitySettings

DELIMITERS = ",;\t|"
LAYERS = ("bronze", "silver", "gold", "platinum")
ALL_LAYERS = "all"
LONGEST_FILENAME = 500
PACKED_SUFFIXES = frozenset({".gz", ".bz2", ".xz"})
READABLE_SUFFIXES = PACKED_SUFFIXES | frozenset(
    {".csv", ".tsv", ".tab", ".txt", ".json", ".jsonl", ".ndjson", ".xlsx", ".xlsm", ".zip"}
)
KNOWN_COLUMNS = frozenset(
    {
        *("transaction_id", "date", "amount", "currency", "category", "subcategory"),
        *("vendor_name", "vendor_id", "tax_code", "tax_amount", "description", "receipt_url"),
        *("payment_method", "employee_id", "cost_center", "project_code"),
        *("sku", "name", "brand", "price", "cost", "stock_quantity", "unit_of_measure"),
        *("barcode", "is_active"),
    }
)
# A header is looked for in so many rows; above it stand titles and the like.
LINES_BEFORE_HEADER = 30
UNKNOWN_HEADER = "it names no known column and may be a row like the others"
_NO_TITLE = re.compile(r"(?=.*\d)(?!(?:1[89]|20)\d\d$)[-+\d.,:/ ₱$€£]+")
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
_SPACE_BEFORE_COLON = re.compile(r'"\s+:')
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
    path = PurePath(filename)
    if path.suffix.lower() in PACKED_SUFFIXES:
        path = path.with_suffix("")
    return path.suffix.lower() in JSON_SUFFIXES


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
    if start.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "utf-32"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    # Without a mark, the bytes that Latin letters leave empty tell.
    if start[1::2].count(0) > len(start) * 0.4:
        return "utf-16-le"
    if start[0::2].count(0) > len(start) * 0.4:
        return "utf-16-be"
    return fallback if invalid > valid else "utf-8-sig"


def choose_delimiter(start: str, header: str) -> str:
    """The delimiter that occurs most often in the header outside quotes; a comma when none does.

    Args:
        start: the header and some lines behind it, on which a quoted cell of it may end.
        header: its first line.
    """
    bare = re.sub(r'"[^"]*"', "", header)
    if bare.count('"') % 2:
        bare = re.sub(r'"[^"]*"', "", start).split("\n", 1)[0]
    return max(DELIMITERS, key=bare.count)


def name_columns(header: Sequence[str]) -> tuple[str, ...]:
    """Keys of the payloads: ``Transaction ID`` becomes ``transaction_id``, doubles get a number."""
    names: dict[str, None] = {}
    copies: dict[str, int] = {}
    for position, title in enumerate(header, start=1):
        name = plain = _plain_name(title) or f"column_{position}"
        while name in names:
            copies[plain] = copies.get(plain, 1) + 1
            name = f"{plain}_{copies[plain]}"
        names[name] = None
    return tuple(names)


def _plain_name(title: str) -> str:
    return re.sub(r"[\s\-]+", "_", title.strip()).lower()


@dataclass(frozen=True)
class Header:
    """Where the names of the columns stand, and what is odd about that.

    ``is_made_up`` says that there are none: the row found there is one like the others.
    ``is_doubtful`` says that it may be one: the row is kept, whatever it is.
    """

    rows_before: int
    columns: tuple[str, ...]
    is_made_up: bool = False
    remark: str = ""
    is_doubtful: bool = False


def find_header(rows: Sequence[Sequence[str]]) -> Header | None:
    """The header among the first rows of a file; None without rows.

    It is the row that names the most known columns, the first of those that name as many; one below
    the first names two or more. Where none does, the first row may be titles, or one like the
    others: then the columns are numbered.
    """
    if not rows:
        return None
    known = [len(KNOWN_COLUMNS.intersection(map(_plain_name, row))) for row in rows]
    position = known.index(max(known))
    if known[position] >= 2 or known[0]:
        above = f"the header is in row {position + 1}" if position else ""
        return _named(rows[position], position, above)
    said = shown(", ".join(cell.strip() for cell in rows[0]))
    if any(_NO_TITLE.fullmatch(cell.strip()) for cell in rows[0]):
        columns = tuple(f"column_{number}" for number in range(1, len(rows[0]) + 1))
        return Header(
            0, columns, True, f"it has no header: the first row is one like the others ({said})"
        )
    return replace(_named(rows[0], 0, f"none of its columns is known: {said}"), is_doubtful=True)


def _named(titles: Sequence[str], position: int, *remarks: str) -> Header:
    plain = Counter(map(_plain_name, titles))
    doubled = [name for name in KNOWN_COLUMNS if plain[name] > 1]
    twice = f"of the columns {', '.join(sorted(doubled))} the first is read" if doubled else ""
    said = "; ".join(filter(None, (*remarks, twice)))
    return Header(position, name_columns(titles), remark=said)


def why_unstorable(text: str) -> tuple[str, str] | None:
    """Why a JSON text cannot be stored as jsonb, as (reason, detail); None when it can."""
    return None if _is_plainly_storable(text) else _why_unstorable(text)


def _is_plainly_storable(text: str) -> bool:
    """True of nearly every text, and found out in a fifth of the time."""
    if len(text) > PLAIN_CHARACTERS or "\\u0000" in text or _SMALL_EXPONENT.search(text):
        return False
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    # Every name has a colon behind it: with more colons than names, one name may stand twice.
    names = len(value) if isinstance(value, dict) else 0
    return text.count(":") <= names or (
        text.count('":') <= names and not _SPACE_BEFORE_COLON.search(text)
    )


def _why_unstorable(text: str) -> tuple[str, str] | None:
    try:
        value = _decode(text)
    except RecursionError:
        return "too_deep", f"nested more than {MAX_DEPTH} levels"
    except DoubledKeyError as error:
        return "duplicate_name", str(error)
    except ValueError as error:
        return "invalid_json", str(error)
    if not text.isascii() and _SURROGATE.search(text):
        return "undecodable_bytes", "some bytes are no text in the encoding of the file"
    if "\\u" in text and _SUSPICIOUS_ESCAPE.search(text):
        dumped = json.dumps(value, ensure_ascii=False)
        if "\\u0000" in dumped or _SURROGATE.search(dumped):
            return "unstorable_character", "a NUL or half a surrogate pair"
    if _SUSPICIOUS_NUMBER.search(text) and _has_unstorable_number(text):
        return "unstorable_number", "a number of a thousand digits or a four-digit exponent"
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        return "too_deep", f"nested more than {MAX_DEPTH} levels"
    return None


def _has_unstorable_number(text: str) -> bool:
    """What looks like one may stand in a text."""
    found = []

    def look_at(number: str) -> str:
        found.append(_SUSPICIOUS_NUMBER.search(number) is not None)
        return number

    json.loads(text, parse_float=look_at, parse_int=look_at)
    return any(found)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=each_once).decode


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
    """dbt selectors for a layer; empty for everything. A dbt selector is given on as it is.

    What the report shows is made from gold, and is built with it.
    """
    if layer == ALL_LAYERS:
        return ()
    chosen = tuple(layer.split()) or (layer,)
    return (*chosen, "report") if "gold" in chosen else chosen


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


def describe_rejections(rejections: Sequence[Rejections]) -> str:
    """The sentence behind a failing gate; empty where nothing was rejected."""
    if not rejections:
        return ""
    listed = "\n".join(
        f"- {each.reason}: {each.payloads:,}, most of them ({each.payloads_of_file:,}) "
        f"from {shown(each.commonest_file)}"
        for each in rejections
    )
    return f"\nWhat silver rejected most:\n{listed}"


def storable_name(name: str) -> str:
    """A file's name as a table, a task and a page can hold it: its beginning and its end.

    What is no text in it, and what breaks lines, is written as ``\\xNN`` or ``\\uNNNN``.
    """
    plain = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in name
    )
    if len(plain) <= LONGEST_FILENAME:
        return plain
    return f"{plain[: LONGEST_FILENAME - 103]}...{plain[-100:]}"


def shown(name: str) -> str:
    """A name that others gave, on one line and not endless."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in name)
    return plain if len(plain) <= 200 else f"{plain[:200]}..."


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
